"""Instances a second into this node, DCMTK's storescp, Orthanc and plain pynetdicom: same sender, same files, in turns.

`ingest.py [INSTANCES REPEATS]`: instances an association, and how often. The sender is DCMTK's storescu; TCP_NODELAY=1
for it and storescp, which else wait 40 ms an instance. This node and Orthanc sync every instance to the disk before
they answer (Orthanc its bytes alone), so there are rows for what the disk itself can sync: past the page cache, as this
node writes, and through it, as the others do. What lies between the two depends on the machine: a virtual one may pay
much for a page that its host has to find first.

Nobody is to pay for those before. So the disk gets what they left to it before the next turn begins, and no file is
removed before all is measured: ext4 without a journal looks for a free inode among those that were removed within the
last minutes, one by one. Both runs together take 35 GB.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

import sample  # noqa: F401 - puts the tests' helpers on the path
from dicom_factory import mr_image, write_series
from dicom_node.receive.files import BLOCK_BYTES, make_folder, settle, write_sealed
from peers import free_port, listens, program, running

SIDES_PX = {"132 KB": 256, "512 KB": 511}
ASSOCIATIONS = (1, 4)
RUNS = ((80, 5), (300, 3))  # instances an association, and how often: a series, and a study in one go
RECEIVER = Path(__file__).parent.parent / "tests" / "node" / "receiving_process.py"
Sink = tuple[int, str]  # port and AE title
Column = tuple[str, int]  # size and associations
DISK, CACHED = "the disk alone, synced", "the disk alone, synced, through the page cache"


@contextmanager
def receiver(script: Path, folder: Path, how: str) -> Iterator[Sink]:
    """This node's receiving part in processes of its own, as a script of ours starts it."""
    command = [sys.executable, str(script), str(folder), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), "MRCLIP"
        finally:
            process.kill()


def node(processes: int, folder: Path) -> AbstractContextManager[Sink]:
    """This node's receiving part as it is."""
    return receiver(RECEIVER, folder, str(processes))


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


@contextmanager
def stock(folder: Path) -> Iterator[Sink]:
    """A plain pynetdicom SCP."""
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("stock_scp.py")), str(folder), str(port)]
    with running(command, log=folder.with_suffix(".log"), ready=lambda: listens(port), deadline_s=60):
        yield port, "STOCK"


def default_processes() -> int:
    """How many processes receive by default (`scp.processes`)."""
    return min(4, len(os.sched_getaffinity(0)))


def sinks() -> dict[str, Callable[[Path], AbstractContextManager[Sink]]]:
    """Whoever receives, by name; the first one is this node as it is by default."""
    default = default_processes()
    found: dict[str, Callable[[Path], AbstractContextManager[Sink]]] = {
        f"mrclip, {count} receiving": partial(node, count) for count in sorted({default, 2, 1}, reverse=True)
    }
    return {**found, "storescp --fork": storescp, "Orthanc": orthanc_sink, "plain pynetdicom": stock}


def send(sink: Sink, folders: list[Path]) -> float:
    """Seconds to send `folders`, each over an association of its own."""
    port, title = sink
    command = [program("storescu"), "-aec", title, "--max-send-pdu", "131072", "+sd", "127.0.0.1", str(port)]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    begun = time.perf_counter()
    senders = [
        subprocess.Popen([*command, str(folder)], env=environment, stdout=subprocess.DEVNULL) for folder in folders
    ]
    failed = [sender.wait() for sender in senders]  # all of them
    if any(failed):
        sys.exit(f"a sender failed with {title}")
    return time.perf_counter() - begun


def write(folder: Path, folders: list[Path], *, beyond: int) -> float:
    """Seconds to write the files of `folders` as the spool does, a thread for each, with nothing else going on.

    `beyond`: bytes more than whole blocks; what is not whole blocks goes through the page cache.
    """
    contents = [path.read_bytes() for path in sorted(folders[0].iterdir())]
    contents = [content + bytes(-len(content) % BLOCK_BYTES + beyond) for content in contents]

    def run(source: Path) -> None:
        names = (f"{folder}/{source.name}/{number}.dcm" for number in range(len(contents)))
        parts = [write_sealed(name, [content]) for name, content in zip(names, contents, strict=True)]
        settle(folder / source.name, filter(None, parts))

    for source in folders:
        make_folder(folder / source.name)
    threads = [threading.Thread(target=run, args=(source,)) for source in folders]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begun


def files(
    root: Path, side_px: int, *, instances: int, repeats: int, associations: tuple[int, ...] = ASSOCIATIONS
) -> Iterator[list[Path]]:
    """Folders to send, by repeat and association; never the same instance twice."""
    pixels = np.random.default_rng(0).integers(0, 1000, (side_px, side_px)).astype(np.uint16)
    for repeat in range(repeats):
        for count in associations:
            folders = [root / f"{repeat}-{count}-{number}" for number in range(count)]
            for folder in folders:
                folder.mkdir(parents=True)
                write_series([mr_image(seed=folder, index=index, pixels=pixels) for index in range(instances)], folder)
            yield folders


@dataclass
class Spent:
    """What receivers did with their time, by column."""

    rates: dict[Column, list[float]] = field(default_factory=dict)  # instances a second
    processor_ms: dict[Column, list[float]] = field(default_factory=dict)  # an instance


def processor_s(root: int) -> float:
    """Seconds of processor time of a process, those it started and those of them that ended."""
    found: dict[int, tuple[int, float]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        found[int(stat.parent.name)] = int(words[1]), sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")
    members = {root}
    while more := {one for one, (parent, _) in found.items() if parent in members} - members:
        members |= more
    return sum(found[one][1] for one in members if one in found)


def children() -> set[int]:
    """The processes that this one started."""
    pid = os.getpid()
    return {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def measure(root: Path, size: str, spent: dict[str, Spent], *, instances: int, repeats: int) -> None:
    """Send to everybody in turns, files of one size, which stay in `root`."""
    root.mkdir()
    with ExitStack() as stack:
        begun: dict[str, tuple[Sink, int]] = {}
        for name, begin in sinks().items():
            folder, before = root / "".join(filter(str.isalnum, name)), children()
            folder.mkdir()
            begun[name] = stack.enter_context(begin(folder)), (children() - before).pop()
        disks = {DISK: 0, CACHED: 2}
        for name in disks:
            (root / name).mkdir()
        for folders in files(root / "sent", SIDES_PX[size], instances=instances, repeats=repeats):
            column, count = (size, len(folders)), instances * len(folders)
            for name, (sink, pid) in begun.items():
                os.sync()
                before_s = processor_s(pid)
                rate = count / send(sink, folders)
                spent[name].rates.setdefault(column, []).append(rate)
                spent[name].processor_ms.setdefault(column, []).append(1000 * (processor_s(pid) - before_s) / count)
            for name, beyond in disks.items():
                os.sync()
                rate = count / write(root / name, folders, beyond=beyond)
                spent[name].rates.setdefault(column, []).append(rate)


def table(title: str, rows: dict[str, list[str]]) -> None:
    """Print one."""
    columns = [f"{size}, {count} assoc." for size in SIDES_PX for count in ASSOCIATIONS]
    print(f"| {title} | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(row) + " |")
    print()


def main(root: Path, instances: int, repeats: int) -> None:
    """Print the tables of one run."""
    names = list(sinks())
    spent = {name: Spent() for name in (*names, DISK, CACHED)}
    for size, side_px in SIDES_PX.items():
        measure(root / f"{instances}-{side_px}", size, spent, instances=instances, repeats=repeats)
    columns = [(size, count) for size in SIDES_PX for count in ASSOCIATIONS]
    rates = {name: [statistics.median(one.rates[column]) for column in columns] for name, one in spent.items()}
    rows = {name: [f"{rate:.0f}" for rate in row] for name, row in rates.items()}
    for other in ("storescp --fork", "Orthanc", "plain pynetdicom"):
        pairs = zip(rates[names[0]], rates[other], strict=True)
        rows[f"{names[0]} / {other}"] = [f"{mine / theirs:.2f}" for mine, theirs in pairs]
    table("instances a second", rows)
    table(
        "ms of processor an instance",
        {name: [f"{statistics.median(spent[name].processor_ms[column]):.2f}" for column in columns] for name in names},
    )
    print(
        f"{instances} instances an association, median of {repeats}, in turns. *receiving*: `scp.processes`. mrclip"
        " syncs every instance to the disk before it answers, and its name with those of others; Orthanc syncs the"
        " bytes of every instance, not its name; the others sync nothing. The sender runs on the same cores."
        f" *{DISK}*: as the spool writes, past the page cache, by threads, with no DICOM and no sender."
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for run in (tuple(map(int, sys.argv[1:])),) if sys.argv[1:] else RUNS:
            main(Path(folder), *run)
            print()
