"""Rules and claims on every real series: silent where the header is right, loud where it was made wrong."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from pydicom import dcmread

from inference import labels
from inference.claims import claim
from inference.header import frame_headers
from inference.reading import Finding
from inference.rules import check
from inference.stacks import Stack, split

pytestmark = pytest.mark.shared_data

# What label_class of series.csv allows a header to claim.
CLASSES = {
    "T1": {labels.T1}, "T1C": {labels.T1}, "T2": {labels.T2}, "T2-EPI": {labels.T2, labels.DIFFUSION},
    "FLAIR": {labels.FLUID_ATTENUATED}, "PD": {labels.PROTON_DENSITY}, "T2S": {labels.T2_STAR, labels.PERFUSION},
    "DWI": {labels.DIFFUSION}, "DWI+b0": {labels.DIFFUSION}, "ADC": {labels.ADC}, "MAP": {labels.DERIVED_MAP},
    "ASL": {labels.PERFUSION}, "ASL-M0": {labels.PERFUSION}, "PERF": {labels.PERFUSION, labels.DERIVED_MAP},
    "PHASE": {labels.PHASE}, "GRE-MAG": {labels.T2_STAR, labels.T1, labels.PROTON_DENSITY},
}  # fmt: skip

Series = tuple[dict[str, str], tuple[Stack, ...]]


@cache
def read(folder: Path) -> tuple[Series, ...]:
    with (folder / "series.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    series: list[Series] = []
    for row in rows:
        files = (path for path in sorted((folder / row["dir"]).rglob("*")) if path.is_file())
        datasets = (dcmread(path, stop_before_pixels=True, force=True) for path in files)
        headers = [header for dataset in datasets for header in frame_headers(dataset, has_pixels=True)]
        series.append((row, split(headers)))
    return tuple(series)


@pytest.fixture
def real(shared: Path) -> tuple[Series, ...]:
    return read(shared / "data" / "real-mr")


def findings(real: tuple[Series, ...]) -> Iterator[tuple[str, Finding]]:
    for row, stacks in real:
        for stack in stacks:
            for finding in check(stack, stacks):
                yield row["series_id"], finding


def test_real_headers_are_no_errors_and_no_warnings(real: tuple[Series, ...]) -> None:
    assert [(series, one.message) for series, one in findings(real) if one.severity != "info"] == []


def test_notes_on_real_headers_are_few(real: tuple[Series, ...]) -> None:
    noted = {series for series, _ in findings(real)}
    assert len(real) == 78
    assert len(noted) <= 15


def test_headers_claim_what_experts_see(real: tuple[Series, ...]) -> None:
    right = silent = 0
    wrong: list[tuple[str, str]] = []
    for row, stacks in real:
        classes = [name.split(":")[0] for name in row["label_classes"].split()]
        allowed = set[str]().union(*(CLASSES.get(name, set()) for name in classes))
        for stack in stacks if allowed else ():
            label = claim(stack.header).label
            right += label in allowed
            silent += label == labels.UNKNOWN
            if label not in {*allowed, labels.UNKNOWN}:
                wrong.append((row["series_id"], label))
    assert wrong == []
    assert right >= 80
    assert silent <= 6


CORRUPTIONS: list[tuple[str, str, Callable[[float], float | None], float]] = [
    ("echo time in seconds", "echo_time_ms", lambda value: value / 1000, 0.98),
    ("echo time in microseconds", "echo_time_ms", lambda value: value * 1000, 0.98),
    ("repetition time in seconds", "repetition_time_ms", lambda value: value / 1000, 0.95),
    ("inversion time in seconds", "inversion_time_ms", lambda value: value / 1000, 0.98),
    ("inversion time lost", "inversion_time_ms", lambda value: None, 0.75),
]


@pytest.mark.parametrize(("name", "attribute", "corrupt", "least"), CORRUPTIONS)
def test_corrupted_real_headers_are_found(
    real: tuple[Series, ...], name: str, attribute: str, corrupt: Callable[[float], float | None], least: float
) -> None:
    tried = found = 0
    for row, stacks in real:
        for stack in stacks:
            value = getattr(stack.header, attribute)
            if value and stack.kind != "derived" and row["object"] not in ("noise", "phantom/voxel"):
                frames = tuple(replace(frame, **{attribute: corrupt(value)}) for frame in stack.frames)
                corrupted = replace(stack, frames=frames)
                tried += 1
                found += any(one.severity != "info" for one in check(corrupted, [corrupted]))
    assert tried >= 4
    assert found >= least * tried, f"{name}: {found} of {tried}"
