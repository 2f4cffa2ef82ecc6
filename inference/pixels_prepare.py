"""Slices to what an encoder takes in: the one place that does it, for training and for reading alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32
from PIL import Image

from inference.pixels_layout import PixelError
from inference.pixels_noise import is_noise, neighbour_relation

_SAMPLE_PX: Final = 1 << 18  # percentiles are taken over at most about this many pixels, evenly strided
_LARGEST_SPACING_MM: Final = 1e6  # more is no spacing, and a size in mm would not be finite

_Slice = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelSpec:
    """How slices are prepared for one model; the `image` section of its manifest."""

    size_px: int
    channels: int = 1
    low_percentile: float = 0.5
    high_percentile: float = 99.5
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.size_px <= 4096:
            raise ValueError(f"size_px is {self.size_px}; must be 1 to 4096")
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}; must be 1 or 3")
        if not 0 <= self.low_percentile < self.high_percentile <= 100:
            raise ValueError(
                f"percentiles are {self.low_percentile} and {self.high_percentile}; must be in [0, 100] and rise"
            )
        if not (isfinite(self.mean) and isfinite(self.std) and self.std > 0):
            raise ValueError(f"mean is {self.mean} and std {self.std}; must be finite, std above 0")


def prepare(
    slices: Sequence[Float32[np.ndarray, "_ _"]],
    spec: PixelSpec,
    *,
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> Float32[np.ndarray, "n c s s"]:
    """The slices of one stack as a batch: windowed together, made square and isotropic, standardised.

    In this order: clip to the percentiles of all slices together, so that their brightness stays comparable, and
    scale to [0, 1]; resize (bicubic, antialiased, aspect from the spacing between rows and columns) so that the longer
    side has `size_px`; pad to a square with 0, the image in the middle; subtract `mean`, divide by `std`; repeat over
    the channels.

    Raises:
        PixelError: no-pixels, not-finite, constant or noise.
    """
    return standardise(unit_images(slices, spec, pixel_spacing_mm=pixel_spacing_mm), spec)


def unit_images(
    slices: Sequence[Float32[np.ndarray, "_ _"]],
    spec: PixelSpec,
    *,
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> Float32[np.ndarray, "n s s"]:
    """`prepare` without its last step: square images in [0, 1], as training keeps them on disk."""
    windowed = _window(slices, spec)
    if is_noise(windowed):
        relation = neighbour_relation(windowed)
        raise PixelError("noise", f"neighbouring pixels are unrelated ({relation:.2f}; 1 is white noise, 16 is smooth)")
    images = np.zeros((len(windowed), spec.size_px, spec.size_px), np.float32)
    for image, one in zip(images, windowed, strict=True):
        _fit(one, image, pixel_spacing_mm)
    return images


def standardise(images: Float32[np.ndarray, "n s s"], spec: PixelSpec) -> Float32[np.ndarray, "n c s s"]:
    """Images in [0, 1] as the encoder takes them in."""
    standard = (images - np.float32(spec.mean)) / np.float32(spec.std)
    return np.repeat(standard[:, np.newaxis], spec.channels, axis=1)


def _window(slices: Sequence[_Slice], spec: PixelSpec) -> list[_Slice]:
    """Clipped to the percentiles of all slices together and scaled to [0, 1]."""
    if not slices or any(one.size == 0 for one in slices):
        raise PixelError("no-pixels", "there is no slice, or one without pixels")
    if not all(np.isfinite(one).all() for one in slices):
        raise PixelError("not-finite", "the image has values that are infinite or not a number")
    stride = max(1, int((sum(one.size for one in slices) / _SAMPLE_PX) ** 0.5))
    sample = np.concatenate([one[stride // 2 :: stride, stride // 2 :: stride].ravel() for one in slices])
    low, high = (float(value) for value in np.percentile(sample, (spec.low_percentile, spec.high_percentile)))
    if not low < high:  # a few bright pixels on an empty background
        low, high = min(float(one.min()) for one in slices), max(float(one.max()) for one in slices)
    if not low < high:
        raise PixelError("constant", f"every pixel has the value {low:g}")
    scale = np.float32(1.0 / (high - low))
    return [np.clip((one - np.float32(low)) * scale, 0, 1) for one in slices]


def _fit(one: _Slice, square: _Slice, pixel_spacing_mm: tuple[float, float] | None) -> None:
    """Resize into the middle of a square that is zero."""
    size = square.shape[0]
    spacing = (1.0, 1.0)
    if pixel_spacing_mm is not None and min(pixel_spacing_mm) > 0 and max(pixel_spacing_mm) <= _LARGEST_SPACING_MM:
        spacing = pixel_spacing_mm
    height, width = one.shape[0] * spacing[0], one.shape[1] * spacing[1]
    longer = max(height, width)
    rows, columns = max(1, round(size * height / longer)), max(1, round(size * width / longer))
    resized = np.asarray(Image.fromarray(one).resize((columns, rows), Image.Resampling.BICUBIC))
    top, left = (size - rows) // 2, (size - columns) // 2
    np.clip(resized, 0, 1, out=square[top : top + rows, left : left + columns])
