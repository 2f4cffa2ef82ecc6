"""Asks the ledger again and again what is due, and has it done: whatever a queue lost comes back this way."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol

from dicom_node.errors import LedgerUnavailableError
from dicom_node.ledger.records import LATER, LIVE, Priority
from dicom_node.ledger.turns import Turns
from dicom_node.logs import Trouble
from dicom_node.rounds import Rounds
from inference.identifiers import SeriesInstanceUid

log = logging.getLogger(__name__)

_PRIORITIES: Final = (LIVE, LATER)
_BATCH: Final = 64  # of each kind a sweep; more would only wait in the queue


class Due(Protocol):
    """The part of the ledger that knows what is due."""

    def due(self, now: datetime, limit: int, *, priority: Priority) -> list[SeriesInstanceUid]:
        """Series of a priority to be read."""
        ...

    def due_deliveries(self, now: datetime, limit: int, *, priority: Priority) -> list[int]:
        """Deliveries of a priority to be tried."""
        ...


class Submit(Protocol):
    """Where work goes; being given the same key twice is harmless."""

    def read(self, series: SeriesInstanceUid, priority: Priority) -> None:
        """Have a series read."""
        ...

    def deliver(self, delivery_id: int, priority: Priority) -> None:
        """Have a delivery tried."""
        ...


class Turn(Protocol):
    """Where several could sweep, who does."""

    def take(self) -> bool:
        """Take or keep it; False if somebody else has it."""
        ...

    def give_up(self) -> None:
        """Let somebody else have it at once."""
        ...


class SweepTurn:
    """The turn of one process among all that share a ledger; one that is lost is followed after `lease_s`."""

    def __init__(self, ledger: Turns, *, owner: str, clock: Callable[[], datetime], lease_s: float) -> None:
        self._ledger, self._owner, self._clock, self._lease_s = ledger, owner, clock, lease_s

    def take(self) -> bool:
        """Take or keep it; False if somebody else has it. Raises LedgerUnavailableError."""
        return self._ledger.take_turn("sweep", owner=self._owner, now=self._clock(), lease_s=self._lease_s)

    def give_up(self) -> None:
        """Let somebody else have it at once. Raises LedgerUnavailableError."""
        self._ledger.give_up_turn("sweep", owner=self._owner, now=self._clock())


class Sweeper:
    """A thread that sweeps at an interval, from `start` to `stop`."""

    def __init__(
        self,
        ledger: Due,
        submit: Submit,
        *,
        clock: Callable[[], datetime],
        interval_s: float,
        turn: Turn | None = None,
    ) -> None:
        """Without `turn` it is the only one."""
        self._ledger, self._submit, self._clock, self._turn = ledger, submit, clock, turn
        self._rounds = Rounds(self._round, name="sweeper", interval_s=interval_s)
        self._trouble = Trouble(log, "sweep failed", over="sweeps again")

    def start(self) -> None:
        """Begin to sweep, at once."""
        self._rounds.start()

    def stop(self) -> None:
        """End after the sweep that is running; also before `start`, and twice."""
        if self._rounds.stop():
            self._give_up()

    def wake(self) -> None:
        """Sweep now instead of at the end of the interval."""
        self._rounds.wake()

    def sweep(self) -> int:
        """Submit what is due, the urgent first; how much that was. Raises LedgerUnavailableError."""
        now, series, deliveries = self._clock(), 0, 0
        for priority in _PRIORITIES:
            for uid in self._ledger.due(now, _BATCH - series, priority=priority):
                self._submit.read(uid, priority)
                series += 1
            for delivery_id in self._ledger.due_deliveries(now, _BATCH - deliveries, priority=priority):
                self._submit.deliver(delivery_id, priority)
                deliveries += 1
        return series + deliveries

    def _give_up(self) -> None:
        try:
            if self._turn is not None:
                self._turn.give_up()
        except LedgerUnavailableError as error:  # whoever is next waits until it runs out
            log.warning("turn not given up", extra={"reason": str(error)})

    def _round(self) -> None:
        try:
            if self._turn is None or self._turn.take():
                self.sweep()
            self._trouble.ended()
        except LedgerUnavailableError as error:  # what is due stays due
            self._trouble.goes_on(reason=str(error))
