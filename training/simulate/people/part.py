"""A box of a drawing: what is small is drawn there much faster than on all of it."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.drawing import Drawing, Noise, Point

FAR_MM: Final = 1e4  # beyond every canvas
_ROUND_MM: Final = 4.0  # what is left free round a ball


class Part(Drawing):
    """The voxels between two corners; as coordinates are bent, somewhat more. What is painted lands on the whole."""

    def __init__(self, whole: Drawing, low: Point, high: Point, *, limit: Tensor | None = None) -> None:
        """`limit`, on the voxels of `whole`, is where painting is allowed; that of `whole` without."""
        self.rng, self.spacing_mm = whole.rng, whole.spacing_mm
        self._whole = whole
        self._box = _box(whole, low, high)
        self.x, self.y, self.z, self.tissue = (self.cut(one) for one in (whole.x, whole.y, whole.z, whole.tissue))
        limit = whole.limit if limit is None else limit
        self.limit = None if limit is None else self.cut(limit)

    def cut(self, field: Tensor) -> Tensor:
        """What lies in this box of a field on the voxels of the whole."""
        return field[self._box]

    def piece(self, kind: Noise, shape: Sequence[int]) -> Tensor:
        """A piece of the whole's noise."""
        return self._whole.piece(kind, shape)

    def near(self, points: Sequence[Point], margin: float) -> "Part":
        """The box round some points."""
        corners = np.asarray(points, dtype=float)
        return Part(self, (corners.min(0) - margin).tolist(), (corners.max(0) + margin).tolist())

    def ball(self, centre: Point, radii: Point, power: float = 2.0) -> tuple["Part", Tensor]:
        """The box round an ellipsoid and the distance in mm from its face in it, below zero inside."""
        sides = [(m - r - _ROUND_MM, m + r + _ROUND_MM) for m, r in zip(centre, radii, strict=True)]
        part = Part(self, [low for low, _ in sides], [high for _, high in sides])
        units = part.ellipsoid(centre, radii, power)
        # Over the slope, or the shell of a flat one would be thick at its ends.
        axes = zip((part.x, part.y, part.z), centre, radii, strict=True)
        slope = sum((((axis - m) / (r * r)).square() for axis, m, r in axes), torch.tensor(1e-8)).sqrt_()
        return part, (units - 1.0) * units / slope


def _box(whole: Drawing, low: Point, high: Point) -> tuple[slice, slice, slice]:
    """The slices that hold all voxels between two corners; one voxel where there are none."""
    cut: list[slice] = []
    for (least, most), a, b in zip(whole.reach, low, high, strict=True):
        touched = torch.nonzero((most >= a) & (least <= b))[:, 0]
        cut.append(slice(int(touched[0]), int(touched[-1]) + 1) if len(touched) else slice(0, 1))
    return cut[0], cut[1], cut[2]
