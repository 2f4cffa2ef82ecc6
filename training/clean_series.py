"""Clean simulated series as DICOM, of heads and bodies that training never sees: to calibrate on and to test with.

    python -m training.clean_series OUT --labels LABELS --seed 2001 --heads head_17 head_18 --count 600

One folder a series, `<seed>-<number>`, with its instances; `truth.csv` beside them says what each shows.
"""

import argparse
import csv
import io
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from pydicom import dcmwrite

from inference.atomic import replace_file
from training.simulate.dicom.classic import datasets
from training.simulate.people.cast import Cast, CastSpec
from training.simulate.people.head import label_files
from training.simulate.physics.scan import Scan
from training.simulate.protocols.catalogue import draw_protocol, draw_scan
from training.simulate.scanner.imaging import Quality, images
from training.simulate.scanner.planning import draw_faults, person, plan, stack_offsets
from training.simulate.series import SimulatedSeries

COLUMNS: Final = ("series", "SeriesInstanceUID", "contrast", "post_contrast", "fat_suppressed", "region", "protocol")
_QUALITY: Final = Quality(oversampling=1.25, sub_slices=5, largest_matrix=200)
_PER_ANATOMY: Final = 24  # series, before the next place of the pool is filled anew


@dataclass(frozen=True, kw_only=True)
class CleanSeries:
    """A source of series whose headers are true; series k follows from seed and k alone."""

    seed: int
    heads: Sequence[Path]  # label maps; MNI152 where there are none
    slices: int = 6  # of each series

    def make(self, first: int, count: int) -> Iterator[tuple[int, SimulatedSeries]]:
        """Series `first`, `first` + 1, ... of mixed anatomy, half of them heads."""
        spec = CastSpec(heads=4, bodies=12, lifetime_steps=16)
        cast = Cast(seed=self.seed, labels=self.heads, spec=spec, device=torch.device("cpu"))
        for number in range(first, first + count):
            yield number, self._one(cast, number)

    def _one(self, cast: Cast, number: int) -> SimulatedSeries:
        rng = np.random.default_rng([self.seed, 3, number])
        step = number // _PER_ANATOMY
        if rng.random() < 0.5:
            anatomy = cast.head(int(rng.integers(cast.spec.heads)), step)
        else:
            anatomy = cast.body(int(rng.integers(cast.spec.bodies)), step)
        protocol = draw_protocol(anatomy.region, rng)
        while protocol.contrast is None:
            protocol = draw_protocol(anatomy.region, rng)
        scan = draw_scan(protocol, anatomy.region, rng)
        view = plan(anatomy, scan, stack_offsets(anatomy, scan, self.slices), rng)
        generator = torch.Generator("cpu").manual_seed(int(rng.integers(2**62)))
        subject = person(anatomy, scan.physics.field_t, rng)
        volume = images(subject, view, scan, draw_faults(scan, rng), _QUALITY, generator)
        return SimulatedSeries(scan=scan, view=view, volume=volume, seed=self.seed * 100000 + number)


def write(source: CleanSeries, folder: Path, *, count: int) -> None:
    """Write `count` series; those that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "truth.csv"
    rows = _known(table)
    for number, series in source.make(len(rows), count - len(rows)):
        name = f"{source.seed}-{number:05d}"
        instances = datasets(series, study=name, number=1)
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()
        for index, dataset in enumerate(instances):
            dcmwrite(folder / name / f"{index:03d}.dcm", dataset, enforce_file_format=True)
        rows.append(_row(name, str(instances[0].SeriesInstanceUID), series.scan))
        replace_file(table, _csv(rows))


def _row(name: str, uid: str, scan: Scan) -> tuple[str, ...]:
    shown = scan.labels
    words = (str(shown.contrast), str(shown.post_contrast), str(shown.fat_suppressed), scan.region, scan.protocol)
    return (name, uid, *words)


def _known(table: Path) -> list[tuple[str, ...]]:
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


def _csv(rows: Sequence[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *rows])
    return text.getvalue().encode()


def heads(labels: Path | None, names: Sequence[str]) -> list[Path]:
    """The label maps of those names; none without a folder."""
    return [] if labels is None else [path for path in label_files(labels) if path.name.split(".")[0] in names]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write clean series."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--labels", type=Path, help="folder of head label maps; MNI152 without")
    parser.add_argument("--heads", nargs="+", default=["head_17", "head_18"], help="stems of the label maps to take")
    parser.add_argument("--seed", type=int, default=2001)
    parser.add_argument("--count", type=int, default=600)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    source = CleanSeries(seed=options.seed, heads=heads(options.labels, options.heads))
    write(source, options.out, count=options.count)


if __name__ == "__main__":
    main()
