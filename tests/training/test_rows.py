"""The CSV of slices: what goes in comes out; what cannot be used is named."""

from pathlib import Path

import pytest

from inference.captions import Caption
from training.data.rows import SliceRow, read_rows, volumes, write_rows
from training.errors import RefusedError


def row(number: int = 0, volume: str = "v0") -> SliceRow:
    caption = Caption(
        plane="axial", SeriesDescription='T2, "ax"\n1.5', EchoTime_ms=0.1 + 0.2, post_contrast=False, FlipAngle_deg=90.0
    )
    return SliceRow(filepath=f"{number}.png", text="a, b", label=7, volume=volume, group="p", caption=caption)


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [row(0), row(1, "v1"), row(2)]
    write_rows(tmp_path / "train.csv", rows)
    assert read_rows(tmp_path / "train.csv") == rows
    assert volumes(rows) == {"v0": [0, 2], "v1": [1]}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (",7,", ",seven,", r"train\.csv, line 2: .*seven"),
        ("false", "maybe", "post_contrast is 'maybe'"),
        (",text,", ",words,", "column text is missing"),
        ("90.0", "ninety", "line 2"),
        ("90.0", "nan", "line 2: FlipAngle_deg is 'nan'; must be finite"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "train.csv"
    write_rows(path, [row()])
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(RefusedError, match=words):
        read_rows(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"absent\.csv"):
        read_rows(tmp_path / "absent.csv")
