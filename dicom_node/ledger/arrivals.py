"""The part of the ledger that the receiving side writes: which instances there are and when their series is due."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Executable,
    Integer,
    Table,
    and_,
    bindparam,
    case,
    delete,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from dicom_node.ledger.lifecycle import INITIAL, transition
from dicom_node.ledger.models import Instance, Series
from dicom_node.ledger.part import LedgerPart
from dicom_node.ledger.records import ReceivedInstance, SeriesState
from inference.identifiers import SeriesInstanceUid, SopInstanceUid

# Tables instead of classes, and built once: this is done for every instance, and SQLAlchemy would compile an insert of
# a class anew each time, which costs more than running it.
_SERIES: Final = cast("Table", Series.__table__)
_INSTANCES: Final = cast("Table", Instance.__table__)


def _insert_new(table: Table, *returned: Column[Any]) -> Mapping[str, Executable]:
    # Both databases have the statement, each in its own dialect of SQLAlchemy.
    made = {
        "sqlite": sqlite.insert(table).on_conflict_do_nothing(),
        "postgresql": postgresql.insert(table).on_conflict_do_nothing(),
    }
    return {name: statement.returning(*returned) if returned else statement for name, statement in made.items()}


_FIND: Final = select(_SERIES.c.id, _SERIES.c.state).where(_SERIES.c.series_uid == bindparam("uid")).with_for_update()
_HELD: Final = select(_INSTANCES.c.sop_uid, _INSTANCES.c.series_id).where(
    _INSTANCES.c.sop_uid.in_(bindparam("uids", expanding=True))
)
_NEW_SERIES: Final = _insert_new(_SERIES)
_NEW_INSTANCES: Final = _insert_new(_INSTANCES, _INSTANCES.c.sop_uid)
_FORGET: Final = delete(_SERIES).where(_SERIES.c.id == bindparam("found"), _SERIES.c.instances == 0)
_WAIT: Final = update(_SERIES).where(_SERIES.c.id == bindparam("found")).values(due_at=bindparam("due"))
_AGAIN: Final = update(_SERIES).where(_SERIES.c.id == bindparam("found")).values(last_at=bindparam("seen"))
_WAIT_AGAIN: Final = _WAIT.values(last_at=bindparam("seen"))
_MORE: Final = _SERIES.c.instances + bindparam("count", type_=Integer)
_SEEN: Final = _WAIT.values(state=bindparam("after"), instances=_MORE, last_at=bindparam("seen"))
_GIVEN: Final = bindparam("urgency", type_=Integer)
_URGENT: Final = case((_SERIES.c.priority > _GIVEN, _GIVEN), else_=_SERIES.c.priority)
_TAKE: Final = _SEEN.values(priority=_URGENT)
_TAKE_AFRESH: Final = _SEEN.values(attempts=0, reason=None, priority=_GIVEN)
_AT_ONCE: Final = 500  # instances that a statement names: databases bound its parameters


class Arrivals(LedgerPart):
    """Instances come in; their series becomes due when it has been quiet."""

    def record_instance(self, instance: ReceivedInstance, *, now: datetime, due_at: datetime) -> bool:
        """Take in an instance that is whole in the spool; recording it again only keeps its series waiting, and young.

        A series that comes again is not to be removed as old meanwhile: whoever is answered for an instance of it has
        it in the spool. It is not due for that. A series that was read, answered or quarantined is received again if
        the instance is new to it. False, and nothing is taken in, where another series has an instance of this UID.
        """
        return not self.record_instances((instance,), now=now, due_at=due_at)

    def record_instances(
        self, instances: Iterable[ReceivedInstance], *, now: datetime, due_at: datetime, sent: bool = True
    ) -> list[ReceivedInstance]:
        """The same for many instances in one transaction; those that are not taken in.

        Not `sent`: they were found in the spool, which says nothing of a series that has all of them.
        """
        first: dict[SopInstanceUid, ReceivedInstance] = {}
        strange: list[ReceivedInstance] = []
        for instance in instances:
            known = first.setdefault(instance.sop_instance_uid, instance)
            if known.series_instance_uid != instance.series_instance_uid:
                strange.append(instance)
        with self._transactions.write() as session:
            return strange + _record(session.connection(), list(first.values()), now, due_at, sent=sent)

    def release(self, series: Iterable[SeriesInstanceUid], *, due_at: datetime) -> None:
        """Nobody is sending these series any more: they are due sooner, never later."""
        self._put_off(series, Series.due_at > due_at, due_at)

    def hold(self, series: Iterable[SeriesInstanceUid], *, due_at: datetime) -> None:
        """More of these series may come: those that are being received are due later, never sooner."""
        self._put_off(series, and_(Series.state == "receiving", Series.due_at < due_at), due_at)

    def _put_off(self, series: Iterable[SeriesInstanceUid], where: ColumnElement[bool], due_at: datetime) -> None:
        ordered = sorted(series)
        if not ordered:
            return
        change = update(Series).where(where).values(due_at=due_at)
        with self._transactions.write() as session:
            for uid in ordered:  # one by one in the order of `_record`, so that two writers cannot lock each other
                session.execute(change.where(Series.series_uid == uid))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """The row of a series, locked."""

    id: int
    state: SeriesState
    made: bool  # by this transaction


def _record(
    connection: Connection, instances: Sequence[ReceivedInstance], now: datetime, due_at: datetime, *, sent: bool
) -> list[ReceivedInstance]:
    """Take in instances of different UIDs; those of UIDs that other series hold."""
    by_series: dict[SeriesInstanceUid, list[ReceivedInstance]] = {}
    for instance in instances:
        by_series.setdefault(instance.series_instance_uid, []).append(instance)
    # In one order, so that two writers cannot lock each other.
    rows = {uid: _found(connection, some[0], now, due_at) for uid, some in sorted(by_series.items())}
    held = _held(connection, instances)
    new = [instance for instance in instances if instance.sop_instance_uid not in held]
    inserted = _inserted(connection, new, rows, now)
    for uid, some in by_series.items():
        row, fresh = rows[uid], [one for one in some if one.sop_instance_uid in inserted]
        if fresh:
            _take(connection, row, fresh, now, due_at)
        elif all(held.get(one.sop_instance_uid) != row.id for one in some):
            if row.made:
                connection.execute(_FORGET, {"found": row.id})
        elif sent and row.state == "receiving":  # its sender began again after a break: the rest is still to come
            connection.execute(_WAIT_AGAIN, {"found": row.id, "due": due_at, "seen": now})
        elif sent:
            connection.execute(_AGAIN, {"found": row.id, "seen": now})
    return [
        one
        for one in instances
        if one.sop_instance_uid not in inserted and held.get(one.sop_instance_uid) != rows[one.series_instance_uid].id
    ]


def _found(connection: Connection, instance: ReceivedInstance, now: datetime, due_at: datetime) -> _Row:
    uid = {"uid": instance.series_instance_uid}
    row = connection.execute(_FIND, uid).one_or_none()
    if row is not None:
        return _Row(id=row.id, state=row.state, made=False)
    # Another connection may insert it at the same moment: the row is the same for both.
    connection.execute(_NEW_SERIES[connection.dialect.name], _first(instance, now, due_at))
    row = connection.execute(_FIND, uid).one()
    return _Row(id=row.id, state=row.state, made=True)


def _held(connection: Connection, instances: Sequence[ReceivedInstance]) -> dict[str, int]:
    """Which series has an instance of the same UID, by that."""
    uids = [instance.sop_instance_uid for instance in instances]
    found: dict[str, int] = {}
    for begin in range(0, len(uids), _AT_ONCE):
        rows = connection.execute(_HELD, {"uids": uids[begin : begin + _AT_ONCE]})
        found.update((row.sop_uid, row.series_id) for row in rows)
    return found


def _inserted(
    connection: Connection, new: Sequence[ReceivedInstance], rows: Mapping[SeriesInstanceUid, _Row], now: datetime
) -> set[str]:
    """Insert instances; the UIDs of those that are in now, since another connection may have been faster."""
    if not new:
        return set()
    ordered = sorted(new, key=lambda instance: instance.sop_instance_uid)  # as series are, for the same reason
    values = [_values(instance, rows[instance.series_instance_uid].id, now) for instance in ordered]
    return set(connection.execute(_NEW_INSTANCES[connection.dialect.name], values).scalars())


def _take(
    connection: Connection, row: _Row, fresh: Sequence[ReceivedInstance], now: datetime, due_at: datetime
) -> None:
    """Have a series wait for more, now that it has new instances."""
    after = transition(row.state, "instance")
    statement = _TAKE if after == row.state else _TAKE_AFRESH
    urgency = min(instance.priority for instance in fresh)
    values = {"found": row.id, "due": due_at, "after": after, "seen": now, "urgency": urgency}
    connection.execute(statement, {**values, "count": len(fresh)})


def _first(instance: ReceivedInstance, now: datetime, due_at: datetime) -> dict[str, object]:
    return {
        "study_uid": instance.study_instance_uid,
        "series_uid": instance.series_instance_uid,
        "modality": instance.modality,
        "state": INITIAL,
        "instances": 0,
        "first_at": now,
        "last_at": now,
        "due_at": due_at,
        "token": 0,
        "attempts": 0,
        "priority": instance.priority,
    }


def _values(instance: ReceivedInstance, series_id: int, now: datetime) -> dict[str, object]:
    return {
        "series_id": series_id,
        "sop_uid": instance.sop_instance_uid,
        "sop_class_uid": instance.sop_class_uid,
        "calling_aet": instance.calling_aet,
        "size_bytes": instance.size_bytes,
        "received_at": now,
    }
