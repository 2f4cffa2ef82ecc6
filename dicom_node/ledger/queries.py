"""The part of the ledger that people and pages ask; it changes nothing."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, get_args

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicom_node.ledger.deliveries import report_row
from dicom_node.ledger.engine import check_writable
from dicom_node.ledger.models import DeliveryOrder, Reading, ReviewEntry, Series
from dicom_node.ledger.part import LedgerPart, filled
from dicom_node.ledger.records import (
    Counts,
    DeliveryRow,
    DeliveryState,
    Outcome,
    ReadingRow,
    ReportRow,
    SeriesFilter,
    SeriesRecord,
    SeriesState,
    SeriesSummary,
    Work,
)
from dicom_node.ledger.reviews import review_of
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid

_BEYOND: Final = (1 << 63) - 1  # no series has this key
_Due = tuple[InstrumentedAttribute[Any], str, InstrumentedAttribute[Any]]  # column of the state, state, time

# Work is due at a time while it waits, and again when the lease of its owner ran out.
_DUE: Final[Mapping[Work, tuple[_Due, _Due]]] = {
    "reading": ((Series.state, "receiving", Series.due_at), (Series.state, "reading", Series.lease_until)),
    "delivery": (
        (DeliveryOrder.state, "pending", DeliveryOrder.next_at),
        (DeliveryOrder.state, "sending", DeliveryOrder.next_at),
    ),
}


class Queries(LedgerPart):
    """What is there, in which state, and why."""

    def series(self, uid: SeriesInstanceUid) -> SeriesRecord | None:
        """Everything about one series; None if it is not known."""
        with self._transactions.read() as session:
            row = session.scalars(select(Series).where(Series.series_uid == uid)).one_or_none()
            return None if row is None else _record(session, row)

    def page(
        self,
        *,
        state: SeriesState | None = None,
        flagged: bool | None = None,
        after: int | None = None,
        limit: int = 100,
    ) -> list[SeriesSummary]:
        """At most `limit` series, the newest first, going on after the key of the last one seen."""
        return self.worklist(SeriesFilter(state=state, flagged=flagged), after=after, limit=limit)

    def worklist(self, wanted: SeriesFilter, *, after: int | None = None, limit: int = 100) -> list[SeriesSummary]:
        """The same for any filter."""
        with self._transactions.read() as session:
            statement = select(Series).where(*_conditions(session, wanted)).order_by(Series.id.desc()).limit(limit)
            if after is not None:
                statement = statement.where(Series.id < after)
            return [_summary(row) for row in session.scalars(statement)]

    def scanners(self) -> list[str]:
        """The scanners that anything came from, by name."""
        # One step into the index for each scanner, not one for each series.
        first = select(func.min(Series.scanner)).where(Series.scanner.is_not(None)).cte("names", recursive=True)
        following = select(func.min(Series.scanner)).where(Series.scanner > first.c[0]).scalar_subquery()
        names = first.union_all(select(following).where(first.c[0].is_not(None)))
        with self._transactions.read() as session:
            return [name for name in session.scalars(select(names.c[0])) if name is not None]

    def counts(self) -> Counts:
        """How many series and deliveries are in each state."""
        with self._transactions.read() as session:
            by_series = dict(session.execute(select(Series.state, func.count()).group_by(Series.state)).all())
            by_delivery = dict(
                session.execute(select(DeliveryOrder.state, func.count()).group_by(DeliveryOrder.state)).all()
            )
        return Counts(
            series={state: by_series.get(state, 0) for state in get_args(SeriesState)},
            deliveries={state: by_delivery.get(state, 0) for state in get_args(DeliveryState)},
        )

    def oldest_due(self, now: datetime) -> dict[Work, datetime | None]:
        """Since when the oldest reading and the oldest delivery have been due; None where nothing is."""
        with self._transactions.read() as session:
            return {work: _oldest(session, columns, now) for work, columns in _DUE.items()}

    def check(self) -> None:
        """Raise LedgerUnavailableError where the database does not answer, or takes nothing in."""
        with self._transactions.read() as session:
            session.execute(select(Series.id).limit(1))
            check_writable(session)

    def newest_arrival(self) -> datetime | None:
        """When the last instance came in that the ledger knows of."""
        with self._transactions.read() as session:
            return session.scalars(select(func.max(Series.last_at))).one()


def _conditions(session: Session, wanted: SeriesFilter) -> list[ColumnElement[bool]]:
    equal = {
        Series.state: wanted.state,
        Series.flagged: wanted.flagged,
        Series.status: wanted.status,
        Series.scanner: wanted.scanner,
    }
    conditions = [column == value for column, value in equal.items() if value is not None]
    if wanted.reviewed is not None:
        conditions.append(Series.reviewed.is_(True) if wanted.reviewed else Series.reviewed.is_not(True))
    # Keys grow with time, and pages go by key: a time becomes the key of the first series that came at or after it.
    if wanted.since is not None:
        conditions.append(Series.id >= first_key(session, wanted.since))
    if wanted.until is not None:
        conditions.append(Series.id < first_key(session, wanted.until))
    return conditions


def first_key(session: Session, since: datetime) -> int:
    """The key of the first series that came at or after a time; beyond every key if there is none."""
    first = select(Series.id).where(Series.first_at >= since).order_by(Series.first_at, Series.id).limit(1)
    return session.scalars(first).one_or_none() or _BEYOND


def _oldest(session: Session, columns: Iterable[_Due], now: datetime) -> datetime | None:
    firsts = [
        session.scalars(select(func.min(time)).where(column == state, time <= now)).one()
        for column, state, time in columns
    ]
    return min((first for first in firsts if first is not None), default=None)


def _record(session: Session, row: Series) -> SeriesRecord:
    finished = select(Reading).where(Reading.series_id == row.id, Reading.finished_at.is_not(None))
    readings = session.scalars(finished.order_by(Reading.finished_at, Reading.id)).all()
    reported = {reading.id: report_row(reading) for reading in readings if reading.report_uid is not None}
    orders = session.scalars(
        select(DeliveryOrder).where(DeliveryOrder.reading_id.in_(reported)).order_by(DeliveryOrder.id)
    )
    deliveries = tuple(_delivery(order, reported[order.reading_id]) for order in orders)
    reviews = session.scalars(select(ReviewEntry).where(ReviewEntry.series_id == row.id).order_by(ReviewEntry.id))
    finished_rows = {reading.id: _reading(reading, deliveries) for reading in readings}
    return SeriesRecord(
        summary=_summary(row),
        reading=None if row.reading_id is None else finished_rows.get(row.reading_id),
        readings=tuple(finished_rows.values()),
        reports=tuple(reported.values()),
        deliveries=deliveries,
        reviews=tuple(review_of(review, row.series_uid) for review in reviews),
    )


def _summary(row: Series) -> SeriesSummary:
    return SeriesSummary(
        key=row.id,
        study_instance_uid=StudyInstanceUid(row.study_uid),
        series_instance_uid=SeriesInstanceUid(row.series_uid),
        modality=row.modality,
        state=row.state,
        instances=row.instances,
        attempts=row.attempts,
        reason=row.reason,
        first_at=row.first_at,
        last_at=row.last_at,
        due_at=row.due_at if row.state == "receiving" else None,
        lease_until=row.lease_until,
        contrast=row.contrast,
        score=row.score,
        flagged=row.flagged,
        status=row.status,
        scanner=row.scanner,
        reviewed=bool(row.reviewed),
    )


def _reading(row: Reading, deliveries: tuple[DeliveryRow, ...]) -> ReadingRow:
    report = None if row.report_uid is None else report_row(row)
    mine = [
        delivery for delivery in deliveries if report is not None and delivery.report_uid == report.sop_instance_uid
    ]
    return ReadingRow(
        instances_digest=row.instances_digest,
        reader_digest=row.reader_digest,
        created_at=row.created_at,
        finished_at=filled(row.finished_at),
        predecessor_uid=None if row.predecessor_uid is None else SopInstanceUid(row.predecessor_uid),
        outcome=Outcome(
            document=filled(row.document),
            contrast=row.contrast,
            score=filled(row.score),
            p_value=row.p_value,
            flagged=bool(row.flagged),
            report=report,
            reason=row.reason,
            destinations=tuple(delivery.destination for delivery in mine),
            claims=row.claims,
        ),
    )


def _delivery(order: DeliveryOrder, report: ReportRow) -> DeliveryRow:
    return DeliveryRow(
        id=order.id,
        report_uid=report.sop_instance_uid,
        destination=order.destination,
        state=order.state,
        attempts=order.attempts,
        next_at=order.next_at,
        reason=order.reason,
    )
