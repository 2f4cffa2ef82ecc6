"""Orientation, spacing and thickness as an image in a patient can have them."""

from collections.abc import Iterator
from itertools import pairwise
from math import hypot
from typing import Final

from inference.reading import Finding
from inference.rules.view import StackView, number

_COSINE_TOLERANCE: Final = 0.01
_FIELD_OF_VIEW_MM: Final = (3.0, 1000.0)  # from small-animal coils to composed whole-spine images
_THICKNESS_MM: Final = (0.02, 250.0)
_SPACING_TOLERANCE: Final = 0.1


def orientation_vectors(view: StackView) -> Iterator[Finding]:
    """Image Orientation (Patient) (0020,0037): two unit vectors at right angles (PS3.3 C.7.6.2.1.1)."""
    cosines = view.header.image_orientation
    if cosines is None:
        return
    row, column = cosines[:3], cosines[3:]
    product = sum(a * b for a, b in zip(row, column, strict=True))
    if max(abs(hypot(*row) - 1), abs(hypot(*column) - 1), abs(product)) > _COSINE_TOLERANCE:
        yield view.finding(
            "orientation-vectors",
            "ImageOrientationPatient",
            f"{view.states('ImageOrientationPatient')}; row and column have lengths {hypot(*row):.3f} and "
            f"{hypot(*column):.3f} and a product of {product:.3f}; both must be 1 long and the product 0",
            expected="two unit vectors at right angles",
        )


def pixel_spacing(view: StackView) -> Iterator[Finding]:
    """Pixel Spacing (0028,0030) times the matrix must be a field of view in millimetres."""
    header = view.header
    if header.pixel_spacing_mm is None or not header.rows_px or not header.columns_px:
        return
    tiles = header.mosaic_grid or (1, 1)
    fields = (
        header.pixel_spacing_mm[0] * header.rows_px / tiles[0],
        header.pixel_spacing_mm[1] * header.columns_px / tiles[1],
    )
    low, high = _FIELD_OF_VIEW_MM
    if not all(low <= field <= (high if not header.mosaic else 20 * high) for field in fields):
        yield view.finding(
            "pixel-spacing-implausible",
            "PixelSpacing",
            f"{view.states('PixelSpacing')}; with {header.rows_px} x {header.columns_px} pixels the field of view is "
            f"{number(fields[0])} x {number(fields[1])} mm, and scanners have {low:g} to {high:g} mm",
            expected="spacing in mm",
        )


def slice_thickness(view: StackView) -> Iterator[Finding]:
    """Slice Thickness (0018,0050) in millimetres."""
    thickness = view.header.slice_thickness_mm
    low, high = _THICKNESS_MM
    if thickness is not None and thickness != 0 and not low <= thickness <= high:
        yield view.finding(
            "slice-thickness-implausible",
            "SliceThickness",
            f"{view.states('SliceThickness')}; slices are {low:g} to {high:g} mm thick",
            expected="a thickness in mm",
        )


def slice_spacing(view: StackView) -> Iterator[Finding]:
    """Spacing Between Slices (0018,0088) is from centre to centre, not the gap, and never negative."""
    spacing, thickness = view.header.spacing_between_slices_mm, view.header.slice_thickness_mm
    if spacing is None:
        return
    measured = _measured_spacing(view)
    if spacing < 0:
        yield _spacing(view, f"{view.states('SpacingBetweenSlices')}; it must not be negative", number(-spacing))
    elif measured and spacing > 0 and not _is_multiple(measured, spacing):
        yield _spacing(
            view,
            f"{view.states('SpacingBetweenSlices')}; {view.name('ImagePositionPatient')} of neighbours lies "
            f"{number(measured)} mm apart",
            number(measured),
        )
    elif measured and thickness and 0 <= spacing < thickness / 2 and _close(measured, thickness + spacing):
        yield _spacing(
            view,
            f"{view.states('SpacingBetweenSlices')} and {view.states('SliceThickness')}; positions lie "
            f"{number(measured)} mm apart, so the recorded value is the gap",
            number(measured),
        )


def _spacing(view: StackView, message: str, suggestion: str) -> Finding:
    return view.finding(
        "slice-spacing", "SpacingBetweenSlices", message, expected=f"{suggestion} mm", suggestion=suggestion
    )


def _measured_spacing(view: StackView) -> float | None:
    """The smallest distance between neighbouring slice positions; None with fewer than two."""
    positions = [frame.image_position_mm for frame in view.stack.frames if frame.image_position_mm is not None]
    distances = (hypot(*(b - a for a, b in zip(one, other, strict=True))) for one, other in pairwise(positions))
    return min((distance for distance in distances if distance > 0.01), default=None)


def _is_multiple(measured: float, spacing: float) -> bool:
    """Slices may be left out of a series on its way, so whole multiples of the spacing agree with it."""
    if not measured < 10_000 * spacing:
        return False
    times = round(measured / spacing)
    return times >= 1 and _close(measured / times, spacing)


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= _SPACING_TOLERANCE * max(abs(other), 0.1)
