"""The way of an instance into the node, whoever brings it: identified, whole in the spool, known to the ledger."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from dicom_node.errors import CannotUnderstandError, NodeError, RefusedInstanceError, SopClassMismatchError
from dicom_node.ledger.records import LIVE, Priority, ReceivedInstance
from dicom_node.logs import request_of
from dicom_node.receive.part10 import Identity, identify
from dicom_node.receive.quarantine import Quarantine, StoreRequest
from dicom_node.receive.spool import EncodedInstance, Spool, StoredInstance
from inference.identifiers import SeriesInstanceUid, is_uid

log = logging.getLogger(__name__)


class ArrivalLedger(Protocol):
    """The part of the ledger that the intake writes."""

    def record_instance(self, instance: ReceivedInstance, *, now: datetime, due_at: datetime) -> bool:
        """Take in an instance that is whole in the spool; False where another series has its UID."""
        ...

    def release(self, series: Iterable[SeriesInstanceUid], *, due_at: datetime) -> None:
        """Make series due sooner, never later."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class QuietTimes:
    """How long a series must be quiet before it is read."""

    quiet_s: float
    quiet_after_release_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """An instance that was taken in."""

    series_instance_uid: SeriesInstanceUid
    stored: StoredInstance


class Intake:
    """Takes instances in, from any thread."""

    def __init__(
        self,
        *,
        ledger: ArrivalLedger,
        spool: Spool,
        quarantine: Quarantine,
        quiet: QuietTimes,
        clock: Callable[[], datetime],
        priority: Priority = LIVE,
    ) -> None:
        """`priority` is that of the series that come this way."""
        self._ledger, self._spool, self._quarantine = ledger, spool, quarantine
        self._quiet, self._clock = quiet, clock
        self._priority: Priority = priority

    def take(self, request: StoreRequest) -> Taken:
        """Store what `request` brings; once this returns it is safe, and its series will be read.

        Raises a RefusedInstanceError for what is not what it says or cannot be understood, after putting it into
        quarantine, and an OutOfResourcesError where it could not be kept at all.
        """
        try:
            identity = _checked(request)
        except RefusedInstanceError as error:
            self._keep(request, error)
            raise
        return self._store(identity, request)

    def take_file(self, content: bytes) -> Taken:
        """Store what a Part 10 file brings (PS3.10 7.1), as `take` does; what is refused is in quarantine too."""
        try:
            request = StoreRequest.of_file(content)
        except RefusedInstanceError as error:
            self._keep(StoreRequest.of_refused_file(content), error)
            raise
        return self.take(request)

    def released(self, series: Iterable[SeriesInstanceUid]) -> None:
        """Nobody has an association open any more that sent some of these series."""
        series = list(series)
        for uid in series:
            with request_of(uid):
                log.info("series sent", extra={"series_uid": uid})
        self._ledger.release(series, due_at=self._clock() + timedelta(seconds=self._quiet.quiet_after_release_s))

    def replay(self) -> tuple[int, int]:
        """Try everything in quarantine again; how much was taken in, and how much stays there as it is."""
        taken = kept = 0
        for entry in self._quarantine.entries():
            try:
                identity = _checked(entry.request)
            except RefusedInstanceError:  # kept again it would look as if it had been refused now
                kept += 1
            else:
                self._store(identity, entry.request)
                self._quarantine.remove(entry)
                taken += 1
        return taken, kept

    def _store(self, identity: Identity, request: StoreRequest) -> Taken:
        stored = self._spool.store(
            EncodedInstance(
                series_instance_uid=identity.series_instance_uid,
                sop_instance_uid=identity.sop_instance_uid,
                sop_class_uid=identity.sop_class_uid,
                transfer_syntax_uid=request.transfer_syntax_uid,
                data_set=request.data_set,
                sending_aet=request.calling_aet,
            )
        )
        # The first one stays the one that is read, so the ledger has nothing to learn of a conflict.
        if stored.arrival != "conflict" and not self._record(identity, request):
            self._spool.set_aside(identity.series_instance_uid, identity.sop_instance_uid)
            aside = self._spool.conflict_path(identity.sop_instance_uid, request.data_set)
            stored = StoredInstance(name=str(aside), arrival="conflict")
        if stored.arrival == "conflict":
            log.warning("another data set has this UID", extra={"sop_instance_uid": identity.sop_instance_uid})
        elif not stored.exists():  # retention took its series away between the two: once more
            return self._store(identity, request)
        return Taken(series_instance_uid=identity.series_instance_uid, stored=stored)

    def _record(self, identity: Identity, request: StoreRequest) -> bool:
        now = self._clock()
        instance = ReceivedInstance(
            study_instance_uid=identity.study_instance_uid,
            series_instance_uid=identity.series_instance_uid,
            sop_instance_uid=identity.sop_instance_uid,
            sop_class_uid=identity.sop_class_uid,
            modality=identity.modality,
            calling_aet=request.calling_aet,
            size_bytes=len(request.data_set),
            priority=self._priority,
        )
        return self._ledger.record_instance(instance, now=now, due_at=now + timedelta(seconds=self._quiet.quiet_s))

    def _keep(self, request: StoreRequest, error: NodeError) -> None:
        self._spool.check_room(len(request.data_set))
        self._quarantine.keep(request, reason=str(error), status=error.status or 0, now=self._clock())


def _checked(request: StoreRequest) -> Identity:
    if not is_uid(request.sop_class_uid) or not is_uid(request.sop_instance_uid):
        raise CannotUnderstandError("the request names a SOP class or instance that is not a UID (PS3.5 9.1)")
    identity = identify(request.data_set, request.transfer_syntax_uid)
    if identity.sop_class_uid != request.sop_class_uid:
        raise SopClassMismatchError(
            f"SOP Class UID (0008,0016) is {identity.sop_class_uid}; the request says {request.sop_class_uid}"
        )
    if identity.sop_instance_uid != request.sop_instance_uid:
        raise SopClassMismatchError(
            f"SOP Instance UID (0008,0018) is {identity.sop_instance_uid}; the request says {request.sop_instance_uid}"
        )
    return identity
