"""Labels: N protocols give N labels, bins as published, the map survives the disk."""

from dataclasses import replace
from pathlib import Path

import pytest

from inference.captions import Caption, text
from training.data import labels
from training.data.labels import EXTENDED, PAPER, label_map, read_label_map, stable_id
from training.errors import RefusedError

BASE = Caption(
    plane="axial", Manufacturer="GE", ManufacturerModelName="SIGNA_HDx", MagneticFieldStrength_t=3.0,
    SeriesDescription="Ax T2", MRAcquisitionType="2D", ScanningSequence="SE", SequenceVariant="SK",
    EchoTime_ms=101.92, RepetitionTime_ms=5360.0, FlipAngle_deg=90.0, ImageKind="magnitude",
)  # fmt: skip
PUBLISHED_AXES = {
    "plane": "coronal", "Manufacturer": "Siemens", "ManufacturerModelName": "Vida", "MagneticFieldStrength_t": 1.5,
    "MRAcquisitionType": "3D", "ScanningSequence": "GR", "SequenceVariant": "SP", "EchoTime_ms": 12.0,
    "RepetitionTime_ms": 500.0, "InversionTime_ms": 2500.0, "FlipAngle_deg": 15.0,
}  # fmt: skip
OUR_AXES = {
    "post_contrast": True, "fat_suppressed": True, "b_value_s_mm2": 1000.0, "ImageKind": "derived", "contrast": "ADC"
}  # fmt: skip


def protocols(axes: dict[str, object]) -> list[Caption]:
    return [BASE, *(replace(BASE, **{field: value}) for field, value in axes.items())]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scheme", "axes"), [(PAPER, PUBLISHED_AXES), (EXTENDED, {**PUBLISHED_AXES, **OUR_AXES})], ids=["paper", "extended"]
)
def test_n_protocols_give_n_labels(scheme: labels.LabelScheme, axes: dict[str, object]) -> None:
    captions = protocols(axes)
    numbers = label_map(captions, scheme)
    assert len({numbers.number(caption) for caption in captions}) == len(captions)
    assert sorted(numbers.numbers.values()) == list(range(len(captions)))


def test_the_description_is_not_in_the_label_and_within_a_bin_nothing_changes() -> None:
    for scheme in (PAPER, EXTENDED):
        for other in ({"SeriesDescription": "Sag T1"}, {"EchoTime_ms": 109.9}, {"RepetitionTime_ms": 5400.0}):
            assert scheme.key(replace(BASE, **other)) == scheme.key(BASE)  # type: ignore[arg-type]


def test_labels_come_from_fields_not_from_the_sentence() -> None:
    # the published template cuts values at a comma: two scanners with one sentence still have two labels
    first, second = (replace(BASE, Manufacturer=name) for name in ("GE, north", "GE, south"))
    assert text(first, "paper") == text(second, "paper")
    assert PAPER.key(first) != PAPER.key(second)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("EchoTime_ms", 10.0, 0),  # intervals are (lower, upper]
        ("EchoTime_ms", 10.01, 1),
        ("EchoTime_ms", 200.0, 19),
        ("EchoTime_ms", 200.1, None),  # published: TE > 0.2 s has no bin
        ("RepetitionTime_ms", 11000.0, None),  # a FLAIR with TR 11 s
        ("RepetitionTime_ms", 0.0, None),
        ("InversionTime_ms", 2500.0, 5),
        ("InversionTime_ms", 9000.0, 7),
        ("InversionTime_ms", None, None),
    ],
)
def test_published_bins(field: str, value: float | None, expected: int | None) -> None:
    assert PAPER.bin(field, replace(BASE, **{field: value})) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(("field", "value"), [("EchoTime_ms", 250.0), ("RepetitionTime_ms", 11000.0)])
def test_our_bins_overflow(field: str, value: float) -> None:
    beyond = replace(BASE, **{field: value})  # type: ignore[arg-type]
    assert EXTENDED.bin(field, beyond) == len(EXTENDED.edges[field])


def test_label_map_survives_the_disk(tmp_path: Path) -> None:
    saved = label_map(protocols(PUBLISHED_AXES), PAPER)
    saved.write(tmp_path / "labels.json")
    assert read_label_map(tmp_path / "labels.json") == saved


def test_a_file_that_is_no_label_map_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text("[]")
    with pytest.raises(RefusedError, match=r"labels\.json"):
        read_label_map(tmp_path / "labels.json")


def test_stable_ids_are_the_same_everywhere() -> None:
    assert stable_id("") == 0xE3B0C44298FC1C14 >> 1  # SHA-256 of nothing, first eight bytes
    assert stable_id("a") != stable_id("b")
