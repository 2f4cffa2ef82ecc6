"""A thread that does the same thing again and again: at an interval, and at once where it is woken."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Rounds:
    """Calls `do` from `start` to `stop`, on a thread of its own.

    `do` handles what it raises. What it does not is logged, and costs the rest of that round and no more.
    """

    def __init__(self, do: Callable[[], object], *, name: str, interval_s: float) -> None:
        self._do, self._interval_s = do, interval_s
        self._stopped, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin, at once."""
        self._thread.start()

    def wake(self) -> None:
        """Do it now instead of at the end of the interval."""
        self._woken.set()

    @property
    def are_over(self) -> bool:
        """Whether it was told to stop; a round that is long may look, and end."""
        return self._stopped.is_set()

    def stop(self) -> bool:
        """End after the round that is running; also before `start`, and twice. Whether it ran until now."""
        self._stopped.set()
        self._woken.set()
        if not self._thread.is_alive():
            return False
        self._thread.join()
        return True

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._woken.clear()
            try:
                self._do()
            except Exception:
                log.exception("a round failed", extra={"task": self._thread.name})
            if not self._stopped.is_set():
                self._woken.wait(self._interval_s)
