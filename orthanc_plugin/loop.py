"""The thread that works beside Orthanc's: woken by its callbacks, which return at once."""

import queue
import threading
from collections.abc import Callable
from typing import Final, Protocol

_LONGEST_WAIT_S: Final = 60.0
_AFTER_A_FAULT_S: Final = 5.0  # at least, unless something is asked for: what is due would fail at once again
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
            if self._wait(_AFTER_A_FAULT_S) is None:
                return
        while True:
            shortest_s = 0.0 if self._tried(self._work.step) else _AFTER_A_FAULT_S
            calls = self._wait(max(shortest_s, self._work.seconds_to_wait(_LONGEST_WAIT_S)))
            if calls is None:
                return
            for call in calls:
                self._tried(call)

    def _wait(self, longest_s: float) -> list[Callable[[], None]] | None:
        """What was asked for, all of it together; None to stop."""
        asked: list[Callable[[], None] | None] = []
        try:
            asked.append(self._asked.get(timeout=longest_s))
        except queue.Empty:
            return []
        while not self._asked.empty():
            asked.append(self._asked.get())
        calls = [call for call in asked if call is not None]
        return calls if len(calls) == len(asked) else None

    def _tried(self, call: Callable[[], object]) -> bool:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - the last frame of a thread: it must go on, and be heard
            self._warn(f"mrclip failed: {type(error).__name__}: {error}")
            return False
        return True


def printable(text: str) -> str:
    """`text` as Orthanc's log takes it: LogWarning raises TypeError for a NUL."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _nothing() -> None:
    pass
