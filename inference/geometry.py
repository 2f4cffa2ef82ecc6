"""Planes and slice positions in patient coordinates (PS3.3 C.7.6.2.1.1): x to the left, y back, z to the head."""

from collections import Counter
from collections.abc import Iterable
from math import acos, cos, degrees, inf, radians, sqrt
from typing import Final, Literal

import numpy as np

Plane = Literal["axial", "sagittal", "coronal"]
Orientation = tuple[float, float, float, float, float, float]  # direction of a row, then of a column
Vector = tuple[float, float, float]

MAX_TILT_DEG: Final = 5.0  # slice normals closer than this are one orientation

_PLANES: Final[tuple[Plane, ...]] = ("sagittal", "coronal", "axial")  # whose normal is x, y, z


def slice_normal(orientation: Orientation | None) -> Vector | None:
    """The unit normal of a slice; None without an orientation, where row and column are parallel or overflow."""
    if orientation is None:
        return None
    rx, ry, rz, cx, cy, cz = orientation
    x, y, z = ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx
    length = sqrt(x * x + y * y + z * z)
    return (x / length, y / length, z / length) if 1e-6 < length < inf else None


def nearest_plane(normal: Vector) -> tuple[Plane, float]:
    """The plane whose axis is nearest to a unit normal, and the angle to it in degrees."""
    sizes = [abs(part) for part in normal]
    largest = max(sizes)
    return _PLANES[sizes.index(largest)], degrees(acos(min(1.0, largest)))


def depth_mm(position_mm: Vector, normal: Vector) -> float:
    """How far along the normal a slice lies."""
    return sum(one * two for one, two in zip(position_mm, normal, strict=True))


def orientation_classes(orientations: Iterable[Orientation | None]) -> dict[Orientation, int]:
    """A number for each orientation; those whose slice normals are within 5 degrees of a common one share it.

    The commonest orientation gathers its neighbours first, then the commonest of the rest, so that the order of the
    frames does not matter. A slice seen from behind has the same plane. Orientations without a normal get no class.
    """
    counts = Counter(orientations)
    normals = {one: normal for one in counts if one is not None and (normal := slice_normal(one)) is not None}
    ranked = sorted(normals, key=lambda one: (-counts[one], one))
    axes = np.array([normals[one] for one in ranked]).reshape(-1, 3)
    classes = np.full(len(ranked), -1)
    for seed in range(len(ranked)):
        if classes[seed] < 0:
            near = np.abs(axes @ axes[seed]) >= cos(radians(MAX_TILT_DEG))
            classes[near & (classes < 0)] = seed
    return {one: int(number) for one, number in zip(ranked, classes, strict=True)}
