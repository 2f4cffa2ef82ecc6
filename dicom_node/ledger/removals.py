"""The part of the ledger that lets instances go."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import delete, select

from dicom_node.ledger.lifecycle import transition
from dicom_node.ledger.models import Instance, Series
from dicom_node.ledger.part import LedgerPart, locked
from dicom_node.ledger.queries import first_key
from inference.identifiers import SeriesInstanceUid


class Removals(LedgerPart):
    """Answered series lose their instances and keep what was read of them."""

    def removable(self, before: datetime, *, limit: int) -> list[SeriesInstanceUid]:
        """At most `limit` answered series without an instance since `before`, the oldest first."""
        with self._transactions.read() as session:
            old = select(Series.series_uid).where(Series.state == "answered", Series.id < first_key(session, before))
            rows = session.scalars(old.where(Series.last_at < before).order_by(Series.id).limit(limit))
            return [SeriesInstanceUid(uid) for uid in rows]

    def remove(self, series: SeriesInstanceUid, *, before: datetime, take_out: Callable[[], None]) -> int | None:
        """Forget the instances of a series and take its files out; how many there were, None if it is not removable.

        `take_out` runs while nobody else can enter an instance of the series, and must be quick. If the process ends
        between the two, the series is still answered, and removing it again does the rest.
        """
        with self._transactions.write() as session:
            row = locked(session, series)
            if row is None or row.state != "answered" or row.last_at >= before:
                return None
            take_out()
            session.execute(delete(Instance).where(Instance.series_id == row.id))
            count, row.instances = row.instances, 0
            row.state = transition(row.state, "removed")
            return count

    def take_out_removed(self, series: SeriesInstanceUid, take_out: Callable[[], None]) -> bool:
        """Take out the files of a series that is removed already, as by another node; False if it is not removed."""
        with self._transactions.write() as session:
            row = locked(session, series)
            if row is None or row.state != "removed":
                return False
            take_out()
            return True
