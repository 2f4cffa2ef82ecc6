"""Who runs a task: threads of this process, or Celery workers behind a broker. The ledger decides what is due.

A dispatcher may forget, repeat or lose what it was given: the job is a row in the ledger, and the sweeper submits again
what is still due. Tasks carry keys, never data.
"""

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from dicom_node.ledger.records import Priority
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
    """Takes keys now, has the work done some time; what has a smaller priority goes first."""

    def read(self, series: SeriesInstanceUid, priority: Priority) -> None:
        """Have `series` read; never blocks and never raises."""
        ...

    def deliver(self, delivery_id: int, priority: Priority) -> None:
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
        self._readers = _Threads(read_threads, name="read")
        self._deliverers = _Threads(deliver_threads, name="deliver")

    def read(self, series: SeriesInstanceUid, priority: Priority) -> None:
        """Queue a reading unless the same series is already queued or running here."""
        self._readers.submit(series, priority, lambda: self._read(series))

    def deliver(self, delivery_id: int, priority: Priority) -> None:
        """Queue a delivery unless it is already queued or running here."""
        self._deliverers.submit(delivery_id, priority, lambda: self._tasks.deliver(delivery_id))

    def close(self) -> None:
        """Wait for running tasks; what waits stays due in the ledger."""
        for threads in (self._readers, self._deliverers):
            threads.close()

    def _read(self, series: SeriesInstanceUid) -> None:
        self._tasks.read(series)
        self._done()


@dataclass(frozen=True, order=True)
class _Waiting:
    """Something to do: by priority, then in the order it came."""

    priority: int
    number: int
    key: object = field(compare=False)
    run: Callable[[], None] = field(compare=False)


class _Threads:
    """Threads that do one thing of each key at a time, the most urgent first; they begin with the first thing to do.

    Not before: they would keep a process alive whose start fails, and nobody would close them.
    """

    def __init__(self, count: int, *, name: str) -> None:
        self._count, self._name = count, name
        self._waiting: list[_Waiting] = []  # a heap
        self._keys: set[object] = set()  # of what waits or runs
        self._numbers = itertools.count()
        self._closed = False
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    def submit(self, key: object, priority: Priority, run: Callable[[], None]) -> None:
        """Have `run` called, unless something of this key waits or runs, or these threads were closed."""
        with self._changed:
            if self._closed or key in self._keys:
                return
            if not self._threads:
                self._begin()
            self._keys.add(key)
            heapq.heappush(self._waiting, _Waiting(priority, next(self._numbers), key, run))
            self._changed.notify()

    def close(self) -> None:
        """Drop what waits and return once nothing runs."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _begin(self) -> None:
        for number in range(self._count):
            thread = threading.Thread(target=self._work, name=f"{self._name}-{number}")
            thread.start()
            self._threads.append(thread)

    def _work(self) -> None:
        while (task := self._next()) is not None:
            try:
                task.run()
            except Exception:
                log.exception("task failed", extra={"task": self._name})
            finally:
                with self._changed:
                    self._keys.discard(task.key)

    def _next(self) -> _Waiting | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return heapq.heappop(self._waiting) if self._waiting else None
