"""Nothing acknowledged is lost or doubled: not by kill -9 at any moment, not by what disks, peers and bytes do."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import sample  # noqa: F401 - puts the tests' helpers on the path
from killing import IMAGES, PHASES, undergo
from trouble import FAULTS

KILLS = 200
SEED = 2026


def main(kills: int) -> None:
    """Print the section."""
    print(f"### Killed {kills} times\n")
    with TemporaryDirectory() as folder:
        _killed(Path(folder), kills)
    print("\n### Faults\n\n| fault | what the node did |\n|---|---|")
    for name, fault in FAULTS.items():
        print(f"| {name} | {_fault(fault)} |", flush=True)


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


def _fault(fault: Callable[[Path], str]) -> str:
    with TemporaryDirectory() as folder:
        return fault(Path(folder))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else KILLS)
