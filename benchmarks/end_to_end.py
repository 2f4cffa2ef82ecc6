"""From the last C-STORE of a series to its accepted report: how long, how many a second, and where the time goes.

What it measured is in figures/end_to_end.json too, from which `scaling.py` computes how many machines that means.
python benchmarks/end_to_end.py [SINGLE BURST]     fewer series only try the script; nothing is written down then
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Engine, text

import atto_bundle
import sample
from dicom_node.receive.part10 import identify, read_file_meta
from dicom_node.receive.quarantine import StoreRequest
from dicom_node.report.make import make_report
from dicom_node.report.sr import encode
from dicom_node.settings import load_settings
from dicom_node.wiring import make_pipeline, make_readers, open_ledger
from dicom_node.wiring_receive import make_intake, open_spool
from dicom_node.work.files import SpoolFiles
from inference.read import Reader, read_series
from inference.sources import Instance, find, load
from machine import describe
from ordeal import Broker, Worker
from peers import StoreScp, program, storescp, wait_for
from postgres_server import postgres
from read_folder import parts
from serving import Served, opened, serve, write_settings

BURST, SINGLE, SLICES = 40, 16, 24
FEWEST_SINGLE, FEWEST_BURST = 3, 2  # a percentile needs two, and the first single one warms up
FIGURES = Path(__file__).with_name("figures") / "end_to_end.json"
TIMES = """
SELECT s.last_at, r.created_at, r.finished_at, d.delivered_at FROM deliveries d
JOIN readings r ON r.id = d.reading_id JOIN series s ON s.id = r.series_id
WHERE d.delivered_at IS NOT NULL ORDER BY d.id
"""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Who reads."""

    name: str
    workers: int  # 0: threads of the node
    at_once: int  # series


SETUPS = (
    Setup(name="embedded, 1 thread, SQLite", workers=0, at_once=1),
    Setup(name="embedded, 2 threads, SQLite", workers=0, at_once=2),
    Setup(name="1 worker, Redis, PostgreSQL", workers=1, at_once=1),
    Setup(name="2 workers, Redis, PostgreSQL", workers=2, at_once=2),
)


@dataclass(frozen=True, kw_only=True)
class Times:
    """Of one series, in seconds since 1970."""

    last_s: float
    begun_s: float
    finished_s: float
    accepted_s: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Of one setup."""

    setup: Setup
    single: list[Times]
    burst: list[Times]
    sent_s: float

    @property
    def rate(self) -> float:
        """Series a second in the burst."""
        begun_s = max(one.last_s for one in self.burst)
        return len(self.burst) / (max(one.accepted_s for one in self.burst) - begun_s)

    @property
    def whole_s(self) -> list[float]:
        """From the last instance of a series sent alone to its accepted report."""
        return [one.accepted_s - one.last_s for one in self.single]


def main(single: int, burst: int) -> None:
    """Print the section."""
    for name, given, fewest in (("SINGLE", single, FEWEST_SINGLE), ("BURST", burst, FEWEST_BURST)):
        if given < fewest:
            sys.exit(f"{name} is {given}; must be at least {fewest}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        bundle = atto_bundle.write(folder / "bundle")
        study = sample.write(folder / "study", count=single + burst, slices=SLICES)
        measured = [
            measure(folder / str(number), setup, (bundle, study), (single, burst))
            for number, setup in enumerate(SETUPS)
        ]
        with postgres() as url:
            direct = functions(folder / "direct", bundle, study, (url, single))
        size = sum(path.stat().st_size for path in (study / "000").iterdir())
    print(f"{SLICES} slices of 256 x 256, 16 encoded by ConvNeXt-atto at 224 px (random).")
    print("DCMTK's dcmsend and storescp run on the same cores. Every setting has its default but")
    print("`quiet_after_release_s: 0` (2 s by default).\n")
    latencies(measured, single)
    rates(measured, burst)
    shares(direct, measured, single)
    if (single, burst) == (SINGLE, BURST):
        keep(direct, measured, size)


def latencies(measured: Sequence[Measured], count: int) -> None:
    """Print how long single series take."""
    print(f"One series at a time (n={count - 1}), from its last instance, whose C-STORE response follows at once:\n")
    print("| | accepted: half | 95 % | waiting: quiet, sweep, queue | reading and report | delivery, its sweep |")
    print("|---|---|---|---|---|---|")
    for one in measured:
        steps = [
            [times.begun_s - times.last_s for times in one.single],
            [times.finished_s - times.begun_s for times in one.single],
            [times.accepted_s - times.finished_s for times in one.single],
        ]
        cells = " | ".join(f"{1000 * statistics.median(step):.0f} ms" for step in steps)
        half, most = 1000 * statistics.median(one.whole_s), 1000 * p95(one.whole_s)
        print(f"| {one.setup.name} | {half:.0f} ms | {most:.0f} ms | {cells} |")


def rates(measured: Sequence[Measured], count: int) -> None:
    """Print how many series a second go through."""
    print(f"\n{count} series in one association, all due when it ends:\n")
    print("| | received | series/s | accepted report: half | 95 % |\n|---|---|---|---|---|")
    for one in measured:
        begun_s = max(times.last_s for times in one.burst)
        whole = [times.accepted_s - begun_s for times in one.burst]
        received = f"{count * SLICES / one.sent_s:.0f} instances/s"
        print(f"| {one.setup.name} | {received} | **{one.rate:.1f}**", end=" ")
        print(f"| {statistics.median(whole):.1f} s | {p95(whole):.1f} s |")


def shares(direct: dict[str, float], measured: Sequence[Measured], count: int) -> None:
    """Print where the time of one series goes, and what the queue costs."""
    whole_ms = 1000 * sum(direct.values())
    one_worker = next(one for one in measured if one.setup.workers == 1)
    queued_ms = 1000 / one_worker.rate
    print(
        f"\nThe same functions called one after the other, without a queue, PostgreSQL, n={count}; and their share of"
    )
    print("the time that one worker takes for a series of the burst:\n")
    print("| part of one series | ms | share | share with the queue |\n|---|---|---|---|")
    for part, seconds in direct.items():
        ms = 1000 * seconds
        print(f"| {part} | {ms:.0f} | {100 * ms / whole_ms:.0f} % | {100 * ms / queued_ms:.0f} % |")
    beside_ms = queued_ms - whole_ms
    share = 100 * beside_ms / queued_ms
    print(f"| queue, and waiting for node, sender and destination | {beside_ms:.0f} | | {share:.0f} % |")
    print(f"| all | {whole_ms:.0f}, with the queue {queued_ms:.0f} | 100 % | 100 % |")
    print("\nOf the burst, against calling the functions directly:\n")
    print("| | ms of one reader for a series | more than directly |\n|---|---|---|")
    for one in measured:
        series_ms = 1000 * one.setup.at_once / one.rate
        more_ms = series_ms - whole_ms
        print(f"| {one.setup.name} | {series_ms:.0f} | {more_ms:+.0f} ms ({100 * more_ms / whole_ms:+.0f} %) |")


def keep(direct: dict[str, float], measured: Sequence[Measured], size: int) -> None:
    """Write the figures down for `scaling.py`."""
    document = {
        "machine": describe(),
        "cores": len(os.sched_getaffinity(0)),
        "slices": SLICES,
        "series_bytes": size,
        "parts_ms": {part: round(1000 * seconds, 1) for part, seconds in direct.items()},
        "setups": {
            one.setup.name: {
                "series_per_s": round(one.rate, 4),
                "received_per_s": round(len(one.burst) * SLICES / one.sent_s),
                "half_ms": round(1000 * statistics.median(one.whole_s)),
                "p95_ms": round(1000 * p95(one.whole_s)),
            }
            for one in measured
        },
    }
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def measure(folder: Path, setup: Setup, given: tuple[Path, Path], counts: tuple[int, int]) -> Measured:
    """Times of series sent one at a time, of a burst, and of sending that; `given`: bundle and study."""
    (bundle, study), (single, burst) = given, counts
    folder.mkdir()
    with ExitStack() as stack:
        peer = stack.enter_context(storescp(folder))
        to = {"name": "pacs", "ae_title": peer.ae_title, "host": peer.host, "port": peer.port}
        sections: dict[str, Any] = {
            "series": {"quiet_s": 30, "quiet_after_release_s": 0}, "work": {"sweep_interval_s": 1},
            "reader": {"bundle": str(bundle), "threads": setup.at_once}, "destinations": [to],
        }  # fmt: skip
        url = f"sqlite:///{folder / 'data' / 'ledger.sqlite3'}"
        if setup.workers:
            broker = Broker(folder)
            broker.start()
            stack.callback(broker.kill)
            url = stack.enter_context(postgres())
            sections |= {"ledger": {"database_url": url}, "queue": {"broker_url": broker.url}}
        config = write_settings(folder, **sections)
        node = stack.enter_context(serve(config))
        workers = [Worker(config, folder / f"worker-{number}.log") for number in range(setup.workers)]
        for worker in workers:
            stack.callback(worker.stop)
            worker.wait_until_ready()
        ledger = stack.enter_context(opened(url))
        for number in range(single):  # the first one warms up
            answered(node, ledger, peer, [study / f"{number:03d}"], number + 1)
        alone = times(ledger)
        together = [study / f"{number:03d}" for number in range(single, single + burst)]
        sent_s = answered(node, ledger, peer, together, single + burst)
        return Measured(setup=setup, single=alone[1:], burst=times(ledger)[single:], sent_s=sent_s)


def answered(node: Served, ledger: Engine, peer: StoreScp, folders: Sequence[Path], count: int) -> float:
    """Send series in one association and return, once the destination accepted `count` reports in all, how many
    seconds the sending took."""
    send = [program("dcmsend"), "-aec", "MRCLIP", "+sd", "127.0.0.1", str(node.ports["dicom"])]
    command = [*send, *map(str, folders)]
    sent_s = timed(lambda: subprocess.run(command, check=True, capture_output=True, env={"TCP_NODELAY": "1"}))
    wait_for(lambda: len(peer.files()) >= count and len(times(ledger)) >= count, 300, what=f"{count} reports")
    return sent_s


def times(ledger: Engine) -> list[Times]:
    """Of every accepted report."""
    with ledger.connect() as connection:
        rows = connection.execute(text(TIMES)).all()
    return [
        Times(last_s=last / 1e6, begun_s=begun / 1e6, finished_s=done / 1e6, accepted_s=accepted / 1e6)
        for last, begun, done, accepted in rows
    ]


def functions(folder: Path, bundle: Path, study: Path, how: tuple[str, int]) -> dict[str, float]:
    """Seconds of each part of one series, called directly: medians, and the best of five for single parts."""
    url, count = how
    folder.mkdir()
    with storescp(folder) as peer:
        to = {"name": "pacs", "ae_title": peer.ae_title, "host": peer.host, "port": peer.port}
        config = write_settings(
            folder, reader={"bundle": str(bundle), "threads": 1}, ledger={"database_url": url}, destinations=[to],
            series={"quiet_s": 0, "quiet_after_release_s": 0},
        )  # fmt: skip
        settings = load_settings(config)
        (ledger, engine), spool, readers = open_ledger(settings), open_spool(settings), make_readers(settings)
        pipeline = make_pipeline(settings, ledger=ledger, files=SpoolFiles(spool), readers=readers)
        intake = make_intake(settings, ledger=ledger, spool=spool)
        reading, delivery = [], []
        for number in range(count):
            series = {intake.take(request(path)).series_instance_uid for path in (study / f"{number:03d}").iterdir()}
            reading.append(timed(lambda series=series: [pipeline.read(uid) for uid in series]))
            due = ledger.due_deliveries(datetime.now(UTC) + timedelta(seconds=1), 9)
            delivery.append(timed(lambda due=due: [pipeline.deliver(one) for one in due]))
        assert len(peer.files()) == count
        engine.dispose()
    headers_s, pixels_s, encode_s = parts(study / "000", readers.current())
    report_s = min(report(study / "000", readers.current()) for _ in range(5))
    named = {
        f"headers of {SLICES} files": headers_s,
        "decode and prepare 16 slices": pixels_s,
        "encode 16 slices": encode_s,
        "report, encoded": report_s,
    }
    rest_s = statistics.median(reading) - sum(named.values())
    return {
        **named,
        "rules, evidence, ledger, spool and the rest": rest_s,
        "delivery by C-STORE": statistics.median(delivery),
    }


def report(folder: Path, reader: Reader) -> float:
    """Seconds to make the report of a series that was read."""
    instances = [one for one in map(load, find([folder])) if isinstance(one, Instance)]
    reading = read_series(instances, reader).reading
    return timed(
        lambda: encode(make_report(reading, instances, reader, created_at=datetime.now(UTC), predecessor=None))
    )


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def request(path: Path) -> StoreRequest:
    """A file as a sender would bring it."""
    file = memoryview(path.read_bytes())
    meta = read_file_meta(file)
    data_set = file[meta.data_set_offset :]
    identity = identify(data_set, meta.transfer_syntax_uid)
    return StoreRequest(
        sop_class_uid=identity.sop_class_uid, sop_instance_uid=identity.sop_instance_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid, data_set=data_set, calling_aet="BENCH",
    )  # fmt: skip


if __name__ == "__main__":
    main(*(map(int, sys.argv[1:]) if sys.argv[1:] else (SINGLE, BURST)))
