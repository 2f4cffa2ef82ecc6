"""Live series overtake archives in Redis too, beats take turns, and a slow destination keeps its pace."""

import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery.contrib.testing.worker import start_worker

from dicom_factory import series, write_series
from dicom_node.errors import LedgerUnavailableError
from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.records import LATER, LIVE
from dicom_node.ledger.store import Ledger
from dicom_node.ledger.sweeper import Sweeper, SweepTurn
from dicom_node.work.celery_app import CeleryDispatcher, add_tasks, make_app
from inference.identifiers import SeriesInstanceUid
from ordeal import Broker, Worker
from peers import program, storescp, wait_for
from serving import MRCLIP, serve, write_settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A Redis of our own."""
    started = Broker(tmp_path)
    started.start()
    yield started
    started.kill()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    engine = open_engine(f"sqlite:///{tmp_path / 'own.sqlite3'}")
    migrate(engine)
    yield Ledger(engine)
    engine.dispose()


class Tasks:
    """Tasks that remember what was done."""

    def __init__(self) -> None:
        self.done: list[object] = []

    def read(self, series: SeriesInstanceUid) -> None:
        self.done.append(series)

    def deliver(self, delivery_id: int) -> None:
        self.done.append(delivery_id)


@pytest.mark.peer("redis-server")
@pytest.mark.filterwarnings("ignore::celery.exceptions.CPendingDeprecationWarning")
def test_a_worker_takes_what_is_live_before_all_that_waited_longer(broker: Broker) -> None:
    app, tasks = make_app(broker.url, visibility_timeout_s=60), Tasks()
    add_tasks(app, lambda: tasks)
    dispatcher = CeleryDispatcher(app, resend_s=60)
    for number in range(3):
        dispatcher.read(SeriesInstanceUid(f"1.{number + 5}"), LATER)
        dispatcher.deliver(number + 5, LATER)
    for number in range(3):
        dispatcher.read(SeriesInstanceUid(f"1.{number}"), LIVE)
        dispatcher.deliver(number, LIVE)
    assert (broker.waiting("read"), broker.waiting("deliver")) == (6, 6)
    with start_worker(app, pool="solo", perform_ping_check=False, queues=["read", "deliver"], shutdown_timeout=30):
        wait_for(lambda: len(tasks.done) == 12, what="everything being done")
    assert sorted(map(str, tasks.done[:6])) == ["0", "1", "1.0", "1.1", "1.2", "2"]


@pytest.mark.peer("redis-server")
@pytest.mark.filterwarnings("ignore::celery.exceptions.CPendingDeprecationWarning")
def test_deliveries_of_a_series_follow_its_reading_without_a_sweep(broker: Broker) -> None:
    app, tasks = make_app(broker.url, visibility_timeout_s=60), Tasks()
    ready = {"1.1": [(11, LATER)], "1.2": [(12, LIVE), (13, LIVE)]}
    add_tasks(app, lambda: tasks, ready=lambda series: ready.get(series, []))
    dispatcher = CeleryDispatcher(app, resend_s=60)
    for series_uid in ("1.1", "1.2", "1.3"):
        dispatcher.read(SeriesInstanceUid(series_uid), LIVE)
    with start_worker(app, pool="solo", perform_ping_check=False, queues=["read", "deliver"], shutdown_timeout=30):
        wait_for(lambda: len(tasks.done) == 6, what="everything being done")
    assert sorted(map(str, tasks.done)) == ["1.1", "1.2", "1.3", "11", "12", "13"]


def test_of_two_sweepers_one_sweeps_and_the_other_follows(ledger: Ledger) -> None:
    now = NOW
    one, other = (SweepTurn(ledger, owner=name, clock=lambda: now, lease_s=5) for name in "ab")
    assert (one.take(), other.take(), one.take()) == (True, False, True)
    now += timedelta(seconds=5)
    assert (other.take(), one.take()) == (True, False)
    other.give_up()
    assert one.take()


def test_a_sweeper_gives_its_turn_up_when_it_stops_also_while_the_ledger_is_away(ledger: Ledger) -> None:
    class Away:
        def take(self) -> bool:
            raise LedgerUnavailableError("away")

        def give_up(self) -> None:
            raise LedgerUnavailableError("away")

    for turn in (SweepTurn(ledger, owner="a", clock=lambda: NOW, lease_s=5), Away()):
        sweeper = Sweeper(ledger, Tasks(), clock=lambda: NOW, interval_s=0.01, turn=turn)  # type: ignore[arg-type]
        sweeper.start()
        sweeper.stop()
    assert ledger.take_turn("sweep", owner="b", now=NOW, lease_s=1)


@pytest.mark.peer("redis-server", "storescp", "dcmsend")
def test_a_beat_goes_on_where_the_node_was_killed_and_a_slow_destination_keeps_its_pace(
    tmp_path: Path, broker: Broker
) -> None:
    for number in range(4):
        write_series(series(1, seed=number, EchoTime=0.09, RepetitionTime=4000), tmp_path / "images" / str(number))
    with storescp(tmp_path) as peer:
        to = {"name": "pacs", "ae_title": peer.ae_title, "host": peer.host, "port": peer.port, "per_minute": 60}
        config = write_settings(
            tmp_path, queue={"broker_url": broker.url}, series={"quiet_s": 3, "quiet_after_release_s": 2},
            destinations=[to],
        )  # fmt: skip
        with serve(config) as node:
            command = [program("dcmsend"), "-aec", "MRCLIP", "+sd", "+r", "127.0.0.1", str(node.ports["dicom"])]
            subprocess.run([*command, str(tmp_path / "images")], check=True, capture_output=True)
            node.process.send_signal(signal.SIGKILL)  # with everything taken in and nothing due
            node.process.wait(30)
        log = tmp_path / "beat.log"
        with log.open("wb") as output:
            beat = subprocess.Popen([*MRCLIP, "beat", "--config", str(config)], stderr=output)
        worker = Worker(config, tmp_path / "worker.log", "--pool", "solo")
        try:
            wait_for(lambda: b"ready" in log.read_bytes(), 60, what="the beat being ready")
            worker.wait_until_ready()
            wait_for(lambda: len(peer.files()) == 4, 60, what="four reports")
        finally:
            worker.stop()
            beat.terminate()
            assert beat.wait(30) == 0
        arrived_s = sorted(path.stat().st_mtime for path in peer.files())
    assert arrived_s[-1] - arrived_s[0] > 2.5, "one a second: four take three seconds"
