"""The part of the ledger that the receiving side writes: which instances there are and when their series is due."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final, cast

from sqlalchemy import Connection, Executable, Integer, Table, bindparam, case, select, update
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


def _insert_new(table: Table) -> Mapping[str, Executable]:
    # Both databases have the statement, each in its own dialect of SQLAlchemy.
    return MappingProxyType(
        {
            "sqlite": sqlite.insert(table).on_conflict_do_nothing(),
            "postgresql": postgresql.insert(table).on_conflict_do_nothing(),
        }
    )


_FIND: Final = select(_SERIES.c.id, _SERIES.c.state).where(_SERIES.c.series_uid == bindparam("uid")).with_for_update()
_KNOWN: Final = select(_INSTANCES.c.sop_uid).where(
    _INSTANCES.c.series_id == bindparam("found"), _INSTANCES.c.sop_uid.in_(bindparam("uids", expanding=True))
)
_NEW_SERIES: Final = _insert_new(_SERIES)
_NEW_INSTANCES: Final = _insert_new(_INSTANCES)
_WAIT: Final = update(_SERIES).where(_SERIES.c.id == bindparam("found")).values(due_at=bindparam("due"))
_MORE: Final = _SERIES.c.instances + bindparam("count", type_=Integer)
_SEEN: Final = _WAIT.values(state=bindparam("after"), instances=_MORE, last_at=bindparam("seen"))
_GIVEN: Final = bindparam("urgency", type_=Integer)
_URGENT: Final = case((_SERIES.c.priority > _GIVEN, _GIVEN), else_=_SERIES.c.priority)
_TAKE: Final = _SEEN.values(priority=_URGENT)
_TAKE_AFRESH: Final = _SEEN.values(attempts=0, reason=None, priority=_GIVEN)
_AT_ONCE: Final = 500  # instances that a statement names: databases bound its parameters


class Arrivals(LedgerPart):
    """Instances come in; their series becomes due when it has been quiet."""

    def record_instance(self, instance: ReceivedInstance, *, now: datetime, due_at: datetime) -> None:
        """Take in an instance that is whole in the spool; recording it again only keeps its series waiting.

        A series that was read, answered or quarantined is received again if the instance is new to it.
        """
        self.record_instances((instance,), now=now, due_at=due_at)

    def record_instances(self, instances: Iterable[ReceivedInstance], *, now: datetime, due_at: datetime) -> None:
        """The same for many instances in one transaction."""
        by_series: dict[SeriesInstanceUid, dict[SopInstanceUid, ReceivedInstance]] = {}
        for instance in instances:
            by_series.setdefault(instance.series_instance_uid, {}).setdefault(instance.sop_instance_uid, instance)
        with self._transactions.write() as session:
            connection = session.connection()
            for _, received in sorted(by_series.items()):  # in one order, so that two writers cannot lock each other
                _record(connection, received, now, due_at)

    def release(self, series: Iterable[SeriesInstanceUid], *, due_at: datetime) -> None:
        """Nobody is sending these series any more: they are due sooner, never later."""
        uids = list(series)
        if not uids:
            return
        with self._transactions.write() as session:
            session.execute(
                update(Series).where(Series.series_uid.in_(uids), Series.due_at > due_at).values(due_at=due_at)
            )


def _record(
    connection: Connection, received: Mapping[SopInstanceUid, ReceivedInstance], now: datetime, due_at: datetime
) -> None:
    """Take in instances of one series."""
    some = next(iter(received.values()))
    series_id, state = _found(connection, some, now, due_at)
    known = _known(connection, series_id, list(received))
    new = [instance for uid, instance in received.items() if uid not in known]
    if new:
        connection.execute(
            _NEW_INSTANCES[connection.dialect.name], [_values(instance, series_id, now) for instance in new]
        )
        after = transition(state, "instance")
        statement = _TAKE if after == state else _TAKE_AFRESH
        urgency = min(instance.priority for instance in new)
        values = {"found": series_id, "due": due_at, "after": after, "seen": now, "urgency": urgency}
        connection.execute(statement, {**values, "count": len(new)})
    elif state == "receiving":  # its sender began again after a break: the rest is still to come
        connection.execute(_WAIT, {"found": series_id, "due": due_at})


def _found(
    connection: Connection, instance: ReceivedInstance, now: datetime, due_at: datetime
) -> tuple[int, SeriesState]:
    uid = {"uid": instance.series_instance_uid}
    row = connection.execute(_FIND, uid).one_or_none()
    if row is None:  # another connection may insert it at the same moment: the row is the same for both
        connection.execute(_NEW_SERIES[connection.dialect.name], _first(instance, now, due_at))
        row = connection.execute(_FIND, uid).one()
    return row.id, row.state


def _known(connection: Connection, series_id: int, uids: list[SopInstanceUid]) -> set[str]:
    """Those of `uids` that the series has; nobody adds to it, since its row is locked."""
    found: set[str] = set()
    for begin in range(0, len(uids), _AT_ONCE):
        some = uids[begin : begin + _AT_ONCE]
        found.update(connection.execute(_KNOWN, {"found": series_id, "uids": some}).scalars())
    return found


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
