"""What the answers of a storage SCP mean for a report, told by a scripted peer."""

import gc
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage, ImplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from dicom_factory import mr_image, write
from dicom_node.deliver import DeliveryError
from dicom_node.deliver.dicom import DicomDestination
from dicom_node.deliver.scu import Peer, association, store
from peers import free_port, storescp

# pynetdicom leaves a socket that never connected to the garbage collector, which closes it and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return write(mr_image(SOPClassUID=Comprehensive3DSRStorage), tmp_path / "report.dcm")


@contextmanager
def scripted(answer: Callable[[Any], int], **settings: Any) -> Iterator[DicomDestination]:
    """A peer that answers each C-STORE as `answer` says; `settings` are attributes of its application entity."""
    entity = AE(ae_title="SCRIPTED")
    entity.add_supported_context(settings.pop("sop_class", Comprehensive3DSRStorage))
    for name, value in settings.items():
        setattr(entity, name, value)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, answer)])
    assert server is not None
    port = server.socket.getsockname()[1]
    try:
        yield DicomDestination(
            name="archive", peer=Peer(ae_title="SCRIPTED", host="127.0.0.1", port=port, response_s=5, association_s=5)
        )
    finally:
        server.shutdown()


class Starved(threading.Event):
    """pynetdicom's checkpoint on a busy machine: the reactor passes it, and goes on once the answer has come."""

    link: Association

    def wait(self, timeout: float | None = None) -> bool:
        passed = super().wait(timeout)
        if threading.current_thread() is self.link:
            until = time.monotonic() + 0.05
            while time.monotonic() < until and self.link.dimse.msg_queue.empty():
                threading.Event().wait(0.0002)
        return passed


def test_an_answer_is_never_lost_to_the_reactor(report: Path) -> None:
    with scripted(lambda event: 0x0000) as destination:
        context = build_context(Comprehensive3DSRStorage)
        with association(destination.peer, [context]) as link:
            starved, before = Starved(), link._reactor_checkpoint
            starved.link = link
            starved.set()
            link._reactor_checkpoint = starved
            before.set()
            for _ in range(30):  # one of the first few was lost
                store(link, dcmread(report))


class Waiting(Queue[Any]):
    """The answers of a peer that takes one PDU of the question, if any is left, while it is waited for."""

    def __init__(self, question: Queue[Any], taken: int) -> None:
        super().__init__()
        self.question, self.taken = question, taken

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if self.taken == 0 and not self.question.empty():
            raise Empty
        if self.question.empty():
            return 1, "the answer"
        self.taken -= 1
        self.question.get()
        raise Empty


@pytest.mark.parametrize(("taken", "answer"), [(9, "the answer"), (2, None), (0, None)])
def test_what_takes_longer_to_send_than_an_answer_may_take_is_not_aborted(taken: int, answer: str | None) -> None:
    question = Queue[Any]()
    for number in range(3):
        question.put(number)
    link: Any = SimpleNamespace(dul=SimpleNamespace(to_provider_queue=question), dimse_timeout=5)
    with (
        scripted(lambda event: 0x0000) as destination,
        association(destination.peer, [build_context(Comprehensive3DSRStorage)]) as real,
    ):
        answers = type(real.dimse)(link)
    answers.msg_queue = Waiting(question, taken)
    assert answers.get_msg(block=True)[1] == answer


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xB007, 0x0107])
def test_success_and_warnings_are_delivered(status: int, report: Path) -> None:
    with scripted(lambda event: status) as destination:
        destination.deliver(report)


@pytest.mark.parametrize(
    ("status", "retry"),
    [
        (0xA700, True),
        (0xA7FF, True),
        (0x0110, True),
        (0x0213, True),
        (0xA900, False),
        (0xC000, False),
        (0xC123, False),
        (0x0122, False),
        (0x0124, False),
        (0x0111, False),
    ],
)
def test_failures_are_retried_only_where_they_may_pass(status: int, retry: bool, report: Path) -> None:
    with (
        scripted(lambda event: status) as destination,
        pytest.raises(DeliveryError, match=f"status 0x{status:04X}") as caught,
    ):
        destination.deliver(report)
    assert caught.value.retry is retry


def test_a_peer_that_hangs_up_is_tried_again(report: Path) -> None:
    def hang_up(event: Any) -> int:
        event.assoc.abort()
        return 0x0000

    with scripted(hang_up) as destination, pytest.raises(DeliveryError, match="ended the association") as caught:
        destination.deliver(report)
    assert caught.value.retry


def test_a_peer_that_is_away_leaves_no_socket_open(report: Path) -> None:
    peer = Peer(ae_title="AWAY", host="127.0.0.1", port=free_port())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(DeliveryError, match="cannot be reached"):
            DicomDestination(name="away", peer=peer).deliver(report)
        gc.collect()
    assert [one for one in said if one.category is ResourceWarning] == []


def test_a_peer_that_turns_us_away_is_tried_again(report: Path) -> None:
    with (
        scripted(lambda event: 0, require_calling_aet=["OTHER"]) as destination,
        pytest.raises(DeliveryError, match="rejected the association") as caught,
    ):
        destination.deliver(report)
    assert caught.value.retry


def test_a_peer_without_the_sop_class_never_will_have_it(report: Path) -> None:
    with (
        scripted(lambda event: 0, sop_class=MRImageStorage) as destination,
        pytest.raises(DeliveryError, match="accepts none of the SOP classes") as caught,
    ):
        destination.deliver(report)
    assert not caught.value.retry


def test_a_host_without_an_address_is_tried_again(report: Path) -> None:
    destination = DicomDestination(name="archive", peer=Peer(ae_title="ANY", host="archive.invalid", port=104))
    with pytest.raises(DeliveryError, match=r"archive\.invalid") as caught:
        destination.deliver(report)
    assert caught.value.retry


@pytest.mark.parametrize("host", ["pacs..example.org", f"{'x' * 64}.example.org"])
def test_a_host_that_can_be_no_name_is_named_with_its_rule(host: str, report: Path) -> None:
    destination = DicomDestination(name="archive", peer=Peer(ae_title="ANY", host=host, port=104))
    with pytest.raises(DeliveryError, match=r"is no name; its labels must have 1 to 63 characters"):
        destination.deliver(report)


@pytest.mark.peer("storescp")
def test_dcmtk_gets_the_report_byte_for_byte(report: Path, tmp_path: Path) -> None:
    with storescp(tmp_path) as scp:
        peer = Peer(ae_title=scp.ae_title, host=scp.host, port=scp.port)
        DicomDestination(name="archive", peer=peer).deliver(report)
        (received,) = scp.files()
    assert dcmread(received) == dcmread(report)


@pytest.mark.peer("storescp")
def test_a_peer_that_speaks_implicit_vr_only_gets_the_same_report(report: Path, tmp_path: Path) -> None:
    with storescp(tmp_path, "--implicit") as scp:
        peer = Peer(ae_title=scp.ae_title, host=scp.host, port=scp.port)
        DicomDestination(name="archive", peer=peer).deliver(report)
        (received,) = scp.files()
    assert dcmread(received).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert dcmread(received) == dcmread(report)


@pytest.mark.peer("storescp")
def test_dcmtk_that_refuses_is_tried_again(report: Path, tmp_path: Path) -> None:
    with storescp(tmp_path, "--refuse") as scp:
        destination = DicomDestination(name="a", peer=Peer(ae_title=scp.ae_title, host=scp.host, port=scp.port))
        with pytest.raises(DeliveryError) as caught:
            destination.deliver(report)
    assert caught.value.retry
