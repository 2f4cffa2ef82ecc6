"""What the parts of the ledger share: transactions, and the row of a series, locked."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import Engine, Executable, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicom_node.ledger.engine import Transactions
from dicom_node.ledger.models import Base, Instance, Series
from inference.identifiers import SeriesInstanceUid, SopInstanceUid

T = TypeVar("T")


class LedgerPart:
    """A part of the ledger; every public method is one transaction."""

    def __init__(
        self, engine: Engine, *, max_attempts: int = 5, pace_s: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        """`pace_s`: the seconds between two deliveries to a destination, on average; others have no limit."""
        self._transactions = Transactions(engine)
        self._max_attempts, self._pace_s = max_attempts, pace_s


def insert_new(model: type[Base], *returned: InstrumentedAttribute[Any]) -> Mapping[str, Executable]:
    """By dialect: insert a row unless it is there, and give back columns of the row that was inserted."""
    # Both databases have the statement, each in its own dialect of SQLAlchemy.
    dialects: dict[str, Executable] = {
        "sqlite": sqlite.insert(model).on_conflict_do_nothing().returning(*returned),
        "postgresql": postgresql.insert(model).on_conflict_do_nothing().returning(*returned),
    }
    return dialects


def locked(session: Session, series_uid: SeriesInstanceUid, *, wait: bool = True) -> Series | None:
    """The row of a series, held until the transaction ends; None if unknown or, without `wait`, held by another."""
    statement = select(Series).where(Series.series_uid == series_uid).with_for_update(skip_locked=not wait)
    return session.scalars(statement).one_or_none()


def instance_uids(session: Session, series: Series) -> tuple[SopInstanceUid, ...]:
    """The SOP Instance UIDs of a series, sorted as text (the databases would sort each in its own way)."""
    uids = session.scalars(select(Instance.sop_uid).where(Instance.series_id == series.id))
    return tuple(sorted(SopInstanceUid(uid) for uid in uids))


def filled(value: T | None) -> T:
    """The value of a column that is always filled in the state of its row."""
    if value is None:
        raise ValueError("a column of the ledger is empty that is always filled in the state of its row")
    return value
