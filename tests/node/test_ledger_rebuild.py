"""The spool is the truth: a ledger that is missing or behind is made again from the files, and nothing doubles."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dsutils import encode
from sqlalchemy import Engine
from sqlalchemy.exc import DataError

from dicom_factory import mr_image, series
from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.rebuild import Rebuilt, reconcile
from dicom_node.ledger.records import Job, Outcome, ReceivedInstance, ReportRow
from dicom_node.ledger.store import Ledger
from dicom_node.receive.spool import EncodedInstance, Spool
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid

NOW = datetime(2030, 1, 1, tzinfo=UTC)  # later than any file of the test


@dataclass
class House:
    """A spool with ledgers that come and go."""

    root: Path
    spool: Spool
    engines: list[Engine]

    def new_ledger(self) -> Ledger:
        engine = open_engine(f"sqlite:///{self.root / f'ledger-{len(self.engines)}.sqlite3'}")
        migrate(engine)
        self.engines.append(engine)
        return Ledger(engine)

    def store(self, dataset: Dataset) -> Path:
        data_set = encode(dataset, True, True)
        assert data_set is not None
        instance = EncodedInstance(
            series_instance_uid=SeriesInstanceUid(dataset.SeriesInstanceUID),
            sop_instance_uid=SopInstanceUid(dataset.SOPInstanceUID),
            sop_class_uid=dataset.SOPClassUID,
            transfer_syntax_uid=ImplicitVRLittleEndian,
            data_set=data_set,
            sending_aet="SCANNER",
        )
        return self.spool.store(instance).path

    def read(self, ledger: Ledger, uid: SeriesInstanceUid, *destinations: str, now: datetime) -> Job:
        """Read a series that is due, as a worker would."""
        job = ledger.claim(uid, owner="w", reader_digest="r1", now=now, lease_s=60)
        assert job is not None
        report = mr_image(seed=("report", job.instances_digest), Modality="SR")
        row = ReportRow(
            sop_instance_uid=SopInstanceUid(report.SOPInstanceUID),
            sop_class_uid=report.SOPClassUID,
            series_instance_uid=SeriesInstanceUid(report.SeriesInstanceUID),
        )
        outcome = Outcome(
            document="{}",
            contrast="T1",
            score=0.5,
            p_value=0.5,
            flagged=False,
            report=row,
            destinations=destinations,
            claims='["T2", null]',
        )
        self.spool.store_report(report, job=job, outcome=outcome)
        assert ledger.finish(job, outcome, now=now)
        return job


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(root=tmp_path, spool=Spool(tmp_path / "spool"), engines=[])
    yield made
    for engine in made.engines:
        engine.dispose()


def record(ledger: Ledger, image: Dataset, *, now: datetime) -> None:
    """Have a ledger know an instance."""
    instance = ReceivedInstance(
        study_instance_uid=StudyInstanceUid(image.StudyInstanceUID),
        series_instance_uid=SeriesInstanceUid(image.SeriesInstanceUID),
        sop_instance_uid=SopInstanceUid(image.SOPInstanceUID),
        sop_class_uid=image.SOPClassUID,
    )
    ledger.record_instance(instance, now=now, due_at=now)


def uid_of(images: list[Dataset]) -> SeriesInstanceUid:
    return SeriesInstanceUid(images[0].SeriesInstanceUID)


def test_a_lost_ledger_is_made_again(house: House):
    read, waiting = series(3, seed="read"), series(2, seed="waiting")
    for image in (*read, *waiting):
        house.store(image)
    before = house.new_ledger()
    reconcile(before, house.spool, now=NOW)
    house.read(before, uid_of(read), "pacs", now=NOW)

    after = house.new_ledger()
    found = reconcile(after, house.spool, now=NOW + timedelta(seconds=9))
    assert (found.series, found.instances, found.reports, found.unreadable) == (2, 5, 1, 0)
    assert after.due(NOW + timedelta(seconds=9), 9) == [uid_of(waiting)]
    record, lost = after.series(uid_of(read)), before.series(uid_of(read))
    assert record is not None
    assert lost is not None
    assert record.summary.state == "read"
    assert record.reports == lost.reports
    assert record.reading is not None
    assert lost.reading is not None
    assert (record.reading.created_at, record.reading.outcome) == (lost.reading.created_at, lost.reading.outcome)
    # whether it was delivered is not in the spool, so it is delivered again: the same object
    assert len(after.due_deliveries(NOW + timedelta(seconds=9), 9)) == 1
    instance = after.series(uid_of(waiting))
    assert instance is not None
    assert (instance.summary.modality, instance.summary.instances) == ("MR", 2)


def test_rebuilding_again_changes_nothing(house: House):
    images = series(2)
    for image in images:
        house.store(image)
    ledger = house.new_ledger()
    reconcile(ledger, house.spool, now=NOW)
    house.read(ledger, uid_of(images), now=NOW)
    assert reconcile(ledger, house.spool, now=NOW).reports == 0
    record = ledger.series(uid_of(images))
    assert record is not None
    assert (record.summary.state, record.summary.instances, len(record.reports)) == ("answered", 2, 1)
    assert ledger.due(NOW, 9) == []


def test_a_report_that_does_not_cover_a_late_instance_is_superseded(house: House):
    early, late = series(3)[:2], series(3)[2]
    for image in early:
        house.store(image)
    before = house.new_ledger()
    reconcile(before, house.spool, now=NOW)
    job = house.read(before, uid_of(early), now=NOW)
    house.store(late)

    after = house.new_ledger()
    reconcile(after, house.spool, now=NOW)
    assert after.due(NOW, 9) == [uid_of(early)]
    again = house.read(after, uid_of(early), now=NOW)
    assert again.instances_digest != job.instances_digest
    record = after.series(uid_of(early))
    assert record is not None
    assert again.predecessor_uid == record.reports[0].sop_instance_uid
    assert len(record.reports) == 2


def test_what_a_crash_kept_from_the_ledger_is_taken_in_at_the_start(house: House):
    first, second = series(2)
    known = mr_image(seed="known")
    house.store(known).write_bytes(b"and is not opened")
    ledger = house.new_ledger()
    record(ledger, known, now=NOW)
    house.store(first)
    record(ledger, first, now=NOW)
    house.store(second)  # and the process was killed before its row was written
    found = reconcile(ledger, house.spool, now=NOW)
    assert (found.series, found.instances, found.unreadable) == (1, 2, 0)
    assert sorted(line.instances for line in ledger.page()) == [1, 2]


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(days=1)], ids=["another node goes on", "clock was ahead"])
def test_it_does_not_matter_what_came_last_nor_by_which_clock(house: House, ahead: timedelta):
    ledger, now = house.new_ledger(), datetime.now(UTC)
    crashed = house.store(mr_image(seed="crashed"))
    long_ago = (now - timedelta(hours=2)).timestamp()
    os.utime(crashed.parent, (long_ago, long_ago))
    record(ledger, mr_image(seed="elsewhere"), now=now + ahead)
    assert reconcile(ledger, house.spool, now=now).instances == 1
    assert reconcile(ledger, house.spool, now=now) == Rebuilt(series=0, instances=0, reports=0, unreadable=0)


def test_a_report_that_the_ledger_does_not_know_is_entered_however_old_it_is(house: House):
    images = series(2)
    for image in images:
        house.store(image)
    before, after = house.new_ledger(), house.new_ledger()
    for ledger in (before, after):
        reconcile(ledger, house.spool, now=NOW)
    house.read(before, uid_of(images), now=NOW)
    for path in (house.spool.root / "reports").iterdir():
        os.utime(path, (0, 0))
    assert [reconcile(after, house.spool, now=NOW).reports for _ in range(2)] == [1, 0]


def test_what_another_node_removed_is_not_received_again_but_what_came_after_is(house: House):
    image, now = mr_image(), datetime.now(UTC)
    path, ledger = house.store(image), house.new_ledger()
    reconcile(ledger, house.spool, now=now)
    house.read(ledger, uid_of([image]), now=now)
    ledger.remove(uid_of([image]), before=now + timedelta(days=1), take_out=lambda: None)
    assert reconcile(ledger, house.spool, now=now).instances == 0
    later = (now + timedelta(days=9)).timestamp()
    os.utime(path.parent, (later, later))
    assert reconcile(ledger, house.spool, now=now).instances == 1
    assert ledger.due(now, 9) == [uid_of([image])]


def test_a_row_that_the_ledger_never_takes_is_left_out_and_ends_no_start(house: House, monkeypatch: pytest.MonkeyPatch):
    ledger, images = house.new_ledger(), series(3)
    for image in (*images, mr_image(seed="other")):
        house.store(image)
    record_instances = ledger.record_instances

    def refuse(instances: Sequence[ReceivedInstance], **times: Any) -> list[ReceivedInstance]:
        if any(one.sop_instance_uid == images[1].SOPInstanceUID for one in instances):
            raise DataError("insert", {}, ValueError())
        return record_instances(instances, **times)

    monkeypatch.setattr(ledger, "record_instances", refuse)
    for taken in ((2, 3), (1, 2)):  # the other instances of its series are looked at again at every start
        found = reconcile(ledger, house.spool, now=NOW)
        assert (found.series, found.instances) == taken
    assert sorted(line.instances for line in ledger.page()) == [1, 2]


def test_a_report_that_the_ledger_never_takes_ends_no_start(house: House, monkeypatch: pytest.MonkeyPatch):
    image = mr_image()
    house.store(image)
    before, after = house.new_ledger(), house.new_ledger()
    reconcile(before, house.spool, now=NOW)
    house.read(before, uid_of([image]), now=NOW)

    def refuse(*_: Any, **__: Any) -> bool:
        raise DataError("insert", {}, ValueError())

    monkeypatch.setattr(after, "restore", refuse)
    found = reconcile(after, house.spool, now=NOW)
    assert (found.instances, found.reports) == (1, 0)


def test_an_empty_ledger_takes_in_everything_at_the_start(house: House):
    os.utime(house.store(mr_image()).parent, (0, 0))
    assert reconcile(house.new_ledger(), house.spool, now=NOW).instances == 1


def test_a_file_that_is_no_instance_is_counted_and_stops_nothing(house: House):
    path = house.store(mr_image())
    (path.parent / "stray.dcm").write_bytes(b"not DICOM")
    (path.parent / "empty.dcm").write_bytes(b"")
    found = reconcile(house.new_ledger(), house.spool, now=NOW)
    assert (found.instances, found.unreadable) == (1, 2)


def test_a_header_longer_than_what_is_read_first_is_read_whole(house: House):
    image = mr_image()
    image.ReferencedImageSequence = [Dataset() for _ in range(2000)]
    for item in image.ReferencedImageSequence:
        item.ReferencedSOPInstanceUID = "1.2." + "3" * 50
    house.store(image)
    assert reconcile(house.new_ledger(), house.spool, now=NOW).instances == 1


def test_a_series_that_a_crash_cut_off_waits_for_the_rest(house: House):
    ledger, images, now = house.new_ledger(), series(3), datetime.now(UTC)
    for image in images[:2]:
        house.store(image)
    reconcile(ledger, house.spool, now=now, quiet_s=30)
    assert ledger.due(now + timedelta(seconds=29), 9) == []
    later = now + timedelta(minutes=9)  # the node was down for longer than a series takes to fall quiet
    reconcile(ledger, house.spool, now=later, quiet_s=30)
    assert ledger.due(later + timedelta(seconds=29), 9) == []
    assert ledger.due(later + timedelta(seconds=30), 9) == [images[0].SeriesInstanceUID]


def test_an_instance_that_is_in_the_spool_under_two_series_is_set_aside_from_the_later(house: House):
    first, (second, also_second) = mr_image(SeriesInstanceUID="1.2.3"), series(2)
    second.SOPInstanceUID = first.SOPInstanceUID
    os.utime(house.store(first).parent, (0, 0))
    later = house.store(second)
    house.store(also_second)
    data_set = later.read_bytes()
    for ledger in (house.new_ledger(), house.new_ledger()):
        assert reconcile(ledger, house.spool, now=NOW).instances == 2
        assert {line.series_instance_uid for line in ledger.page()} == {"1.2.3", uid_of([second])}
        (aside,) = house.spool.conflicts_of(SeriesInstanceUid("1.2.3"))
        assert aside.read_bytes() == data_set
        assert not later.exists()


def test_a_series_that_is_complete_waits_no_longer_where_one_of_several_processes_ended(house: House):
    ledger, images, now = house.new_ledger(), series(2), datetime.now(UTC)
    complete, cut_off = mr_image(SeriesInstanceUID="1.2.3"), images[:1]
    for image in (complete, *cut_off):
        house.store(image)
    reconcile(ledger, house.spool, now=now, quiet_s=30)
    ledger.release([SeriesInstanceUid("1.2.3")], due_at=now + timedelta(seconds=2))
    house.store(images[1])  # and the process was killed before its row was written
    later = now + timedelta(seconds=20)
    reconcile(ledger, house.spool, now=later, quiet_s=30, waits=False)
    assert ledger.due(now + timedelta(seconds=2), 9) == ["1.2.3"]
    assert ledger.due(later + timedelta(seconds=29), 9) == ["1.2.3"]
    assert set(ledger.due(later + timedelta(seconds=30), 9)) == {"1.2.3", uid_of(images)}
