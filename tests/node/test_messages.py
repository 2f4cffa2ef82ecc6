"""Bytes that are taken apart directly give what pynetdicom makes of them, or are left to it."""

import socket
import threading
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from pydicom import config
from pydicom.uid import UID, MRImageStorage
from pynetdicom import AE
from pynetdicom._validators import validate_ui
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA

from dicom_node.receive.buffered import BufferedSocket
from dicom_node.receive.messages import data_pdu, fragments, store_command, store_request, store_response
from dicom_node.receive.server import _valid_uid

UIDS = some.from_regex(r"[1-9][0-9]{0,8}(\.[1-9][0-9]{0,8}){1,6}", fullmatch=True).filter(lambda uid: len(uid) <= 64)
WORDS = some.integers(0, 0xFFFF)


def command(**changes: Any) -> bytes:
    """The command set of a C-STORE request, encoded by pynetdicom."""
    primitive = C_STORE()
    primitive.MessageID, primitive.Priority = 1, 2
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = MRImageStorage, "1.2.3"
    primitive.DataSet = BytesIO(b"data")
    for name, value in changes.items():
        setattr(primitive, name, value)
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    encoded = encode(message.command_set, True, True)
    assert encoded is not None
    return encoded


def stock(encoded: bytes, context: int) -> Any:
    """What pynetdicom makes of a command set with an empty data set."""
    data = P_DATA()
    data.presentation_data_value_list = [[context, b"\x03" + encoded], [context, b"\x02"]]
    message = DIMSEMessage()
    assert message.decode_msg(data)
    return message.message_to_primitive()


@given(uid=UIDS, message_id=WORDS, priority=some.integers(0, 2), context=some.integers(1, 255))
def test_a_request_is_what_pynetdicom_makes_of_it(uid: str, message_id: int, priority: int, context: int):
    encoded = command(AffectedSOPInstanceUID=uid, MessageID=message_id, Priority=priority)
    said, theirs = store_command(memoryview(encoded)), stock(encoded, context)
    assert said is not None
    ours = store_request(said, context, theirs.DataSet)
    known = vars(theirs)
    assert {name: value for name, value in vars(ours).items() if value is not None} == {
        name: value for name, value in known.items() if value is not None
    }
    assert type(ours.AffectedSOPInstanceUID) is type(theirs.AffectedSOPInstanceUID)
    assert ours.is_valid_request


def test_a_request_of_a_move_is_one_like_others():
    moved = command(MoveOriginatorApplicationEntityTitle="MOVER", MoveOriginatorMessageID=5)
    assert store_command(memoryview(moved)) == store_command(memoryview(command()))


@pytest.mark.parametrize(
    "encoded",
    [
        command(MoveOriginatorMessageID=5),
        command().replace(MRImageStorage.encode(), b"1.2.x".ljust(len(MRImageStorage), b"0")),
        command().replace(b"\x00\x00\x00\x07\x02\x00\x00\x00\x02\x00", b"\x00\x00\x00\x07\x02\x00\x00\x00\x09\x00"),
        command().replace(b"\x00\x00\x00\x08\x02\x00\x00\x00\x01\x00", b"\x00\x00\x00\x08\x02\x00\x00\x00\x01\x01"),
        command()[:-2],
        command() + command(),
        command()[12:],
        b"",
        b"\x00",
    ],
    ids=["half moved", "class", "priority", "no data set", "cut", "twice", "no length", "empty", "one byte"],
)
def test_what_is_not_plain_is_left_to_pynetdicom(encoded: bytes):
    assert store_command(memoryview(encoded)) is None


@pytest.mark.parametrize(
    ("uid", "said"),
    [
        (b"1.2.x\x00", "1.2.x"),
        (b"1..23\x00", "1..23"),
        (b"1.2.3 ", "1.2.3"),
        (b"", ""),
        (b"1." + b"2" * 62, "1." + "2" * 62),
        (b"1." + b"2" * 63 + b"\x00", ""),
        (b"1.2.\xe4\x00", ""),
    ],
    ids=["letter", "dots", "space", "empty", "longest", "longer", "no ASCII"],
)
def test_an_instance_that_is_no_uid_is_for_the_intake_to_refuse(uid: bytes, said: str):
    encoded = command().replace(b"\x06\x00\x00\x001.2.3\x00", bytes([len(uid), 0, 0, 0]) + uid)
    found = store_command(memoryview(encoded))
    assert found is not None
    assert found.sop_instance_uid == said
    assert said.encode() in store_response(found, 0xC000)
    assert store_request(found, 1, BytesIO()).is_valid_request


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of what it is asked about
@pytest.mark.parametrize("uid", ["1.2.3", "1.2.3" * 30, "a", "", "1" * 64, "1" * 65])
def test_what_is_said_of_a_uid_is_what_pynetdicom_says(uid: str):
    for _ in range(2):  # looked at, and remembered
        assert _valid_uid(UID(uid, config.IGNORE)) == validate_ui(UID(uid, config.IGNORE))


def test_another_message_is_left_to_pynetdicom():
    another = command().replace(b"\x00\x01\x02\x00\x00\x00\x01\x00", b"\x00\x01\x02\x00\x00\x00\x30\x00")
    assert another != command()
    assert store_command(memoryview(another)) is None
    assert C_ECHO().MessageID is None


@given(
    items=some.lists(some.tuples(some.integers(1, 255), some.binary(min_size=1, max_size=20)), min_size=1, max_size=5)
)
def test_items_are_those_that_pynetdicom_finds(items: list[tuple[int, bytes]]):
    encoded = b"".join((len(value) + 1).to_bytes(4, "big") + bytes([context]) + value for context, value in items)
    pdu = P_DATA_TF()
    pdu.decode(b"\x04\x00" + len(encoded).to_bytes(4, "big") + encoded)
    found = fragments(memoryview(encoded))
    assert found is not None
    assert [(context, bytes(value)) for context, value in found] == pdu.to_primitive().presentation_data_value_list
    if len(items) == 1:
        assert data_pdu(*items[0]) == pdu.encode()
    assert fragments(memoryview(encoded)[:-1]) is None


@settings(max_examples=40, deadline=None)
@given(
    pdus=some.lists(
        some.tuples(some.sampled_from([4, 5]), some.integers(0, 3), some.sampled_from([2, 7, 1000, 70000, 200000])),
        min_size=1,
        max_size=5,
    ),
    cut=some.integers(1, 90000),
)
def test_reading_ahead_gives_every_pdu_once_and_in_order(pdus: list[tuple[int, int, int]], cut: int):
    whole, expected = b"", []
    for kind, fill, length in pdus:
        value = bytes([fill]) * length
        expected.append((kind, value))
        whole += data_pdu(1, value) if kind == 4 else bytes([5, 0]) + length.to_bytes(4, "big") + value
    near, far = socket.socketpair()
    reader = BufferedSocket(Association(AE(), "acceptor"), near, longest_pdu_bytes=1 << 20, timeout_s=60)
    cut = max(cut, len(whole) // 2000)  # in no more pieces than a busy machine can take in that time

    def write() -> None:
        for begin in range(0, len(whole), cut):
            far.sendall(whole[begin : begin + cut])

    writer = threading.Thread(target=write)
    writer.start()
    found = []
    for kind, value in expected:
        items = reader.take_data()
        if items is not None:
            found.extend((4, bytes(one)) for _, one in items)
        else:
            head = reader.recv(6)
            found.append((head[0], bytes(reader.recv(int.from_bytes(head[2:], "big")))))
        assert found[-1] == (kind, value)
    writer.join()
    near.close()
    far.close()


def test_what_the_peer_takes_late_is_sent_whole():
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    writer = BufferedSocket(Association(AE(), "acceptor"), near, longest_pdu_bytes=1 << 20, timeout_s=10)
    whole, taken = bytes(range(256)) * 4000, b""
    thread = threading.Thread(target=writer.send, args=(whole,))
    thread.start()
    while len(taken) < len(whole):
        taken += far.recv(5000)
    thread.join()
    assert taken == whole
    assert events(writer) == ["Evt5"]  # transport connection indication (PS3.8 9.2.3), from the beginning
    near.close()
    far.close()


def test_a_peer_that_takes_nothing_is_given_up():
    near, far = socket.socketpair()
    writer = BufferedSocket(Association(AE(), "acceptor"), near, longest_pdu_bytes=1 << 20, timeout_s=0.05)
    writer.send(bytes(1 << 22))
    assert events(writer) == ["Evt5", "Evt17"]  # transport connection closed
    near.close()
    far.close()


def events(link: BufferedSocket) -> list[str]:
    """What the state machine is to hear."""
    return list(link.event_queue.queue)
