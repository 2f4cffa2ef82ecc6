"""The part of the ledger that gives out work and takes in what became of it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from dicom_node.ledger.lifecycle import SeriesEvent, transition
from dicom_node.ledger.models import DeliveryOrder, Reading, Series
from dicom_node.ledger.part import LedgerPart, filled, insert_new, instance_uids, locked
from dicom_node.ledger.records import LATER, LIVE, FiledReport, Job, Outcome, Priority, Profile, instances_digest
from dicom_node.ledger.reviews import is_reviewed
from dicom_node.ledger.weeks import move, share
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid

# Events after which a series starts afresh, with all its attempts before it.
_FRESH: Final = frozenset({"finished", "outgrown", "requested", "reader-changed", "restored"})

_NEW_DELIVERY: Final = insert_new(DeliveryOrder, DeliveryOrder.id)


class Readings(LedgerPart):
    """Series are leased, read, and read again when they grew, when their reader changed or when somebody asks."""

    def due(self, now: datetime, limit: int, *, priority: Priority = LIVE) -> list[SeriesInstanceUid]:
        """Series of a priority to be read, the longest due first: received and quiet, or held by an owner who was
        lost."""
        waiting = select(Series.due_at, Series.series_uid).where(Series.state == "receiving", Series.due_at <= now)
        lost = select(Series.lease_until, Series.series_uid).where(Series.state == "reading", Series.lease_until <= now)
        waiting, lost = waiting.where(Series.priority == priority), lost.where(Series.priority == priority)
        with self._transactions.read() as session:
            rows = [
                *session.execute(waiting.order_by(Series.due_at).limit(limit)),
                *session.execute(lost.order_by(Series.lease_until).limit(limit)),
            ]
        return [SeriesInstanceUid(uid) for _, uid in sorted(rows, key=lambda row: row[0] or now)[:limit]]

    def claim(
        self, series: SeriesInstanceUid, *, owner: str, reader_digest: str, now: datetime, lease_s: float
    ) -> Job | None:
        """Lease a series that is due; None if somebody else has it or it is not due.

        The first claim of a key fixes the time and the predecessor of its report. A series whose owner was lost
        `max_attempts` times is quarantined instead.
        """
        with self._transactions.write() as session:
            row = locked(session, series, wait=False)
            if row is None or not self._take_back(row, now):
                return None
            row.state = transition(row.state, "claimed")
            row.attempts, row.token = row.attempts + 1, row.token + 1
            row.lease_owner, row.lease_until = owner, now + timedelta(seconds=lease_s)
            row.due_at, row.reader_digest = None, reader_digest
            uids = instance_uids(session, row)
            reading = _reading(session, row, (instances_digest(uids), reader_digest), now)
            return _job(row, reading, uids)

    def _take_back(self, row: Series, now: datetime) -> bool:
        """Whether the row can be claimed; the lease of an owner who was lost is ended first."""
        if row.state == "reading" and row.lease_until is not None and row.lease_until <= now:
            if row.attempts >= self._max_attempts:
                _end(row, "gave-up", reason=f"whoever read it was lost, {row.attempts} times")
                return False
            _end(row, "lease-ran-out", due_at=row.lease_until)
        return row.state == "receiving" and row.due_at is not None and row.due_at <= now

    def renew(self, job: Job, *, now: datetime, lease_s: float) -> bool:
        """Lengthen the lease of `job`; False if somebody else has the series by now."""
        statement = (
            update(Series)
            .where(Series.series_uid == job.series_instance_uid, Series.state == "reading", Series.token == job.token)
            .values(lease_until=now + timedelta(seconds=lease_s))
            .returning(Series.id)
        )
        with self._transactions.write() as session:
            return session.execute(statement).one_or_none() is not None

    def finish(self, job: Job, outcome: Outcome, *, now: datetime) -> bool:
        """Take in a reading, its report and its deliveries at once; False if the lease was lost and nothing is taken.

        A series that grew meanwhile is due again when the quiet time of its newest instance is over. A delivery that
        had been given up is tried again.
        """
        with self._transactions.write() as session:
            row = _held(session, job)
            if row is None:
                return False
            reading = _reading(session, row, (job.instances_digest, job.reader_digest), job.created_at)
            _fill(reading, outcome, now)
            _show(session, row, reading, outcome.profile)
            undelivered = _order(session, reading, outcome.destinations, now, row.priority)
            grew = instances_digest(instance_uids(session, row)) != job.instances_digest
            _end(
                row,
                "outgrown" if grew else "finished",
                reason=outcome.reason,
                due_at=(row.due_at or now) if grew else None,
            )
            if not undelivered:
                row.state = transition(row.state, "delivered-all")
            return True

    def fail(self, job: Job, reason: str, *, now: datetime, retry_at: datetime) -> bool:
        """The reading failed: due again at `retry_at`, or quarantined with `reason` after the last attempt.

        False if the lease was lost. `reason` is shown to people and must not name the patient.
        """
        with self._transactions.write() as session:
            row = _held(session, job)
            if row is None:
                return False
            if row.attempts >= self._max_attempts:
                _end(row, "gave-up", reason=reason)
            else:
                _end(row, "failed", reason=reason, due_at=max(retry_at, now))
            return True

    def postpone(self, job: Job, reason: str, *, now: datetime, retry_at: datetime) -> bool:
        """What the reading needs is not at hand: due again at `retry_at`, and this was no attempt.

        False if the lease was lost.
        """
        with self._transactions.write() as session:
            row = _held(session, job)
            if row is None:
                return False
            row.attempts -= 1
            _end(row, "postponed", reason=reason, due_at=max(retry_at, now))
            return True

    def explain(self, series: Iterable[SeriesInstanceUid], reason: str) -> None:
        """Say why series wait that are not read yet. `reason` must not name the patient."""
        waiting = update(Series).where(Series.series_uid.in_(list(series)), Series.state == "receiving")
        with self._transactions.write() as session:
            session.execute(waiting.values(reason=reason))

    def restore(self, filed: FiledReport, *, now: datetime) -> bool:
        """Enter a reading whose report is in the spool; False if the ledger knows it, or not its series.

        Where it covers every instance there is, its series needs no reading. Which of its deliveries were made is
        written in the ledger only, so all are owed again: the same object sent twice does no harm.
        """
        key = (filed.instances_digest, filed.reader_digest)
        with self._transactions.write() as session:
            row = locked(session, filed.series_instance_uid)
            if row is None or _find(session, row, key) is not None:
                return False
            reading = _reading(session, row, key, filed.created_at)
            reading.predecessor_uid = filed.predecessor_uid
            _fill(reading, filed.outcome, filed.created_at)
            owed = _order(session, reading, filed.outcome.destinations, now, row.priority)
            complete = instances_digest(instance_uids(session, row)) == filed.instances_digest
            if complete and row.state in ("receiving", "read", "answered"):
                _show(session, row, reading, filed.outcome.profile)
                row.reader_digest = filed.reader_digest
                _end(row, "restored")
                if not owed:
                    row.state = transition(row.state, "delivered-all")
            return True

    def request(self, series: SeriesInstanceUid, *, now: datetime) -> bool:
        """Have a series read again, now; one that is being read is left at it. False if it is not known, or removed."""
        with self._transactions.write() as session:
            row = locked(session, series)
            if row is None or row.state == "removed":
                return False
            if row.state != "reading":
                _end(row, "requested", due_at=now)
                row.priority = LIVE
            return True

    def reread(self, reader_digest: str, *, now: datetime, limit: int) -> list[SeriesInstanceUid]:
        """Make at most `limit` series due later, newest first, that another reader read or failed at; which."""
        outdated = (
            select(Series)
            .where(Series.state.in_(("read", "answered", "quarantined")))
            .where(or_(Series.reader_digest != reader_digest, Series.reader_digest.is_(None)))
            .order_by(Series.id.desc())
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        with self._transactions.write() as session:
            rows = session.scalars(outdated).all()
            for row in rows:
                _end(row, "reader-changed", due_at=now)
                row.priority = LATER
            return [SeriesInstanceUid(row.series_uid) for row in rows]


def _held(session: Session, job: Job) -> Series | None:
    """The row of the job's series if the job still holds it (a lease that ran out and that nobody took counts)."""
    row = locked(session, job.series_instance_uid)
    return row if row is not None and row.state == "reading" and row.token == job.token else None


def _end(row: Series, event: SeriesEvent, *, reason: str | None = None, due_at: datetime | None = None) -> None:
    row.state = transition(row.state, event)
    row.lease_owner = row.lease_until = None
    row.due_at, row.reason = due_at, reason
    if event in _FRESH:
        row.attempts = 0


def _reading(session: Session, row: Series, digests: tuple[str, str], created_at: datetime) -> Reading:
    """The reading of this key, made if this is the first time that anybody asks for it."""
    found = _find(session, row, digests)
    if found is None:
        found = Reading(
            series_id=row.id,
            instances_digest=digests[0],
            reader_digest=digests[1],
            created_at=created_at,
            predecessor_uid=_newest_report(session, row),
        )
        session.add(found)
        session.flush()
    return found


def _find(session: Session, row: Series, digests: tuple[str, str]) -> Reading | None:
    key = {"series_id": row.id, "instances_digest": digests[0], "reader_digest": digests[1]}
    return session.scalars(select(Reading).filter_by(**key)).one_or_none()


def _newest_report(session: Session, row: Series) -> str | None:
    newest = select(Reading.report_uid).where(Reading.series_id == row.id, Reading.report_uid.is_not(None))
    return session.scalars(newest.order_by(Reading.finished_at.desc(), Reading.id.desc()).limit(1)).one_or_none()


def _job(row: Series, reading: Reading, uids: tuple[SopInstanceUid, ...]) -> Job:
    return Job(
        study_instance_uid=StudyInstanceUid(row.study_uid),
        series_instance_uid=SeriesInstanceUid(row.series_uid),
        modality=row.modality,
        sop_instance_uids=uids,
        instances_digest=reading.instances_digest,
        reader_digest=reading.reader_digest,
        created_at=reading.created_at,
        predecessor_uid=None if reading.predecessor_uid is None else SopInstanceUid(reading.predecessor_uid),
        attempt=row.attempts,
        owner=filled(row.lease_owner),
        token=row.token,
        lease_until=filled(row.lease_until),
        first_at=row.first_at,
        last_at=row.last_at,
    )


def _fill(reading: Reading, outcome: Outcome, now: datetime) -> None:
    reading.finished_at, reading.reason = now, outcome.reason
    reading.document, reading.claims = outcome.document, outcome.claims
    reading.contrast, reading.score = outcome.contrast, outcome.score
    reading.p_value, reading.flagged = outcome.p_value, outcome.flagged
    if outcome.report is not None:
        reading.report_uid = outcome.report.sop_instance_uid
        reading.report_class_uid = outcome.report.sop_class_uid
        reading.report_series_uid = outcome.report.series_instance_uid


def _show(session: Session, row: Series, reading: Reading, profile: Profile | None) -> None:
    """Make `reading` the one that holds."""
    before = share(row)
    row.reading_id, row.contrast, row.score, row.flagged = reading.id, reading.contrast, reading.score, reading.flagged
    if profile is not None:
        row.status, row.scanner, row.gate_distance = profile.status, profile.scanner, profile.gate_distance
    row.reviewed = is_reviewed(session, reading)
    move(session, before, share(row))


def _order(
    session: Session, reading: Reading, destinations: tuple[str, ...], now: datetime, priority: Priority
) -> bool:
    """Owe the report to each destination, once; whether any delivery of this reading is still owed."""
    fresh = {"state": "pending", "attempts": 0, "created_at": now, "next_at": now, "token": 0, "priority": priority}
    rows = [{"reading_id": reading.id, "destination": name, **fresh} for name in destinations]
    for row in rows:
        session.execute(_NEW_DELIVERY[session.get_bind().dialect.name], row)
    mine = DeliveryOrder.reading_id == reading.id
    session.execute(
        update(DeliveryOrder)
        .where(mine, DeliveryOrder.state == "dead")
        .values(state="pending", attempts=0, asks=0, stored=False, next_at=now)
    )
    owed = select(DeliveryOrder.id).where(mine, DeliveryOrder.state != "delivered").limit(1)
    return session.scalars(owed).one_or_none() is not None
