"""What people say to readings, and the lists that go by it, in both databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, text

from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.rebuild import reconcile
from dicom_node.ledger.records import (
    CONTRAST,
    Outcome,
    Profile,
    ReceivedInstance,
    Review,
    SeriesFilter,
    instances_digest,
)
from dicom_node.ledger.store import Ledger
from dicom_node.receive.spool import Spool
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def uids(*numbers: int) -> list[str]:
    return [f"1.2.{number}" for number in numbers]


def read(ledger: Ledger, number: int, *, day: int = 0, reader: str = "r1", **profile: object) -> None:
    """Series 1.2.<number> of one instance, received on a day and read."""
    now = START + timedelta(days=day)
    series = SeriesInstanceUid(f"1.2.{number}")
    instance = ReceivedInstance(
        study_instance_uid=StudyInstanceUid("1.2"),
        series_instance_uid=series,
        sop_instance_uid=SopInstanceUid(f"{series}.1"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
    )
    ledger.record_instance(instance, now=now, due_at=now)
    ledger.request(series, now=now)
    job = ledger.claim(series, owner="w", reader_digest=reader, now=now, lease_s=60)
    assert job is not None
    seen = Profile(**{"status": "read", "scanner": "Prisma MR1", "gate_distance": 0.5, **profile})  # type: ignore[arg-type]
    outcome = Outcome(
        document="{}",
        contrast="T2",
        score=0.5,
        p_value=None,
        flagged=number % 2 == 0,
        report=None,
        reason="-",
        profile=seen,
    )
    assert ledger.finish(job, outcome, now=now)


def review(number: int = 1, **fields: object) -> Review:
    values: dict[str, object] = {
        "series_instance_uid": SeriesInstanceUid(f"1.2.{number}"),
        "instances_digest": instances_digest([SopInstanceUid(f"1.2.{number}.1")]),
        "reader_digest": "r1",
        "stack": 0,
        "finding": 0,
        "subject": "echo-time-unit",
        "verdict": "confirmed",
        "correction": None,
        "user": "anna",
        "at": START,
    }
    return Review(**{**values, **fields})  # type: ignore[arg-type]


def found(ledger: Ledger, **wanted: object) -> list[str]:
    return [line.series_instance_uid for line in ledger.worklist(SeriesFilter(**wanted))]  # type: ignore[arg-type]


def test_reviews_are_kept_and_the_newest_holds(ledger: Ledger):
    read(ledger, 1)
    said = [
        review(),
        review(verdict="rejected", user="bob", at=START + timedelta(hours=1)),
        review(finding=None, subject=CONTRAST, verdict="corrected", correction="T1"),
    ]
    for index, one in enumerate(said):
        assert ledger.review(one, digest=f"d{index}")
    record = ledger.series(SeriesInstanceUid("1.2.1"))
    assert record is not None
    assert record.reviews == tuple(said)
    assert record.summary.reviewed
    assert ledger.verdicts() == {("echo-time-unit", "rejected"): 1, (CONTRAST, "corrected"): 1}
    assert [one for _, one in ledger.reviews()] == said
    first_key = ledger.reviews()[0][0]
    assert [one for _, one in ledger.reviews(after=first_key, limit=1)] == said[1:2]


def test_the_same_review_twice_is_one(ledger: Ledger):
    read(ledger, 1)
    assert ledger.review(review(), digest="d")
    assert ledger.review(review(), digest="d")
    assert len(ledger.reviews()) == 1


def test_a_series_that_is_not_known_cannot_be_reviewed(ledger: Ledger):
    assert not ledger.review(review(9), digest="d")
    assert ledger.reviews() == []


def test_another_reading_has_not_been_reviewed(ledger: Ledger):
    read(ledger, 1)
    ledger.review(review(), digest="d")
    read(ledger, 1, reader="r2")
    assert found(ledger, reviewed=True) == []
    read(ledger, 1)
    assert found(ledger, reviewed=True) == uids(1), "the first reader again: what was said holds"


def test_a_worklist_filters(ledger: Ledger):
    read(ledger, 1, status="abstained")
    read(ledger, 2, day=1, scanner="Ingenia MR2")
    read(ledger, 3, day=2, scanner=None, status="unsupported")
    read(ledger, 4, day=3)
    ledger.review(review(4), digest="d")
    assert found(ledger) == uids(4, 3, 2, 1)
    assert found(ledger, status="abstained") == uids(1)
    assert found(ledger, scanner="Prisma MR1") == uids(4, 1)
    assert found(ledger, flagged=True, reviewed=False) == uids(2)
    assert found(ledger, flagged=True, reviewed=True) == uids(4)
    assert found(ledger, since=START + timedelta(days=1)) == uids(4, 3, 2)
    assert found(ledger, since=START + timedelta(hours=1), until=START + timedelta(days=3)) == uids(3, 2)
    assert found(ledger, until=START) == []
    assert found(ledger, since=START + timedelta(days=9)) == []
    assert found(ledger, until=START + timedelta(days=9)) == uids(4, 3, 2, 1)


def test_scanners_are_named_once_each(ledger: Ledger):
    assert ledger.scanners() == []
    for number, name in enumerate(("Prisma MR1", "Ingenia MR2", None, "Prisma MR1", "Aera")):
        read(ledger, number, scanner=name)
    assert ledger.scanners() == ["Aera", "Ingenia MR2", "Prisma MR1"]


def test_reviews_outlive_the_ledger(tmp_path: Path):
    spool = Spool(tmp_path / "spool")
    said = [review(), review(verdict="rejected", correction="12.0", at=START + timedelta(microseconds=1))]
    digests = [spool.store_review(one) for one in said]
    assert digests[0] == spool.store_review(said[0])
    assert len(set(digests)) == 2
    assert sorted(spool.reviews(), key=lambda kept: kept[1].at) == list(zip(digests, said, strict=True))
    engine = open_engine(f"sqlite:///{tmp_path / 'new.sqlite3'}")
    migrate(engine)
    ledger = Ledger(engine)
    read(ledger, 1)
    reconcile(ledger, spool, now=START)
    assert found(ledger, reviewed=True) == uids(1)
    assert sorted((one for _, one in ledger.reviews()), key=lambda one: one.at) == said


def test_the_subject_of_a_matter_is_not_part_of_it():
    assert review().matter == replace(review(), subject="other").matter


@pytest.mark.parametrize(
    "wanted", [{"flagged": True}, {"status": "read"}, {"scanner": "Prisma MR1"}, {"state": "answered"}]
)
def test_a_filter_steps_through_an_index(tmp_path: Path, wanted: dict[str, object]):
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    migrate(engine)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    Ledger(engine).worklist(SeriesFilter(**wanted), after=5, limit=50)  # type: ignore[arg-type]
    query = next(statement for statement in statements if statement.startswith("SELECT series"))
    with engine.connect() as connection:
        filled = query.replace("?", "1")
        plan = " ".join(str(row) for row in connection.execute(text(f"EXPLAIN QUERY PLAN {filled}")))
    assert "USING INDEX ix_series" in plan
    assert "TEMP B-TREE" not in plan
