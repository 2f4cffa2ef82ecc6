"""Publishes what the spool of this node has of series that wait to be read, and brings their reports home.

The spool stays the truth: the object store holds copies, and what is not there yet is published by the next round,
also after a crash. Nothing is written down about it; what is there is what the store lists.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from dicom_node.errors import NodeError
from dicom_node.exchange.reports import get_report, put_report
from dicom_node.exchange.store import INSTANCES, NotPublishedError, ObjectStore, StoreError, UnreadableFileError
from dicom_node.ledger.records import LATER, LIVE, Priority
from dicom_node.ledger.store import Ledger
from dicom_node.ledger.sweeper import Due
from dicom_node.receive.spool import Spool
from dicom_node.rounds import Rounds
from inference.identifiers import SeriesInstanceUid, SopInstanceUid

log = logging.getLogger(__name__)

_BATCH: Final = 256  # series of a priority a round
_REPORTS: Final = 32  # deliveries a round, whose reports may be here alone
_LISTED_S: Final = 60.0  # for so long what the store listed is believed; another node may have removed it
_REMEMBERED: Final = 4096  # series
_IN_A_ROW: Final = 3  # series that the store did not take: it takes none
_MARGIN: Final = timedelta(minutes=5)  # between the clocks of workers, and a reading's end and its commit


@dataclass(frozen=True, kw_only=True, slots=True)
class PublisherPolicy:
    """Times of the publisher."""

    interval_s: float
    retry_s: float  # after the store was not reachable, or did not take a series
    ahead_s: float  # series that are due within this time are published as they come


@dataclass(frozen=True, slots=True)
class _Listed:
    names: frozenset[str]
    at_s: float


class Publisher:
    """A thread of the node from `start` to `stop`; `round` works without it too."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        spool: Spool,
        store: ObjectStore,
        policy: PublisherPolicy,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger, self._spool, self._store = ledger, spool, store
        self._policy, self._clock = policy, clock
        self._listed: dict[str, _Listed] = {}  # by folder of the series
        self._failed: dict[SeriesInstanceUid, float] = {}  # series that could not be published; when to try again
        self._reports_since = datetime.fromtimestamp(0, UTC)
        self._owed_after: int | None = 0  # the last delivery whose report was published; None once all are
        self._problem: str | None = None
        self._not_before_s = 0.0
        self._rounds = Rounds(self._round, name="publisher", interval_s=policy.interval_s)

    def start(self) -> None:
        """Begin, at once."""
        self._rounds.start()

    def stop(self) -> None:
        """End after the series that is being published; also before `start`, and twice."""
        self._rounds.stop()

    def check(self) -> None:
        """Raise StoreError if the store did not take what it was given last."""
        if self._problem is not None:
            raise StoreError(self._problem)

    def holds(self, series: SeriesInstanceUid) -> bool:
        """Whether the spool has instances of a series that are not published yet."""
        local = self._local(series)
        listed = self._listed.get(self._spool.series_folder(series).name)
        return bool(local) and (listed is None or not local <= listed.names)

    def round(self) -> int:
        """Publish what is to be read, bring reports; how many instances were published.

        A series that cannot be published carries the reason, and the others go on. Raises LedgerUnavailableError, or
        StoreError where the store does not answer, or takes nothing: then all that wait for it carry the reason.
        """
        ahead = self._clock() + timedelta(seconds=self._policy.ahead_s)
        waiting = [uid for priority in (LIVE, LATER) for uid in self._ledger.due(ahead, _BATCH, priority=priority)]
        try:
            published = self._publish_each(waiting)
            self._publish_reports()
            self._bring_reports()
        except StoreError as error:
            self._problem = str(error)
            self._ledger.explain([uid for uid in waiting if self.holds(uid)], str(error))
            raise
        self._problem = None
        return published

    def unpublish(self, folder: str) -> None:
        """Remove the instances of a series that was taken out of the spool, by the name of its folder. StoreError."""
        self._listed.pop(folder, None)
        self._store.remove(f"{INSTANCES}/{folder}")

    def _local(self, series: SeriesInstanceUid) -> frozenset[str]:
        return frozenset(path.name for path in self._spool.instances(series))

    def _publish_each(self, waiting: Sequence[SeriesInstanceUid]) -> int:
        """Publish series, those last that could not be published before; how many instances."""
        published = in_a_row = 0
        self._failed = {uid: at_s for uid in waiting if (at_s := self._failed.get(uid)) is not None}
        for series in sorted(waiting, key=self._failed.__contains__):
            if self._rounds.are_over:
                break
            if self._failed.get(series, 0.0) > time.monotonic():
                continue
            missing = self._missing(series)
            try:
                self._publish(series, missing)
            except StoreError as error:
                in_a_row += not isinstance(error, UnreadableFileError)  # which is no fault of the store
                if in_a_row == _IN_A_ROW:
                    raise
                log.warning("series not published", extra={"series_uid": series, "reason": str(error)})
                self._ledger.explain([series], str(error))
                self._failed[series] = time.monotonic() + self._policy.retry_s
                continue
            self._failed.pop(series, None)
            published += len(missing)
            in_a_row = 0 if missing else in_a_row
        return published

    def _missing(self, series: SeriesInstanceUid) -> list[str]:
        """What is not published of a series; what is there stays, whoever put it there."""
        local = self._local(series)
        if not local:  # another node received it
            return []
        folder = self._spool.series_folder(series)
        listed = self._listed.get(folder.name)
        if listed is None or time.monotonic() - listed.at_s > _LISTED_S:
            listed = _Listed(self._store.names(f"{INSTANCES}/{folder.name}"), time.monotonic())
            while len(self._listed) >= _REMEMBERED:
                del self._listed[next(iter(self._listed))]
            self._listed[folder.name] = listed
        return sorted(local - listed.names)

    def _publish(self, series: SeriesInstanceUid, missing: Sequence[str]) -> None:
        if not missing:
            return
        folder = self._spool.series_folder(series)
        try:
            self._store.put((folder / name, f"{INSTANCES}/{folder.name}/{name}") for name in missing)
        except StoreError:  # some of it is there now
            self._listed.pop(folder.name, None)
            raise
        listed = self._listed.get(folder.name)
        if listed is not None:  # else it was removed meanwhile
            self._listed[folder.name] = _Listed(listed.names.union(missing), listed.at_s)
        log.info("series published", extra={"series_uid": series, "instances": len(missing)})

    def _publish_reports(self) -> None:
        """Publish reports that are to be delivered and may have been made before there was a store, some a round.

        Once after the start is enough: since then whoever makes one puts it there.
        """
        if self._owed_after is None:
            return
        owed = self._ledger.reports_undelivered(self._owed_after, _REPORTS)
        for key, report in owed:
            if self._rounds.are_over:
                return
            path = self._spool.report_path(report)
            try:
                if path.exists() and path.with_suffix(".json").exists():
                    put_report(self._store, self._spool, report)
            except UnreadableFileError as error:
                log.warning("report not published", extra={"sop_instance_uid": report, "reason": str(error)})
            self._owed_after = key
        if not owed:
            self._owed_after = None

    def _bring_reports(self) -> None:
        finished = self._ledger.reports_finished(self._reports_since)
        for _, report in finished:
            if not self._spool.report_path(report).with_suffix(".json").exists() and not self._rounds.are_over:
                self._bring(report)
        if finished:
            self._reports_since = finished[-1][0] - _MARGIN

    def _bring(self, report: SopInstanceUid) -> None:
        try:
            get_report(self._store, self._spool, report, note=True)
        except NotPublishedError:  # made before there was a store, or by a worker that has none
            log.info("report not published", extra={"sop_instance_uid": report})

    def _round(self) -> None:
        if time.monotonic() < self._not_before_s:
            return
        try:
            self.round()
        except (NodeError, OSError) as error:  # what is not published is published by a later round
            log.warning("not published", extra={"reason": str(error) if isinstance(error, NodeError) else "disk"})
            self._not_before_s = time.monotonic() + self._policy.retry_s


class WithPublished:
    """The ledger as the sweeper asks it, without series of which something is not published yet."""

    def __init__(self, due: Due, publisher: Publisher) -> None:
        self._due, self._publisher = due, publisher

    def due(self, now: datetime, limit: int, *, priority: Priority) -> list[SeriesInstanceUid]:
        """Series of a priority to be read."""
        return [uid for uid in self._due.due(now, limit, priority=priority) if not self._publisher.holds(uid)]

    def due_deliveries(self, now: datetime, limit: int, *, priority: Priority) -> list[int]:
        """Deliveries of a priority to be tried."""
        return self._due.due_deliveries(now, limit, priority=priority)
