"""The part of the ledger that says whose turn it is: one process of many at a time, or so many times a minute."""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Update, select, update
from sqlalchemy.orm import Session

from dicom_node.ledger.models import Turn
from dicom_node.ledger.part import LedgerPart, insert_new

BURST_S: Final = 5.0  # what was not used of a pace in so many seconds may be used at once
_AWAY: Final = "away"  # owner of the turn of what failed when it was last tried
_NEW_TURN: Final = insert_new(Turn, Turn.name)


class Turns(LedgerPart):
    """Turns are leased like everything else: whoever is lost loses them when the lease runs out."""

    def take_turn(self, name: str, *, owner: str, now: datetime, lease_s: float) -> bool:
        """Take or keep a turn that is free or one's own; False if somebody else has it."""
        with self._transactions.write() as session:
            row = _locked(session, name, now)
            if row.owner != owner and row.until > now:
                return False
            row.owner, row.until = owner, now + timedelta(seconds=lease_s)
            return True

    def give_up_turn(self, name: str, *, owner: str, now: datetime) -> None:
        """Let somebody else have it at once; harmless if it is somebody else's."""
        mine = update(Turn).where(Turn.name == name, Turn.owner == owner)
        with self._transactions.write() as session:
            session.execute(mine.values(owner=None, until=now))


def paced_room(session: Session, name: str, now: datetime, every_s: float) -> int:
    """How often `take_paced` can succeed by now."""
    until = session.scalars(select(Turn.until).where(Turn.name == name)).one_or_none()
    if until is None:
        return 1
    since_s = (now - max(until, now - timedelta(seconds=BURST_S))).total_seconds()
    return 0 if since_s < 0 else int(since_s / every_s) + 1


def take_paced(session: Session, name: str, now: datetime, every_s: float) -> bool:
    """Take a turn that may be taken once in `every_s` seconds on average; False if it is too early."""
    row = _locked(session, name, now)
    if row.until > now:
        return False
    row.until = max(row.until, now - timedelta(seconds=BURST_S)) + timedelta(seconds=every_s)
    return True


def mark_away(session: Session, name: str, now: datetime) -> None:
    """It failed: until it does not, it is tried by one at a time."""
    row = _locked(session, name, now)
    row.owner, row.until = _AWAY, now


def mark_back(session: Session, name: str) -> None:
    """It did not fail: it may be tried by any number at once."""
    session.execute(_away(name).values(owner=None))


def keep_probe(session: Session, name: str, until: datetime) -> None:
    """Nobody else tries what is away until then; nothing where it is not."""
    session.execute(_away(name).values(until=until))


def probe_from(session: Session, name: str, *, locked: bool = False) -> datetime | None:
    """From when what is away may be tried, `locked` until the transaction ends; None if it is not away."""
    statement = select(Turn.until).where(Turn.name == name, Turn.owner == _AWAY)
    return session.scalars(statement.with_for_update() if locked else statement).one_or_none()


def _away(name: str) -> Update:
    return update(Turn).where(Turn.name == name, Turn.owner == _AWAY)


def _locked(session: Session, name: str, now: datetime) -> Turn:
    values: dict[str, Any] = {"name": name, "owner": None, "until": now}
    session.execute(_NEW_TURN[session.get_bind().dialect.name], values)
    return session.scalars(select(Turn).where(Turn.name == name).with_for_update()).one()
