"""Threads take what is urgent first, each key once at a time, and survive a task that fails."""

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from dicom_node.ledger.records import LATER, LIVE
from dicom_node.work.celery_app import CeleryDispatcher
from dicom_node.work.dispatch import ThreadDispatcher
from inference.identifiers import SeriesInstanceUid
from peers import wait_for

FIRST = SeriesInstanceUid("1.0")


class Work:
    """Tasks that remember what was done; the first series holds its thread until it is let go."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def read(self, series: SeriesInstanceUid) -> None:
        if series == FIRST:
            self.begun.set()
            self.go.wait(20)
        self.done.append(series)
        if series == "1.13":
            raise RuntimeError("a fault")

    def deliver(self, delivery_id: int) -> None:
        self.done.append(delivery_id)


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def busy(work: Work) -> Iterator[ThreadDispatcher]:
    """A dispatcher whose only reading thread is busy with the first series."""
    dispatcher = ThreadDispatcher(work, read_threads=1)
    dispatcher.read(FIRST, LATER)
    assert work.begun.wait(20)
    yield dispatcher
    work.go.set()
    dispatcher.close()


def test_a_live_series_goes_before_everything_that_can_wait(work: Work, busy: ThreadDispatcher) -> None:
    for number in range(3):
        busy.read(SeriesInstanceUid(f"1.{number + 5}"), LATER)
    for number in range(2):
        busy.read(SeriesInstanceUid(f"1.{number + 1}"), LIVE)
    work.go.set()
    wait_for(lambda: len(work.done) == 6)
    assert work.done == [FIRST, "1.1", "1.2", "1.5", "1.6", "1.7"]


def test_no_thread_begins_before_there_is_something_to_do(work: Work) -> None:
    before = threading.active_count()
    dispatcher = ThreadDispatcher(work, read_threads=2)
    begun = threading.active_count()
    dispatcher.close()
    dispatcher.read(FIRST, LIVE)
    assert (begun, threading.active_count(), work.done) == (before, before, [])


def test_a_key_that_waits_or_runs_is_not_taken_again(work: Work, busy: ThreadDispatcher) -> None:
    for _ in range(2):
        busy.read(FIRST, LIVE)
        busy.read(SeriesInstanceUid("1.1"), LIVE)
    work.go.set()
    wait_for(lambda: len(work.done) == 2)
    busy.read(FIRST, LIVE)
    wait_for(lambda: len(work.done) == 3)
    assert work.done == [FIRST, "1.1", FIRST]


def test_a_task_that_fails_is_forgotten_and_the_thread_goes_on(work: Work, busy: ThreadDispatcher) -> None:
    work.go.set()
    for _ in range(2):
        busy.read(SeriesInstanceUid("1.13"), LIVE)
        wait_for(lambda: work.done.count("1.13") > 0)
        work.done.remove("1.13")
        wait_for(lambda: not busy._readers._keys)
    busy.read(SeriesInstanceUid("1.1"), LIVE)
    wait_for(lambda: "1.1" in work.done)


def test_deliveries_do_not_wait_for_readings(work: Work, busy: ThreadDispatcher) -> None:
    busy.deliver(7, LATER)
    wait_for(lambda: work.done == [7])


def test_closing_ends_what_runs_and_drops_what_waits(work: Work, busy: ThreadDispatcher) -> None:
    busy.read(SeriesInstanceUid("1.1"), LIVE)
    closing = threading.Thread(target=busy.close)
    closing.start()
    wait_for(lambda: busy._readers._closed)
    work.go.set()
    closing.join(20)
    busy.read(SeriesInstanceUid("1.2"), LIVE)
    assert work.done == [FIRST]


class Away:
    """A broker that answers from the third try on."""

    def __init__(self) -> None:
        self.tries: list[object] = []

    def send_task(self, task: str, args: list[object], **_: object) -> None:
        self.tries += args
        if len(self.tries) < 3:
            raise OSError("connection refused")

    def connection_for_write(self) -> "Away":
        return self

    def as_uri(self) -> str:
        return "redis://:**@192.0.2.1/0"


def test_a_broker_that_is_away_is_asked_once_in_a_while_and_not_for_every_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now, app = 0.0, Away()
    dispatcher = CeleryDispatcher(app, resend_s=60, monotonic=lambda: now)  # type: ignore[arg-type] - a double
    for now in (0.0, 1.9, 2.0, 3.0, 4.1, 4.2):  # noqa: B007 - read by the clock above
        for number in range(3):
            dispatcher.deliver(number, LIVE)
    assert app.tries == [0, 0, 0, 1, 2]
    (said,) = caplog.records  # the second try says nothing new
    assert said.__dict__["address"] == "redis://:**@192.0.2.1/0"


def test_what_receives_knows_no_broker() -> None:
    code = "import sys, dicom_node.receive.worker; print(*{'celery', 'kombu', 'redis'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
