"""A node with a real Redis, a real PostgreSQL and real workers, in which things are killed while series go through.

What is killed when is drawn from a seed; each blow falls once a share of the series has been answered, so that all of
them fall in the middle of the work on a quick machine and on a slow one.
"""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
import pydicom
import redis
from sqlalchemy import Engine, text

from dicom_factory import series, write_series
from peers import free_port, listens, program, storescp, wait_for
from serving import MRCLIP, Served, opened, serve, write_settings

BLOWS: Final = ("worker", "reader", "broker", "flush")
LEASE_S: Final = 3.0
_BATCH: Final = 10  # series an association


class Broker:
    """A Redis that keeps nothing, on one port however often it is killed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Begin, empty."""
        command = [program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([*command, "--appendonly", "no"], stdout=log, stderr=log)
        wait_for(lambda: listens(self.port), what="Redis being there")

    def kill(self) -> None:
        """SIGKILL; harmless where it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def flush(self) -> None:
        """Empty it."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def waiting(self, queue: str) -> int:
        """Messages of a queue that nobody has taken yet, of every priority."""
        with redis.Redis(port=self.port) as client:
            return sum(int(client.llen(key)) for key in client.keys(f"{queue}*") if client.type(key) == b"list")


class Worker:
    """`mrclip worker` in a process group of its own."""

    def __init__(self, config: Path, log: Path, *options: str) -> None:
        self._log = log
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MRCLIP")}
        command = [*MRCLIP, "worker", "--config", str(config), *options]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=clean, start_new_session=True)

    @property
    def ready(self) -> bool:
        """Whether it takes messages."""
        return self.process.poll() is None and self.was_ready

    @property
    def was_ready(self) -> bool:
        """Whether it ever began to take messages."""
        return b" ready." in self._log.read_bytes()

    def said(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-2000:]

    def wait_until_ready(self) -> None:
        """Return once it takes messages; fail with its log where it ends instead."""
        wait_for(lambda: self.ready or self.process.poll() is not None, 90, what="the worker being ready")
        assert self.process.poll() is None, self._log.read_text()

    def kill(self) -> None:
        """SIGKILL to all of it at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def readers(self) -> list[psutil.Process]:
        """The processes that read, which are not the one that takes the messages."""
        return psutil.Process(self.process.pid).children()

    def stop(self) -> None:
        """SIGTERM, and its end."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)


@dataclass(kw_only=True)
class Ordeal:
    """What was done to a fleet and what came out."""

    series: int
    blows: Counter[str] = field(default_factory=Counter[str])
    states: Counter[str] = field(default_factory=Counter[str])  # of the series, in the ledger
    deliveries: Counter[str] = field(default_factory=Counter[str])  # by state, in the ledger
    reported: Counter[str] = field(default_factory=Counter[str])  # reports that the destination has, by source series
    claims: int = 0  # readings that were begun
    ended: int = 0  # workers that nobody killed
    stores: int = 0  # C-STORE requests that the destination answered

    def check(self) -> None:
        """Every series has exactly one report, at its destination and in the ledger."""
        assert self.states == {"answered": self.series}
        assert self.deliveries == {"delivered": self.series}
        assert len(self.reported) == self.series
        assert set(self.reported.values()) == {1}


def undergo(folder: Path, database_url: str, *, count: int, blows: int, seed: int, workers: int = 2) -> Ordeal:
    """Send `count` series to a node with workers, deal `blows` (the kinds in turns, shuffled), wait for the end."""
    dice, ordeal = random.Random(seed), Ordeal(series=count)
    kinds = [BLOWS[number % len(BLOWS)] for number in range(blows)]
    dice.shuffle(kinds)
    plan = sorted((dice.uniform(0, 0.9 * count), number) for number in range(blows))
    for number in range(count):
        images = series(4, seed=f"{seed}-{number}", EchoTime=90, RepetitionTime=4000)
        write_series(images, folder / "images" / f"{number // _BATCH:03d}" / f"{number:04d}")
    broker = Broker(folder)
    broker.start()
    try:
        with storescp(folder, "--accept-all", "--verbose") as peer:
            to = {"name": "pacs", "ae_title": peer.ae_title, "host": peer.host, "port": peer.port}
            config = write_settings(
                folder, ledger={"database_url": database_url}, queue={"broker_url": broker.url},
                series={"quiet_s": 20, "quiet_after_release_s": 0.3}, work={"lease_s": LEASE_S}, destinations=[to],
            )  # fmt: skip
            with serve(config) as node, opened(database_url) as ledger, _sending(node, folder / "images") as sending:
                team = Team(config, folder, workers)
                try:
                    for (share, _), kind in zip(plan, kinds, strict=True):
                        wait_for(lambda share=share: _answered(ledger) >= share, 300, what=f"{share:.0f} reports")
                        _strike(kind, team, broker, ledger, dice)
                        ordeal.blows[kind] += 1
                    wait_for(lambda: _answered(ledger) == count, 600, what=f"{count} reports")
                    sending.join()
                finally:
                    ordeal.ended = team.ended
                    team.stop()
                _count(ordeal, ledger, peer.files(), (folder / f"storescp-{peer.port}.log").read_text())
    finally:
        broker.kill()
    return ordeal


class Team:
    """Some workers, of which one that was killed, or ended, is replaced at once, as a supervisor would."""

    def __init__(self, config: Path, folder: Path, size: int) -> None:
        self._config, self._folder, self._begun = config, folder, 0
        self.ended = 0  # that nobody killed
        self.workers = [self._new() for _ in range(size)]

    def victim(self, ledger: Engine, dice: random.Random) -> Worker:
        """A worker that takes messages, once another one does too, so that the work goes on; one that reads if it can
        be met within some seconds."""

        def ready() -> list[Worker]:
            self._replace_ended()
            return [worker for worker in self.workers if worker.ready]

        def reading() -> list[Worker]:
            pids = {int(owner.rpartition(":")[2]) for owner in _owners(ledger)}
            return [worker for worker in ready() if pids & {reader.pid for reader in worker.readers()}]

        wait_for(lambda: len(ready()) > 1, 240, what="two workers being ready")
        end = time.monotonic() + 5
        while time.monotonic() < end:
            if found := reading():
                return dice.choice(found)
        return dice.choice(ready())

    def replace(self, worker: Worker) -> None:
        """Kill a worker, and start another."""
        worker.kill()
        self.workers[self.workers.index(worker)] = self._new()

    def stop(self) -> None:
        """End all of them, cleanly."""
        for worker in self.workers:
            worker.stop()

    def _replace_ended(self) -> None:
        for place, worker in enumerate(self.workers):
            if worker.process.poll() is not None:
                assert worker.was_ready, f"a worker ended before it took anything: {worker.said()}"
                self.ended += 1
                self.workers[place] = self._new()

    def _new(self) -> Worker:
        self._begun += 1
        return Worker(self._config, self._folder / f"worker-{self._begun}.log")


def _strike(kind: str, team: Team, broker: Broker, ledger: Engine, dice: random.Random) -> None:
    match kind:
        case "worker":
            team.replace(team.victim(ledger, dice))
        case "reader":
            for reader in team.victim(ledger, dice).readers():
                reader.kill()
        case "broker":
            broker.kill()
            threading.Event().wait(dice.uniform(0, 1))  # how long it is away is part of the disorder
            broker.start()
        case _:
            broker.flush()


@contextmanager
def _sending(node: Served, folder: Path) -> Iterator[threading.Thread]:
    """A thread that sends the series in `folder`, an association a subfolder."""

    def send() -> None:
        for batch in sorted(folder.iterdir()):
            command = [program("dcmsend"), "-aec", "MRCLIP", "+sd", "+r", "127.0.0.1", str(node.ports["dicom"])]
            subprocess.run([*command, str(batch)], check=True, capture_output=True, env={"TCP_NODELAY": "1"})

    thread = threading.Thread(target=send, name="sending")
    thread.start()
    try:
        yield thread
    finally:
        thread.join()


def _owners(ledger: Engine) -> list[str]:
    with ledger.connect() as connection:
        return list(connection.execute(text("SELECT lease_owner FROM series WHERE state = 'reading'")).scalars())


def _answered(ledger: Engine) -> int:
    with ledger.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM series WHERE state = 'answered'")).scalar_one())


def _count(ordeal: Ordeal, ledger: Engine, reports: list[Path], log: str) -> None:
    with ledger.connect() as connection:
        ordeal.states = Counter(connection.execute(text("SELECT state FROM series")).scalars())
        ordeal.deliveries = Counter(connection.execute(text("SELECT state FROM deliveries")).scalars())
        ordeal.claims = int(connection.execute(text("SELECT sum(token) FROM series")).scalar_one())
    for path in reports:
        evidence = pydicom.dcmread(path).CurrentRequestedProcedureEvidenceSequence
        sources = {str(one.SeriesInstanceUID) for study in evidence for one in study.ReferencedSeriesSequence}
        ordeal.reported.update(sources)
    ordeal.stores = log.count("Received Store Request")
