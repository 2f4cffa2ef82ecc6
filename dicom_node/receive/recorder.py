"""Rows of many instances in one transaction: a transaction each costs more than receiving the instance.

An instance that is answered before its row is written is safe all the same: the spool is the truth, and the ledger is
brought up to it at the next start. Only two things may not happen meanwhile. Retention must not take its series away:
so the row of an instance is waited for unless its series was recorded a moment ago, which keeps it from being old.
And nobody must be answered for long while the ledger does not answer: a moment ago is over soon.

Whether another series has an instance of the same UID shows with its row. Who does not wait for it is not told; the
file is set aside all the same.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from sqlalchemy.exc import SQLAlchemyError

from dicom_node.errors import LedgerUnavailableError, NodeError
from dicom_node.ledger.records import ReceivedInstance
from inference.identifiers import SeriesInstanceUid, SopInstanceUid

log = logging.getLogger(__name__)

_GATHER_S: Final = 0.2  # rows wait so long for others, where nobody waits for them
_RECENT_S: Final = 1.0  # a series that was recorded so long ago need not be waited for
_RETRY_S: Final = 0.2  # until the ledger is asked again that did not answer
_MOST_WAITING: Final = 1000  # rows that nobody waits for
_REMEMBERED: Final = 4096  # series; forgetting one costs one more wait


class InstanceLedger(Protocol):
    """The part of the ledger that takes rows in."""

    def record_instances(
        self, instances: Iterable[ReceivedInstance], *, now: datetime, due_at: datetime
    ) -> Sequence[ReceivedInstance]:
        """Take in instances that are whole in the spool, in one transaction; those whose UID another series has."""
        ...

    def release(self, series: Iterable[SeriesInstanceUid], *, due_at: datetime) -> None:
        """Make series due sooner, never later."""
        ...


SetAside = Callable[[SeriesInstanceUid, SopInstanceUid], None]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Row:
    instance: ReceivedInstance
    now: datetime
    due_at: datetime
    awaited: bool


class Recorder:
    """Takes rows from any thread from `start` to `stop` and writes them on a thread of its own."""

    def __init__(
        self,
        ledger: InstanceLedger,
        *,
        set_aside: SetAside,
        settle: Callable[[], None] = lambda: None,
        patient: bool = False,
    ) -> None:
        """`set_aside` is told of instances whose UID another series has; `patient`: every row is waited for.

        `settle` is called before rows are written: then what they tell of has its name on the disk, and not only its
        bytes. Many rows share that too.
        """
        self._ledger, self._set_aside, self._settle, self._patient = ledger, set_aside, settle, patient
        self._changed = threading.Condition()
        self._waiting: list[_Row] = []
        self._taken = self._written = 0  # rows, ever
        self._wanted = 0  # somebody waits until so many are written
        self._failures = 0
        self._failure: NodeError | None = None
        self._refused: set[_Row] = set()  # that the ledger will never take, and somebody waits for
        self._strange: set[_Row] = set()  # whose UID another series has, and somebody waits for
        self._recent: dict[SeriesInstanceUid, float] = {}  # when the last row of a series was written
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits and end; what the ledger does not take is entered at the next start. Twice is harmless."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def record_instance(self, instance: ReceivedInstance, *, now: datetime, due_at: datetime) -> bool:
        """Return once the row is written, or at once where its series was recorded a moment ago.

        False where another series has its UID, as far as it is known. Raises LedgerUnavailableError; the row is
        forgotten then.
        """
        with self._changed:
            if self._stopped:
                raise LedgerUnavailableError("the node is being stopped")
            awaited = not self._need_not_wait(instance.series_instance_uid)
            row = _Row(instance=instance, now=now, due_at=due_at, awaited=awaited)
            self._waiting.append(row)
            self._taken += 1
            if awaited:
                self._wait_for(self._taken, row)
            elif len(self._waiting) == 1:
                self._changed.notify_all()
            strange = row in self._strange
            self._strange.discard(row)
            return not strange

    def release(self, series: Iterable[SeriesInstanceUid], *, due_at: datetime) -> None:
        """Make series due sooner, once every row that was taken before is written. Raises LedgerUnavailableError."""
        self.flush()
        self._ledger.release(series, due_at=due_at)

    def flush(self) -> None:
        """Return once every row that was taken is written. Raises LedgerUnavailableError."""
        with self._changed:
            self._wait_for(self._taken)

    def _wait_for(self, count: int, row: _Row | None = None) -> None:
        failures = self._failures
        self._wanted = max(self._wanted, count)
        self._changed.notify_all()
        self._changed.wait_for(lambda: self._written >= count or self._failures > failures or not self._is_running())
        if row in self._refused:
            self._refused.discard(row)
            raise LedgerUnavailableError("the ledger does not take this row")
        if self._written >= count:
            return
        if row in self._waiting:
            self._waiting.remove(row)
            self._written += 1  # nobody needs it: its sender is told to come again
        raise self._failure or LedgerUnavailableError("the node is being stopped")

    def _need_not_wait(self, series: SeriesInstanceUid) -> bool:
        if self._patient or len(self._waiting) >= _MOST_WAITING:
            return False
        written_s = self._recent.get(series)
        return written_s is not None and time.monotonic() - written_s < _RECENT_S

    def _is_running(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        while rows := self._next():
            self._settle()
            failure = self._write(rows)
            with self._changed:
                if failure is None:
                    self._done(rows)
                else:
                    self._failed(rows, failure)
                self._changed.notify_all()
                if failure is not None and self._stopped:
                    return
                if failure is not None:
                    self._changed.wait_for(lambda: self._stopped, _RETRY_S)

    def _next(self) -> Sequence[_Row]:
        """Rows to write; none where there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopped)
            self._changed.wait_for(lambda: self._wanted > self._written or self._stopped, _GATHER_S)
            rows, self._waiting = self._waiting, []
            return rows

    def _write(self, rows: Sequence[_Row]) -> NodeError | None:
        now, due_at = max(row.now for row in rows), max(row.due_at for row in rows)
        try:
            strange = self._ledger.record_instances([row.instance for row in rows], now=now, due_at=due_at)
        except NodeError as error:
            return error
        except SQLAlchemyError as error:  # one row of them must not keep the others out
            if len(rows) == 1:
                self._refuse(rows[0], error)
                return None
            failures = [self._write([row]) for row in rows]
            return next((failure for failure in failures if failure is not None), None)
        if strange:
            self._met([row for row in rows if row.instance in strange])
        return None

    def _met(self, strange: Sequence[_Row]) -> None:
        """Another series has the UIDs of these."""
        for row in strange:
            uid = row.instance.sop_instance_uid
            try:
                self._set_aside(row.instance.series_instance_uid, uid)
            except NodeError as error:  # nobody reads it; the next start does it
                log.warning("a file is not set aside", extra={"sop_instance_uid": uid, "reason": str(error)})
        with self._changed:
            self._strange.update(row for row in strange if row.awaited)

    def _refuse(self, row: _Row, error: SQLAlchemyError) -> None:
        instance = row.instance.sop_instance_uid
        log.error("a row cannot be written", extra={"sop_instance_uid": instance, "reason": type(error).__name__})
        with self._changed:
            if row.awaited:
                self._refused.add(row)

    def _done(self, rows: Sequence[_Row]) -> None:
        self._written += len(rows)
        now_s = time.monotonic()
        if len(self._recent) > _REMEMBERED:
            self._recent.clear()
        for row in rows:
            if row not in self._strange:
                self._recent[row.instance.series_instance_uid] = now_s

    def _failed(self, rows: Sequence[_Row], failure: NodeError) -> None:
        self._waiting[:0] = rows
        self._failure, self._failures = failure, self._failures + 1
        self._recent.clear()
        log.warning("rows not written", extra={"count": len(rows), "reason": str(failure)})
