"""An archive goes through the node: one in memory that fails on order, and a real Orthanc over DICOMweb."""

import math
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from dicom_node.backfill.archive import ArchiveError, RemoteSeries, whole_number
from dicom_node.backfill.pull import Backfill, Manners, Pulled
from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.records import LATER, LIVE
from dicom_node.ledger.store import Ledger
from dicom_node.receive import part10
from dicom_node.receive.intake import Intake, QuietTimes
from dicom_node.receive.quarantine import Quarantine
from dicom_node.receive.spool import Spool
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from orthanc_server import orthanc
from peers import free_port
from pulled_archive import assert_kept_as_it_was, fill, pull_twice, study
from serving import write_settings

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = date(2024, 3, 1)


class Place:
    """Spool and ledger of a node, and a back-fill into it."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_engine(f"sqlite:///{folder / 'ledger.sqlite3'}")
        migrate(self.engine)
        self.ledger, self.spool = Ledger(self.engine), Spool(folder / "spool")
        self.quarantine = Quarantine(self.spool.root)
        self.intake = Intake(
            ledger=self.ledger, spool=self.spool, quarantine=self.quarantine, clock=lambda: NOW, priority=LATER,
            quiet=QuietTimes(quiet_s=60, quiet_after_release_s=0),
        )  # fmt: skip
        self.stop, self.said = threading.Event(), list[str]()

    def pull(self, archive: Any, *, ahead: int = 100, advance: Callable[[str, int], None] | None = None) -> Pulled:
        """Pull one day."""
        manners = Manners(per_minute=60_000, ahead=ahead, retry_s=0.01)
        work = Backfill(
            archive, intake=self.intake, ledger=self.ledger, spool=self.spool, manners=manners, stop=self.stop
        )
        return work.run([DAY], clock=lambda: NOW, advance=advance or (lambda what, count: self.said.append(what)))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place without anything in it."""
    made = Place(tmp_path)
    yield made
    made.engine.dispose()


class Twin:
    """An archive in memory that fails on order."""

    def __init__(self, *studies: list[Dataset]) -> None:
        self.studies = {str(images[0].SeriesInstanceUID): images for images in studies}
        self.failures: list[ArchiveError] = []
        self.fetched: list[str] = []
        self.counts = True
        self.names: int | None = None  # instances of each series; all

    def series(self, day: date) -> Iterator[RemoteSeries]:
        assert day == DAY
        for name, images in self.studies.items():
            yield RemoteSeries(
                study_instance_uid=StudyInstanceUid(str(images[0].StudyInstanceUID)),
                series_instance_uid=SeriesInstanceUid(name),
                instances=len(images) if self.counts else None,
            )

    def instances(self, series: RemoteSeries) -> list[SopInstanceUid]:
        images = self.studies[series.series_instance_uid][: self.names]
        return [SopInstanceUid(str(image.SOPInstanceUID)) for image in images]

    def fetch(self, series: RemoteSeries, instance: SopInstanceUid) -> bytes:
        if self.failures:
            raise self.failures.pop(0)
        self.fetched.append(instance)
        (image,) = [one for one in self.studies[series.series_instance_uid] if one.SOPInstanceUID == instance]
        file = BytesIO()
        image.save_as(file, enforce_file_format=True)
        return file.getvalue()


def test_an_archive_is_pulled_to_be_read_later_and_pulled_once(place: Place) -> None:
    archive = Twin(study(DAY, 1), study(DAY, 2))
    assert place.pull(archive) == Pulled(series=2, instances=6)
    assert place.said.count("instances") == 6
    assert place.said[-1] == "days"
    assert place.ledger.due(NOW, 9, priority=LIVE) == []
    assert sorted(place.ledger.due(NOW, 9, priority=LATER)) == sorted(archive.studies)
    archive.counts = False  # not every archive says how many instances there are
    assert place.pull(archive) == Pulled(known=2)
    assert len(archive.fetched) == 6


def test_a_pull_that_was_stopped_goes_on_where_it_was(place: Place) -> None:
    archive = Twin(study(DAY, 1, images=5))

    def stop_at_two(what: str, count: int) -> None:
        if len(archive.fetched) == 2:
            place.stop.set()

    assert place.pull(archive, advance=stop_at_two).instances == 2
    place.stop.clear()
    assert place.pull(archive) == Pulled(series=1, instances=3)
    assert len(archive.fetched) == len(set(archive.fetched)) == 5


def test_what_passes_is_asked_again_and_what_does_not_fails_one_series(place: Place) -> None:
    archive = Twin(study(DAY, 1), study(DAY, 2))
    archive.failures = [ArchiveError("busy", retry=True)] * 4
    assert place.pull(archive) == Pulled(series=2, instances=6)
    archive = Twin(study(DAY, 3), study(DAY, 4))
    archive.failures = [ArchiveError("gone", retry=False)]
    assert place.pull(archive) == Pulled(series=1, instances=3, failed=1)
    assert place.pull(archive) == Pulled(series=1, instances=3, known=1)


@pytest.mark.parametrize(
    ("counts", "names", "pulled", "reason"),
    [
        (True, 2, Pulled(series=1, instances=2, failed=1), "the archive says 3 instances and names 2"),
        (True, 0, Pulled(failed=1), "the archive says 3 instances and names 0"),
        (False, 0, Pulled(failed=1), "the archive names no instance of it"),
    ],
)
def test_a_series_whose_instances_the_archive_does_not_name_failed(
    place: Place, caplog: pytest.LogCaptureFixture, counts: bool, names: int, pulled: Pulled, reason: str
) -> None:
    archive = Twin(study(DAY, 1))
    archive.counts, archive.names = counts, names
    assert place.pull(archive) == pulled
    assert place.pull(archive) == Pulled(failed=1)
    assert {vars(record)["reason"] for record in caplog.records if record.levelname == "WARNING"} == {reason}


@pytest.mark.parametrize(
    ("said", "count"),
    [
        (2, 2), (2.0, 2), ("2", 2), ("+2", 2), (b"2 ", 2), (b" 12", 12), (0, 0),
        (None, None), ("", None), (b"abc ", None), (b"2\\3", None), (b"-1", None), (b"\xb2", None), ("9" * 13, None),
        (-1, None), (1.5, None), (math.nan, None), (math.inf, None), (True, None), ({}, None),
    ],
)  # fmt: skip
def test_a_count_is_a_whole_number_or_none(said: object, count: int | None) -> None:
    assert whole_number(said) == count


def test_what_is_fetched_and_refused_is_kept_with_its_reason_and_replayed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = study(DAY, 1)
    archive, fetch = Twin(images), Twin.fetch
    images[0].ReferencedImageSequence = [Dataset()]
    images[0]["ReferencedImageSequence"].is_undefined_length = True
    no_file = images[1].SOPInstanceUID

    def fetched(self: Twin, of: RemoteSeries, instance: SopInstanceUid) -> bytes:
        return b"<html>Sign in</html>" if instance == no_file else fetch(self, of, instance)

    monkeypatch.setattr(Twin, "fetch", fetched)
    with monkeypatch.context() as patch:
        patch.setattr(part10, "DEEPEST", -1)  # a fault of ours, say
        assert place.pull(archive) == Pulled(series=1, instances=1, refused=2)
    kept = {entry.reason: bytes(entry.request.data_set) for entry in place.quarantine.entries()}
    assert kept["the file has no DICM prefix (PS3.10 7.1)"] == b"<html>Sign in</html>"
    assert any("nested deeper" in reason for reason in kept)
    assert place.intake.replay() == (1, 1)
    assert [line.instances for line in place.ledger.page()] == [2]
    assert place.pull(archive) == Pulled(series=1, refused=1)


def test_it_waits_while_too_much_waits_to_be_read_and_says_so(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    archive, due = Twin(study(DAY, 1), study(DAY, 2)), place.ledger.due

    def watched(*arguments: Any, **options: Any) -> Any:
        found = due(*arguments, **options)
        if found:
            place.stop.set()  # it would wait for good: nobody reads here
        return found

    monkeypatch.setattr(place.ledger, "due", watched)
    assert place.pull(archive, ahead=1) == Pulled(series=1, instances=3)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "back-fill waits: so many series are still to be read"
    ]


@pytest.mark.peer("Orthanc")
def test_an_orthanc_is_pulled_over_dicomweb_as_it_keeps_its_files(tmp_path: Path) -> None:
    if not PLUGIN.exists():
        pytest.fail(f"{PLUGIN} is not there: apt-get install orthanc-dicomweb")
    settings = {"Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    config = write_settings(tmp_path)
    with orthanc(tmp_path / "orthanc", settings=settings, dicom_port=free_port()) as archive:
        studies = fill(archive)
        pull_twice(config, f"{archive.url}/dicom-web")
    assert_kept_as_it_was(Spool(tmp_path / "data" / "spool"), studies)
