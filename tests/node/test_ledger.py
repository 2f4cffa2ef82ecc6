"""What the ledger promises, on SQLite and on PostgreSQL."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from dicom_node.errors import LedgerUnavailableError, SettingsError
from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.records import LATER, LIVE, Job, Outcome, ReceivedInstance, ReportRow, instances_digest
from dicom_node.ledger.store import Ledger
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SERIES = SeriesInstanceUid("1.2.3")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def instance(number: int, series: str = SERIES) -> ReceivedInstance:
    return ReceivedInstance(
        study_instance_uid=StudyInstanceUid("1.2"),
        series_instance_uid=SeriesInstanceUid(series),
        sop_instance_uid=SopInstanceUid(f"{series}.{number}"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        modality="MR",
        calling_aet="SCANNER",
        size_bytes=100,
    )


def outcome(report: str | None = "2.25.1", *destinations: str, flagged: bool = False) -> Outcome:
    row = None
    if report is not None:
        series = SeriesInstanceUid("2.25.9")
        row = ReportRow(sop_instance_uid=SopInstanceUid(report), sop_class_uid="1.2.840", series_instance_uid=series)
    return Outcome(
        document='{"stacks": []}',
        contrast="T2",
        score=0.5,
        p_value=0.25,
        flagged=flagged,
        report=row,
        reason=None if row else "nothing was read",
        destinations=destinations,
        claims="[]",
    )


def receive(ledger: Ledger, *numbers: int, series: str = SERIES, seconds: float = 0, quiet_s: float = 30) -> None:
    for number in numbers:
        ledger.record_instance(instance(number, series), now=at(seconds), due_at=at(seconds + quiet_s))


def claim(ledger: Ledger, seconds: float, *, series: str = SERIES, reader: str = "r1") -> Job:
    job = ledger.claim(SeriesInstanceUid(series), owner="w", reader_digest=reader, now=at(seconds), lease_s=60)
    assert job is not None
    return job


def state(ledger: Ledger, series: str = SERIES) -> str:
    record = ledger.series(SeriesInstanceUid(series))
    assert record is not None
    return record.summary.state


def test_a_series_is_due_when_it_was_quiet(ledger: Ledger):
    receive(ledger, 1)
    receive(ledger, 2, seconds=20)
    assert ledger.due(at(49), 10) == []
    assert ledger.due(at(50), 10) == [SERIES]
    record = ledger.series(SERIES)
    assert record is not None
    summary = record.summary
    assert (summary.instances, summary.modality, summary.due_at) == (2, "MR", at(50))
    assert (summary.first_at, summary.last_at) == (at(0), at(20))


def test_a_release_makes_due_sooner_and_never_later(ledger: Ledger):
    receive(ledger, 1)
    ledger.release([SERIES], due_at=at(5))
    ledger.release([SERIES], due_at=at(9))
    ledger.release([], due_at=at(1))
    assert ledger.due(at(5), 10) == [SERIES]


def test_holding_makes_due_later_and_never_sooner(ledger: Ledger):
    receive(ledger, 1)
    receive(ledger, 1, series="1.9", quiet_s=0)
    ledger.finish(claim(ledger, 0, series="1.9"), outcome(), now=at(1))
    ledger.hold([SERIES, SeriesInstanceUid("1.9"), SeriesInstanceUid("1.10")], due_at=at(40))
    ledger.hold([SERIES], due_at=at(35))
    ledger.hold([], due_at=at(99))
    assert ledger.due(at(39), 10) == []
    assert ledger.due(at(999), 10) == [SERIES]


def test_holdings_go_by_page_and_name_what_there_is(ledger: Ledger):
    for number, series in enumerate(("1.3", "1.1", "1.2")):
        receive(ledger, *range(10 * number, 10 * number + 2), series=series, seconds=number)
    first, second = ledger.holdings(limit=2)
    (third,) = ledger.holdings(after=second.key, limit=2)
    assert ledger.holdings(after=third.key) == []
    assert [one.series_instance_uid for one in (first, second, third)] == ["1.3", "1.1", "1.2"]
    assert [one.last_at for one in (first, second, third)] == [at(0), at(1), at(2)]
    assert len(set(second.sop_instance_uids)) == 2
    assert not set(second.sop_instance_uids) & {*first.sop_instance_uids, *third.sop_instance_uids}


def test_a_resend_keeps_a_series_waiting_and_changes_nothing_once_it_was_read(ledger: Ledger):
    receive(ledger, 1)
    receive(ledger, 1, seconds=20)
    assert ledger.due(at(49), 10) == []
    ledger.finish(claim(ledger, 50), outcome(), now=at(51))
    receive(ledger, 1, seconds=60)
    assert state(ledger) == "answered"


def test_due_is_ordered_and_limited(ledger: Ledger):
    for number, series in enumerate(("1.1", "1.2", "1.3")):
        receive(ledger, 1, series=series, quiet_s=10 - number)
    assert ledger.due(at(20), 2) == ["1.3", "1.2"]


def test_a_claim_is_taken_by_one(ledger: Ledger):
    receive(ledger, 2, 1)
    assert ledger.claim(SERIES, owner="w", reader_digest="r1", now=at(29), lease_s=60) is None
    job = claim(ledger, 30)
    assert job.sop_instance_uids == ("1.2.3.1", "1.2.3.2")
    assert job.instances_digest == instances_digest(job.sop_instance_uids)
    assert (job.attempt, job.created_at, job.lease_until) == (1, at(30), at(90))
    assert ledger.claim(SERIES, owner="v", reader_digest="r1", now=at(31), lease_s=60) is None
    assert ledger.claim(SeriesInstanceUid("9.9"), owner="v", reader_digest="r1", now=at(31), lease_s=60) is None


def test_workers_at_once_get_each_series_once(ledger: Ledger):
    uids = [f"1.{number}" for number in range(12)]
    for uid in uids:
        receive(ledger, 1, series=uid, quiet_s=0)
    got: list[str] = []

    def work() -> None:
        for uid in uids:
            job = ledger.claim(SeriesInstanceUid(uid), owner="w", reader_digest="r", now=at(1), lease_s=60)
            if job is not None:
                got.append(job.series_instance_uid)

    together(*[work] * 4)
    assert sorted(got) == sorted(uids)


def test_the_same_instance_from_many_at_once_is_one(ledger: Ledger):
    together(*[lambda: receive(ledger, 1, 2, 3)] * 4)
    record = ledger.series(SERIES)
    assert record is not None
    assert record.summary.instances == 3


def test_the_time_of_a_reading_is_that_of_its_first_claim(ledger: Ledger):
    receive(ledger, 1)
    first = claim(ledger, 30)
    assert ledger.fail(first, "no luck", now=at(31), retry_at=at(40))
    assert claim(ledger, 40).created_at == first.created_at
    # lost, and claimed by another worker
    assert claim(ledger, 200).created_at == first.created_at


def test_a_late_instance_supersedes_the_report(ledger: Ledger):
    receive(ledger, 1)
    assert ledger.finish(claim(ledger, 30), outcome("2.25.1", "pacs"), now=at(31))
    assert state(ledger) == "read"
    receive(ledger, 2, seconds=40)
    assert state(ledger) == "receiving"
    job = claim(ledger, 70)
    assert job.predecessor_uid == "2.25.1"
    assert ledger.finish(job, outcome("2.25.2", "pacs"), now=at(71))
    record = ledger.series(SERIES)
    assert record is not None
    assert [report.sop_instance_uid for report in record.reports] == ["2.25.1", "2.25.2"]
    assert record.reading is not None
    assert record.reading.predecessor_uid == "2.25.1"
    assert len(record.deliveries) == 2


def test_a_series_that_grows_while_it_is_read_is_read_again(ledger: Ledger):
    receive(ledger, 1)
    job = claim(ledger, 30)
    receive(ledger, 2, seconds=35)
    assert state(ledger) == "reading"
    assert ledger.finish(job, outcome("2.25.1"), now=at(36))
    assert state(ledger) == "receiving"
    assert ledger.due(at(64), 1) == []
    assert claim(ledger, 65).sop_instance_uids == ("1.2.3.1", "1.2.3.2")


def test_a_lease_that_ran_out_is_somebody_elses(ledger: Ledger):
    receive(ledger, 1)
    lost = claim(ledger, 30)
    assert ledger.due(at(89), 1) == []
    assert ledger.due(at(90), 1) == [SERIES]
    found = claim(ledger, 90)
    assert (found.attempt, found.token) == (2, lost.token + 1)
    assert not ledger.renew(lost, now=at(91), lease_s=60)
    assert not ledger.finish(lost, outcome(), now=at(91))
    assert not ledger.fail(lost, "late", now=at(91), retry_at=at(91))
    assert ledger.renew(found, now=at(140), lease_s=60)
    assert ledger.due(at(199), 1) == []
    assert ledger.finish(found, outcome(), now=at(199))


def test_failures_end_in_quarantine_with_their_reason(engine: Engine):
    ledger = Ledger(engine, max_attempts=2)
    receive(ledger, 1, quiet_s=0)
    assert ledger.fail(claim(ledger, 0), "first", now=at(0), retry_at=at(10))
    assert ledger.due(at(9), 1) == []
    assert ledger.fail(claim(ledger, 10), "second", now=at(10), retry_at=at(20))
    record = ledger.series(SERIES)
    assert record is not None
    assert (record.summary.state, record.summary.reason, record.summary.attempts) == ("quarantined", "second", 2)
    assert ledger.due(at(1000), 1) == []
    assert ledger.request(SERIES, now=at(1000))
    assert claim(ledger, 1000).attempt == 1


def test_owners_who_are_lost_again_and_again_end_in_quarantine(engine: Engine):
    ledger = Ledger(engine, max_attempts=2)
    receive(ledger, 1, quiet_s=0)
    claim(ledger, 0)
    claim(ledger, 60)
    assert ledger.due(at(120), 1) == [SERIES]
    assert ledger.claim(SERIES, owner="w", reader_digest="r1", now=at(120), lease_s=60) is None
    record = ledger.series(SERIES)
    assert record is not None
    assert (record.summary.state, record.summary.reason) == ("quarantined", "whoever read it was lost, 2 times")
    assert ledger.due(at(1000), 1) == []


def test_a_request_is_for_a_series_that_is_known(ledger: Ledger):
    assert not ledger.request(SERIES, now=at(0))
    receive(ledger, 1)
    assert ledger.request(SERIES, now=at(1))
    assert ledger.due(at(1), 1) == [SERIES]


def test_reading_the_same_again_doubles_nothing(ledger: Ledger):
    receive(ledger, 1)
    for seconds in (30, 40):
        assert ledger.request(SERIES, now=at(seconds))
        job = claim(ledger, seconds)
        assert (job.created_at, job.predecessor_uid) == (at(30), None)
        assert ledger.finish(job, outcome("2.25.1", "pacs"), now=at(seconds))
    record = ledger.series(SERIES)
    assert record is not None
    assert (len(record.reports), len(record.deliveries)) == (1, 1)


def test_another_reader_reads_again(ledger: Ledger):
    for series in ("1.1", "1.2"):
        receive(ledger, 1, series=series, quiet_s=0)
        ledger.finish(claim(ledger, 0, series=series), outcome(f"2.25.{series}"), now=at(1))
    assert len(ledger.reread("r1", now=at(5), limit=9)) == 0
    assert len(ledger.reread("r2", now=at(5), limit=1)) == 1
    assert ledger.due(at(5), 9, priority=LATER) == ["1.2"]
    job = claim(ledger, 5, series="1.2", reader="r2")
    assert (job.created_at, job.predecessor_uid) == (at(5), "2.25.1.2")
    ledger.finish(job, outcome("2.25.7"), now=at(6))
    assert len(ledger.reread("r2", now=at(7), limit=9)) == 1
    # and back: the first reading is still there, with its time and its report
    assert len(ledger.reread("r1", now=at(8), limit=9)) == 1
    back = claim(ledger, 8, series="1.2", reader="r1")
    assert (back.created_at, back.predecessor_uid) == (at(0), None)


def test_a_series_without_report_is_answered_with_the_reason(ledger: Ledger):
    receive(ledger, 1, quiet_s=0)
    assert ledger.finish(claim(ledger, 0), outcome(None), now=at(1))
    record = ledger.series(SERIES)
    assert record is not None
    assert (record.summary.state, record.summary.reason, record.reports) == ("answered", "nothing was read", ())


def test_a_delivery_is_leased_retried_and_made(ledger: Ledger):
    receive(ledger, 1, quiet_s=0)
    ledger.finish(claim(ledger, 0), outcome("2.25.1", "pacs", "archive"), now=at(1))
    first, second = ledger.due_deliveries(at(1), 9)
    assert ledger.due_deliveries_of(SERIES, at(0)) == []
    assert ledger.due_deliveries_of(SERIES, at(1)) == [(first, LIVE), (second, LIVE)]
    assert ledger.due_deliveries_of(SeriesInstanceUid("9.9"), at(1)) == []
    sent = ledger.claim_delivery(first, owner="w", now=at(1), lease_s=60)
    assert sent is not None
    assert (sent.destination, sent.attempt, sent.source_series_uid) == ("pacs", 1, SERIES)
    assert sent.report.sop_instance_uid == "2.25.1"
    assert ledger.claim_delivery(first, owner="v", now=at(2), lease_s=60) is None
    assert ledger.delivery_failed(sent, "connection refused", now=at(2), retry_at=at(12))
    assert ledger.due_deliveries(at(11), 9) == [second]
    assert ledger.due_deliveries_of(SERIES, at(11)) == [(second, LIVE)]
    again = ledger.claim_delivery(first, owner="w", now=at(12), lease_s=60)
    assert again is not None
    assert again.attempt == 2
    assert not ledger.delivered(sent, now=at(13))
    assert ledger.renew_delivery(again, now=at(60), lease_s=60)
    assert ledger.delivered(again, now=at(61))
    assert state(ledger) == "read"
    other = ledger.claim_delivery(second, owner="w", now=at(61), lease_s=60)
    assert other is not None
    assert ledger.delivered(other, now=at(62))
    assert state(ledger) == "answered"
    assert ledger.due_deliveries(at(9999), 9) == []


def test_a_delivery_whose_sender_is_lost_is_due_again(ledger: Ledger):
    receive(ledger, 1, quiet_s=0)
    ledger.finish(claim(ledger, 0), outcome("2.25.1", "pacs"), now=at(1))
    (delivery,) = ledger.due_deliveries(at(1), 9)
    lost = ledger.claim_delivery(delivery, owner="w", now=at(1), lease_s=60)
    assert lost is not None
    assert ledger.due_deliveries(at(60), 9) == []
    assert ledger.due_deliveries(at(61), 9) == [delivery]
    assert ledger.claim_delivery(delivery, owner="v", now=at(61), lease_s=60) is not None
    assert not ledger.delivery_failed(lost, "late", now=at(62), retry_at=None)


def test_a_dead_delivery_keeps_its_reason_and_can_be_revived(ledger: Ledger):
    receive(ledger, 1, quiet_s=0)
    ledger.finish(claim(ledger, 0), outcome("2.25.1", "pacs"), now=at(1))
    (delivery,) = ledger.due_deliveries(at(1), 9)
    sent = ledger.claim_delivery(delivery, owner="w", now=at(1), lease_s=60)
    assert sent is not None
    assert ledger.delivery_failed(sent, "SOP class refused", now=at(2), retry_at=None)
    record = ledger.series(SERIES)
    assert record is not None
    (row,) = record.deliveries
    assert (row.state, row.reason, row.next_at) == ("dead", "SOP class refused", None)
    assert record.summary.state == "read"
    assert ledger.due_deliveries(at(9999), 9) == []
    assert ledger.revive_deliveries(now=at(5), destination="elsewhere") == 0
    assert ledger.revive_deliveries(now=at(5)) == 1
    assert ledger.due_deliveries(at(5), 9) == [delivery]


def test_pages_go_from_new_to_old_and_do_not_shift(ledger: Ledger):
    for number in range(5):
        receive(ledger, 1, series=f"1.{number}", quiet_s=0)
    ledger.finish(claim(ledger, 0, series="1.3"), outcome("2.25.1", flagged=True), now=at(1))
    ledger.finish(claim(ledger, 0, series="1.1"), outcome("2.25.2"), now=at(1))
    first = ledger.page(limit=2)
    assert [line.series_instance_uid for line in first] == ["1.4", "1.3"]
    receive(ledger, 1, series="1.9")
    second = ledger.page(limit=2, after=first[-1].key)
    assert [line.series_instance_uid for line in second] == ["1.2", "1.1"]
    assert [line.series_instance_uid for line in ledger.page(flagged=True)] == ["1.3"]
    assert [line.series_instance_uid for line in ledger.page(state="answered")] == ["1.3", "1.1"]
    assert (first[1].contrast, first[1].score, first[1].flagged) == ("T2", 0.5, True)


def test_counts_name_every_state(ledger: Ledger):
    receive(ledger, 1, quiet_s=0)
    ledger.finish(claim(ledger, 0), outcome("2.25.1", "pacs"), now=at(1))
    counts = ledger.counts()
    assert counts.series == {"receiving": 0, "reading": 0, "read": 1, "answered": 0, "quarantined": 0, "removed": 0}
    assert counts.deliveries == {"pending": 1, "sending": 0, "committing": 0, "delivered": 0, "dead": 0}


def test_a_naive_time_is_refused(ledger: Ledger):
    with pytest.raises(Exception, match="timezone-aware") as caught:
        ledger.due(datetime(2026, 1, 1), 1)  # noqa: DTZ001
    assert "timezone" in str(caught.value)


def test_a_locked_database_is_an_error_that_can_be_retried(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    engine, other = open_engine(url, busy_timeout_s=0.05), open_engine(url)
    migrate(engine)
    with other.begin() as connection:
        connection.execute(text("UPDATE series SET token = token"))
        with pytest.raises(LedgerUnavailableError, match="does not answer") as caught:
            receive(Ledger(engine), 1)
    assert (caught.value.status, caught.value.retry) == (0xA700, True)
    for opened in (engine, other):
        opened.dispose()


@pytest.mark.parametrize("url", ["mysql://host/db", "not a url"])
def test_another_database_is_refused_by_the_name_of_its_key(url: str):
    with pytest.raises(SettingsError, match=r"ledger\.database_url"):
        open_engine(url)


def test_postgresql_without_its_extra_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError) as caught:
        open_engine("postgresql://mrclip:SECRET@db/mrclip")
    assert str(caught.value) == "ledger.database_url: psycopg is not installed; pip install 'mrclip[postgres]'"


def test_no_question_of_a_running_node_scans_a_table(tmp_path: Path):
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    migrate(engine)
    asked: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def remember(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    ledger = Ledger(engine)
    receive(ledger, 1, 2, quiet_s=0)
    ledger.release([SERIES], due_at=at(0))
    assert ledger.due(at(0), 9) == [SERIES]
    job = claim(ledger, 0)
    ledger.renew(job, now=at(0), lease_s=60)
    ledger.finish(job, outcome("2.25.1", "pacs"), now=at(1))
    (delivery,) = ledger.due_deliveries(at(1), 9)
    sent = ledger.claim_delivery(delivery, owner="w", now=at(1), lease_s=60)
    assert sent is not None
    ledger.delivered(sent, now=at(2))
    ledger.series(SERIES)
    ledger.page(state="read", after=3)
    ledger.page(flagged=True, after=3)
    event.remove(engine, "before_cursor_execute", remember)
    with engine.connect() as connection:
        plans = {
            statement: str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all())
            for statement, parameters in asked
            if statement.split()[0] in ("SELECT", "UPDATE")
        }
    engine.dispose()
    assert len(plans) > 15
    assert [statement for statement, plan in plans.items() if "SCAN" in plan] == []
    for bound in ("priority=? AND due_at<?)", "(state=? AND lease_until<?)", "priority=? AND next_at<?)"):
        assert any(bound in plan for plan in plans.values()), bound


def together(*calls: Callable[[], None]) -> None:
    """Run calls at once; an exception of any is raised."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], None]) -> None:
        start.wait()
        call()

    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(run, calls))


def test_of_two_series_the_first_keeps_an_instance_of_one_uid(ledger: Ledger):
    one, other = instance(1), replace(instance(1), series_instance_uid=SeriesInstanceUid("1.9"))
    assert ledger.record_instance(one, now=T0, due_at=at(30))
    for seconds in (1, 2):
        assert not ledger.record_instance(other, now=at(seconds), due_at=at(60))
    assert [(line.series_instance_uid, line.instances) for line in ledger.page()] == [(SERIES, 1)]
    mixed = (other, instance(2, "1.9"), replace(instance(2, "1.9"), series_instance_uid=SERIES))
    assert ledger.record_instances(mixed, now=at(3), due_at=at(60)) == [mixed[2], other]
    assert {line.series_instance_uid: line.instances for line in ledger.page()} == {SERIES: 1, "1.9": 1}
    assert ledger.due(at(30), 9) == [SERIES]  # what it does not get keeps no series waiting


def test_a_uid_is_free_again_once_its_series_was_removed(ledger: Ledger):
    receive(ledger, 1)
    ledger.finish(claim(ledger, 30), outcome(None), now=at(40))
    assert ledger.remove(SERIES, before=at(50), take_out=lambda: None) == 1
    other = replace(instance(1), series_instance_uid=SeriesInstanceUid("1.9"))
    assert ledger.record_instance(other, now=at(60), due_at=at(90))


def test_an_instance_that_comes_under_two_series_at_once_is_in_one(ledger: Ledger):
    start, numbers = threading.Barrier(4), range(20)
    strange: list[ReceivedInstance] = []

    def send(series: str) -> None:
        mine = [replace(instance(number), series_instance_uid=SeriesInstanceUid(series)) for number in numbers]
        start.wait()
        for begin in range(0, len(mine), 4):
            strange.extend(ledger.record_instances(mine[begin : begin + 4], now=T0, due_at=at(30)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, ("1.6", "1.7", "1.8", "1.9")))
    counts = {line.series_instance_uid: line.instances for line in ledger.page()}
    assert sum(counts.values()) == len(numbers)
    assert all(counts.values())  # a series that got none has no row
    for uid, count in counts.items():
        held = ledger.held(instance(number).sop_instance_uid for number in numbers)
        assert sum(one.series_instance_uid == uid for (one,) in held.values()) == count
    assert len(strange) == 3 * len(numbers)
