"""The part of the ledger that the receiving side writes: which instances there are and when their series is due."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Integer, bindparam, case, select, update

from dicom_node.ledger.lifecycle import INITIAL, transition
from dicom_node.ledger.models import Instance, Series
from dicom_node.ledger.part import LedgerPart, insert_new
from dicom_node.ledger.records import ReceivedInstance
from inference.identifiers import SeriesInstanceUid

# Built once: this is done for every instance, and building statements costs more than running them.
_FIND: Final = select(Series.id, Series.state).where(Series.series_uid == bindparam("uid")).with_for_update()
_NEW_SERIES: Final = insert_new(Series, Series.id)
_NEW_INSTANCE: Final = insert_new(Instance, Instance.series_id)
_WAIT: Final = update(Series).where(Series.id == bindparam("found")).values(due_at=bindparam("due"))
_SEEN: Final = _WAIT.values(state=bindparam("after"), instances=Series.instances + 1, last_at=bindparam("seen"))
_GIVEN: Final = bindparam("urgency", type_=Integer)
_URGENT: Final = case((Series.priority > _GIVEN, _GIVEN), else_=Series.priority)
_TAKE: Final = _SEEN.values(priority=_URGENT)
_TAKE_AFRESH: Final = _SEEN.values(attempts=0, reason=None, priority=_GIVEN)


class Arrivals(LedgerPart):
    """Instances come in; their series becomes due when it has been quiet."""

    def record_instance(self, instance: ReceivedInstance, *, now: datetime, due_at: datetime) -> None:
        """Take in an instance that is whole in the spool; recording it again only keeps its series waiting.

        A series that was read, answered or quarantined is received again if the instance is new to it.
        """
        self.record_instances((instance,), now=now, due_at=due_at)

    def record_instances(self, instances: Iterable[ReceivedInstance], *, now: datetime, due_at: datetime) -> None:
        """The same for many instances in one transaction."""
        with self._transactions.write() as session:
            for instance in instances:
                _record(session.connection(), instance, now, due_at)

    def release(self, series: Iterable[SeriesInstanceUid], *, due_at: datetime) -> None:
        """Nobody is sending these series any more: they are due sooner, never later."""
        uids = list(series)
        if not uids:
            return
        with self._transactions.write() as session:
            session.execute(
                update(Series).where(Series.series_uid.in_(uids), Series.due_at > due_at).values(due_at=due_at)
            )


def _record(connection: Connection, instance: ReceivedInstance, now: datetime, due_at: datetime) -> None:
    dialect, uid = connection.dialect.name, {"uid": instance.series_instance_uid}
    row = connection.execute(_FIND, uid).one_or_none()
    if row is None:  # another connection may insert it at the same moment: the row is the same for both
        connection.execute(_NEW_SERIES[dialect], _first(instance, now, due_at))
        row = connection.execute(_FIND, uid).one()
    series_id, state = row
    new = connection.execute(_NEW_INSTANCE[dialect], _values(instance, series_id, now)).one_or_none() is not None
    if new:
        after = transition(state, "instance")
        statement = _TAKE if after == state else _TAKE_AFRESH
        values = {"found": series_id, "due": due_at, "after": after, "seen": now, "urgency": instance.priority}
        connection.execute(statement, values)
    elif state == "receiving":  # its sender began again after a break: the rest is still to come
        connection.execute(_WAIT, {"found": series_id, "due": due_at})


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
