"""The part of the ledger that counts by scanner, week and reader, over a time that is asked for.

A question costs as much as there are series since that time, not as there are in the ledger.
"""

from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import BigInteger, case, func, select, type_coerce

from dicom_node.ledger.models import Series
from dicom_node.ledger.part import LedgerPart, filled
from dicom_node.ledger.queries import first_key
from dicom_node.ledger.records import ReaderUse, ScannerWeek

# Times are microseconds since a Thursday; weeks begin on Mondays.
_WEEK_US: Final = 7 * 24 * 3600 * 1_000_000
_MONDAY_US: Final = 4 * 24 * 3600 * 1_000_000
_FIRST_MONDAY: Final = date(1970, 1, 5)


class Statistics(LedgerPart):
    """How what came in was read."""

    def scanner_weeks(self, since: datetime) -> list[ScannerWeek]:
        """Series that were read, by scanner and week of their first instance, in this order."""
        week = ((type_coerce(Series.first_at, BigInteger) - _MONDAY_US) // _WEEK_US).label("week")
        statement = (
            select(
                Series.scanner,
                week,
                func.count(),
                func.sum(case((Series.flagged.is_(True), 1), else_=0)),
                func.sum(case((Series.status == "abstained", 1), else_=0)),
                func.avg(Series.gate_distance),
            )
            .where(Series.scanner.is_not(None))
            .group_by(Series.scanner, "week")
            .order_by(Series.scanner, "week")
        )
        with self._transactions.read() as session:
            rows = session.execute(statement.where(Series.id >= first_key(session, since)))
            return [
                ScannerWeek(
                    scanner=filled(scanner),
                    monday=_FIRST_MONDAY + timedelta(weeks=number),
                    series=series,
                    flagged=flagged,
                    abstained=abstained,
                    gate_distance=distance,
                )
                for scanner, number, series, flagged, abstained, distance in rows
            ]

    def reader_uses(self, since: datetime) -> list[ReaderUse]:
        """Which readers hold the series that came since, the last used first."""
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
