"""A volume on its way to slices, whatever file it came from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Final

import numpy as np
import numpy.typing as npt

from inference.captions import Caption
from inference.pixels import PixelError, unit_images
from training.errors import VolumeError
from training.preprocess.spec import PreprocessSpec

_MIDDLE: Final = (0.1, 0.9)  # of the depth, as inference.stacks.choose
_FOREGROUND: Final = 0.1  # of the window


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Slices in the order of their depth, with what the header says of all of them."""

    slices: Sequence[npt.NDArray[np.float32]]  # (rows, columns), oriented as DICOM shows them
    numbers: Sequence[int]  # what each slice is called: its place in the file it came from
    pixel_spacing_mm: tuple[float, float] | None  # between rows, between columns
    caption: Caption


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One slice as it is kept."""

    number: int
    pixels: npt.NDArray[np.uint8]


def patient_group(identity: str) -> str:
    """A digest of who it is: no identity leaves the source, and one Patient ID is one patient whatever the file."""
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def pictures(volume: Volume, spec: PreprocessSpec) -> list[Picture]:
    """The slices worth keeping, prepared as reading prepares them, in 8 bits.

    All slices of `volume` are windowed together. VolumeError says why there is none.
    """
    rows, columns = min(one.shape for one in volume.slices)
    if min(rows, columns) < spec.minimum_size_px:
        raise VolumeError("too-small", f"slices are {rows} x {columns}; must be at least {spec.minimum_size_px} px")
    try:
        units = unit_images(volume.slices, spec.pixels, pixel_spacing_mm=volume.pixel_spacing_mm)
    except PixelError as error:
        raise VolumeError(error.reason.code, error.reason.message) from error
    kept = [
        Picture(number=number, pixels=np.round(image * 255).astype(np.uint8))
        for number, image in zip(volume.numbers, units, strict=True)
        if _shows_something(image, spec) and _is_wanted(number, volume.caption.plane, spec)
    ]
    if not kept:
        raise VolumeError("no-slices", f"none of {len(units)} slices shows enough or lies in the window")
    return kept


def spread(length: int, count: int) -> list[int]:
    """At most `count` of `length` slices, evenly over the middle 80 %; the same places as inference.stacks.choose."""
    low, high = _MIDDLE
    fractions = (low + (high - low) * (step + 0.5) / count for step in range(count))
    return sorted({floor(fraction * length) for fraction in fractions})


def _shows_something(image: npt.NDArray[np.float32], spec: PreprocessSpec) -> bool:
    if spec.minimum_foreground == 0:
        return bool(image.any())
    return float((image > _FOREGROUND).mean()) >= spec.minimum_foreground


def _is_wanted(number: int, plane: str | None, spec: PreprocessSpec) -> bool:
    """The published window: volumes of about 1 mm, whose middle lies where theirs did."""
    if spec.window == "middle":
        return True
    first, last = (50, 150) if plane == "sagittal" else (121, 220)
    return first <= number <= last and number % 2 == 0
