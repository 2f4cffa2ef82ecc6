"""Rows of many instances in one transaction: a transaction each costs more than receiving the instance.

An instance that is answered before its row is written is safe all the same: the spool is the truth, and the ledger is
brought up to it at the next start. Only two things may not happen meanwhile. Retention must not take its series away:
so the row of an instance is waited for unless its series was recorded a moment ago, which keeps it from being old.
And nobody must be answered for long while the ledger does not answer: a moment ago is over soon.

Who waits for a row is told that it is written only where that very row is, whatever became of others; and is told at
the next failure, of whichever rows, that it is not. A row that the ledger refuses is nobody's moment ago: from then on
every instance of its series waits for its own answer. Whatever happens, the thread that writes goes on or all who wait
are told that it does not.

Whether another series has an instance of the same UID shows with its row. Who does not wait for it is not told; the
file is set aside all the same.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol

from dicom_node.errors import LedgerUnavailableError, NodeError
from dicom_node.ledger.engine import ROW_FAULTS
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


_End = Literal["written", "strange", "refused", "forgotten"]


@dataclass(kw_only=True, slots=True, eq=False)
class _Row:
    instance: ReceivedInstance
    now: datetime
    due_at: datetime
    # What became of it: written; not taken in, since another series has its UID; not taken by the ledger, now or ever;
    # given up by who waited for it. None: it is still to be written.
    end: _End | None = None


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
        self._writing: Sequence[_Row] = ()
        self._hurried = False  # somebody waits for what is waiting
        self._failures = 0
        self._failure: NodeError | None = None
        self._recent: dict[SeriesInstanceUid, float] = {}  # when the last row of a series was written
        self._running = self._stopped = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._running = True
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
            row = _Row(instance=instance, now=now, due_at=due_at)
            awaited = not self._need_not_wait(instance.series_instance_uid)
            self._waiting.append(row)
            if awaited:
                self._wait_for_one(row)
            elif len(self._waiting) == 1:
                self._changed.notify_all()
            return row.end != "strange"

    def release(self, series: Iterable[SeriesInstanceUid], *, due_at: datetime) -> None:
        """Make series due sooner, once every row that was taken before is written. Raises LedgerUnavailableError."""
        self.flush()
        self._ledger.release(series, due_at=due_at)

    def flush(self) -> None:
        """Return once every row that was taken is written. Raises LedgerUnavailableError."""
        with self._changed:
            self._wait_for([*self._writing, *self._waiting])

    def _wait_for_one(self, row: _Row) -> None:
        try:
            self._wait_for([row])
        except NodeError:
            if row in self._waiting:  # nobody needs it: its sender is told to come again
                self._waiting.remove(row)
                row.end = "forgotten"
            raise
        if row.end == "refused":
            raise LedgerUnavailableError("the ledger does not take this row")

    def _wait_for(self, rows: Sequence[_Row]) -> None:
        """Return once something became of each of these rows. Raises what is wrong with the ledger meanwhile."""
        if not rows:
            return
        failures = self._failures
        self._hurried = True
        self._changed.notify_all()
        self._changed.wait_for(lambda: _ended(rows) or self._failures > failures or not self._running)
        if not _ended(rows):
            failure = self._failure if self._failures > failures else None
            raise failure or LedgerUnavailableError("the node is being stopped")

    def _need_not_wait(self, series: SeriesInstanceUid) -> bool:
        if self._patient or len(self._waiting) >= _MOST_WAITING:
            return False
        written_s = self._recent.get(series)
        return written_s is not None and time.monotonic() - written_s < _RECENT_S

    def _run(self) -> None:
        try:
            while rows := self._next():
                failure = self._attempt(rows)
                with self._changed:
                    self._writing = ()
                    self._done(rows)
                    if failure is not None:
                        self._failed(rows, failure)
                    self._changed.notify_all()
                    if failure is not None and self._stopped:
                        return
                    if failure is not None:
                        self._changed.wait_for(lambda: self._stopped, _RETRY_S)
        finally:
            with self._changed:
                self._running = False
                self._changed.notify_all()

    def _next(self) -> Sequence[_Row]:
        """Rows to write; none where there will be no more."""
        with self._changed:
            while self._waiting or not self._stopped:
                self._changed.wait_for(lambda: self._waiting or self._stopped)
                self._changed.wait_for(lambda: self._hurried or self._stopped, _GATHER_S)
                self._writing, self._waiting, self._hurried = self._waiting, [], False
                if self._writing:  # who waited may have given up meanwhile
                    return self._writing
            return ()

    def _attempt(self, rows: Sequence[_Row]) -> NodeError | None:
        try:
            self._settle()
            return self._write(rows)
        except Exception as error:
            log.exception("writing rows failed")
            return LedgerUnavailableError(f"rows cannot be written: {type(error).__name__}")

    def _write(self, rows: Sequence[_Row]) -> NodeError | None:
        now, due_at = max(row.now for row in rows), max(row.due_at for row in rows)
        try:
            strange = self._ledger.record_instances([row.instance for row in rows], now=now, due_at=due_at)
        except NodeError as error:
            return error
        except ROW_FAULTS as error:
            if len(rows) > 1:
                return self._write_singly(rows)
            uid = rows[0].instance.sop_instance_uid
            log.error("a row cannot be written", extra={"sop_instance_uid": uid, "reason": type(error).__name__})
            rows[0].end = "refused"
            return None
        for row in rows:
            is_strange = bool(strange) and row.instance in strange
            if is_strange:
                self._met(row)
            row.end = "strange" if is_strange else "written"
        return None

    def _write_singly(self, rows: Sequence[_Row]) -> NodeError | None:
        """One row of them must not keep the others out. Ends where the ledger does."""
        failures = (self._write([row]) for row in rows)
        return next((failure for failure in failures if failure is not None), None)

    def _met(self, row: _Row) -> None:
        """Another series has its UID."""
        uid = row.instance.sop_instance_uid
        try:
            self._set_aside(row.instance.series_instance_uid, uid)
        except (NodeError, OSError) as error:  # nobody reads it; the next start does it
            reason = str(error) if isinstance(error, NodeError) else type(error).__name__
            log.warning("a file is not set aside", extra={"sop_instance_uid": uid, "reason": reason})

    def _done(self, rows: Sequence[_Row]) -> None:
        now_s = time.monotonic()
        if len(self._recent) > _REMEMBERED:
            self._recent.clear()
        for row in rows:
            if row.end == "written":
                self._recent[row.instance.series_instance_uid] = now_s
        for row in rows:
            if row.end == "refused":
                self._recent.pop(row.instance.series_instance_uid, None)

    def _failed(self, rows: Sequence[_Row], failure: NodeError) -> None:
        left = [row for row in rows if row.end is None]
        self._waiting[:0] = left
        self._failure, self._failures = failure, self._failures + 1
        self._recent.clear()
        log.warning("rows not written", extra={"count": len(left), "reason": str(failure)})


def _ended(rows: Sequence[_Row]) -> bool:
    return all(row.end is not None for row in rows)
