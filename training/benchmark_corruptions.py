"""How well wrong headers are found: the corruptions of the simulator on series whose headers are right."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite

from inference.read import Reader, read_series
from inference.reading import SeriesReading
from inference.sources import Instance, SourceFile, load
from training.benchmark_figures import auroc, auroc_interval, share
from training.simulate.dicom.corruptions import CORRUPTIONS, Corruption


def corrupted_scores(
    members: Mapping[str, Sequence[Instance]], reader: Reader, *, count: int, seed: int = 0
) -> dict[str, Any]:
    """AUROC and detection of every corruption on `count` of the series, against the same series left as they are."""
    rng = np.random.default_rng(seed)
    names = sorted(members)
    chosen = [names[index] for index in sorted(rng.permutation(len(names))[:count].tolist())]
    series = {name: _datasets(members[name]) for name in chosen}
    clean = {name: _read(datasets, reader) for name, datasets in series.items()}
    return {corruption.name: _figures(corruption, series, clean, reader) for corruption in CORRUPTIONS}


def _figures(
    corruption: Corruption, series: Mapping[str, list[Dataset]], clean: Mapping[str, SeriesReading], reader: Reader
) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    names = list(series)
    found: dict[str, SeriesReading] = {}
    for name in names:
        other = _other(name, names, clean, rng)
        changed = corruption.apply(series[name], rng, None if other is None else series[other])
        if changed is not None:
            found[name] = _read(changed, reader)
    before = [clean[name].score for name in found]
    after = [reading.score for reading in found.values()]
    p_values = [reading.p_value for reading in found.values()]
    return {
        "grade": corruption.grade,
        "series": len(found),
        "auroc": auroc(before, after),
        "interval": auroc_interval(before, after, draws=200),
        "flagged": str(share([reading.flagged for reading in found.values()])),
        "flagged_before": str(share([clean[name].flagged for name in found])),
        "p_at_most_5_percent": str(share([p is not None and p <= 0.05 for p in p_values])),
    }


def _other(name: str, names: Sequence[str], clean: Mapping[str, SeriesReading], rng: np.random.Generator) -> str | None:
    """Another series, of another claimed contrast: swapped among like series there is nothing to find."""
    claimed = _claimed(clean[name])
    others = [other for other in names if _claimed(clean[other]) not in (claimed, None)]
    return others[int(rng.integers(len(others)))] if others else None


def _claimed(reading: SeriesReading) -> str | None:
    return reading.stacks[0].claimed_contrast if reading.stacks else None


def _datasets(instances: Sequence[Instance]) -> list[Dataset]:
    found: list[Dataset] = []
    for instance in instances:
        with instance.stream() as stream:
            found.append(dcmread(stream))
    return found


def _read(datasets: Sequence[Dataset], reader: Reader) -> SeriesReading:
    with tempfile.TemporaryDirectory() as folder:
        instances: list[Instance] = []
        for index, dataset in enumerate(datasets):
            path = Path(folder) / f"{index:04d}.dcm"
            dcmwrite(path, dataset)
            loaded = load(SourceFile(path=path))
            if isinstance(loaded, Instance):
                instances.append(loaded)
        return read_series(instances, reader).reading
