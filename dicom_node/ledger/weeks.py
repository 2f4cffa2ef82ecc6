"""Counts by scanner and week, kept with every reading, so that a page asks for few rows among millions of series."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Executable
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from dicom_node.ledger.models import ScannerWeekCounts, Series

_FIRST_MONDAY: Final = datetime(1970, 1, 5, tzinfo=UTC)
_WEEK: Final = timedelta(weeks=1)
_COUNTS: Final = ("series", "flagged", "abstained", "measured", "distance_sum")


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What one series adds to the counts of its scanner and week."""

    scanner: str
    week: int
    flagged: bool
    abstained: bool
    gate_distance: float | None

    @property
    def counts(self) -> tuple[float, ...]:
        """In the order of the table's columns."""
        measured = self.gate_distance is not None
        return 1, int(self.flagged), int(self.abstained), int(measured), self.gate_distance or 0.0


def share(row: Series) -> Share | None:
    """What a series adds as it stands; None before it was read, and where its scanner is not known."""
    if row.scanner is None:
        return None
    return Share(
        scanner=row.scanner,
        week=week_of(row.first_at),
        flagged=bool(row.flagged),
        abstained=row.status == "abstained",
        gate_distance=row.gate_distance,
    )


def move(session: Session, before: Share | None, after: Share | None) -> None:
    """Take out what a series added before and put in what it adds now."""
    changes: dict[tuple[str, int], tuple[float, ...]] = {}
    for sign, one in ((-1, before), (1, after)):
        if one is not None:
            old = changes.get((one.scanner, one.week), (0.0,) * len(_COUNTS))
            changes[one.scanner, one.week] = tuple(
                count + sign * added for count, added in zip(old, one.counts, strict=True)
            )
    # In the order of their keys, so that no two transactions wait for each other.
    for (scanner, week), counts in sorted(changes.items()):
        if any(counts):
            row = {"scanner": scanner, "week": week, **dict(zip(_COUNTS, counts, strict=True))}
            session.execute(_ADD[session.get_bind().dialect.name], row)


def week_of(at: datetime) -> int:
    """The number of a time's week, which begins on Monday."""
    return (at - _FIRST_MONDAY) // _WEEK


def monday_of(week: int) -> datetime:
    """When a week begins."""
    return _FIRST_MONDAY + week * _WEEK


def _add() -> dict[str, Executable]:
    """By dialect: add to a row, which is made where it is not there."""
    table = ScannerWeekCounts.__table__
    statements: dict[str, Executable] = {}
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert)):
        statement = insert(ScannerWeekCounts)
        sums = {column: table.c[column] + statement.excluded[column] for column in _COUNTS}
        statements[name] = statement.on_conflict_do_update(index_elements=["scanner", "week"], set_=sums)
    return statements


_ADD: Final = _add()
