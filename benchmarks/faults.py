"""Nothing acknowledged is lost or doubled: not by kill -9 at any moment, not by what disks, peers and bytes do."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import sample  # noqa: F401 - puts the tests' helpers on the path
from killing import IMAGES, PHASES, undergo
from survival import MEMORY_BYTES, Survival, survive
from trouble import FAULTS

KILLS = 200
DATA_SETS, PDUS = 8000, 4000
SEED = 2026


def main(kills: int, data_sets: int, pdus: int) -> None:
    """Print the section."""
    print(f"### Killed {kills} times\n")
    with TemporaryDirectory() as folder:
        _killed(Path(folder), kills)
    print("\n### Faults\n\n| fault | what the node did |\n|---|---|")
    for name, fault in FAULTS.items():
        print(f"| {name} | {_fault(fault)} |", flush=True)
    print(f"\n### {data_sets + pdus} mutants\n")
    with TemporaryDirectory() as folder:
        _survived(survive(Path(folder), data_sets=data_sets, pdus=pdus, seed=SEED))


def _killed(folder: Path, kills: int) -> None:
    begun = time.monotonic()
    deaths = undergo(folder, kills=kills, seed=SEED)
    seconds = time.monotonic() - begun
    print(
        f"`mrclip serve` alone (SQLite, threads, rules alone), SIGKILL at moments drawn from seed {SEED}; two senders\n"
        f"that repeat a series of {IMAGES} images where its association broke. From first start to last end:\n"
        f"{seconds:.0f} s.\n"
    )
    print("| killed while it was | times |\n|---|---|")
    for phase in PHASES:
        print(f"| {phase} | {deaths.kills[phase]} |")
    print("\n| a kill interrupted | times |\n|---|---|")
    for what, times in sorted(deaths.caught.items()):
        print(f"| {what} | {times} |")
    print("\n| outcome | |\n|---|---|")
    rows = {
        "series": deaths.series,
        "instances acknowledged": deaths.acknowledged,
        "**of them lost**": deaths.lost,
        "**doubled**": deaths.doubled,
        "half files under a final name": deaths.half,
        "parts left behind": deaths.parts,
        "**series without their report**": deaths.unreported,
        "**series with two reports on the same images**": deaths.reported_twice,
        "series reported before all their images were there": deaths.early,
        "reports sent again, the same object": deaths.repeated,
    }
    for name, count in rows.items():
        print(f"| {name} | {count} |")
    deaths.check()


def _survived(survival: Survival) -> None:
    toll = survival.toll
    print(f"{toll.statuses.total()} data sets and {toll.ends.total()} conversations with damaged PDUs, seed {SEED}.\n")
    print("| how a data set was damaged | times |\n|---|---|")
    for name, count in toll.damages.most_common():
        print(f"| {name} | {count} |")
    print("\n| how it was answered | times |\n|---|---|")
    for name, count in toll.statuses.most_common():
        print(f"| {name} | {count} |")
    print("\n| what the node said last on damaged PDUs | times |\n|---|---|")
    for name, count in toll.ends.most_common():
        print(f"| {name} | {count} |")
    print("\n| outcome | |\n|---|---|")
    print(f"| different data sets in quarantine, each with its reason | {survival.reasons.total()} |")
    print(f"| different reasons | {len(survival.reasons)} |")
    print(f"| data sets under a UID that was taken, kept aside | {survival.aside} |")
    for state, count in survival.series.items():
        print(f"| series of mutants {state} | {count} |")
    print(f"| exceptions that nobody caught | {survival.tracebacks} |")
    peak, bound = survival.peak_bytes >> 20, MEMORY_BYTES >> 20
    print(f"| memory of the node at its peak | {peak} MiB (bound: {bound} MiB) |")
    survival.check()


def _fault(fault: Callable[[Path], str]) -> str:
    with TemporaryDirectory() as folder:
        return fault(Path(folder))


if __name__ == "__main__":
    main(*(map(int, sys.argv[1:]) if sys.argv[1:] else (KILLS, DATA_SETS, PDUS)))
