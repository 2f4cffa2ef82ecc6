"""Instances a second into this node, DCMTK's storescp and Orthanc: same sender and files, one and four associations.

The sender is DCMTK's storescu; TCP_NODELAY=1 for it and storescp, which else wait 40 ms an instance. This node and
nobody else syncs every instance to the disk before it answers.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import sample  # noqa: F401 - puts the tests' helpers on the path
from dicom_factory import mr_image, write_series
from peers import free_port, listens, program, running

SIDES_PX = {"132 KB": 256, "512 KB": 511}
ASSOCIATIONS = (1, 4)
INSTANCES = 80  # an association
REPEATS = 3
RECEIVER = Path(__file__).parent.parent / "tests" / "node" / "receiving_process.py"
Sink = tuple[int, str]  # port and AE title


@contextmanager
def node(folder: Path) -> Iterator[Sink]:
    """This node's receiving part in a process of its own."""
    command = [sys.executable, str(RECEIVER), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), "MRCLIP"
        finally:
            process.kill()


@contextmanager
def storescp(folder: Path) -> Iterator[Sink]:
    """DCMTK's storescp, a process for each association, writing the bytes as they come."""
    received, port = folder / "received", free_port()
    received.mkdir()
    command = [program("storescp"), "--fork", "+B", "-od", str(received), str(port)]
    with running(command, log=folder / "storescp.log", ready=lambda: listens(port)):
        yield port, "STORESCP"


@contextmanager
def orthanc_sink(folder: Path) -> Iterator[Sink]:
    """Orthanc with its defaults."""
    http, port = free_port(), free_port()
    config = folder / "orthanc.json"
    places = {"StorageDirectory": str(folder), "IndexDirectory": str(folder)}
    config.write_text(json.dumps({**places, "HttpPort": http, "DicomPort": port, "DicomAet": "ORTHANC", "Plugins": []}))
    with running([program("Orthanc"), str(config)], log=folder / "log", ready=lambda: listens(port), deadline_s=60):
        yield port, "ORTHANC"


SINKS: dict[str, Callable[[Path], object]] = {"mrclip": node, "storescp --fork": storescp, "Orthanc": orthanc_sink}


def send(sink: Sink, folders: list[Path]) -> float:
    """Seconds to send `folders`, each over an association of its own."""
    port, title = sink
    environment = {**os.environ, "TCP_NODELAY": "1"}
    begun = time.perf_counter()
    senders = [
        subprocess.Popen(
            [
                program("storescu"),
                "-aec",
                title,
                "--max-send-pdu",
                "131072",
                "+sd",
                "127.0.0.1",
                str(port),
                str(folder),
            ],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for folder in folders
    ]
    failed = [sender.wait() for sender in senders]  # all of them
    if any(failed):
        sys.exit(f"a sender failed with {title}")
    return time.perf_counter() - begun


def files(root: Path, side_px: int) -> list[list[Path]]:
    """Folders to send, by repeat and association; never the same instance twice."""
    pixels = np.random.default_rng(0).integers(0, 1000, (side_px, side_px)).astype(np.uint16)
    made: list[list[Path]] = []
    for repeat in range(REPEATS * len(ASSOCIATIONS)):
        count = ASSOCIATIONS[repeat % len(ASSOCIATIONS)]
        folders = [root / f"{repeat}-{number}" for number in range(count)]
        for folder in folders:
            folder.mkdir(parents=True)
            images = [mr_image(seed=folder, index=index, pixels=pixels) for index in range(INSTANCES)]
            write_series(images, folder)
        made.append(folders)
    return made


def main() -> None:
    """Print the table."""
    print(
        "| instances a second | " + " | ".join(f"{size}, {n} assoc." for size in SIDES_PX for n in ASSOCIATIONS) + " |"
    )
    print("|---|" + "---:|" * len(SIDES_PX) * len(ASSOCIATIONS))
    rates: dict[str, list[float]] = {name: [] for name in SINKS}
    for side_px in SIDES_PX.values():
        with tempfile.TemporaryDirectory() as root:
            sets = files(Path(root), side_px)
            for name, open_sink in SINKS.items():
                folder = Path(root) / "".join(filter(str.isalpha, name))
                folder.mkdir()
                with open_sink(folder) as sink:  # type: ignore[attr-defined]
                    spent = [INSTANCES * len(folders) / send(sink, folders) for folders in sets]
                rates[name] += [statistics.median(spent[n :: len(ASSOCIATIONS)]) for n in range(len(ASSOCIATIONS))]
    for name, row in rates.items():
        print(f"| {name} | " + " | ".join(f"{rate:.0f}" for rate in row) + " |")
    for other in ("storescp --fork", "Orthanc"):
        ratios = [mine / theirs for mine, theirs in zip(rates["mrclip"], rates[other], strict=True)]
        print(f"| mrclip / {other} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")
    print(
        f"\n{INSTANCES} instances an association, median of {REPEATS}; one receiving process of mrclip, whose instances"
        " are synced to the disk and in its ledger before they are answered; the others sync nothing."
    )


if __name__ == "__main__":
    main()
