"""What the length of a PDU, Nagle's algorithm and reading ahead change, and where the time of receiving goes.

The sender is DCMTK's storescu with four associations; the choices are measured with one receiving process, in turns.
"""

import json
import os
import resource
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest import SIDES_PX, Sink, children, default_processes, files, node, receiver, send

INSTANCES, REPEATS = 100, 9
ASSOCIATIONS = (4,)
TUNED = Path(__file__).with_name("tuned_scp.py")
PROFILED = 300  # instances an association
CHOICES: dict[str, dict[str, Any]] = {
    "as it is: PDUs of 128 KiB, no Nagle, 256 KiB read ahead": {},
    "PDUs of 16 KiB": {"pdu_bytes": 1 << 14},
    "PDUs of 64 KiB": {"pdu_bytes": 1 << 16},
    "Nagle's algorithm": {"nagle": True},
    "4 KiB read ahead": {"ahead_bytes": 1 << 12},
    "64 KiB read ahead": {"ahead_bytes": 1 << 16},
    "1 MiB read ahead": {"ahead_bytes": 1 << 20},
}


def compare(root: Path, size: str) -> dict[str, float]:
    """Instances a second with each of the choices."""
    rates: dict[str, list[float]] = {name: [] for name in CHOICES}
    with ExitStack() as stack:
        sinks: dict[str, Sink] = {}
        for number, (name, choices) in enumerate(CHOICES.items()):
            folder = root / str(number)
            folder.mkdir(parents=True)
            sinks[name] = stack.enter_context(receiver(TUNED, folder, json.dumps(choices)))
        turn = list(sinks.items())
        sent = root / "sent"
        for folders in files(sent, SIDES_PX[size], instances=INSTANCES, repeats=REPEATS, associations=ASSOCIATIONS):
            turn = turn[1:] + turn[:1]  # nobody is always the first
            for name, sink in turn:
                os.sync()
                rates[name].append(INSTANCES * len(folders) / send(sink, folders))
    return {name: statistics.median(found) for name, found in rates.items()}


@dataclass
class Clock:
    """Seconds of processor time until now."""

    idle_s: float  # of all cores
    receiver_user_s: float
    receiver_kernel_s: float
    sender_s: float
    wall_s: float


def clock(receivers: set[int]) -> Clock:
    """Read them: of the receivers, of what this process started and waited for, and of the machine."""
    tick = os.sysconf("SC_CLK_TCK")
    whole = Path("/proc/stat").read_text().splitlines()[0].split()
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in receivers]
    sender = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Clock(
        idle_s=(int(whole[4]) + int(whole[5])) / tick,
        receiver_user_s=sum(int(stat[11]) for stat in stats) / tick,
        receiver_kernel_s=sum(int(stat[12]) for stat in stats) / tick,
        sender_s=sender.ru_utime + sender.ru_stime,
        wall_s=time.perf_counter(),
    )


def profile(root: Path, size: str) -> dict[str, float]:
    """Milliseconds of processor for an instance, by whom, with the default of receiving processes."""
    root.mkdir()
    before = children()
    with node(default_processes(), root) as sink:
        receivers = children() - before
        receivers |= {int(one) for pid in receivers for one in _children_of(pid)}
        (folders,) = files(root / "sent", SIDES_PX[size], instances=PROFILED, repeats=1, associations=ASSOCIATIONS)
        os.sync()
        begun = clock(receivers)
        send(sink, folders)
        ended = clock(receivers)
    count, cores = PROFILED * len(folders), len(os.sched_getaffinity(0))
    spent = {name: 1000 * (getattr(ended, name) - getattr(begun, name)) / count for name in vars(begun)}
    parts = {
        "the sender": spent["sender_s"],
        "receiving: interpreter and libraries": spent["receiver_user_s"],
        "receiving: kernel, for files and network": spent["receiver_kernel_s"],
        "idle: the disk is waited for": spent["idle_s"],
    }
    whole = cores * spent["wall_s"]
    return {**parts, "the rest: interrupts, threads of the kernel": max(0.0, whole - sum(parts.values())), "all": whole}


def _children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def main(root: Path) -> None:
    """Print the section."""
    sizes = list(SIDES_PX)
    rates = {size: compare(root / f"choices-{side}", size) for size, side in SIDES_PX.items()}
    print("| instances a second, one receiving process | " + " | ".join(sizes) + " |\n|---|" + "---:|" * len(sizes))
    for name in CHOICES:
        print(f"| {name} | " + " | ".join(f"{rates[size][name]:.0f}" for size in sizes) + " |")
    print(f"\n{INSTANCES} instances an association, four associations, median of {REPEATS}, in turns.\n")
    parts = {size: profile(root / f"profile-{side}", size) for size, side in SIDES_PX.items()}
    print(
        "| ms of processor an instance, as it is by default | " + " | ".join(sizes) + " |\n|---|" + "---:|" * len(sizes)
    )
    for name in parts[sizes[0]]:
        shares = (f"{parts[size][name]:.2f} ({parts[size][name] / parts[size]['all']:.0%})" for size in sizes)
        print(f"| {name} | " + " | ".join(shares) + " |")
    cores = len(os.sched_getaffinity(0))
    bounds = " and ".join(f"{1000 * cores / parts[size]['the sender']:.0f}" for size in sizes)
    print(
        f"\n{PROFILED} instances an association, four associations. If receiving cost nothing, the sender would"
        f" still send no more than {bounds} instances a second on these cores."
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
