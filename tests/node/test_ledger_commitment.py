"""A destination must commit to a report before it counts as delivered: what the ledger and the pipeline do about it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicom_factory import mr_image, write
from dicom_node.commitment import Request
from dicom_node.deliver import DeliveryError
from dicom_node.deliver.memory import MemoryDestination
from dicom_node.errors import LedgerUnavailableError
from dicom_node.ledger.records import Delivery, DeliveryRow, Outcome, ReceivedInstance, ReportRow
from dicom_node.ledger.store import Ledger
from dicom_node.receive.spool import Spool
from dicom_node.work.files import SpoolFiles
from dicom_node.work.pipeline import Pipeline, WorkPolicy
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from inference.read import Reader

T0 = datetime(2026, 3, 1, tzinfo=UTC)
SERIES, REPORT = SeriesInstanceUid("1.2.3"), SopInstanceUid("2.25.1")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def owe(ledger: Ledger) -> int:
    """A series that was read, with a report that `pacs` is to get; the key of the delivery."""
    instance = ReceivedInstance(
        study_instance_uid=StudyInstanceUid("1.2"),
        series_instance_uid=SERIES,
        sop_instance_uid=SopInstanceUid("1.2.3.4"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
    )
    ledger.record_instance(instance, now=T0, due_at=T0)
    job = ledger.claim(SERIES, owner="w", reader_digest="r", now=T0, lease_s=60)
    assert job is not None
    report = ReportRow(
        sop_instance_uid=REPORT, sop_class_uid="1.2.840", series_instance_uid=SeriesInstanceUid("2.25.9")
    )
    outcome = Outcome(
        document="{}", contrast=None, score=0, p_value=None, flagged=False, report=report, destinations=("pacs",)
    )
    assert ledger.finish(job, outcome, now=T0)
    return ledger.due_deliveries(T0, 1)[0]


def claim(ledger: Ledger, key: int, seconds: float = 0) -> Delivery:
    delivery = ledger.claim_delivery(key, owner="w", now=at(seconds), lease_s=60)
    assert delivery is not None
    return delivery


def ask(ledger: Ledger, delivery: Delivery, transaction: str, seconds: float = 0) -> None:
    assert ledger.asking(delivery, transaction, now=at(seconds))
    assert ledger.asked(delivery, answer_by=at(seconds + 100))


def answer(ledger: Ledger, transaction: str, *uids: str, reason: str | None = None, seconds: float = 10) -> bool:
    return ledger.committed(transaction, uids=uids, reason=reason, now=at(seconds), pause_s=lambda asks: 10 * asks)


def row(ledger: Ledger) -> DeliveryRow:
    record = ledger.series(SERIES)
    assert record is not None
    return record.deliveries[0]


def series_state(ledger: Ledger) -> str:
    record = ledger.series(SERIES)
    assert record is not None
    return record.summary.state


def test_what_was_taken_is_delivered_once_it_is_committed(ledger: Ledger) -> None:
    key = owe(ledger)
    ask(ledger, claim(ledger, key), "2.25.7")
    assert (row(ledger).state, series_state(ledger)) == ("committing", "read")
    assert ledger.due_deliveries(at(99), 9) == []
    assert answer(ledger, "2.25.7", REPORT)
    assert (row(ledger).state, series_state(ledger)) == ("delivered", "answered")
    assert answer(ledger, "2.25.7", REPORT, reason="too late to take it back")
    assert row(ledger).state == "delivered"


def test_an_answer_may_come_before_the_question_is_over(ledger: Ledger) -> None:
    delivery = claim(ledger, owe(ledger))
    assert ledger.asking(delivery, "2.25.7", now=T0)
    assert answer(ledger, "2.25.7", REPORT)
    assert not ledger.asked(delivery, answer_by=at(100))
    assert not ledger.delivery_failed(delivery, "no answer", now=T0, retry_at=None)
    assert series_state(ledger) == "answered"


def test_a_commitment_that_does_not_come_is_asked_for_again_and_a_late_one_counts(ledger: Ledger) -> None:
    key = owe(ledger)
    ask(ledger, claim(ledger, key), "2.25.7")
    assert ledger.due_deliveries(at(100), 9) == [key]
    again = claim(ledger, key, 100)
    assert (again.stored, again.asks, again.attempt) == (True, 1, 2)
    ask(ledger, again, "2.25.8", 100)
    assert answer(ledger, "2.25.7", REPORT)
    assert row(ledger).state == "delivered"


def test_what_is_refused_or_not_named_is_sent_again(ledger: Ledger) -> None:
    key = owe(ledger)
    ask(ledger, claim(ledger, key), "2.25.7")
    assert answer(ledger, "2.25.7", reason="0x0112")
    assert (row(ledger).state, row(ledger).reason, row(ledger).next_at) == ("pending", "0x0112", at(20))
    again = claim(ledger, key, 20)
    assert (again.stored, again.asks, again.reason) == (False, 1, "0x0112")
    ask(ledger, again, "2.25.8", 20)
    assert answer(ledger, "2.25.8", "1.2.3.99", seconds=30)
    assert row(ledger).reason == "the peer's commitment does not name the report"
    assert row(ledger).next_at == at(50), "who refuses again is left alone for longer"
    third = claim(ledger, key, 50)
    assert ledger.asking(third, "2.25.9", now=at(50))
    assert answer(ledger, "2.25.9", reason="0x0112", seconds=60)  # before `asked`: the question counts
    assert claim(ledger, key, 90).asks == 3


def test_a_refusal_of_a_question_that_was_not_counted_is_waited_for_like_the_first(ledger: Ledger) -> None:
    key = owe(ledger)
    delivery = claim(ledger, key)
    assert ledger.asking(delivery, "2.25.7", now=T0)
    assert ledger.delivery_failed(delivery, "no answer", now=T0, retry_at=at(5))
    assert answer(ledger, "2.25.7", reason="0x0112")
    assert row(ledger).next_at == at(20)


def test_a_transaction_that_nobody_began_is_not_taken(ledger: Ledger) -> None:
    owe(ledger)
    assert not answer(ledger, "2.25.7", REPORT)
    assert row(ledger).state == "pending"


@dataclass
class Asked:
    """A committer that remembers, and fails on order."""

    requests: list[Request] = field(default_factory=list[Request])
    failures: list[Exception] = field(default_factory=list[Exception])

    def ask(self, request: Request) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.requests.append(request)


def no_reader() -> Reader:
    raise AssertionError("nothing is read here")


def pipeline(
    tmp_path: Path, ledger: Ledger, asked: Asked, clock: Callable[[], datetime]
) -> tuple[Pipeline, MemoryDestination]:
    spool = Spool(tmp_path / "spool")
    write(mr_image(SOPInstanceUID=REPORT, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.34"), spool.report_path(REPORT))
    policy = WorkPolicy(
        owner="w", lease_s=60, retry_s=10, retry_max_s=10, delivery_max_attempts=9, send="all",
        commitment_answer_s=100, commitment_max_asks=2,
    )  # fmt: skip
    pacs = MemoryDestination(name="pacs", committer=asked)
    made = Pipeline(
        ledger=ledger, files=SpoolFiles(spool), reader=no_reader, destinations={"pacs": pacs}, policy=policy,
        clock=clock,
    )  # fmt: skip
    return made, pacs


def test_the_pipeline_asks_again_without_sending_again_and_then_gives_up_with_the_reason(
    tmp_path: Path, ledger: Ledger
) -> None:
    key, asked, seconds = owe(ledger), Asked(), [0.0]
    work, pacs = pipeline(tmp_path, ledger, asked, lambda: at(seconds[0]))
    work.deliver(key)
    assert (row(ledger).state, list(pacs.reports)) == ("committing", [REPORT])
    (reference,) = asked.requests[0].references
    assert reference.sop_instance_uid == REPORT
    assert reference.sop_class_uid == "1.2.840.10008.5.1.4.1.1.88.34"

    pacs.reports.clear()
    seconds[0] = 100
    asked.failures.append(DeliveryError("the peer is away", retry=True))
    work.deliver(key)
    assert (row(ledger).state, row(ledger).reason) == ("pending", "the peer is away")
    seconds[0] = 200
    work.deliver(key)
    seconds[0] = 300
    work.deliver(key)
    assert len({request.transaction_uid for request in asked.requests}) == 2
    assert row(ledger).state == "dead"
    assert "did not commit to it, asked 2 times" in str(row(ledger).reason)
    assert list(pacs.reports) == []
    assert ledger.revive_deliveries(now=at(300)) == 1
    work.deliver(key)
    assert list(pacs.reports) == [REPORT]


def test_who_refuses_until_the_end_is_dead_with_what_it_answered_last(tmp_path: Path, ledger: Ledger) -> None:
    key, asked, seconds = owe(ledger), Asked(), [0.0]
    work, _ = pipeline(tmp_path, ledger, asked, lambda: at(seconds[0]))
    for number in range(2):
        work.deliver(key)
        assert answer(ledger, asked.requests[number].transaction_uid, reason="0x0213", seconds=seconds[0])
        seconds[0] += 100
    work.deliver(key)
    assert row(ledger).state == "dead"
    assert str(row(ledger).reason).endswith("asked 2 times; the last time: 0x0213")


def test_a_fault_while_delivering_counts_as_an_attempt_and_its_text_is_kept_nowhere(
    tmp_path: Path, ledger: Ledger
) -> None:
    key, asked, seconds = owe(ledger), Asked(), [0.0]
    work, _ = pipeline(tmp_path, ledger, asked, lambda: at(seconds[0]))
    for attempt in range(9):
        assert row(ledger).state == "pending", f"after {attempt} attempts"
        asked.failures.append(ValueError("Doe^Jane"))
        work.deliver(key)
        assert row(ledger).reason == "ValueError while delivering"
        seconds[0] += 10
    assert row(ledger).state == "dead"


def test_a_ledger_that_is_away_while_a_report_is_delivered_costs_no_more_than_the_lease(
    tmp_path: Path, ledger: Ledger
) -> None:
    key = owe(ledger)
    work, _ = pipeline(tmp_path, ledger, Asked(failures=[LedgerUnavailableError("away")]), lambda: T0)
    with pytest.raises(LedgerUnavailableError):
        work.deliver(key)
    assert (row(ledger).state, row(ledger).reason) == ("sending", None)
