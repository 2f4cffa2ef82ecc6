"""Real volumes of training slices as DICOM series whose headers fit what they show, for the folds that leave them out.

Published slices come without headers. Each volume gets one that the simulator draws for the same contrast, agent and
region, with the times that are known put in: so headers are right in kind and as various as protocols are, which is
what the alarms are calibrated with.

    python -m training.real_series OUT --real REAL --tiers B

writes those that no bundle is trained on, for `mrclip-train benchmark`.
"""

import argparse
import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image
from pydicom import dcmwrite

from inference import labels
from inference.atomic import replace_file
from training.bundle_data import RealSlice, read_real
from training.simulate.dicom.classic import datasets
from training.simulate.physics.scan import Physics, Plane, Scan
from training.simulate.protocols.catalogue import draw_scanner, for_region, scan
from training.simulate.protocols.draw import Draw
from training.simulate.scanner.planning import AXES
from training.simulate.scanner.render import View
from training.simulate.series import SimulatedSeries

COLUMNS: Final = ("SOPInstanceUID", "series_id", "label_class", "object", "sure")
_REGION_OF: Final = {"knee": "knee", "prostate": "prostate", "spine": "neck", "hip": "hip", "breast": "breast"}
_TRIES: Final = 200
_FOV_MM: Final = {"head": 240.0, "knee": 160.0, "prostate": 200.0, "neck": 240.0, "hip": 300.0, "breast": 320.0}
_GAP_MM: Final = 5.0
_READ_PX: Final = 64  # of the copies that nothing here looks at


def volumes_of(slices: Sequence[RealSlice]) -> dict[str, list[RealSlice]]:
    """The slices of each stack: of one volume, lying in one plane, of one size."""
    stacks: dict[str, list[RealSlice]] = defaultdict(list)
    for one in slices:
        stacks[f"{one.volume}-{one.caption.plane}"].append(one)
    return dict(stacks)


def write(folder: Path, stacks: Mapping[str, Sequence[RealSlice]], *, seed: int) -> None:
    """One folder a stack, and `files.csv` as `mrclip-train benchmark` reads it."""
    rows: list[tuple[str, ...]] = []
    for number, (name, slices) in enumerate(sorted(stacks.items())):
        made = datasets(as_series(slices, seed=seed + number), study=f"real-{seed}-{number}", number=1)
        place = folder / f"{number:04d}"
        place.mkdir(parents=True)
        for index, dataset in enumerate(made):
            dcmwrite(place / f"{index:03d}.dcm", dataset, enforce_file_format=True)
            rows.append((str(dataset.SOPInstanceUID), name, slices[0].label, slices[0].thing, "yes"))
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *rows])
    replace_file(folder / "files.csv", text.getvalue().encode())


def as_series(slices: Sequence[RealSlice], *, seed: int) -> SimulatedSeries:
    """A stack with a header drawn for it; ValueError where no protocol shows the same there."""
    drawn = drawn_scan(slices[0], np.random.default_rng([seed, 11]))
    volume = _stacked([_grey(one.path) for one in slices])
    right, down, normal = AXES[drawn.plane]
    rows, columns = volume.shape[1:]
    pixel_mm = _FOV_MM.get(drawn.region, 240.0) / max(rows, columns)
    view = View(
        centre_mm=(0.0, 0.0, 0.0),
        right=right,
        down=down,
        normal=normal,
        fov_mm=(rows * pixel_mm, columns * pixel_mm),
        offsets_mm=tuple(_GAP_MM * index for index in range(len(slices))),
        thickness_mm=_GAP_MM,
    )
    return SimulatedSeries(scan=drawn, view=view, volume=torch.from_numpy(volume), seed=seed)


def drawn_scan(one: RealSlice, rng: np.random.Generator) -> Scan:
    """A scan of the same contrast, agent, fat suppression where known, region and plane."""
    said = one.caption
    region = next((region for word, region in _REGION_OF.items() if word in one.thing), "head")
    plane: Plane = "sagittal" if said.plane == "sagittal" else "coronal" if said.plane == "coronal" else "axial"
    families = [family for family in for_region(region) if family.contrast == said.contrast]
    if said.contrast == labels.DIFFUSION:
        families = [family for family in families if family.name.endswith("b0") == (one.label == "T2-EPI")] or families
    shares = np.array([family.weight for family in families])
    agent = said.contrast == labels.T1 and said.post_contrast is True
    for _ in range(_TRIES if families else 0):
        family = families[int(rng.choice(len(families), p=shares / shares.sum()))]
        if agent and not family.agent_share:
            continue
        vendor, model, field_t = draw_scanner(family, region, rng)
        draw = Draw(rng=rng, vendor=vendor, model=model, field_t=field_t, region=region, plane=plane, agent=agent)
        found = scan(family, draw)
        if said.fat_suppressed in (None, found.labels.fat_suppressed) or said.contrast == labels.DIFFUSION:
            return replace(found, physics=_known_times(found.physics, one))
    raise ValueError(f"no protocol of the {region} shows {said.contrast}, agent {agent}, fat {said.fat_suppressed}")


def _known_times(physics: Physics, one: RealSlice) -> Physics:
    """The echo time as published, where it was; the other times mean something else to every vendor."""
    te_ms = one.caption.EchoTime_ms
    return physics if te_ms is None else replace(physics, te_ms=te_ms)


def _grey(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"), np.float32) / 255


def _stacked(images: Sequence[np.ndarray]) -> np.ndarray:
    """(n, rows, columns), each image in the middle of the largest."""
    rows, columns = (max(image.shape[axis] for image in images) for axis in (0, 1))
    stack = np.zeros((len(images), rows, columns), np.float32)
    for index, image in enumerate(images):
        top, left = (rows - image.shape[0]) // 2, (columns - image.shape[1]) // 2
        stack[index, top : top + image.shape[0], left : left + image.shape[1]] = image
    return stack


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the volumes of some tiers as DICOM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder; must not exist")
    parser.add_argument("--real", type=Path, required=True, help="folder with slices.csv")
    parser.add_argument("--tiers", nargs="+", default=["B"])
    parser.add_argument("--seed", type=int, default=77000, help="of the headers")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True)
    write(options.out, volumes_of(read_real(options.real, _READ_PX, tiers=options.tiers)), seed=options.seed)


if __name__ == "__main__":
    main()
