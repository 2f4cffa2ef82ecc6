"""Counts by scanner, week and reader, in both databases."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

from dicom_node.ledger import migrations
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.records import Outcome, Profile, ReaderUse, ReceivedInstance, ScannerWeek
from dicom_node.ledger.store import Ledger
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from inference.reading import Status

SUNDAY = datetime(2026, 1, 4, 23, 59, 59, 999999, tzinfo=UTC)
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def read(
    ledger: Ledger, number: int, at: datetime, *, scanner: str | None = "Prisma", reader: str = "r1",
    status: Status = "read", flagged: bool = False, distance: float | None = None,
) -> None:  # fmt: skip
    """A series is read, or read again after one more instance."""
    series = SeriesInstanceUid(f"1.2.{number}")
    instance = ReceivedInstance(
        study_instance_uid=StudyInstanceUid("1.2"),
        series_instance_uid=series,
        sop_instance_uid=SopInstanceUid(f"{series}.{at:%Y%m%d%H%M}"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
    )
    ledger.record_instance(instance, now=at, due_at=at)
    job = ledger.claim(series, owner="w", reader_digest=reader, now=at, lease_s=60)
    assert job is not None
    profile = Profile(status=status, scanner=scanner, gate_distance=distance)
    outcome = Outcome(
        document="{}", contrast=None, score=0, p_value=None, flagged=flagged, report=None, reason="-", profile=profile
    )
    assert ledger.finish(job, outcome, now=at)


def test_series_are_counted_by_scanner_and_by_weeks_that_begin_on_monday(ledger: Ledger):
    read(ledger, 1, SUNDAY - timedelta(days=30))
    read(ledger, 2, SUNDAY, flagged=True, distance=0.25)
    read(ledger, 3, MONDAY, distance=0.5)
    read(ledger, 4, MONDAY, distance=1.0, flagged=True)
    read(ledger, 5, MONDAY, status="abstained")
    read(ledger, 6, MONDAY, scanner="Aera", status="unsupported")
    read(ledger, 7, MONDAY, scanner=None)
    weeks = ledger.scanner_weeks(SUNDAY - timedelta(days=1))
    first, second = date(2025, 12, 29), date(2026, 1, 5)
    assert weeks == [
        ScannerWeek(scanner="Aera", monday=second, series=1, flagged=0, abstained=0, gate_distance=None),
        ScannerWeek(scanner="Prisma", monday=first, series=1, flagged=1, abstained=0, gate_distance=0.25),
        ScannerWeek(scanner="Prisma", monday=second, series=3, flagged=1, abstained=1, gate_distance=0.75),
    ]


def test_a_series_that_is_read_again_counts_once_and_as_it_was_read_last(ledger: Ledger):
    read(ledger, 1, SUNDAY, flagged=True, distance=0.5)
    read(ledger, 2, SUNDAY, distance=0.25)
    read(ledger, 1, MONDAY, status="abstained")
    read(ledger, 2, MONDAY, scanner="Aera", distance=0.75)
    week = date(2025, 12, 29)
    assert ledger.scanner_weeks(SUNDAY) == [
        ScannerWeek(scanner="Aera", monday=week, series=1, flagged=0, abstained=0, gate_distance=0.75),
        ScannerWeek(scanner="Prisma", monday=week, series=1, flagged=0, abstained=1, gate_distance=None),
    ]
    read(ledger, 1, MONDAY + timedelta(days=1), scanner=None)
    assert [found.scanner for found in ledger.scanner_weeks(SUNDAY)] == ["Aera"]


def test_series_of_an_older_version_are_counted_when_it_is_taken_over(ledger: Ledger, engine: Engine):
    read(ledger, 1, SUNDAY, flagged=True, distance=0.25)
    read(ledger, 2, MONDAY, status="abstained", distance=0.5)
    read(ledger, 3, MONDAY, distance=1.0)
    read(ledger, 4, MONDAY, scanner=None)
    counted = ledger.scanner_weeks(SUNDAY)
    assert [week.gate_distance for week in counted] == [0.25, 0.75]
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0006")
    migrate(engine)
    assert ledger.scanner_weeks(SUNDAY) == counted


def test_readers_are_counted_the_last_used_first(ledger: Ledger):
    read(ledger, 1, SUNDAY, reader="old")
    read(ledger, 2, MONDAY, reader="new")
    read(ledger, 3, MONDAY + timedelta(hours=1), reader="new")
    assert ledger.reader_uses(SUNDAY - timedelta(days=1)) == [
        ReaderUse(reader_digest="new", series=2, first_at=MONDAY, last_at=MONDAY + timedelta(hours=1)),
        ReaderUse(reader_digest="old", series=1, first_at=SUNDAY, last_at=SUNDAY),
    ]
    assert ledger.reader_uses(MONDAY + timedelta(days=1)) == []
