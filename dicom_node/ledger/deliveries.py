"""The part of the ledger that knows which report still has to get where."""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from dicom_node.ledger.lifecycle import transition
from dicom_node.ledger.models import CommitmentAsk, DeliveryOrder, Reading, Series
from dicom_node.ledger.part import LedgerPart, filled, locked
from dicom_node.ledger.records import LIVE, Delivery, Priority, ReportRow
from dicom_node.ledger.turns import keep_probe, mark_away, mark_back, paced_room, probe_from, take_paced
from inference.identifiers import SeriesInstanceUid, SopInstanceUid

_PACE: Final = "deliver to "  # with the name of a destination: its turn
_PROBE: Final = "probe "  # with the name of a destination whose last attempt failed: the turn to try it
_OPEN = DeliveryOrder.state.in_(("pending", "sending", "committing"))


class Deliveries(LedgerPart):
    """Deliveries are leased like readings: `next_at` is the next attempt while pending, the end of the lease after."""

    def due_deliveries(self, now: datetime, limit: int, *, priority: Priority = LIVE) -> list[int]:
        """Deliveries of a priority to be tried, the longest due of each destination first and then the next of each.

        To a destination with a pace only as many as it gets by now, to one that is away one as a probe, and what can
        wait only while nothing live is due to them. So no destination keeps the others waiting.
        """
        waiting = select(DeliveryOrder.destination).where(_OPEN, DeliveryOrder.priority == priority).distinct()
        found: list[tuple[int, datetime, int]] = []
        with self._transactions.read() as session:
            for name in session.scalars(waiting.where(DeliveryOrder.next_at <= now)).all():
                room, there = self._room(session, name, now), DeliveryOrder.destination == name
                if room is None or priority == LIVE or not _due(session, now, 1, LIVE, there):
                    due = _due(session, now, limit if room is None else min(limit, room), priority, there)
                    found += [(place, at, key) for place, (key, at) in enumerate(due)]
        return [key for _, _, key in sorted(found)[:limit]]

    def due_deliveries_of(self, series_uid: SeriesInstanceUid, now: datetime) -> list[tuple[int, Priority]]:
        """Deliveries of a series that are due, with their priority; of what its readers before made, too."""
        due = select(DeliveryOrder.id, DeliveryOrder.priority).join(Reading, Reading.id == DeliveryOrder.reading_id)
        due = due.join(Series, Series.id == Reading.series_id).where(Series.series_uid == series_uid, _OPEN)
        with self._transactions.read() as session:
            rows = session.execute(due.where(DeliveryOrder.next_at <= now).order_by(DeliveryOrder.id))
            return [(key, priority) for key, priority in rows]

    def claim_delivery(self, delivery_id: int, *, owner: str, now: datetime, lease_s: float) -> Delivery | None:
        """Lease a delivery that is due; None if somebody else has it, it is not due, there is no such delivery, its
        destination had its share for now, whoever sent it, or it is away and somebody is trying it."""
        due = select(DeliveryOrder).where(DeliveryOrder.id == delivery_id, _OPEN, DeliveryOrder.next_at <= now)
        with self._transactions.write() as session:
            row = session.scalars(due.with_for_update(skip_locked=True)).one_or_none()
            if row is None:
                return None
            probe, until = _PROBE + row.destination, now + timedelta(seconds=lease_s)
            away_until = probe_from(session, probe, locked=True)
            if away_until is not None and away_until > now:
                return None
            every_s = self._pace_s.get(row.destination)
            if every_s is not None and not take_paced(session, _PACE + row.destination, now, every_s):
                return None
            keep_probe(session, probe, until)
            row.state, row.lease_owner, row.next_at = "sending", owner, until
            row.attempts, row.token = row.attempts + 1, row.token + 1
            return _delivery(session, row, owner)

    def renew_delivery(self, delivery: Delivery, *, now: datetime, lease_s: float) -> bool:
        """Lengthen the lease of a delivery that takes long; False if somebody else has it by now."""
        until = now + timedelta(seconds=lease_s)
        statement = (
            update(DeliveryOrder)
            .where(DeliveryOrder.id == delivery.id, DeliveryOrder.state == "sending")
            .where(DeliveryOrder.token == delivery.token)
            .values(next_at=until)
            .returning(DeliveryOrder.id)
        )
        with self._transactions.write() as session:
            if session.execute(statement).one_or_none() is None:
                return False
            keep_probe(session, _PROBE + delivery.destination, until)
            return True

    def delivered(self, delivery: Delivery, *, now: datetime) -> bool:
        """The destination has the report; its series is answered once nothing of its reading is left to deliver.

        False if the lease was lost.
        """
        with self._transactions.write() as session:
            series = locked(session, delivery.source_series_uid)  # before the delivery, as `finish` does
            row = _held(session, delivery)
            if series is None or row is None:
                return False
            mark_back(session, _PROBE + row.destination)
            _delivered(session, series, row, now)
            return True

    def delivery_failed(self, delivery: Delivery, reason: str, *, now: datetime, retry_at: datetime | None) -> bool:
        """The attempt failed: due again at `retry_at`, or dead with `reason` if that is None.

        False if the lease was lost.
        """
        with self._transactions.write() as session:
            row = _held(session, delivery)
            if row is None:
                return False
            row.state, row.lease_owner, row.reason = "pending", None, reason
            row.next_at = None if retry_at is None else max(retry_at, now)
            if retry_at is None:  # which says something of the report, and nothing of the destination
                row.state = "dead"
                keep_probe(session, _PROBE + row.destination, now)
            else:
                mark_away(session, _PROBE + row.destination, now)
            return True

    def asking(self, delivery: Delivery, transaction_uid: str, *, now: datetime) -> bool:
        """The destination has the report and is about to be asked to commit to it; False if the lease was lost."""
        with self._transactions.write() as session:
            row = _held(session, delivery)
            if row is None:
                return False
            row.stored = True
            session.add(CommitmentAsk(transaction_uid=transaction_uid, delivery_id=row.id, asked_at=now))
            return True

    def asked(self, delivery: Delivery, *, answer_by: datetime) -> bool:
        """The destination took the question: due again at `answer_by` unless it answers before.

        False if the lease was lost, as to an answer that came already.
        """
        with self._transactions.write() as session:
            row = _held(session, delivery)
            if row is None:
                return False
            row.state, row.lease_owner, row.next_at, row.reason = "committing", None, answer_by, None
            row.asks += 1
            mark_back(session, _PROBE + row.destination)
            return True

    def committed(
        self,
        transaction_uid: str,
        *,
        uids: Collection[str],
        reason: str | None,
        now: datetime,
        pause_s: Callable[[int], float],
    ) -> bool:
        """A destination answered: it commits to `uids`, or not to all for a reason, and is sent them again.

        `pause_s` says after how many seconds, by how often it was asked (from 1).

        False if the transaction is none of ours. An answer to an earlier question counts like one to the last.
        """
        asked = select(DeliveryOrder.id, Series.series_uid, Reading.report_uid).select_from(CommitmentAsk)
        asked = asked.join(DeliveryOrder, DeliveryOrder.id == CommitmentAsk.delivery_id)
        asked = asked.join(Reading, Reading.id == DeliveryOrder.reading_id).join(Series, Series.id == Reading.series_id)
        with self._transactions.write() as session:
            found = session.execute(asked.where(CommitmentAsk.transaction_uid == transaction_uid)).one_or_none()
            if found is None:
                return False
            series = locked(session, SeriesInstanceUid(found[1]))  # before the delivery, as `finish` does
            row = session.scalars(
                select(DeliveryOrder).where(DeliveryOrder.id == found[0]).with_for_update()
            ).one_or_none()
            if series is None or row is None or row.state == "delivered":
                return True
            row.token += 1  # whoever waits for the answer to the question is not asked any more
            row.asks += row.state == "sending"  # it answered before `asked`
            if reason is None and found[2] in uids:
                _delivered(session, series, row, now)
            elif row.state != "dead":
                row.state, row.lease_owner, row.stored = "pending", None, False
                row.next_at = now + timedelta(seconds=pause_s(max(1, row.asks)))
                row.reason = reason or "the peer's commitment does not name the report"
            return True

    def revive_deliveries(self, *, now: datetime, destination: str | None = None) -> int:
        """Make dead deliveries (to `destination`, or all) due again; how many there were."""
        dead = update(DeliveryOrder).where(DeliveryOrder.state == "dead")
        if destination is not None:
            dead = dead.where(DeliveryOrder.destination == destination)
        with self._transactions.write() as session:
            fresh = {"state": "pending", "attempts": 0, "asks": 0, "stored": False, "next_at": now}
            revived = dead.values(**fresh).returning(DeliveryOrder.id)
            return len(session.execute(revived).all())

    def _room(self, session: Session, name: str, now: datetime) -> int | None:
        """How many deliveries a destination may be sent now; None: any number."""
        every_s, away_until = self._pace_s.get(name), probe_from(session, _PROBE + name)
        room = None if every_s is None else paced_room(session, _PACE + name, now, every_s)
        if away_until is None:
            return room
        return 0 if away_until > now or room == 0 else 1


def _due(
    session: Session, now: datetime, limit: int, priority: Priority, where: ColumnElement[bool]
) -> list[tuple[int, datetime]]:
    due = select(DeliveryOrder.id, DeliveryOrder.next_at).where(_OPEN, DeliveryOrder.priority == priority, where)
    rows = session.execute(due.where(DeliveryOrder.next_at <= now).order_by(DeliveryOrder.next_at).limit(limit))
    return [(key, at or now) for key, at in rows]


def _delivered(session: Session, series: Series, row: DeliveryOrder, now: datetime) -> None:
    row.state, row.lease_owner, row.next_at, row.reason = "delivered", None, None, None
    row.delivered_at = now
    session.flush()
    if series.state == "read" and series.reading_id == row.reading_id and not _owed(session, row.reading_id):
        series.state = transition(series.state, "delivered-all")


def _held(session: Session, delivery: Delivery) -> DeliveryOrder | None:
    statement = select(DeliveryOrder).where(
        DeliveryOrder.id == delivery.id, DeliveryOrder.state == "sending", DeliveryOrder.token == delivery.token
    )
    return session.scalars(statement.with_for_update()).one_or_none()


def _owed(session: Session, reading_id: int) -> bool:
    owed = select(DeliveryOrder.id).where(DeliveryOrder.reading_id == reading_id, DeliveryOrder.state != "delivered")
    return session.scalars(owed.limit(1)).one_or_none() is not None


def _delivery(session: Session, row: DeliveryOrder, owner: str) -> Delivery:
    found = select(Reading, Series.series_uid).join(Series, Series.id == Reading.series_id)
    reading, series_uid = session.execute(found.where(Reading.id == row.reading_id)).one()
    return Delivery(
        id=row.id,
        source_series_uid=SeriesInstanceUid(series_uid),
        report=report_row(reading),
        destination=row.destination,
        attempt=row.attempts,
        created_at=row.created_at,
        owner=owner,
        token=row.token,
        lease_until=filled(row.next_at),
        stored=bool(row.stored),
        asks=row.asks,
        reason=row.reason,
    )


def report_row(reading: Reading) -> ReportRow:
    """The report of a reading that has one."""
    return ReportRow(
        sop_instance_uid=SopInstanceUid(filled(reading.report_uid)),
        sop_class_uid=filled(reading.report_class_uid),
        series_instance_uid=SeriesInstanceUid(filled(reading.report_series_uid)),
    )
