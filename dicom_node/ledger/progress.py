"""The part of the ledger that says what was finished lately, for figures that count up."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute

from dicom_node.ledger.models import DeliveryOrder, Reading, Series
from dicom_node.ledger.part import LedgerPart, filled
from dicom_node.ledger.records import LATER, LIVE, FinishedReading, MadeDelivery, Priority, Work
from inference.identifiers import SopInstanceUid

_MOST = 100_000  # of one question; who asks seldom still gets an answer


class Progress(LedgerPart):
    """A question costs as much as was finished since the time that is asked for."""

    def finished_readings(self, since: datetime) -> list[FinishedReading]:
        """Readings that were finished since, the oldest first."""
        columns = (
            Reading.id, Reading.created_at, Reading.finished_at, Reading.flagged, Series.last_at, Series.status,
            Series.scanner,
        )  # fmt: skip
        statement = select(*columns).join(Series, Series.id == Reading.series_id).where(Reading.finished_at >= since)
        with self._transactions.read() as session:
            rows = session.execute(statement.order_by(Reading.finished_at).limit(_MOST))
            return [
                FinishedReading(
                    key=key, begun_at=begun, finished_at=filled(finished), last_at=last, flagged=bool(flagged),
                    status=status, scanner=scanner,
                )
                for key, begun, finished, flagged, last, status, scanner in rows
            ]  # fmt: skip

    def reports_finished(self, since: datetime) -> list[tuple[datetime, SopInstanceUid]]:
        """Reports of readings that were finished since, the oldest first, with the time of each."""
        statement = select(Reading.finished_at, Reading.report_uid).where(
            Reading.finished_at >= since, Reading.report_uid.is_not(None)
        )
        with self._transactions.read() as session:
            rows = session.execute(statement.order_by(Reading.finished_at).limit(_MOST))
            return [(filled(finished), SopInstanceUid(filled(report))) for finished, report in rows]

    def reports_undelivered(self, after: int, limit: int) -> list[tuple[int, SopInstanceUid]]:
        """Deliveries after a key that were not made yet, dead ones too, with their reports, by key."""
        statement = (
            select(DeliveryOrder.id, Reading.report_uid)
            .join(Reading, Reading.id == DeliveryOrder.reading_id)
            .where(DeliveryOrder.id > after, DeliveryOrder.state != "delivered", Reading.report_uid.is_not(None))
        )
        with self._transactions.read() as session:
            rows = session.execute(statement.order_by(DeliveryOrder.id).limit(limit))
            return [(key, SopInstanceUid(filled(report))) for key, report in rows]

    def made_deliveries(self, since: datetime) -> list[MadeDelivery]:
        """Deliveries that were made since, the oldest first."""
        statement = (
            select(
                DeliveryOrder.id, DeliveryOrder.destination, DeliveryOrder.created_at, DeliveryOrder.delivered_at,
                Series.last_at, DeliveryOrder.priority,
            )
            .join(Reading, Reading.id == DeliveryOrder.reading_id)
            .join(Series, Series.id == Reading.series_id)
            .where(DeliveryOrder.delivered_at >= since)
        )  # fmt: skip
        with self._transactions.read() as session:
            rows = session.execute(statement.order_by(DeliveryOrder.delivered_at).limit(_MOST))
            return [
                MadeDelivery(
                    key=key, destination=destination, owed_at=owed, made_at=filled(made), last_at=last,
                    priority=priority,
                )
                for key, destination, owed, made, last, priority in rows
            ]  # fmt: skip

    def due_counts(self, now: datetime) -> dict[tuple[Work, Priority], int]:
        """How many readings and deliveries are due and not begun, by priority."""
        questions: dict[Work, tuple[ColumnElement[bool], InstrumentedAttribute[Any], InstrumentedAttribute[Any]]] = {
            "reading": (Series.state == "receiving", Series.priority, Series.due_at),
            "delivery": (DeliveryOrder.state == "pending", DeliveryOrder.priority, DeliveryOrder.next_at),
        }
        counts: dict[tuple[Work, Priority], int] = {}
        with self._transactions.read() as session:
            for work, (waiting, of, at) in questions.items():
                for priority in (LIVE, LATER):
                    statement = select(func.count()).where(waiting, of == priority, at <= now)
                    counts[work, priority] = session.scalars(statement).one()
        return counts

    def undelivered_since(self) -> dict[str, datetime]:
        """By destination since when the oldest report waits that it has not accepted, however often it was tried."""
        waiting = (
            select(DeliveryOrder.destination, func.min(DeliveryOrder.created_at))
            .where(DeliveryOrder.state.in_(("pending", "sending", "committing")))
            .group_by(DeliveryOrder.destination)
        )
        with self._transactions.read() as session:
            return dict(session.execute(waiting).all())
