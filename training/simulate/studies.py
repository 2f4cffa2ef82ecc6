"""Whole studies: one person, several series of one scanner, written as DICOM with a table of what is true."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset

from inference.atomic import replace_file
from training.errors import RefusedError
from training.files import make_folder
from training.simulate.dicom import classic, enhanced
from training.simulate.dicom.corruptions import Corruption
from training.simulate.people.cast import Cast
from training.simulate.protocols.catalogue import draw_plane, draw_protocol, draw_scanner, scan
from training.simulate.protocols.draw import Draw
from training.simulate.scanner.planning import person
from training.simulate.series import SimulatedSeries, simulate

COLUMNS: Final = (
    "folder", "SeriesInstanceUID", "contrast", "post_contrast", "fat_suppressed", "group", "region", "plane",
    "protocol", "corruption", "grade",
)  # fmt: skip
TABLE: Final = "truth.csv"


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """What a study holds."""

    series: int = 4
    slices: int = 12
    head_share: float = 0.6
    enhanced_share: float = 0.15  # of the series, written as one multi-frame instance
    corruption: Corruption | None = None  # done to every series that it can be done to


@dataclass(frozen=True, kw_only=True)
class WrittenSeries:
    """One series of a study, ready to be written."""

    folder: str
    series: SimulatedSeries
    instances: list[Dataset]
    corruption: Corruption | None

    def row(self) -> tuple[str, ...]:
        """The truth about it, in the order of COLUMNS."""
        scan, labels = self.series.scan, self.series.scan.labels
        yes_no = {True: "yes", False: "no"}
        return (
            self.folder, str(self.instances[0].SeriesInstanceUID), labels.contrast or "", yes_no[labels.post_contrast],
            yes_no[labels.fat_suppressed], labels.group, scan.region, scan.plane, scan.protocol,
            "" if self.corruption is None else self.corruption.name,
            "" if self.corruption is None else self.corruption.grade,
        )  # fmt: skip


def study(cast: Cast, spec: StudySpec, *, seed: int, number: int) -> list[WrittenSeries]:
    """Study `number`: the same arguments give the same bytes."""
    rng = np.random.default_rng([seed, 4, number])
    pool = cast.head if rng.random() < spec.head_share else cast.body
    places = cast.spec.heads if pool == cast.head else cast.spec.bodies
    anatomy = pool(int(rng.integers(places)), number)
    protocol = draw_protocol(anatomy.region, rng)
    vendor, model, field_t = draw_scanner(protocol, anatomy.region, rng)
    patient = person(anatomy, field_t, rng)
    name = f"study-{seed}-{number:05d}"
    made: list[SimulatedSeries] = []
    for index in range(spec.series):
        plane = draw_plane(protocol, anatomy.region, rng)
        agent = bool(rng.random() < protocol.agent_share)
        draw = Draw(
            rng=rng, vendor=vendor, model=model, field_t=field_t, region=anatomy.region, plane=plane, agent=agent
        )
        made.append(simulate(patient, scan(protocol, draw), seed=_seed(seed, number, index), slices=spec.slices))
        protocol = draw_protocol(anatomy.region, rng, vendor=vendor)
    return [_written(one, index, name=name, spec=spec, others=made, rng=rng) for index, one in enumerate(made)]


def _seed(seed: int, number: int, index: int) -> int:
    return int(np.random.SeedSequence([seed, number, index]).generate_state(1)[0])


def _written(
    series: SimulatedSeries,
    index: int,
    *,
    name: str,
    spec: StudySpec,
    others: list[SimulatedSeries],
    rng: np.random.Generator,
) -> WrittenSeries:
    multi_frame = bool(rng.random() < spec.enhanced_share)
    instances = _instances(series, name, index + 1, multi_frame=multi_frame)
    applied: Corruption | None = None
    if spec.corruption is not None:
        lender = others[(index + 1) % len(others)]
        changed = spec.corruption.apply(instances, rng, _instances(lender, name, index + 2, multi_frame=multi_frame))
        if changed is not None:
            instances, applied = changed, spec.corruption
    folder = f"{name}/{index + 1:02d}_{series.scan.protocol}"
    return WrittenSeries(folder=folder, series=series, instances=instances, corruption=applied)


def _instances(series: SimulatedSeries, name: str, number: int, *, multi_frame: bool) -> list[Dataset]:
    if multi_frame:
        return [enhanced.dataset(series, study=name, number=number)]
    return classic.datasets(series, study=name, number=number)


def write(studies: Iterator[list[WrittenSeries]], out: Path) -> Iterator[list[WrittenSeries]]:
    """Write each study as it comes, and the table anew after each; RefusedError where `out` holds anything."""
    make_folder(out)
    if any(out.iterdir()):
        raise RefusedError(f"{out} is not empty; its {TABLE} is to name every series in it, so take a new folder")
    rows: list[tuple[str, ...]] = []
    for series in studies:
        for one in series:
            folder = out / one.folder
            folder.mkdir(parents=True, exist_ok=True)
            for dataset in one.instances:
                dcmwrite(folder / f"{int(dataset.InstanceNumber):04d}.dcm", dataset, enforce_file_format=True)
            rows.append(one.row())
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
        replace_file(out / TABLE, text.getvalue().encode())
        yield series
