"""The part of the ledger that counts by scanner, week and reader, over a time that is asked for."""

from datetime import datetime

from sqlalchemy import func, select

from dicom_node.ledger.models import ScannerWeekCounts, Series
from dicom_node.ledger.part import LedgerPart, filled
from dicom_node.ledger.queries import first_key
from dicom_node.ledger.records import ReaderUse, ScannerWeek
from dicom_node.ledger.weeks import monday_of, week_of


class Statistics(LedgerPart):
    """How what came in was read."""

    def scanner_weeks(self, since: datetime) -> list[ScannerWeek]:
        """Series that were read, by scanner and week of their first instance, from the week of `since` on."""
        counts = (
            select(ScannerWeekCounts)
            .where(ScannerWeekCounts.week >= week_of(since), ScannerWeekCounts.series > 0)
            .order_by(ScannerWeekCounts.scanner, ScannerWeekCounts.week)
        )
        with self._transactions.read() as session:
            return [
                ScannerWeek(
                    scanner=row.scanner,
                    monday=monday_of(row.week).date(),
                    series=row.series,
                    flagged=row.flagged,
                    abstained=row.abstained,
                    gate_distance=row.distance_sum / row.measured if row.measured else None,
                )
                for row in session.scalars(counts)
            ]

    def reader_uses(self, since: datetime) -> list[ReaderUse]:
        """Which readers hold the series that came since, the last used first; as many rows are looked at."""
        newest = func.max(Series.last_at)
        statement = (
            select(Series.reader_digest, func.count(), func.min(Series.last_at), newest)
            .where(Series.reader_digest.is_not(None))
            .group_by(Series.reader_digest)
            .order_by(newest.desc())
        )
        with self._transactions.read() as session:
            rows = session.execute(statement.where(Series.id >= first_key(session, since)))
            return [
                ReaderUse(reader_digest=filled(digest), series=series, first_at=first, last_at=last)
                for digest, series, first, last in rows
            ]
