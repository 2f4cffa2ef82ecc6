"""Bad manners: peers that claim, stall, flood and stay silent. Nobody else may notice."""

import logging
import os
import resource
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import MRImageStorage
from pynetdicom import AE
from pynetdicom.presentation import build_context

from dicom_factory import mr_image
from dicom_node.deliver.scu import Peer, association, store
from dicom_node.receive.guard import Connection, Connections, Limits
from dicom_node.receive.storage_classes import VERIFICATION
from peers import wait_for
from scripted_peer import RELEASE_REQUEST, association_request, data_pdu, ended, receive_pdu, store_command

Start = Callable[..., Any]
Connect = Callable[[int], socket.socket]
Pairs = Callable[[int], list[tuple[Connection, socket.socket]]]


def limits(**changes: Any) -> Limits:
    chosen = {
        "associations": 2,
        "connections_per_host": 2,
        "pdu_bytes": 16384,
        "message_bytes": 1 << 20,
        "timeout_s": 5,
    }
    return Limits(**chosen | changes)


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connections to a port, closed when the test ends."""
    with ExitStack() as opened:
        yield lambda port: opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Every descriptor up to 1023 is in use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    with Path(os.devnull).open("rb") as file:
        copies = [os.dup(file.fileno())]
        while copies[-1] < 1024:
            copies.append(os.dup(file.fileno()))
        yield
        for copy in copies:
            os.close(copy)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def associated(connect: Connect) -> Connect:
    """Connections with an accepted association."""

    def associate(port: int) -> socket.socket:
        link = connect(port)
        link.sendall(association_request())
        answer = receive_pdu(link)
        assert answer[0] == 0x02, answer[:10]
        return link

    return associate


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Why associations were ended, as the log says it."""
    return [record.__dict__["reason"] for record in caplog.records if record.getMessage() == "association is ended"]


def echoes(port: int, **options: Any) -> bool:
    """Whether a well-behaved peer gets its C-ECHO answered."""
    entity = AE(ae_title="GOOD")
    entity.acse_timeout = entity.dimse_timeout = 10
    association = entity.associate("127.0.0.1", port, [build_context(VERIFICATION)], ae_title="MRCLIP", **options)
    if not association.is_established:
        return False
    status = association.send_c_echo()
    association.release()
    return status.get("Status") == 0x0000


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    """Connections of one host, each with its peer's end."""
    with ExitStack() as opened:

        def make(count: int) -> list[tuple[Connection, socket.socket]]:
            made = [socket.socketpair() for _ in range(count)]
            for ends in made:
                for end in ends:
                    opened.enter_context(end)
            return [(Connection(ours, "10.0.0.1"), theirs) for ours, theirs in made]

        yield make


def test_an_idle_connection_gives_way_to_a_new_one_of_its_host(pairs: Pairs):
    connections = Connections(limits())
    (first, peer), (second, _), (third, _) = pairs(3)
    assert connections.admit(first)
    assert connections.admit(second)
    assert connections.admit(third)
    assert peer.recv(1) == b""  # the oldest was cut
    for connection in (second, third):
        assert connections.associate(connection)
    ((fourth, _),) = pairs(1)
    assert not connections.admit(fourth)
    connections.leave(second)
    assert connections.admit(fourth)


def test_associations_are_bounded_in_all(pairs: Pairs):
    connections = Connections(limits(associations=1))
    (first, _), (second, _) = pairs(2)
    for connection in (first, second):
        assert connections.admit(connection)
    assert connections.associate(first)
    assert not connections.associate(second)
    connections.leave(first)
    assert connections.associate(second)


def test_connections_of_many_hosts_are_bounded_too(pairs: Pairs):
    connections = Connections(limits(associations=1, connections_per_host=2))
    for number, (connection, _) in enumerate(pairs(3)):
        connection.host = f"10.0.0.{number}"
        connection.associated = True
        assert connections.admit(connection)
    ((last, _),) = pairs(1)
    assert not connections.admit(last)


def test_a_pdu_that_claims_four_gigabytes_is_aborted_at_once(
    receiver: Start, connect: Connect, associated: Connect, caplog: pytest.LogCaptureFixture
):
    node = receiver()
    for link in (connect(node.port), associated(node.port)):
        begun = time.monotonic()
        link.sendall(b"\x04\x00\xff\xff\xff\xff")
        assert ended(link).startswith(b"\x07")  # A-ABORT
        assert time.monotonic() - begun < 3
    assert reasons(caplog)[0].startswith("a PDU claims 4294967295 bytes; must be at most")
    assert echoes(node.port)


def test_a_pdu_that_stops_half_way_is_given_up(receiver: Start, associated: Connect, caplog: pytest.LogCaptureFixture):
    node = receiver(network_timeout_s=0.5)
    link = associated(node.port)
    link.sendall(data_pdu(b"x" * 1000, control=1)[:500])
    ended(link)
    wait_for(lambda: node.scp._server.connections.wait_until_empty(0), what="the association being forgotten")
    assert "no whole PDU came within 0.5 s" in reasons(caplog)


def test_associations_that_a_stop_ends_are_in_the_log(
    receiver: Start, associated: Connect, caplog: pytest.LogCaptureFixture
):
    node = receiver(stop_timeout_s=0.1)
    link = associated(node.port)
    node.scp.stop()
    assert ended(link).startswith(b"\x07")
    assert reasons(caplog) == ["the node stops"]


def test_a_pdu_that_drips_is_given_up(receiver: Start, associated: Connect):
    node = receiver(network_timeout_s=0.5)
    link = associated(node.port)
    pdu, begun = data_pdu(b"x" * 1000, control=1), time.monotonic()
    link.settimeout(0.05)
    for position in range(len(pdu)):
        try:
            link.sendall(pdu[position : position + 1])
            assert link.recv(1) == b""
            break
        except TimeoutError:
            continue
        except OSError:  # reset: it was given up
            break
    assert time.monotonic() - begun < 5


def test_a_connection_that_says_nothing_is_closed(receiver: Start, connect: Connect):
    node = receiver(acse_timeout_s=0.3)
    link = connect(node.port)
    assert ended(link) == b""
    wait_for(lambda: node.scp._server.connections.wait_until_empty(0), what="the connection being forgotten")


def test_an_association_that_says_nothing_is_aborted(receiver: Start, associated: Connect):
    node = receiver(network_timeout_s=0.3)
    assert ended(associated(node.port)).startswith(b"\x07")


def test_connections_that_come_and_go_leave_nothing(receiver: Start, connect: Connect):
    node = receiver(acse_timeout_s=60)
    before = threading.active_count()
    nobody = node.scp._server.connections.wait_until_empty
    for _ in range(3):
        links = [connect(node.port) for _ in range(5)]
        wait_for(lambda: not nobody(0), 5, what="the connections being accepted")
        for link in links:
            link.close()
        wait_for(lambda: nobody(0), 5, what="the connections being forgotten")
    wait_for(lambda: threading.active_count() <= before, 5, what="their threads ending")
    assert echoes(node.port)


def test_thirty_idle_sockets_keep_nobody_out(receiver: Start, connect: Connect):
    node = receiver(acse_timeout_s=60)
    idle = [connect(node.port) for _ in range(30)]
    assert echoes(node.port)
    assert threading.active_count() < 60
    for link in idle:
        link.close()


def test_descriptors_above_1023_make_no_difference(receiver: Start, many_descriptors: None, associated: Connect):
    node = receiver()
    link = associated(node.port)
    assert link.fileno() > 1023
    link.sendall(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00")  # A-RELEASE-RQ
    assert receive_pdu(link)[0] == 0x06
    peer = Peer(ae_title="MRCLIP", host="127.0.0.1", port=node.port)
    with association(peer, [build_context(MRImageStorage)]) as ours:
        store(ours, mr_image())


def test_associations_over_the_limit_are_rejected_for_now(receiver: Start, connect: Connect, associated: Connect):
    node = receiver(max_associations=1)
    link = associated(node.port)
    second = connect(node.port)
    second.sendall(association_request())
    assert receive_pdu(second)[:10] == b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x02"  # transient, local limit exceeded
    second.close()
    link.sendall(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00")  # A-RELEASE-RQ
    assert receive_pdu(link)[0] == 0x06
    link.close()
    wait_for(lambda: echoes(node.port), what="the next association")


@pytest.mark.parametrize(
    ("bound", "answer"),
    [
        ({}, b"\x02"),
        ({"OTHER": ["192.0.2.1"]}, b"\x02"),
        ({"SCRIPTED": ["192.0.2.1", "127.0.0.0/8"]}, b"\x02"),
        ({"SCRIPTED": ["192.0.2.0/24"]}, b"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x03"),  # permanent, calling AE title
    ],
)
def test_a_title_may_be_bound_to_hosts(
    receiver: Start, connect: Connect, caplog: pytest.LogCaptureFixture, bound: dict[str, list[str]], answer: bytes
):
    node = receiver(calling_hosts=bound)
    link = connect(node.port)
    link.sendall(association_request())
    assert receive_pdu(link).startswith(answer)
    said = [record for record in caplog.records if record.getMessage() == "association rejected"]
    assert len(said) == (answer[0] == 0x03)
    assert echoes(node.port)


@pytest.mark.parametrize(
    ("settings", "before", "why"),
    [
        ({"max_connections_per_peer": 1}, 1, "connections"),
        ({"max_associations": 1}, 1, "associations"),
        ({"calling_hosts": {"SCRIPTED": ["192.0.2.1"]}}, 0, "host"),
        ({"calling_ae_titles": ["OTHER"]}, 0, "title"),
        ({"ae_title": "OTHER"}, 0, "title"),
    ],
)
def test_who_is_turned_away_is_counted_by_why(
    receiver: Start, connect: Connect, associated: Connect, settings: dict[str, Any], before: int, why: str
):
    node = receiver(**settings)
    for _ in range(before):
        associated(node.port)
    assert node.refused == []
    link = connect(node.port)
    link.sendall(association_request())
    ended(link)
    wait_for(lambda: node.refused == [why], what="it being counted")


def test_an_address_of_ipv4_is_the_same_on_a_port_that_takes_both():
    bound = limits(calling_hosts={"SCANNER": [ip_network("192.0.2.0/24")]})
    assert bound.may_call("SCANNER", "::ffff:192.0.2.7")
    assert not bound.may_call("SCANNER", "::ffff:192.0.3.7")
    assert not bound.may_call("SCANNER", "2001:db8::1")


def test_a_message_that_grows_without_end_is_aborted(receiver: Start, associated: Connect):
    node = receiver(max_instance_bytes=1 << 20)
    link = associated(node.port)
    fragment = data_pdu(b"x" * 16000, control=0)
    try:
        for _ in range(200):
            link.sendall(fragment)
    except OSError:  # it did not wait for the end
        pass
    ended(link)
    assert echoes(node.port)


@pytest.mark.parametrize(
    "pdu",
    [
        data_pdu(b"\xff" * 40, control=3),  # a command set that is none
        data_pdu(b"\x00\x00\x00\x01\x02\x00\x00\x00\x99\x99", control=3),  # an unknown command field
        b"\x04\x00\x00\x00\x00\x06" + b"\x00\x00\x00\x02\x01\x03",  # an empty fragment
        b"\x04\x00\x00\x00\x00\x05" + b"\x00\x00\x00\x01\x01",  # a fragment without its control header
        b"\x63\x00\x00\x00\x00\x00",  # a PDU type that does not exist
        association_request(),  # a request in an association
        b"\x07\x00\x00\x00\x00\x04\x00\x00\x04\x00",  # an A-ABORT by nobody there is
        RELEASE_REQUEST + b"\x63\x00\x00\x00\x00\x00",  # nonsense before the release is answered
        RELEASE_REQUEST + data_pdu(b"\xff" * 40, control=3),  # a command after it
    ],
    ids=["garbage", "command", "empty", "headless", "type", "again", "nobody", "release", "after"],
)
def test_what_makes_no_sense_ends_its_association_and_no_other(
    receiver: Start, pdu: bytes, associated: Connect, caplog: pytest.LogCaptureFixture
):
    node = receiver()
    link = associated(node.port)
    link.sendall(pdu)
    link.shutdown(socket.SHUT_WR)
    ended(link)
    wait_for(lambda: node.scp._server.connections.wait_until_empty(0), what="the association being forgotten")
    assert reasons(caplog) != []
    assert echoes(node.port)


@pytest.mark.parametrize(
    ("title", "shown"),
    [(b" " * 16, "''"), (b"AB\0CD".ljust(16), r"'AB\x00CD'"), (b"\xe4\xf6".ljust(16), r"'\xe4\xf6'")],
    ids=["empty", "control", "no ASCII"],
)
def test_a_title_that_is_none_is_refused_with_a_line_in_the_log(
    receiver: Start, connect: Connect, caplog: pytest.LogCaptureFixture, title: bytes, shown: str
):
    node = receiver()
    link = connect(node.port)
    link.sendall(association_request().replace(b"SCRIPTED".ljust(16), title))
    assert receive_pdu(link).startswith(b"\x07")
    wait_for(lambda: reasons(caplog) != [], what="the line")
    (reason,) = reasons(caplog)
    assert reason.startswith(f"Calling AE Title is {shown}; must ")


@pytest.mark.parametrize(
    "pdu",
    [
        RELEASE_REQUEST,
        data_pdu(b"x", control=3),
        b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00",  # A-ABORT
        b"\x63\x00\x00\x00\x00\x00",  # a PDU type that does not exist
        association_request().replace(b"\x00\x01\x00\x00MRCLIP", b"\x00\x02\x00\x00MRCLIP"),  # of another protocol
    ],
    ids=["release", "data", "abort", "type", "protocol"],
)
def test_what_comes_instead_of_a_request_is_not_waited_upon(receiver: Start, pdu: bytes, connect: Connect):
    node = receiver(acse_timeout_s=60)
    before = threading.active_count()
    link = connect(node.port)
    link.sendall(pdu)
    ended(link)
    wait_for(lambda: node.scp._server.connections.wait_until_empty(0), 5, what="the connection being forgotten")
    wait_for(lambda: threading.active_count() <= before, 5, what="its threads ending")


@pytest.mark.parametrize("uid", [b"", b"1." + b"2" * 80, b"1.2.x"], ids=["empty", "longer", "letter"])
def test_an_instance_without_a_uid_is_answered_and_kept(receiver: Start, associated: Connect, uid: bytes):
    node = receiver()
    link = associated(node.port)
    for _ in range(2):  # and the association goes on
        link.sendall(data_pdu(store_command(uid), control=3) + data_pdu(b"data", control=2))
        assert b"\x00\x09\x02\x00\x00\x00\x00\xc0" in receive_pdu(link)  # Status (0000,0900) is C000
    (entry,) = node.quarantine.entries()
    assert entry.reason == "the request names a SOP class or instance that is not a UID (PS3.5 9.1)"


def test_a_request_that_is_never_answered_and_one_that_cannot_be_served_have_lines_in_the_log(
    receiver: Start, associated: Connect, caplog: pytest.LogCaptureFixture
):
    node = receiver()
    link = associated(node.port)
    without_class = store_command(b"1.2.3", sop_class=b"")
    link.sendall(data_pdu(without_class, control=3) + data_pdu(b"data", control=2))
    link.sendall(data_pdu(store_command(b"1.2.3"), control=3, context=99) + data_pdu(b"data", control=2, context=99))
    assert ended(link).startswith(b"\x07")
    assert "a message is not answered" in [record.getMessage() for record in caplog.records]
    wait_for(lambda: reasons(caplog) == ["aborted in serving C-STORE"], what="the line")


def test_requests_that_do_not_wait_are_bounded(receiver: Start, monkeypatch: pytest.MonkeyPatch):
    node = receiver()
    release, entered = threading.Event(), threading.Event()

    def slow(_request: Any) -> None:
        entered.set()
        release.wait(10)

    monkeypatch.setattr(node.intake, "take", slow)
    entity = AE(ae_title="FLOOD")
    entity.add_requested_context(MRImageStorage)
    association = entity.associate("127.0.0.1", node.port, ae_title="MRCLIP")
    assert association.is_established
    thread = threading.Thread(target=lambda: association.send_c_store(mr_image()))
    thread.start()
    assert entered.wait(10)
    echo = data_pdu(
        b"\x00\x00\x00\x00\x04\x00\x00\x00\x38\x00\x00\x00"
        b"\x00\x00\x02\x00\x12\x00\x00\x001.2.840.10008.1.1\x00"
        b"\x00\x00\x00\x01\x02\x00\x00\x00\x30\x00"
        b"\x00\x00\x10\x01\x02\x00\x00\x00\x01\x00"
        b"\x00\x00\x00\x08\x02\x00\x00\x00\x01\x01",
        control=3,
    )
    link = association.dul.socket.socket
    for _ in range(12):
        association.dul.socket.send(echo)
    # They stay where the sender has to keep them, in its socket; what is taken in nevertheless is bounded.
    (serving,) = node.scp._server.active_associations
    assert serving.dimse.msg_queue.qsize() <= 8
    release.set()
    thread.join()
    association.abort()
    link.close()  # pynetdicom's client forgets it where one of those answers comes while it aborts
    assert echoes(node.port)


@pytest.mark.peer("openssl")
def test_a_tls_client_that_does_not_shake_hands_holds_up_nobody(
    receiver: Start, certificate: tuple[Path, Path], connect: Connect
):
    node = receiver(tls={"certificate": certificate[0], "key": certificate[1]}, network_timeout_s=1)
    silent = connect(node.port)
    client = ssl.create_default_context(cafile=str(certificate[0]))
    assert echoes(node.port, tls_args=(client, "localhost"))
    assert ended(silent) == b""
    plain = connect(node.port)
    plain.sendall(association_request())
    ended(plain)
    assert echoes(node.port, tls_args=(client, "localhost"))


def test_nothing_of_a_patient_is_logged(receiver: Start, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    node = receiver()
    entity = AE(ae_title="GOOD")
    entity.add_requested_context(MRImageStorage)
    association = entity.associate("127.0.0.1", node.port, ae_title="MRCLIP")
    marked = mr_image(PatientName="MARKED^NAME", PatientID="MARKED-ID")
    assert association.send_c_store(marked).Status == 0x0000
    marked["SeriesInstanceUID"]._value = "MARKED-UID"
    assert association.send_c_store(marked).Status == 0xC000
    association.release()
    ours = [record for record in caplog.records if record.name.startswith("dicom_node")]
    assert ours
    theirs = [record for record in caplog.records if record.threadName != threading.current_thread().name]
    for record in ours + theirs:
        assert "MARKED" not in f"{record.getMessage()} {record.__dict__}"
