"""What the settings let go is removed, and nothing else, whatever happens meanwhile."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicom_factory import mr_image, write
from dicom_node.errors import SettingsError
from dicom_node.ledger.records import Outcome, ReportRow
from dicom_node.ledger.store import Ledger
from dicom_node.receive.intake import Intake, QuietTimes
from dicom_node.receive.part10 import read_file_meta
from dicom_node.receive.quarantine import Quarantine, StoreRequest
from dicom_node.receive.spool import Spool
from dicom_node.retention import Removed, Remover, RetentionPolicy
from dicom_node.settings import load_settings
from inference.identifiers import SeriesInstanceUid, SopInstanceUid

T0 = datetime(2026, 3, 1, tzinfo=UTC)
POLICY = RetentionPolicy(answered=timedelta(days=7), quarantine=timedelta(days=30), interval_s=1)
SYNTAX = "1.2.840.10008.1.2.1"


def day(number: float) -> datetime:
    return T0 + timedelta(days=number)


class Node:
    """A spool, a ledger and the way into both, at a time of its own."""

    def __init__(self, tmp_path: Path, ledger: Ledger) -> None:
        self.now, self.ledger, self.spool, self._tmp = T0, ledger, Spool(tmp_path / "spool"), tmp_path
        self.remover = Remover(ledger=ledger, spool=self.spool, policy=POLICY, clock=lambda: self.now)
        quiet = QuietTimes(quiet_s=0, quiet_after_release_s=0)
        quarantine = Quarantine(self.spool.root)
        self.intake = Intake(
            ledger=ledger, spool=self.spool, quarantine=quarantine, quiet=quiet, clock=lambda: self.now
        )

    def send(self, series: str, *numbers: int) -> None:
        for number in numbers:
            image = mr_image(SeriesInstanceUID=series, SOPInstanceUID=f"{series}.{number}")
            file = memoryview(write(image, self._tmp / "sent.dcm").read_bytes())
            request = StoreRequest(
                sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
                sop_instance_uid=f"{series}.{number}",
                transfer_syntax_uid=SYNTAX,
                data_set=file[read_file_meta(file).data_set_offset :],
                calling_aet="SCANNER",
            )
            self.intake.take(request)

    def read(self, series: str, *destinations: str) -> None:
        job = self.ledger.claim(SeriesInstanceUid(series), owner="w", reader_digest="r", now=self.now, lease_s=60)
        assert job is not None
        report = ReportRow(
            sop_instance_uid=SopInstanceUid(f"2.25.{series.replace('.', '')}"),
            sop_class_uid="1.2",
            series_instance_uid=SeriesInstanceUid("2.25.9"),
        )
        outcome = Outcome(
            document="{}", contrast="T1", score=0, p_value=None, flagged=False, report=report, destinations=destinations
        )
        assert self.ledger.finish(job, outcome, now=self.now)

    def state(self, series: str) -> tuple[str, int, int]:
        """State, instances in the ledger, files in the spool."""
        record = self.ledger.series(SeriesInstanceUid(series))
        assert record is not None
        files = len(self.spool.instances(SeriesInstanceUid(series)))
        return record.summary.state, record.summary.instances, files


@pytest.fixture
def node(tmp_path: Path, ledger: Ledger) -> Node:
    return Node(tmp_path, ledger)


def test_answered_series_go_when_they_are_old_and_what_was_read_of_them_stays(node: Node) -> None:
    node.send("1.2.3", 1, 2)
    node.read("1.2.3")
    assert node.remover.run(day(6.9)) == Removed()
    assert node.remover.run(day(7.1)) == Removed(series=1, instances=2)
    assert node.state("1.2.3") == ("removed", 0, 0)
    assert not (node.spool.root / "removed").exists()
    record = node.ledger.series(SeriesInstanceUid("1.2.3"))
    assert record is not None
    assert (len(record.reports), record.summary.contrast) == (1, "T1")
    assert not node.ledger.request(SeriesInstanceUid("1.2.3"), now=day(8))
    assert len(node.ledger.reread("r2", now=day(8), limit=9)) == 0
    assert node.remover.run(day(99)) == Removed()


def test_what_is_not_answered_is_never_removed(node: Node) -> None:
    node.send("1.2.3", 1)  # waiting to be read
    node.send("1.2.4", 1)
    node.read("1.2.4", "pacs")  # its report is not delivered
    node.send("1.2.5", 1)
    for _ in range(5):
        job = node.ledger.claim(SeriesInstanceUid("1.2.5"), owner="w", reader_digest="r", now=node.now, lease_s=60)
        assert job is not None
        node.ledger.fail(job, "broken", now=node.now, retry_at=node.now)
    assert node.remover.run(day(999)) == Removed()
    states = [node.state(series)[0] for series in ("1.2.3", "1.2.4", "1.2.5")]
    assert states == ["receiving", "read", "quarantined"]


def test_a_series_that_comes_again_is_received_and_read_again(node: Node) -> None:
    node.send("1.2.3", 1, 2)
    node.read("1.2.3")
    node.remover.run(day(8))
    node.now = day(9)
    node.send("1.2.3", 1, 2)
    assert node.state("1.2.3") == ("receiving", 2, 2)
    node.read("1.2.3")
    assert node.remover.run(day(15)) == Removed()
    assert node.state("1.2.3") == ("answered", 2, 2)


def test_a_series_that_is_just_being_sent_again_stays_and_is_not_read_again(node: Node) -> None:
    node.send("1.2.3", 1, 2)
    node.read("1.2.3")
    node.now = day(40)
    node.send("1.2.3", 1)
    assert node.remover.run(day(40)) == Removed()
    node.send("1.2.3", 2)
    assert node.state("1.2.3") == ("answered", 2, 2)
    assert node.ledger.due(day(99), 9) == []
    assert node.remover.run(day(46.9)) == Removed()
    assert node.remover.run(day(47.1)) == Removed(series=1, instances=2)


def test_a_series_whose_report_arrives_while_it_is_sent_again_stays(node: Node) -> None:
    node.send("1.2.3", 1)
    node.read("1.2.3", "pacs")
    node.now = day(40)
    node.send("1.2.3", 1)
    (delivery,) = node.ledger.due_deliveries(node.now, 9)
    sent = node.ledger.claim_delivery(delivery, owner="w", now=node.now, lease_s=60)
    assert sent is not None
    node.ledger.delivered(sent, now=node.now)
    assert node.remover.run(day(40)) == Removed()
    assert node.state("1.2.3") == ("answered", 1, 1)


def test_what_another_node_of_the_ledger_removed_goes_here_too(node: Node, tmp_path: Path) -> None:
    node.send("1.2.3", 1)
    node.send("1.2.4", 1)
    node.read("1.2.3")
    other = tmp_path / "other"
    shutil.copytree(node.spool.root, other / "spool")
    for folder in (other / "spool" / "instances").iterdir():
        os.utime(folder, (T0.timestamp(), T0.timestamp()))
    elsewhere = Node(other, node.ledger)
    assert elsewhere.remover.run(day(6)) == Removed()
    assert node.remover.run(day(8)) == Removed(series=1, instances=1)
    assert elsewhere.state("1.2.3") == ("removed", 0, 1)
    assert elsewhere.remover.run(day(8)) == Removed(series=1)
    assert elsewhere.state("1.2.3") == ("removed", 0, 0)
    assert elsewhere.state("1.2.4") == ("receiving", 1, 1)


def test_an_instance_that_comes_while_its_series_goes_is_not_lost(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.send("1.2.3", 1)
    node.read("1.2.3")
    store = node.spool.store
    runs: list[Callable[[], Removed]] = [lambda: node.remover.run(day(8))]

    def stored_and_then_removed(*arguments: object) -> object:
        found = store(*arguments)  # type: ignore[arg-type]
        if runs:
            runs.pop()()
        return found

    monkeypatch.setattr(Spool, "store", lambda self, instance: stored_and_then_removed(instance))
    node.send("1.2.3", 1)
    assert node.state("1.2.3") == ("receiving", 1, 1)


def test_a_crash_between_taking_out_and_forgetting_is_made_good(node: Node) -> None:
    node.send("1.2.3", 1)
    node.read("1.2.3")
    take_out = node.remover._taker(SeriesInstanceUid("1.2.3"))
    take_out()
    assert node.state("1.2.3") == ("answered", 1, 0)
    assert node.remover.run(day(8)) == Removed(series=1, instances=1)
    assert node.state("1.2.3") == ("removed", 0, 0)


def test_refused_files_go_with_their_reasons_when_they_are_old(node: Node) -> None:
    request = StoreRequest(
        sop_class_uid="1.2", sop_instance_uid="1.2", transfer_syntax_uid=SYNTAX, data_set=b"?", calling_aet=None
    )
    path = Quarantine(node.spool.root).keep(request, reason="no UID", status=0xC000, now=T0)
    os.utime(path, (T0.timestamp(), T0.timestamp()))
    assert node.remover.run(day(29)) == Removed()
    assert node.remover.run(day(31)) == Removed(files=1)
    assert list(path.parent.iterdir()) == []


def test_what_senders_may_have_been_told_is_safe_goes_only_where_the_settings_say_so(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text("retention: {answered_days: 7}")
    with pytest.raises(SettingsError, match="removes_committed"):
        load_settings(file)
    for text in (
        "retention: {answered_days: 7, removes_committed: true}",
        "{retention: {answered_days: 7}, commitment: {enabled: false}}",
    ):
        file.write_text(text)
        assert load_settings(file).retention.answered_days == 7
