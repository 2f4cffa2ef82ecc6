"""Who runs a task: threads of this process, or Celery workers behind a broker. The ledger decides what is due.

A dispatcher may forget, repeat or lose what it was given: the job is a row in the ledger, and the sweeper submits again
what is still due. Tasks carry keys, never data.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from inference.identifiers import SeriesInstanceUid

log = logging.getLogger(__name__)


class Tasks(Protocol):
    """The two things there are to do; doing one twice is harmless."""

    def read(self, series: SeriesInstanceUid) -> None:
        """Read a series that is due and make its report."""
        ...

    def deliver(self, delivery_id: int) -> None:
        """Bring one report to one destination."""
        ...


class Dispatcher(Protocol):
    """Takes keys now, has the work done some time."""

    def read(self, series: SeriesInstanceUid) -> None:
        """Have `series` read; never blocks and never raises."""
        ...

    def deliver(self, delivery_id: int) -> None:
        """Have a delivery tried; never blocks and never raises."""
        ...

    def close(self) -> None:
        """Finish what runs, drop what waits."""
        ...


class ThreadDispatcher:
    """Runs tasks on threads of this process: the default, with no server beside it."""

    def __init__(
        self,
        tasks: Tasks,
        *,
        read_threads: int,
        deliver_threads: int = 2,
        done: Callable[[], None] = lambda: None,
    ) -> None:
        """`done` is called after each reading: its deliveries are due by then."""
        self._tasks, self._done = tasks, done
        self._readers = ThreadPoolExecutor(read_threads, thread_name_prefix="read")
        self._deliverers = ThreadPoolExecutor(deliver_threads, thread_name_prefix="deliver")
        self._running: set[tuple[str, object]] = set()
        self._lock = threading.Lock()

    def read(self, series: SeriesInstanceUid) -> None:
        """Queue a reading unless the same series is already queued or running here."""
        self._submit(self._readers, "read", series, lambda: self._read(series))

    def deliver(self, delivery_id: int) -> None:
        """Queue a delivery unless it is already queued or running here."""
        self._submit(self._deliverers, "deliver", delivery_id, lambda: self._tasks.deliver(delivery_id))

    def close(self) -> None:
        """Wait for running tasks; what waits stays due in the ledger."""
        for pool in (self._readers, self._deliverers):
            pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, series: SeriesInstanceUid) -> None:
        self._tasks.read(series)
        self._done()

    def _submit(self, pool: ThreadPoolExecutor, task: str, key: object, run: Callable[[], None]) -> None:
        with self._lock:
            if (task, key) in self._running:
                return
            self._running.add((task, key))
        try:
            pool.submit(self._run, task, key, run)
        except RuntimeError:  # the pool was closed between two sweeps: the row stays due
            self._forget(task, key)

    def _run(self, task: str, key: object, run: Callable[[], None]) -> None:
        try:
            run()
        except Exception:
            log.exception("task failed", extra={"task": task})
        finally:
            self._forget(task, key)

    def _forget(self, task: str, key: object) -> None:
        with self._lock:
            self._running.discard((task, key))
