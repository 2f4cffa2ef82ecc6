"""Programs nobody here wrote, as peers of a test: find them, start them on a free port, wait for them."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# The Debian package each program comes from.
PACKAGES = {
    "chromium": "chromium",
    "dciodvfy": "dicom3tools",
    "dcmconv": "dcmtk",
    "dcmdump": "dcmtk",
    "dcmsend": "dcmtk",
    "dsrdump": "dcmtk",
    "echoscu": "dcmtk",
    "storescp": "dcmtk",
    "storescu": "dcmtk",
    "Orthanc": "orthanc",
    "redis-server": "redis-server",
    "systemd-analyze": "systemd",
}


def program(name: str) -> str:
    """The path of a program; fails the test with the command that installs it where it is absent.

    Our own environment is not searched: pynetdicom installs programs there that are named as DCMTK's are.
    """
    ours = Path(sys.prefix) / "bin"
    folders = [folder for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(folder) != ours]
    # Debian keeps the servers' programs out of an ordinary user's PATH.
    folders += ["/usr/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin")))]
    path = shutil.which(name, path=os.pathsep.join(folders))
    if path is None:
        pytest.fail(f"{name} is not installed: apt-get install {PACKAGES.get(name, name)}")
    return path


def free_port() -> int:
    """A TCP port nobody listened on a moment ago, for peers that cannot choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition: Callable[[], object], deadline_s: float = 20.0, *, what: str = "the condition") -> None:
    """Return as soon as `condition()` is true; fail the test where it is not within `deadline_s`."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come true within {deadline_s} s")
        pause.wait(0.02)


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """True if something accepts TCP connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


@contextmanager
def running(
    command: Sequence[str], *, log: Path, ready: Callable[[], bool], deadline_s: float = 20.0
) -> Iterator[subprocess.Popen[bytes]]:
    """A program, from the moment `ready()` is true until the block ends; what it prints goes to `log`.

    TCP_NODELAY: without it DCMTK waits 40 ms an instance for an acknowledgement that is being delayed.
    """
    environment = {**os.environ, "TCP_NODELAY": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        wait_for(lambda: process.poll() is not None or ready(), deadline_s, what=f"{command[0]} being ready")
        if process.poll() is not None:
            pytest.fail(f"{command[0]} ended with {process.returncode}: {log.read_text(errors='replace')[-2000:]}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True, kw_only=True)
class StoreScp:
    """A running storescp of DCMTK."""

    port: int
    folder: Path  # where received files arrive
    ae_title: str = "STORESCP"
    host: str = "127.0.0.1"

    def files(self) -> list[Path]:
        """What has arrived so far."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())


@contextmanager
def storescp(tmp_path: Path, *options: str, port: int | None = None) -> Iterator[StoreScp]:
    """DCMTK's storescp on a free port (or the given one), storing what it receives bit for bit.

    Files are named by modality and SOP Instance UID, as in `received/MR.1.2.3`.
    `options` go before the port, e.g. "--refuse" (no association) or "+xs"; the default accepts every transfer syntax.
    """
    folder = tmp_path / "received"
    folder.mkdir(parents=True, exist_ok=True)
    peer = StoreScp(port=port or free_port(), folder=folder)
    chosen = options or ("--accept-all",)
    command = [program("storescp"), "-aet", peer.ae_title, "-od", str(folder), "+B", *chosen, str(peer.port)]
    with running(command, log=tmp_path / f"storescp-{peer.port}.log", ready=lambda: listens(peer.port)):
        yield peer
