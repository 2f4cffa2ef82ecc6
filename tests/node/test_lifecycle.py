"""The table of a series' life against a model of what it means, row by row; then the ledger against the same model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import get_args

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.lifecycle import TRANSITIONS, ImpossibleTransitionError, SeriesEvent, transition
from dicom_node.ledger.models import Base
from dicom_node.ledger.records import Delivery, Job, Outcome, ReceivedInstance, ReportRow, SeriesState
from dicom_node.ledger.store import Ledger
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid

Table = Mapping[tuple[SeriesState, SeriesEvent], SeriesState]


@dataclass(frozen=True)
class Meaning:
    """What a state stands for, without naming any."""

    unread: bool = True
    leased: bool = False
    grew: bool = False
    given_up: bool = False
    owed: bool = False
    removed: bool = False

    @property
    def state(self) -> SeriesState:
        if self.removed:
            return "removed"
        if self.leased:
            return "reading"
        if self.given_up:
            return "quarantined"
        if self.unread:
            return "receiving"
        return "read" if self.owed else "answered"


def removal(was: Meaning, event: SeriesEvent) -> Meaning | None:
    """What becomes of a series whose instances are removed, or were."""
    if was.removed:
        return Meaning() if event == "instance" else None
    return replace(was, removed=True) if was.state == "answered" else None


def after(was: Meaning, event: SeriesEvent) -> Meaning | None:
    """What `event` means; None where it cannot happen."""
    return removal(was, event) if was.removed or event == "removed" else while_held(was, event)


def while_held(was: Meaning, event: SeriesEvent) -> Meaning | None:
    """The same for a series whose instances are in the spool."""
    afresh = was if was.leased else replace(was, unread=True, given_up=False)
    quiet = not was.leased and not was.given_up
    match event:
        case "instance":
            return replace(was, grew=True) if was.leased else afresh
        case "requested" | "reader-changed":
            return afresh
        case "claimed":
            return replace(was, leased=True, grew=False) if was.unread and quiet else None
        case "lease-ran-out" | "failed" | "postponed":
            return replace(was, leased=False) if was.leased else None
        case "gave-up":
            return replace(was, leased=False, given_up=True) if was.leased else None
        case "finished":
            return replace(was, leased=False, unread=False, owed=True) if was.leased and not was.grew else None
        case "outgrown":
            return replace(was, leased=False, owed=True) if was.leased and was.grew else None
        case "delivered-all":
            return replace(was, owed=False) if was.owed else None
        case "restored":
            return replace(was, unread=False, owed=True) if quiet else None


def differences(table: Table) -> list[str]:
    """Where a table says something else than the meaning of its states, over everything that can be reached."""
    found: list[str] = []
    seen, open_ = {Meaning()}, [Meaning()]
    used: set[tuple[SeriesState, SeriesEvent]] = set()
    while open_:
        was = open_.pop()
        for event in get_args(SeriesEvent):
            now = after(was, event)
            if now is None:
                continue
            used.add((was.state, event))
            if table.get((was.state, event)) != now.state:
                found.append(f"{was.state} --{event}--> {now.state}")
            if now not in seen:
                seen.add(now)
                open_.append(now)
    return found + [f"{state} never meets {event}" for state, event in table.keys() - used]


def test_the_table_says_what_its_states_mean():
    assert differences(TRANSITIONS) == []


@pytest.mark.parametrize("row", sorted(TRANSITIONS))
def test_a_broken_row_is_found(row: tuple[SeriesState, SeriesEvent]):
    for wrong in (*get_args(SeriesState), None):
        if wrong != TRANSITIONS[row]:
            broken = {**TRANSITIONS, row: wrong}
            assert differences({key: value for key, value in broken.items() if value is not None})


def test_a_row_too_many_is_found():
    assert differences({**TRANSITIONS, ("answered", "finished"): "read"}) == ["answered never meets finished"]


def test_what_cannot_happen_is_named():
    with pytest.raises(ImpossibleTransitionError, match="a series that is answered cannot meet finished"):
        transition("answered", "finished")


SERIES = SeriesInstanceUid("1.2.3")
START = datetime(2026, 1, 1, tzinfo=UTC)
LEASE_S, MAX_ATTEMPTS = 60, 2


class LedgerMachine(RuleBasedStateMachine):
    """Any order of arrivals, claims, crashes, failures and deliveries; one series, any number of workers."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = open_engine("sqlite://")
        Base.metadata.create_all(self.engine)
        self.ledger = Ledger(self.engine, max_attempts=MAX_ATTEMPTS)
        self.now = START
        self.meaning: Meaning | None = None  # None: nothing has arrived
        self.instances: set[str] = set()
        self.read: frozenset[str] = frozenset()
        self.attempts = 0
        self.holder: Job | None = None
        self.lost: list[Job] = []  # jobs whose lease is somebody else's by now
        self.created: dict[tuple[str, str], datetime] = {}
        self.due_at = START

    def teardown(self) -> None:
        self.engine.dispose()

    def happens(self, event: SeriesEvent) -> None:
        assert self.meaning is not None
        now = after(self.meaning, event)
        assert now is not None, event
        self.meaning = now

    @rule()
    def time_passes(self) -> None:
        self.now += timedelta(seconds=10)

    @rule(number=st.integers(1, 6), quiet_s=st.sampled_from([0, 5]))
    def instance_arrives(self, number: int, quiet_s: int) -> None:
        uid, due = f"1.2.3.{number}", self.now + timedelta(seconds=quiet_s)
        new = uid not in self.instances
        self.ledger.record_instance(received(uid), now=self.now, due_at=due)
        if self.meaning is None:
            self.meaning = Meaning()
        elif new:
            if self.meaning.state not in ("receiving", "reading"):
                self.attempts = 0
            self.happens("instance")
        self.instances.add(uid)
        if new or self.meaning.state == "receiving":
            self.due_at = due

    @precondition(lambda self: self.meaning is not None)
    @rule()
    def association_is_released(self) -> None:
        self.ledger.release([SERIES], due_at=self.now)
        self.due_at = min(self.due_at, self.now)

    @precondition(lambda self: self.meaning is not None)
    @rule()
    def somebody_asks(self) -> None:
        assert self.ledger.request(SERIES, now=self.now)
        if not self.meaning.leased:  # type: ignore[union-attr]
            self.attempts, self.due_at = 0, self.now
        self.happens("requested")

    @precondition(lambda self: self.meaning is not None)
    @rule(reader=st.sampled_from(["r1", "r1", "r2"]))
    def worker_claims_what_is_due(self, reader: str) -> None:
        self.now = max(self.now, self.due_at)
        self.worker_claims(reader)

    @rule(reader=st.just("r1"))
    def worker_claims(self, reader: str) -> None:
        job = self.ledger.claim(SERIES, owner="w", reader_digest=reader, now=self.now, lease_s=LEASE_S)
        if self.holder is not None and self.holder.lease_until <= self.now:
            self.lost.append(self.holder)
            if self.attempts >= MAX_ATTEMPTS:
                assert job is None
                self.holder = None
                self.happens("gave-up")
                return
            self.due_at = self.holder.lease_until
            self.holder = None
            self.happens("lease-ran-out")
        claimable = self.meaning is not None and self.meaning.state == "receiving" and self.due_at <= self.now
        assert (job is not None) == claimable
        if job is None:
            return
        self.happens("claimed")
        self.attempts += 1
        self.holder = job
        assert job.attempt == self.attempts
        assert set(job.sop_instance_uids) == self.instances
        key = (job.instances_digest, reader)
        assert self.created.setdefault(key, job.created_at) == job.created_at

    @precondition(lambda self: self.holder is not None)
    @rule()
    def worker_finishes(self) -> None:
        job = self.held()
        grew = set(job.sop_instance_uids) != self.instances
        assert self.ledger.finish(job, outcome(job), now=self.now)
        self.happens("outgrown" if grew else "finished")
        self.read, self.attempts = frozenset(job.sop_instance_uids), 0
        if not self.pending():
            self.happens("delivered-all")

    @precondition(lambda self: self.holder is not None)
    @rule(wait_s=st.sampled_from([0, 30]))
    def worker_fails(self, wait_s: int) -> None:
        job = self.held()
        self.due_at = self.now + timedelta(seconds=wait_s)
        assert self.ledger.fail(job, "why", now=self.now, retry_at=self.due_at)
        self.happens("gave-up" if self.attempts >= MAX_ATTEMPTS else "failed")

    @precondition(lambda self: self.holder is not None)
    @rule(wait_s=st.sampled_from([0, 30]))
    def worker_postpones(self, wait_s: int) -> None:
        job = self.held()
        self.due_at = self.now + timedelta(seconds=wait_s)
        assert self.ledger.postpone(job, "why", now=self.now, retry_at=self.due_at)
        self.attempts -= 1
        self.happens("postponed")

    @precondition(lambda self: self.holder is not None)
    @rule()
    def worker_renews(self) -> None:
        assert self.holder is not None
        assert self.ledger.renew(self.holder, now=self.now, lease_s=LEASE_S)
        self.holder = replace(self.holder, lease_until=self.now + timedelta(seconds=LEASE_S))

    @precondition(lambda self: self.holder is not None)
    @rule()
    def worker_is_lost_and_another_claims(self) -> None:
        assert self.holder is not None
        self.now = max(self.now, self.holder.lease_until)
        self.worker_claims("r1")

    @precondition(lambda self: self.lost)
    @rule()
    def worker_that_was_lost_comes_back(self) -> None:
        job = self.lost[-1]
        assert not self.ledger.renew(job, now=self.now, lease_s=LEASE_S)
        assert not self.ledger.finish(job, outcome(job), now=self.now)
        assert not self.ledger.postpone(job, "why", now=self.now, retry_at=self.now)
        assert not self.ledger.fail(job, "why", now=self.now, retry_at=self.now)

    @rule()
    def reports_are_delivered(self) -> None:
        for delivery in self.deliveries():
            assert self.ledger.delivered(delivery, now=self.now)
        if self.meaning is not None and self.meaning.owed:
            self.happens("delivered-all")

    @invariant()
    def the_ledger_says_the_same(self) -> None:
        record = self.ledger.series(SERIES)
        if self.meaning is None:
            assert record is None
            return
        assert record is not None
        assert (record.summary.state, record.summary.instances) == (self.meaning.state, len(self.instances))
        expired = self.holder is not None and self.holder.lease_until <= self.now
        due = expired or (self.meaning.state == "receiving" and self.due_at <= self.now)
        assert self.ledger.due(self.now, 10) == ([SERIES] if due else [])
        assert len({report.sop_instance_uid for report in record.reports}) == len(record.reports) <= len(self.created)

    def held(self) -> Job:
        """The job of the holder, who lets go of it."""
        job, self.holder = self.holder, None
        assert job is not None
        return job

    def pending(self) -> list[int]:
        return self.ledger.due_deliveries(self.now + timedelta(days=1), 100)

    def deliveries(self) -> list[Delivery]:
        found = [self.ledger.claim_delivery(id_, owner="w", now=self.now, lease_s=9) for id_ in self.pending()]
        return [delivery for delivery in found if delivery is not None]


def received(uid: str) -> ReceivedInstance:
    return ReceivedInstance(
        study_instance_uid=StudyInstanceUid("1.2"),
        series_instance_uid=SERIES,
        sop_instance_uid=SopInstanceUid(uid),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
    )


def outcome(job: Job) -> Outcome:
    key = sha256(f"{job.instances_digest} {job.reader_digest}".encode()).hexdigest()
    uid = SopInstanceUid(f"2.25.{int(key[:32], 16)}")
    report = ReportRow(sop_instance_uid=uid, sop_class_uid="1.2", series_instance_uid=SeriesInstanceUid("9"))
    return Outcome(
        document="{}", contrast="T1", score=0.1, p_value=None, flagged=False, report=report, destinations=("pacs",)
    )


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=50,
    stateful_step_count=30,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking takes minutes, and thirty steps can be read
)
