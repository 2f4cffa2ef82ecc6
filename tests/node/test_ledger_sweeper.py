"""The sweeper has done what is due, also when the ledger was away for a while."""

import threading
from datetime import UTC, datetime

from dicom_node.errors import LedgerUnavailableError
from dicom_node.ledger.records import LATER, LIVE, Priority
from dicom_node.ledger.sweeper import Sweeper
from inference.identifiers import SeriesInstanceUid
from peers import wait_for

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Double:
    """A ledger with fixed answers and a dispatcher that remembers."""

    def __init__(self) -> None:
        self.broken = threading.Event()
        self.submitted: list[object] = []
        self.asked = 0

    def due(self, now: datetime, limit: int, *, priority: Priority) -> list[SeriesInstanceUid]:
        if self.broken.is_set():
            self.asked += 1
            raise LedgerUnavailableError("locked")
        assert now == NOW
        if priority == LATER:
            assert limit == 64 - 2, "what is live leaves so much room"
            return [SeriesInstanceUid("1.1")]
        self.asked += 1
        return [SeriesInstanceUid("1.2"), SeriesInstanceUid("1.3")]

    def due_deliveries(self, now: datetime, limit: int, *, priority: Priority) -> list[int]:
        return [7] if priority == LATER else [8]

    def read(self, series: SeriesInstanceUid, priority: Priority) -> None:
        self.submitted.append((series, priority))

    def deliver(self, delivery_id: int, priority: Priority) -> None:
        self.submitted.append((delivery_id, priority))


def sweeper(double: Double, interval_s: float) -> Sweeper:
    return Sweeper(double, double, clock=lambda: NOW, interval_s=interval_s)


def test_a_sweep_submits_what_is_due_and_the_live_first():
    double = Double()
    assert sweeper(double, 1).sweep() == 5
    assert double.submitted == [("1.2", LIVE), ("1.3", LIVE), (8, LIVE), ("1.1", LATER), (7, LATER)]


def test_it_sweeps_at_once_at_its_interval_and_when_woken():
    double = Double()
    waiting = sweeper(double, 3600)
    waiting.start()
    wait_for(lambda: double.asked == 1, what="the first sweep")
    waiting.wake()
    wait_for(lambda: double.asked == 2, what="the sweep after waking")
    waiting.stop()
    assert double.asked == 2
    busy = sweeper(double, 0.01)
    busy.start()
    wait_for(lambda: double.asked > 5, what="sweeps at the interval")
    busy.stop()
    busy.stop()


def test_a_ledger_that_is_away_is_asked_again():
    double = Double()
    double.broken.set()
    running = sweeper(double, 0.01)
    running.start()
    wait_for(lambda: double.asked > 2, what="some failed sweeps")
    assert double.submitted == []
    double.broken.clear()
    wait_for(lambda: double.submitted, what="a sweep that works")
    running.stop()


def test_stopping_before_the_start_is_harmless():
    never = sweeper(Double(), 1)
    never.stop()
