"""Senders ask whether what they sent is safe, and are told: here, on a new association, after a restart."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, Association, evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.presentation import build_context

from dicom_factory import mr_image
from dicom_node.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, Reference, Report, Request
from dicom_node.commitment.custody import spool_id
from dicom_node.commitment.messages import read_report, request_data_set
from dicom_node.commitment.reporter import Reporter, ReportPolicy
from dicom_node.commitment.scp import CommitmentScp
from dicom_node.deliver.scu import Peer
from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.store import Ledger
from dicom_node.receive.intake import Intake, QuietTimes
from dicom_node.receive.quarantine import Quarantine
from dicom_node.receive.server import StorageScp
from dicom_node.receive.spool import Spool
from dicom_node.settings import ScpSettings
from inference.identifiers import SeriesInstanceUid, SopInstanceUid
from peers import free_port, wait_for

# pynetdicom leaves sockets of associations that ended early to the garbage collector, which closes them and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
POLICY = ReportPolicy(interval_s=0.05, retry_s=0.05, retry_max_s=0.1, max_attempts=3)
IMAGE = mr_image(SOPInstanceUID="1.2.3.4", SeriesInstanceUID="1.2.3")
KNOWN = Reference(sop_class_uid=MRImageStorage, sop_instance_uid="1.2.3.4")
UNKNOWN = Reference(sop_class_uid=MRImageStorage, sop_instance_uid="1.2.3.9")
OTHER_CLASS = Reference(sop_class_uid="1.2.840.10008.5.1.4.1.1.4.1", sop_instance_uid="1.2.3.4")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Such sockets are closed while the warning is expected."""
    yield
    gc.collect()


def now() -> datetime:
    return datetime.now(UTC)


class Node:
    """A receiving peer with Storage Commitment, over a spool and a ledger that outlive it."""

    def __init__(self, folder: Path, listener: int | None, *, spool: Spool | None = None) -> None:
        self.engine = open_engine(f"sqlite:///{folder / 'ledger.sqlite3'}", busy_timeout_s=5)
        migrate(self.engine)
        self.ledger, self.spool = Ledger(self.engine), spool or Spool(folder / "spool")
        quiet = QuietTimes(quiet_s=30, quiet_after_release_s=2)
        quarantine = Quarantine(self.spool.root)
        intake = Intake(ledger=self.ledger, spool=self.spool, quarantine=quarantine, quiet=quiet, clock=now)
        peers = {} if listener is None else {"SENDER": Peer(ae_title="SENDER", host="127.0.0.1", port=listener)}
        self.reporter = Reporter(ledger=self.ledger, spool=self.spool, peers=peers, policy=POLICY, clock=now)
        commitment = CommitmentScp(ledger=self.ledger, reporter=self.reporter, clock=now)
        self.settings, self.intake = ScpSettings(host="127.0.0.1", port=0, stop_timeout_s=1), intake
        self.scp = StorageScp(self.settings, intake, commitment=commitment)

    def states(self) -> dict[str, int]:
        return {state: count for state, count in self.ledger.commitments_by_state().items() if count}


@contextmanager
def node(folder: Path, *, listener: int | None = None, reporting: bool = True) -> Iterator[Node]:
    running = Node(folder, listener)
    running.scp.start()
    if reporting:
        running.reporter.start()
    try:
        yield running
    finally:
        running.scp.stop()
        running.reporter.stop()
        running.engine.dispose()


class Sender:
    """A modality: sends, asks, and is told."""

    def __init__(self) -> None:
        self.reports: list[tuple[int, Report]] = []
        self.status = 0x0000
        self._entity = AE(ae_title="SENDER")

    @contextmanager
    def association(self, port: int) -> Iterator[Association]:
        contexts = [build_context(PUSH_MODEL), build_context(MRImageStorage, ImplicitVRLittleEndian)]
        handlers = [(evt.EVT_N_EVENT_REPORT, self.told)]
        link = self._entity.associate("127.0.0.1", port, contexts, ae_title="MRCLIP", evt_handlers=handlers)
        assert link.is_established
        try:
            yield link
        finally:
            link.release()

    @contextmanager
    def listening(self, port: int) -> Iterator[None]:
        entity = AE(ae_title="SENDER")
        entity.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
        server = entity.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self.told)]
        )
        assert server is not None
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()

    def told(self, event: evt.Event) -> tuple[int, Dataset | None]:
        request = event.request
        assert isinstance(request, N_EVENT_REPORT)
        assert request.AffectedSOPInstanceUID == PUSH_MODEL_INSTANCE
        assert request.EventInformation is not None
        if self.status == 0x0000:
            report = read_report(request.EventInformation.getvalue(), str(event.context.transfer_syntax))
            self.reports.append((int(request.EventTypeID or 0), report))
        return self.status, None


def ask(link: Association, *references: Reference, transaction: str = "2.25.7", action: int = 1) -> int:
    request = request_data_set(Request(transaction_uid=transaction, references=references))
    status, _ = link.send_n_action(request, action, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    return int(status.Status)


def test_what_was_answered_for_is_in_the_ledger_before_the_request_is(tmp_path: Path) -> None:
    sender, kept = Sender(), []
    with node(tmp_path, reporting=False) as running:
        commitment = CommitmentScp(
            ledger=running.ledger, reporter=running.reporter, clock=now, settle=lambda: kept.append(running.states())
        )
        running.scp.stop()
        running.scp = StorageScp(running.settings, running.intake, commitment=commitment)
        running.scp.start()
        with sender.association(running.scp.port) as link:
            assert ask(link, KNOWN) == 0x0000
        assert kept == [{}]
        assert sum(running.states().values()) == 1


def test_who_waits_on_its_association_is_told_there(tmp_path: Path) -> None:
    sender = Sender()
    with node(tmp_path) as running, sender.association(running.scp.port) as link:
        assert link.send_c_store(IMAGE).Status == 0x0000
        assert ask(link, KNOWN) == 0x0000
        wait_for(lambda: sender.reports, what="the report")
        assert link.is_established
        assert ask(link, KNOWN, UNKNOWN, OTHER_CLASS, transaction="2.25.8") == 0x0000
        wait_for(lambda: len(sender.reports) == 2, what="the second report")
        wait_for(lambda: running.states() == {"reported": 2}, what="the ledger")
        assert link.send_c_store(IMAGE).Status == 0x0000  # the association is as it was
    (event, report), (second_event, second) = sender.reports
    assert (event, report) == (1, Report(transaction_uid="2.25.7", committed=(KNOWN,), failed=()))
    assert (second_event, second.transaction_uid, second.committed) == (2, "2.25.8", (KNOWN,))
    assert {one.reference: one.reason for one in second.failed} == {UNKNOWN: 0x0112, OTHER_CLASS: 0x0119}


def test_who_releases_is_told_on_a_new_association_with_roles_selected(tmp_path: Path) -> None:
    sender, port = Sender(), free_port()
    with sender.listening(port), node(tmp_path, listener=port) as running:
        with sender.association(running.scp.port) as link:
            assert ask(link, UNKNOWN) == 0x0000
        wait_for(lambda: sender.reports, what="the report")
        wait_for(lambda: running.states() == {"reported": 1}, what="the ledger")
    ((event, report),) = sender.reports
    assert (event, report.committed, report.failed[0].reason) == (2, (), 0x0112)


def test_a_file_that_is_gone_is_not_committed(tmp_path: Path) -> None:
    sender = Sender()
    with node(tmp_path) as running, sender.association(running.scp.port) as link:
        assert link.send_c_store(IMAGE).Status == 0x0000
        running.spool.instance_path(SeriesInstanceUid("1.2.3"), SopInstanceUid("1.2.3.4")).unlink()
        assert ask(link, KNOWN) == 0x0000
        wait_for(lambda: sender.reports, what="the report")
    assert sender.reports[0][1].failed[0].reason == 0x0112


def test_a_request_survives_a_restart_and_is_reported_once(tmp_path: Path) -> None:
    sender, port = Sender(), free_port()
    with node(tmp_path, listener=port, reporting=False) as first:
        with sender.association(first.scp.port) as link:
            assert link.send_c_store(IMAGE).Status == 0x0000
            assert ask(link, KNOWN) == 0x0000
            assert ask(link, KNOWN) == 0x0000  # the same transaction again: one request
        asked = spool_id(first.spool, make=False)
        wait_for(lambda: first.ledger.due_commitments(now(), 9, spool_id=asked), what="the request being due")
        assert first.states() == {"pending": 1}
    with sender.listening(port), node(tmp_path, listener=port) as second:
        wait_for(lambda: second.states() == {"reported": 1}, what="the report")
    assert [report for _, report in sender.reports] == [Report(transaction_uid="2.25.7", committed=(KNOWN,), failed=())]


def test_a_transaction_asked_for_again_after_its_report_is_reported_again(tmp_path: Path) -> None:
    sender = Sender()
    with node(tmp_path) as running, sender.association(running.scp.port) as link:
        for count in (1, 2):
            assert ask(link, UNKNOWN) == 0x0000
            wait_for(lambda count=count: len(sender.reports) == count, what="a report")
            wait_for(lambda: running.states() == {"reported": 1}, what="the ledger")


def test_a_report_that_is_not_taken_is_tried_again_and_then_given_up_with_its_reason(tmp_path: Path) -> None:
    sender, port = Sender(), free_port()
    sender.status = 0x0110
    with sender.listening(port), node(tmp_path, listener=port) as running:
        with sender.association(running.scp.port) as link:
            ask(link, UNKNOWN)
        wait_for(lambda: running.states() == {"dead": 1}, what="giving up")
        sender.status = 0x0000
        assert running.ledger.revive_commitments(now=now()) == 1
        wait_for(lambda: running.states() == {"reported": 1}, what="the report after all")


def test_a_stranger_that_does_not_wait_is_not_told(tmp_path: Path) -> None:
    sender = Sender()
    with node(tmp_path) as running:
        with sender.association(running.scp.port) as link:
            ask(link, UNKNOWN)
        wait_for(lambda: running.states() == {"dead": 1}, what="giving up")


def test_what_is_no_request_is_refused_with_its_status(tmp_path: Path) -> None:
    sender = Sender()
    with node(tmp_path) as running, sender.association(running.scp.port) as link:
        assert ask(link, KNOWN, action=2) == 0x0123
        assert ask(link) == 0x0115
        request = request_data_set(Request(transaction_uid="2.25.7", references=(KNOWN,)))
        status, _ = link.send_n_action(request, 1, PUSH_MODEL, "1.2.3")
        assert status.Status == 0x0112
        assert running.states() == {}


def test_many_senders_at_once_are_all_told(tmp_path: Path) -> None:
    senders = [Sender() for _ in range(6)]
    with node(tmp_path) as running:

        def run(sender: Sender, number: int) -> None:
            with sender.association(running.scp.port) as link:
                for k in range(3):
                    ask(link, UNKNOWN, transaction=f"2.25.{number}{k}")
                wait_for(lambda: len(sender.reports) == 3, what="three reports")

        threads = [threading.Thread(target=run, args=(sender, number + 1)) for number, sender in enumerate(senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: running.states() == {"reported": 18}, what="the ledger")


def test_a_node_with_another_spool_leaves_the_answer_to_the_one_that_was_asked(tmp_path: Path) -> None:
    sender, port = Sender(), free_port()
    with sender.listening(port), node(tmp_path, listener=port, reporting=False) as asked:
        other = Node(tmp_path, port, spool=Spool(tmp_path / "another"))
        with sender.association(asked.scp.port) as link:
            assert link.send_c_store(IMAGE).Status == 0x0000
            assert ask(link, KNOWN) == 0x0000
        here = spool_id(asked.spool, make=False)
        assert here is not None
        wait_for(lambda: asked.ledger.due_commitments(now(), 9, spool_id=here), what="the request being due")
        (key,) = asked.ledger.due_commitments(now(), 9, spool_id=here)
        for _ in range(2):
            assert other.reporter.sweep() == 0
            other.reporter.report(key)
            assert asked.states() == {"pending": 1}
            assert spool_id(other.spool, make=True) != here, "without an id, and then with one of its own"
        assert asked.reporter.sweep() == 1
        assert asked.states() == {"reported": 1}
        other.engine.dispose()
    assert [report for _, report in sender.reports] == [Report(transaction_uid="2.25.7", committed=(KNOWN,), failed=())]


def test_nodes_that_share_a_spool_answer_for_each_other_and_what_was_asked_of_nobody_is_answered(
    tmp_path: Path,
) -> None:
    with node(tmp_path, reporting=False) as one:
        other = Node(tmp_path, None, spool=Spool(one.spool.root))
        known, unknown = (Request(transaction_uid=f"2.25.{n}", references=(KNOWN,)) for n in (7, 8))
        one.reporter.keep("SENDER", known, due_at=now())
        one.ledger.request_commitment("SENDER", unknown, now=now(), due_at=now())
        assert other.reporter.sweep() == 2
        other.engine.dispose()


def test_a_lease_keeps_others_away_and_ends(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    migrate(engine)
    ledger, t0 = Ledger(engine), datetime(2026, 3, 1, tzinfo=UTC)
    request = Request(transaction_uid="2.25.7", references=(KNOWN,))
    key = ledger.request_commitment("SENDER", request, now=t0, due_at=t0 + timedelta(seconds=30))
    assert ledger.request_commitment("OTHER", request, now=t0, due_at=t0) != key
    assert ledger.claim_commitment(key, now=t0, lease_s=60) is None
    first = ledger.claim_commitment(key, now=t0, lease_s=60, early=True)
    assert first is not None
    assert (first.request, first.attempt) == (request, 1)
    assert ledger.claim_commitment(key, now=t0, lease_s=60, early=True) is None
    second = ledger.claim_commitment(key, now=t0 + timedelta(seconds=61), lease_s=60)
    assert second is not None
    assert not ledger.commitment_reported(first)
    assert ledger.commitment_reported(second)
    engine.dispose()


def test_a_peer_that_releases_or_sends_instead_of_answering_is_not_held_up(tmp_path: Path) -> None:
    """It was quiet for long enough to be told here, and then went on with something else."""
    sender = Sender()
    told = threading.Event()
    free = threading.Event()

    def busy(event: evt.Event) -> tuple[int, Dataset | None]:
        told.set()
        free.wait(30)
        return 0x0000, None

    sender.told = busy  # type: ignore[method-assign]
    with node(tmp_path) as running:
        with sender.association(running.scp.port) as link:
            assert ask(link, UNKNOWN) == 0x0000
            assert told.wait(30)
            begun = datetime.now(UTC)
            link.release()
            free.set()
            assert datetime.now(UTC) - begun < timedelta(seconds=10)
        wait_for(lambda: running.states() == {"dead": 1}, what="giving up on a stranger")
