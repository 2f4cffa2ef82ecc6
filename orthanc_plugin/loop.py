"""The thread that works beside Orthanc's: woken by its callbacks, which return at once."""

import queue
import threading
from collections.abc import Callable, Iterable
from typing import Final, Protocol

_LONGEST_WAIT_S: Final = 60.0
_STOP_WITHIN_S: Final = 10.0


class Work(Protocol):
    """What the thread does."""

    def begin(self) -> None:
        """Once, at the start."""
        ...

    def step(self) -> None:
        """Whenever it is woken, and when something is due."""
        ...

    def seconds_to_wait(self, longest_s: float) -> float:
        """How long nothing will be due."""
        ...


class Loop:
    """Runs `work` from `start` to `stop`."""

    def __init__(self, work: Work, *, warn: Callable[[str], None]) -> None:
        self._work, self._warn = work, warn
        self._asked: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="mrclip", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is being done; what takes too long is left, and done again at the next start."""
        self._asked.put(None)
        if self._thread.is_alive():
            self._thread.join(_STOP_WITHIN_S)

    def wake(self) -> None:
        """There may be something to do."""
        self._asked.put(_nothing)

    def ask(self, call: Callable[[], None]) -> None:
        """Have something done by the thread, as soon as it can."""
        self._asked.put(call)

    def _run(self) -> None:
        while not self._tried(self._work.begin):
            if self._wait(5.0) is None:
                return
        while True:
            self._tried(self._work.step)
            call = self._wait(self._work.seconds_to_wait(_LONGEST_WAIT_S))
            if call is None:
                return
            self._tried(call)

    def _wait(self, longest_s: float) -> Callable[[], None] | None:
        """What was asked for, all of it together; None to stop."""
        try:
            calls = [self._asked.get(timeout=longest_s)]
        except queue.Empty:
            return _nothing
        while not self._asked.empty():
            calls.append(self._asked.get())
        return None if None in calls else lambda: _each(calls)

    def _tried(self, call: Callable[[], object]) -> bool:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - the last frame of a thread: it must go on, and be heard
            self._warn(f"mrclip failed: {type(error).__name__}: {error}")
            return False
        return True


def _each(calls: Iterable[Callable[[], None] | None]) -> None:
    for call in calls:
        if call is not None:
            call()


def _nothing() -> None:
    pass
