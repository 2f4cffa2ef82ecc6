"""Generated series to time things on: smooth ellipses in 16 bits, 256 x 256, uncompressed."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[1:1] = [str(ROOT), str(ROOT / "tests")]  # in this order: tests/inference is no package

from dicom_factory import object_pixels, series, write_series  # noqa: E402 - the tests' factory lies beside us


def write(folder: Path, *, count: int, slices: int) -> Path:
    """`count` series of `slices` images each, one folder a series."""
    for number in range(count):
        pixels = object_pixels(256, 256, seed=number)
        images = series(
            slices, seed=f"benchmark-{number}", pixels=pixels, EchoTime=90, RepetitionTime=4000, SeriesDescription="t2"
        )
        write_series(images, folder / f"{number:03d}")
    return folder
