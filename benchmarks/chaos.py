"""500 series through a node with Redis, PostgreSQL and two workers, of which something is killed every few seconds."""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import sample  # noqa: F401 - puts the tests' helpers on the path
from ordeal import BLOWS, LEASE_S, undergo
from postgres_server import postgres

SERIES = 500
STRIKES = 48
SEED = 2026
NAMES = {
    "worker": "a worker, all of it, SIGKILL; another is started",
    "reader": "the process of a worker that reads, SIGKILL",
    "broker": "Redis, SIGKILL, away for up to a second, comes back empty",
    "flush": "Redis, emptied",
}


def main(count: int, strikes: int) -> None:
    """Print the section."""
    begun = time.monotonic()
    with TemporaryDirectory() as folder, postgres() as database_url:
        ordeal = undergo(Path(folder), database_url, count=count, blows=strikes, seed=SEED)
    seconds = time.monotonic() - begun
    ordeal.check()
    print(f"{count} series of 4 images, 2 workers, rules alone, leases of {LEASE_S:.0f} s, seed {SEED}.")
    print(f"From the first start to the last end: {seconds:.0f} s.\n")
    print("| killed while they went through | times |\n|---|---|")
    for kind in BLOWS:
        print(f"| {NAMES[kind]} | {ordeal.blows[kind]} |")
    print(f"\n**{len(ordeal.reported)} series, {sum(ordeal.reported.values())} reports at the destination, one each.**")
    print(f"Workers that ended though nobody killed them: {ordeal.ended}.")
    print(f"Readings begun: {ordeal.claims}; C-STORE requests the destination got: {ordeal.stores}.")


if __name__ == "__main__":
    main(*(map(int, sys.argv[1:]) if sys.argv[1:] else (SERIES, STRIKES)))
