"""A node as its users run it: `mrclip serve` in a process of its own, with settings in a file."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from sqlalchemy import Engine, create_engine, text

from peers import wait_for

MRCLIP = (sys.executable, "-m", "dicom_node.cli")


def write_settings(folder: Path, **sections: Mapping[str, Any] | list[Any]) -> Path:
    """Settings for a quick node on loopback in `folder`; `sections` go on top, key by key."""
    settings: dict[str, Any] = {
        "scp": {"host": "127.0.0.1", "port": 0, "processes": 1},
        "spool": {"path": str(folder / "data" / "spool"), "reserve_bytes": 0},
        "series": {"quiet_s": 3, "quiet_after_release_s": 0.3},
        "reader": {"bundle": "none"},
        "work": {"sweep_interval_s": 0.1, "retry_s": 0.3, "retry_max_s": 1},
        "web": {"port": 0},
    }
    for name, section in sections.items():
        settings[name] = {**settings.get(name, {}), **section} if isinstance(section, Mapping) else section
    path = folder / "node.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@dataclass(kw_only=True)
class Served:
    """A running node."""

    process: subprocess.Popen[bytes]
    config: Path
    log: Path
    ports: dict[str, int] = field(default_factory=dict)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of its SQLite ledger."""
        path = Path(yaml.safe_load(self.config.read_text())["spool"]["path"]).parent / "ledger.sqlite3"
        with opened(f"sqlite:///{path}") as ledger, ledger.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def states(self) -> dict[str, str]:
        """Series Instance UID -> state."""
        return dict(self.query("SELECT series_uid, state FROM series"))  # type: ignore[arg-type]

    def wait_until_answered(self, count: int, deadline_s: float = 60) -> None:
        """Return once there are `count` series and nothing is left to do for any of them."""

        def done() -> bool:
            states = self.states()
            return len(states) == count and set(states.values()) <= {"answered", "quarantined"}

        wait_for(done, deadline_s, what=f"{count} series being answered (now {self.states()})")

    def stop(self) -> int:
        """SIGTERM and its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def opened(database_url: str) -> Iterator[Engine]:
    """A ledger to look into, beside the node that keeps it."""
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def serve(config: Path) -> Iterator[Served]:
    """`mrclip serve` from the moment it says that it is ready until the block ends."""
    log = config.with_name(f"serve-{time.monotonic_ns()}.log")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MRCLIP")}
    environment["PYTHONFAULTHANDLER"] = "1"  # SIGABRT makes it say what its threads are at
    with log.open("wb") as output:
        process = subprocess.Popen([*MRCLIP, "serve", "--config", str(config)], stderr=output, env=environment)
    served = Served(process=process, config=config, log=log)
    try:
        wait_for(lambda: process.poll() is not None or _ready(log), 60, what="the node being ready")
        if process.poll() is not None:
            pytest.fail(f"mrclip serve ended with {process.returncode}: {log.read_text()[-2000:]}")
        served.ports = _ready(log) or {}
        yield served
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                node = psutil.Process(process.pid)
                for running in (*node.children(recursive=True), node):
                    running.send_signal(signal.SIGABRT)
                process.wait()
                pytest.fail(f"mrclip serve did not end within 30 s of SIGTERM: {log.read_text()[-20000:]}")


def _ready(log: Path) -> dict[str, int] | None:
    for line in log.read_text(errors="replace").splitlines():
        if '"ready"' in line:
            ports: dict[str, int] = json.loads(line)["ports"]
            return ports
    return None
