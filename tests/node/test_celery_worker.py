"""The same work on Celery workers, with a real Redis: one is killed in the middle of a reading."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicom_factory import series, write_series
from peers import free_port, listens, program, running, storescp, wait_for
from serving import MRCLIP, Served, serve, write_settings

pytestmark = pytest.mark.peer("redis-server", "storescp", "dcmsend")
LEASE_S = 6.0
# A sitecustomize that makes the first reading hang: the worker is then certain to be killed in the middle of one.
HANG = """
import os, pathlib, threading
import inference.read
_read = inference.read.read_series
def read_series(*arguments):
    flag = pathlib.Path(os.environ["HANG_ONCE"])
    if not flag.exists():
        flag.write_text(str(os.getpid()))
        threading.Event().wait()
    return _read(*arguments)
inference.read.read_series = read_series
"""

# One in which a reading waits to be let go.
HOLD = """
import os, pathlib, threading
import inference.read
_read = inference.read.read_series
def read_series(*arguments):
    pathlib.Path(os.environ["BEGUN"]).touch()
    while not pathlib.Path(os.environ["GO"]).exists():
        threading.Event().wait(0.02)
    return _read(*arguments)
inference.read.read_series = read_series
"""


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis of our own that keeps nothing."""
    port = free_port()
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with running(command, log=tmp_path / "redis.log", ready=lambda: listens(port)):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def worker(config: Path, log: Path, *options: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """`mrclip worker` in a process group of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MRCLIP")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*MRCLIP, "worker", "--config", str(config), *options],
            stdout=output, stderr=output, env={**clean, **environment}, start_new_session=True,
        )  # fmt: skip
    try:
        wait_for(
            lambda: process.poll() is not None or b" ready." in log.read_bytes(), 60, what="the worker being ready"
        )
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def send(node: Served, folder: Path) -> None:
    command = [program("dcmsend"), "-aec", "MRCLIP", "+sd", "+r", "127.0.0.1", str(node.ports["dicom"]), str(folder)]
    subprocess.run(command, check=True, capture_output=True, env={"TCP_NODELAY": "1"})


def test_a_worker_killed_in_the_middle_of_a_reading_ends_with_exactly_one_report(
    tmp_path: Path, redis_url: str
) -> None:
    write_series(series(3, EchoTime=0.09, RepetitionTime=4000), tmp_path / "images")
    hang = tmp_path / "hang"
    hang.mkdir()
    (hang / "sitecustomize.py").write_text(HANG)
    with storescp(tmp_path) as peer:
        to = {"name": "pacs", "ae_title": peer.ae_title, "host": peer.host, "port": peer.port}
        config = write_settings(tmp_path, queue={"broker_url": redis_url}, work={"lease_s": LEASE_S}, destinations=[to])
        flag = tmp_path / "hung"
        with (
            serve(config) as node,
            worker(config, tmp_path / "w1.log", PYTHONPATH=str(hang), HANG_ONCE=str(flag)) as doomed,
        ):
            send(node, tmp_path / "images")
            wait_for(flag.exists, 60, what="the first reading having begun")
            with worker(config, tmp_path / "w2.log"):
                assert list(node.states().values()) == ["reading"]
                os.killpg(doomed.pid, signal.SIGKILL)
                doomed.wait(30)
                node.wait_until_answered(1, deadline_s=2 * LEASE_S)
        assert len(peer.files()) == 1
        assert node.query("SELECT token FROM series") == [(2,)]  # claimed twice


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_that_is_told_to_stop_finishes_what_it_is_reading(pool: str, tmp_path: Path, redis_url: str) -> None:
    write_series(series(3, EchoTime=0.09, RepetitionTime=4000), tmp_path / "images")
    hold = tmp_path / "hold"
    hold.mkdir()
    (hold / "sitecustomize.py").write_text(HOLD)
    config = write_settings(
        tmp_path, queue={"broker_url": redis_url}, destinations=[{"name": "archive", "folder": str(tmp_path / "pacs")}]
    )
    flag, go, log = tmp_path / "begun", tmp_path / "go", tmp_path / "w.log"
    with (
        serve(config) as node,
        worker(config, log, "--pool", pool, PYTHONPATH=str(hold), BEGUN=str(flag), GO=str(go)) as stopping,
    ):
        send(node, tmp_path / "images")
        wait_for(flag.exists, 60, what="the reading having begun")
        stopping.terminate()
        wait_for(lambda: b"Warm shutdown" in log.read_bytes(), what="the worker having heard it")
        go.touch()
        assert stopping.wait(30) == 0
        assert node.query("SELECT state, token FROM series") == [("read", 1)]
    lines = [line for line in log.read_text().splitlines() if line and "Warm shutdown" not in line]  # said on stdout
    assert {json.loads(line)["logger"] for line in lines} >= {"dicom_node.commands.worker", "dicom_node.work.pipeline"}


def test_a_broker_that_is_away_delays_and_loses_nothing(tmp_path: Path) -> None:
    write_series(series(3, EchoTime=0.09, RepetitionTime=4000), tmp_path / "images")
    port = free_port()
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with storescp(tmp_path) as peer:
        to = {"name": "pacs", "ae_title": peer.ae_title, "host": peer.host, "port": peer.port}
        config = write_settings(
            tmp_path, queue={"broker_url": f"redis://127.0.0.1:{port}/0"}, work={"lease_s": LEASE_S}, destinations=[to]
        )
        with serve(config) as node:
            send(node, tmp_path / "images")
            wait_for(lambda: b"broker not reachable" in node.log.read_bytes(), what="the broker being missed")
            with (
                running(command, log=tmp_path / "redis.log", ready=lambda: listens(port)),
                worker(config, tmp_path / "w.log"),
            ):
                node.wait_until_answered(1)
        assert len(peer.files()) == 1
