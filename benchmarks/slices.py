"""Would it pay to look at fewer slices where the answer is clear? Accuracy and time by the number of slices read."""

import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch

from inference.bundle import Bundle, default_bundle
from inference.model import load_model
from inference.read import Reader
from training import clean_series
from training.benchmark.observe import Outcome, observe
from training.benchmark.shares import share
from training.benchmark.truth import read_truth

SERIES, SLICES, RUNS = 80, 24, 3
CLEAR = 0.9  # an answer with this probability needs no more slices
FEW, ALL = 4, 16


class Found(NamedTuple):
    """What a number of slices gives."""

    seconds: float  # a series, files and headers included; the best of the runs
    outcomes: dict[str, Outcome]  # by Series Instance UID


def main() -> None:
    """Print the section."""
    bundle = default_bundle()
    assert bundle is not None
    torch.set_num_threads(1)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        clean_series.write(clean_series.CleanSeries(seed=5001, heads=(), slices=SLICES), folder, count=SERIES)
        found = {count: _read(bundle, folder, count) for count in (1, 2, FEW, 8, ALL)}
    print(f"{SERIES} simulated series of {SLICES} slices, head and body, read by the bundle in the package.\n")
    print("| slices encoded | right of those answered | abstained | ms a series |\n|---|---|---|---|")
    for count, one in found.items():
        answered = [outcome for outcome in one.outcomes.values() if outcome.answer]
        right = share([outcome.right for outcome in answered])
        print(f"| {count} | {right} | {SERIES - len(answered)} | {1000 * one.seconds:.0f} |")
    print(f"\n{_adaptive(found)}")


def _read(bundle: Bundle, folder: Path, count: int) -> Found:
    """Read the folder with `count` slices of each stack."""
    fewer = replace(bundle, manifest=replace(bundle.manifest, slices=count))
    reader = Reader(model=load_model(fewer, threads=1))
    truths = read_truth(folder)
    observe(folder, truths, reader)  # warm
    seconds: list[float] = []
    outcomes: dict[str, Outcome] = {}
    for _ in range(RUNS):
        begun = time.perf_counter()
        outcomes = {one.series_uid: one for one in observe(folder, truths, reader).stacks}
        seconds.append((time.perf_counter() - begun) / SERIES)
    return Found(min(seconds), outcomes)


def _adaptive(found: dict[int, Found]) -> str:
    """What it would be worth to stop after a few slices where they are clear, and to read the rest elsewhere."""
    few, whole = found[FEW], found[ALL]
    clear = {uid for uid, one in few.outcomes.items() if one.guess_probability >= CLEAR}
    mixed = [few.outcomes[uid] if uid in clear else one for uid, one in whole.outcomes.items()]
    right = share([one.right for one in mixed if one.answer])
    seconds = few.seconds + (1 - len(clear) / SERIES) * (whole.seconds - few.seconds)
    return (
        f"Stopping after {FEW} slices where the probability is {CLEAR} or more ({len(clear)} of {SERIES}): {right} "
        f"right, {1000 * seconds:.0f} ms a series at best, {seconds / whole.seconds:.2f} of reading {ALL}."
    )


if __name__ == "__main__":
    main()
