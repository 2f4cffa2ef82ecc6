"""Every file of the shared real series: loaded, split, decoded and prepared, and each refusal expected by name."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from inference.pixels import PixelError, PixelSpec, prepare, read_slices
from inference.reasons import Refused
from inference.sources import Instance, SourceFile, group, load
from inference.stacks import Stack, choose, split

pytestmark = pytest.mark.shared_data

# What the labels of the data set say about kind; labels not named here say nothing.
KINDS = {"PHASE": "phase", "ADC": "derived", "MAP": "derived"} | dict.fromkeys(
    ("T1", "T1C", "T2", "T2-EPI", "FLAIR", "PD", "T2S", "DWI", "ASL", "ASL-M0", "GRE-MAG", "LOC"), "magnitude"
)
NO_IMAGE = {"456": "no-pixels", "457": "no-pixels", "531": "colour", "185": "noise"}


Row = Mapping[str, str]
Split = tuple[Sequence[Instance], Sequence[Stack]]


@pytest.fixture(scope="module")
def files(shared: Path) -> list[tuple[Row, Instance | Refused]]:
    """The rows of files.csv with what was loaded."""
    folder = shared / "data/real-mr"
    with (folder / "files.csv").open(newline="") as stream:
        return [(row, load(SourceFile(path=folder / row["relpath"]))) for row in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def series(files: list[tuple[Row, Instance | Refused]]) -> dict[str, Split]:
    """Instances and stacks of every series, without the files that are refused."""
    members: defaultdict[str, list[Instance]] = defaultdict(list)
    for row, loaded in files:
        if isinstance(loaded, Instance):
            members[row["series_id"]].append(loaded)
    found: dict[str, Split] = {}
    for name, loaded in members.items():
        (instances,) = group(loaded)[0].values()
        found[name] = instances, split([header for one in instances for header in one.headers])
    return found


def test_every_file_loads_but_the_truncated_one(files: list[tuple[Row, Instance | Refused]]) -> None:
    refused = [(Path(one.path).name, one.code) for _, one in files if isinstance(one, Refused)]
    assert refused == [("MR_truncated.dcm", "truncated")]
    assert len(files) == 248


def test_headers_say_what_the_table_says(files: list[tuple[Row, Instance | Refused]]) -> None:
    for row, one in files:
        if isinstance(one, Refused):
            continue
        header = one.headers[0]
        assert header.sop_instance_uid == row["SOPInstanceUID"]
        assert header.faults == ()
        for field, column in (("echo_time_ms", "EchoTime"), ("repetition_time_ms", "RepetitionTime")):
            if row[column]:
                assert getattr(header, field) == pytest.approx(float(row[column]))
        b_value = row["b_value"]
        if b_value and "/" not in b_value and row["label_class"] != "ADC":
            # UIH writes 928 where 1000 was asked for and 1.25 where nothing was: the header holds what was asked.
            assert (header.b_value_s_mm2 or 0.0) == pytest.approx(float(b_value), rel=0.08, abs=2)


def test_stacks_are_as_homogeneous_as_the_labels(
    files: list[tuple[Row, Instance | Refused]], series: dict[str, Split]
) -> None:
    labels = {row["SOPInstanceUID"]: row["label_class"] for row, one in files if isinstance(one, Instance)}
    for name, (_, stacks) in series.items():
        for stack in stacks:
            found = {labels[header.sop_instance_uid] for header in stack.frames}
            assert len(found) == 1, (name, stack.selector, found)
            assert stack.kind == KINDS.get(found.pop(), stack.kind), (name, stack.selector)


def test_every_stack_is_prepared_or_refused_as_expected(series: dict[str, Split]) -> None:
    spec = PixelSpec(size_px=64)
    refused: dict[str, str] = {}
    for name, (instances, stacks) in series.items():
        by_uid = {one.sop_instance_uid: one for one in instances}
        for stack in stacks:
            try:
                slices = read_slices(choose(stack, 4), by_uid)
                batch = prepare(slices, spec, pixel_spacing_mm=stack.header.pixel_spacing_mm)
                assert batch.shape == (len(slices), 1, 64, 64)
            except PixelError as error:
                refused[name] = error.reason.code
    assert refused == NO_IMAGE


def test_the_planes_of_the_table(series: dict[str, Split], shared: Path) -> None:
    planes = {"TRA": "axial", "SAG": "sagittal", "COR": "coronal"}
    with (shared / "data/real-mr/series.csv").open(newline="") as stream:
        table = {row["series_id"]: row["orientation"] for row in csv.DictReader(stream)}
    for name, (_, stacks) in series.items():
        expected = {planes[code] for code in table[name].replace("-obl", "").split(" | ")}
        assert {stack.plane for stack in stacks} <= expected, name
