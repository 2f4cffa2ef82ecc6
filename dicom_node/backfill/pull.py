"""Series after series from an archive into the node, with a low priority, a pace and a memory.

The memory is the spool: an instance that lies there is not asked for again, so an interrupted back-fill is begun again
with the same command and soon is where it was.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, TypeVar

from dicom_node.backfill.archive import Archive, ArchiveError, RemoteSeries
from dicom_node.deliver import back_off
from dicom_node.errors import NodeError, RefusedInstanceError
from dicom_node.ledger.records import LATER
from dicom_node.ledger.store import Ledger
from dicom_node.logs import Trouble
from dicom_node.receive.intake import Intake
from dicom_node.receive.spool import Spool
from inference.identifiers import SopInstanceUid

log = logging.getLogger(__name__)
T = TypeVar("T")

_ATTEMPTS: Final = 5
_LOOK_AGAIN_S: Final = 5.0  # while the node is behind


@dataclass(frozen=True, kw_only=True, slots=True)
class Manners:
    """How polite a back-fill is."""

    per_minute: float  # series
    ahead: int  # pulled series that may wait to be read; then it waits too
    retry_s: float = 10.0  # after a failure, doubled after each further one


@dataclass(kw_only=True)
class Pulled:
    """What became of the series of the archive."""

    series: int = 0  # of which something was pulled
    instances: int = 0
    known: int = 0  # series that were there
    refused: int = 0  # instances that the node does not take; they are in quarantine
    failed: int = 0  # series that the archive did not give, or not whole


class StoppedError(Exception):
    """Somebody asked for the end."""


class Backfill:
    """Pulls until it is through, or `stop` is set."""

    def __init__(
        self,
        archive: Archive,
        *,
        intake: Intake,
        ledger: Ledger,
        spool: Spool,
        manners: Manners,
        stop: threading.Event,
    ) -> None:
        """`intake` takes in with priority LATER."""
        self._archive, self._intake, self._ledger, self._spool = archive, intake, ledger, spool
        self._manners, self._stop = manners, stop
        self._next_s = time.monotonic()
        self._behind = Trouble(log, "back-fill waits: so many series are still to be read", over="back-fill goes on")

    def run(
        self, days: Iterable[date], *, clock: Callable[[], datetime], advance: Callable[[str, int], None]
    ) -> Pulled:
        """Pull the series of `days`; `advance(what, count)` as it goes. NodeError: the node cannot go on."""
        pulled = Pulled()
        try:
            for day in days:
                for series in self._series(day, pulled):
                    self._one(series, pulled, clock, advance)
                advance("days", 1)
        except StoppedError:
            log.info("back-fill stopped", extra={"count": pulled.series})
        return pulled

    def _series(self, day: date, pulled: Pulled) -> Iterator[RemoteSeries]:
        """The series of a day; a day that the archive does not tell counts as one that failed."""
        try:
            yield from self._patiently(lambda: list(self._archive.series(day)))
        except ArchiveError as error:
            log.warning("day not pulled", extra={"reason": f"{day}: {error}"})
            pulled.failed += 1

    def _one(
        self, series: RemoteSeries, pulled: Pulled, clock: Callable[[], datetime], advance: Callable[[str, int], None]
    ) -> None:
        if self._complete(series):
            pulled.known += 1
            return
        try:
            named = self._patiently(lambda: self._archive.instances(series))
            missing = [uid for uid in named if self._missing(series, uid)]
            if missing:
                self._wait_for_turn(clock)
                for uid in missing:
                    self._instance(series, uid, pulled)
                    advance("instances", 1)
                pulled.series += 1
                advance("series", 1)
            _check_all_named(series, len(set(named)))
            pulled.known += not missing
        except ArchiveError as error:
            log.warning("series not pulled", extra={"series_uid": series.series_instance_uid, "reason": str(error)})
            pulled.failed += 1
        finally:
            self._intake.released([series.series_instance_uid])

    def _complete(self, series: RemoteSeries) -> bool:
        record = self._ledger.series(series.series_instance_uid)
        return record is not None and series.instances is not None and record.summary.instances >= series.instances

    def _missing(self, series: RemoteSeries, uid: SopInstanceUid) -> bool:
        return not self._spool.instance_path(series.series_instance_uid, uid).exists()

    def _instance(self, series: RemoteSeries, uid: SopInstanceUid, pulled: Pulled) -> None:
        def pull() -> None:
            self._intake.take_file(self._archive.fetch(series, uid))

        try:
            self._patiently(pull)
            pulled.instances += 1
        except RefusedInstanceError as error:
            log.warning("instance not taken", extra={"sop_instance_uid": uid, "reason": str(error)})
            pulled.refused += 1

    def _wait_for_turn(self, clock: Callable[[], datetime]) -> None:
        """Return when the pace allows another series and the node is not behind."""
        self._pause(self._next_s - time.monotonic())
        while len(self._ledger.due(clock(), self._manners.ahead, priority=LATER)) >= self._manners.ahead:
            self._behind.goes_on(count=self._manners.ahead)
            self._pause(_LOOK_AGAIN_S)
        self._behind.ended()
        self._next_s = max(self._next_s, time.monotonic()) + 60 / self._manners.per_minute

    def _patiently(self, ask: Callable[[], T]) -> T:
        """What `ask` gives, asked again where that can help; the last error where it does not."""
        for attempt in range(1, _ATTEMPTS + 1):
            self._pause(0)
            try:
                return ask()
            except NodeError as error:
                if not error.retry or attempt == _ATTEMPTS:
                    raise
                log.info("asked again", extra={"attempt": attempt, "reason": str(error)})
            self._pause(back_off(attempt, first_s=self._manners.retry_s, longest_s=900))
        raise AssertionError("the loop returns or raises")

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(max(0.0, seconds)):
            raise StoppedError


def _check_all_named(series: RemoteSeries, named: int) -> None:
    """Raise ArchiveError where the archive keeps back instances that it says it has; a series has one at least."""
    if series.instances is None and named == 0:
        raise ArchiveError("the archive names no instance of it", retry=False)
    if series.instances is not None and named < series.instances:
        raise ArchiveError(f"the archive says {series.instances} instances and names {named}", retry=False)
