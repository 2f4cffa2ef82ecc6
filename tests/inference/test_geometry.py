"""Planes and orientation classes, against angles one can check by hand."""

from math import cos, radians, sin

import pytest

from inference.geometry import Orientation, nearest_plane, orientation_classes, slice_normal

AXIAL: Orientation = (1, 0, 0, 0, 1, 0)
SAGITTAL: Orientation = (0, 1, 0, 0, 0, -1)
CORONAL: Orientation = (1, 0, 0, 0, 0, -1)


def tilted(degrees: float) -> Orientation:
    """Axial, turned about the left-right axis."""
    return 1, 0, 0, 0, cos(radians(degrees)), sin(radians(degrees))


@pytest.mark.parametrize(
    ("orientation", "plane", "angle"),
    [
        (AXIAL, "axial", 0), (SAGITTAL, "sagittal", 0), (CORONAL, "coronal", 0),
        (tilted(20), "axial", 20), (tilted(44), "axial", 44), (tilted(46), "coronal", 44), (tilted(-60), "coronal", 30),
    ],
)  # fmt: skip
def test_plane(orientation: Orientation, plane: str, angle: float) -> None:
    normal = slice_normal(orientation)
    assert normal is not None
    assert nearest_plane(normal) == (plane, pytest.approx(angle, abs=1e-9))


def test_directions_need_not_be_of_unit_length() -> None:
    assert slice_normal((0.5, 0, 0, 0, 3, 0)) == (0, 0, 1)


@pytest.mark.parametrize(
    "orientation",
    [
        (0, 0, 0, 0, 0, 0),
        (1, 0, 0, 1, 0, 0),
        None,
        (1e200, 0, 0, 0, 1e200, 0),
        (1e155, 0, 0, 0, 1, 0),
        (1e308, 1e308, 0, -1e308, 1e308, 0),
    ],
)
def test_no_normal(orientation: Orientation | None) -> None:
    assert slice_normal(orientation) is None


def test_orientations_within_five_degrees_are_one() -> None:
    classes = orientation_classes([AXIAL, AXIAL, tilted(4.9), tilted(5.1), SAGITTAL, None])
    assert classes[AXIAL] == classes[tilted(4.9)]
    assert classes[AXIAL] != classes[tilted(5.1)]
    assert len(set(classes.values())) == 3


def test_a_slice_from_behind_has_the_same_plane() -> None:
    classes = orientation_classes([AXIAL, (-1, 0, 0, 0, 1, 0)])
    assert len(set(classes.values())) == 1


def test_the_commonest_orientation_gathers_its_neighbours() -> None:
    classes = orientation_classes([tilted(0), tilted(4), tilted(4), tilted(8)])
    assert len(set(classes.values())) == 1
