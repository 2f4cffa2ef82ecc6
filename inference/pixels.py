"""The door to pixels: which slices are decoded, how they are prepared, and how that fails."""

from inference.pixels_decode import read_slices, stored_values
from inference.pixels_layout import PixelError, PixelLayout, PixelLimits, pixel_layout
from inference.pixels_noise import is_noise
from inference.pixels_prepare import PixelSpec, prepare, standardise, unit_images

__all__ = [
    "PixelError",
    "PixelLayout",
    "PixelLimits",
    "PixelSpec",
    "is_noise",
    "pixel_layout",
    "prepare",
    "read_slices",
    "standardise",
    "stored_values",
    "unit_images",
]
