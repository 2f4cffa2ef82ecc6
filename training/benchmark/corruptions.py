"""How well wrong headers are found: the corruptions of the simulator on series whose headers are right."""

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite

from inference.read import Reader, read_series
from inference.reading import SeriesReading
from inference.sources import Instance, SourceFile, load
from training.benchmark.shares import auroc, auroc_interval, share
from training.simulate.dicom.corruptions import CORRUPTIONS, Corruption

SWAP: Final = "swap-header"  # whole headers: only pixels can tell
_PAIRS_AT_LEAST: Final = 3  # swaps between the same two contrasts


def corrupted_scores(
    members: Mapping[str, Sequence[Instance]], labels: Mapping[str, str], reader: Reader, *, count: int, seed: int = 0
) -> dict[str, Any]:
    """AUROC and detection of every corruption on `count` of the series, against the same series left as they are.

    What is borrowed comes from a series with another of `labels`: swapped among like series there is nothing to find.
    """
    rng = np.random.default_rng(seed)
    names = sorted(members)
    chosen = [names[index] for index in sorted(rng.permutation(len(names))[:count].tolist())]
    series = {name: as_datasets(members[name]) for name in chosen}
    clean = {name: read_datasets(datasets, reader) for name, datasets in series.items()}
    lenders = _lenders(chosen, labels)
    found: dict[str, Any] = {}
    for corruption in CORRUPTIONS:
        changed = _corrupted(corruption, series, lenders, reader)
        found[corruption.name] = _figures(corruption, changed, clean)
        if corruption.name == SWAP:
            found[corruption.name]["pairs"] = _by_pair(
                changed, clean, {name: (labels[name], labels[lenders[name]]) for name in changed}
            )
    return found


def _lenders(names: Sequence[str], labels: Mapping[str, str]) -> dict[str, str]:
    """For each series one of another class to borrow from."""
    rng = np.random.default_rng(1)
    lenders: dict[str, str] = {}
    for name in names:
        others = [other for other in names if labels[other] != labels[name]]
        if others:
            lenders[name] = others[int(rng.integers(len(others)))]
    return lenders


def _corrupted(
    corruption: Corruption, series: Mapping[str, list[Dataset]], lenders: Mapping[str, str], reader: Reader
) -> dict[str, SeriesReading]:
    """The readings of the series that the corruption changes."""
    rng = np.random.default_rng(1)
    found: dict[str, SeriesReading] = {}
    for name, datasets in series.items():
        lender = lenders.get(name)
        if corruption.borrow is not None and lender is None:
            continue
        changed = corruption.apply(datasets, rng, None if lender is None else series[lender])
        if changed is not None:
            found[name] = read_datasets(changed, reader)
    return found


def _by_pair(
    found: Mapping[str, SeriesReading], clean: Mapping[str, SeriesReading], pairs: Mapping[str, tuple[str, str]]
) -> dict[str, dict[str, Any]]:
    """The area under the curve of every pair of classes that occurs often enough to have one."""
    members: dict[str, list[str]] = defaultdict(list)
    for name, pair in pairs.items():
        members[" and ".join(sorted(pair))].append(name)
    return {
        pair: {
            "series": len(names),
            "auroc": auroc([clean[name].score for name in names], [found[name].score for name in names]),
        }
        for pair, names in sorted(members.items())
        if len(names) >= _PAIRS_AT_LEAST
    }


def _figures(
    corruption: Corruption, found: Mapping[str, SeriesReading], clean: Mapping[str, SeriesReading]
) -> dict[str, Any]:
    before = [clean[name].score for name in found]
    after = [reading.score for reading in found.values()]
    p_values = [reading.p_value for reading in found.values()]
    return {
        "grade": corruption.grade,
        "series": len(found),
        "auroc": auroc(before, after),
        "interval": auroc_interval(before, after, of=(list(found), list(found)), draws=200),
        "flagged": str(share([reading.flagged for reading in found.values()])),
        "flagged_before": str(share([clean[name].flagged for name in found])),
        "p_at_most_5_percent": str(share([p is not None and p <= 0.05 for p in p_values])),
    }


def as_datasets(instances: Sequence[Instance]) -> list[Dataset]:
    """The data sets of a series, pixels included."""
    found: list[Dataset] = []
    for instance in instances:
        with instance.stream() as stream:
            found.append(dcmread(stream))
    return found


def read_datasets(datasets: Sequence[Dataset], reader: Reader) -> SeriesReading:
    """The reading of one series that is in memory."""
    with tempfile.TemporaryDirectory() as folder:
        instances: list[Instance] = []
        for index, dataset in enumerate(datasets):
            path = Path(folder) / f"{index:04d}.dcm"
            dcmwrite(path, dataset)
            loaded = load(SourceFile(path=path))
            if isinstance(loaded, Instance):
                instances.append(loaded)
        return read_series(instances, reader).reading
