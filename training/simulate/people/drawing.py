"""Shapes painted one over the other, on a grid of voxels or on a box of one."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from training.simulate.physics.tissues import Tissue

Point = Sequence[float]
Noise = Literal["grain", "streaks", "lumps", "folds", "sheets", "slow"]


def melted(a: Tensor, b: Tensor, width_mm: float) -> Tensor:
    """The minimum of two signed distances, rounded where they meet: their shapes melt into each other."""
    near = (width_mm - (a - b).abs()).clamp(min=0.0)
    return torch.minimum(a, b) - near.square() / (4.0 * width_mm)


def resampled(field: Tensor, shape: Sequence[int]) -> Tensor:
    """A field on a finer or coarser grid over the same box, linear in between."""
    return interpolate(field[None, None], size=tuple(shape), mode="trilinear", align_corners=False)[0, 0]


def steepness(field: Tensor, spacing_mm: float) -> Tensor:
    """How much a field (x, y, z) changes per mm, along its steepest direction."""
    squared = torch.zeros_like(field)
    for slope in torch.gradient(field, spacing=spacing_mm):
        squared += slope.square_()
    return squared.sqrt_()


class Drawing(ABC):
    """Voxels with coordinates in mm (x to the right, y to the front, z to the head) and tissue numbers."""

    rng: np.random.Generator
    spacing_mm: float
    x: Tensor
    y: Tensor
    z: Tensor
    tissue: Tensor
    limit: Tensor | None = None  # where painting is allowed; everywhere without

    @cached_property
    def reach(self) -> list[tuple[Tensor, Tensor]]:
        """The least and the largest coordinate of every plane of voxels across each axis."""
        found: list[tuple[Tensor, Tensor]] = []
        for number, axis in enumerate((self.x, self.y, self.z)):
            others = tuple(other for other in range(3) if other != number)
            found.append((axis.amin(dim=others), axis.amax(dim=others)))
        return found

    @abstractmethod
    def piece(self, kind: Noise, shape: Sequence[int]) -> Tensor:
        """Noise of unit variance in a box of a shape, another piece of it each time."""

    def noise(self, kind: Noise = "lumps") -> Tensor:
        """Noise of unit variance on these voxels, other noise each time."""
        return self.piece(kind, self.x.shape)

    def between(self, low: float, high: float) -> float:
        """A random length or angle."""
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        """True with probability `share`."""
        return bool(self.rng.random() < share)

    def ellipsoid(self, centre: Point, radii: Point, power: float = 2.0) -> Tensor:
        """Distance from the centre in units of the radii: below 1 is inside. A larger power makes it boxier."""
        total = torch.zeros(self.x.shape)
        for axis, middle, radius in zip((self.x, self.y, self.z), centre, radii, strict=True):
            part = (axis - middle) * (1.0 / radius)
            total += part * part if power == 2.0 else part.abs_() ** power
        return total.sqrt_() if power == 2.0 else total ** (1.0 / power)

    def column(
        self, centre: Tensor | float, front: Tensor | float, radii: tuple[float, float], power: float = 2.0
    ) -> Tensor:
        """A column along z whose centre (x, y) may change with z, in units of its radii."""
        across = ((self.x - centre) / radii[0]).abs() ** power + ((self.y - front) / radii[1]).abs() ** power
        return across ** (1.0 / power)

    def tube(self, points: Sequence[Point]) -> Tensor:
        """Distance in mm from the line through the points."""
        axes = (self.x, self.y, self.z)
        nearest = torch.full(self.x.shape, torch.inf)
        for start, end in pairwise(points):
            along = [e - s for s, e in zip(start, end, strict=True)]
            length = sum(a * a for a in along)
            share = torch.zeros(self.x.shape)  # of the way from start to end, where the foot of each voxel lies
            for axis, s, a in zip(axes, start, along, strict=True):
                share += (axis - s) * (a / length)
            share.clamp_(0.0, 1.0)
            squared = torch.zeros(self.x.shape)
            for axis, s, a in zip(axes, start, along, strict=True):
                squared += (axis - s - share * a).square_()
            nearest = torch.minimum(nearest, squared)
        return nearest.sqrt_()

    def paint(self, where: Tensor, tissue: Tissue, *, over: Sequence[Tissue] | None = None) -> None:
        """Set `tissue` where the mask is true; only over the given tissues if there are any."""
        if over is not None:
            where = where & self.where(*over)
        if self.limit is not None:
            where = where & self.limit
        self.tissue[where] = int(tissue)

    def where(self, *tissues: Tissue) -> Tensor:
        """Where one of the tissues is."""
        mask = self.tissue == int(tissues[0])
        for tissue in tissues[1:]:
            mask |= self.tissue == int(tissue)
        return mask

    def bone(self, distance_mm: Tensor, *, cortex_mm: float = 1.6, red_share: float = 0.0) -> None:
        """A bone where the signed distance is below zero: cortical outside, marrow inside, patches of it red."""
        self.paint(distance_mm < 0, Tissue.CORTICAL_BONE)
        marrow = distance_mm < -cortex_mm
        self.paint(marrow, Tissue.YELLOW_MARROW)
        if red_share > 0:
            patches = self.noise("grain" if self.chance(0.4) else "lumps") > float(
                np.quantile(self.rng.standard_normal(400), 1.0 - red_share)
            )
            self.paint(marrow & patches, Tissue.RED_MARROW)

    def curves(self, radius: float) -> Tensor:
        """Thin winding curves, as vessels are: where two noise volumes are both near zero."""
        return self.noise().square() + self.noise().square() < radius**2

    def septa(self, where: Tensor) -> None:
        """Thin sheets of connective tissue in fat, more of them in some people."""
        self.paint(where & (self.noise("lumps").abs() < self.between(0.0, 0.05)), Tissue.SKIN, over=(Tissue.FAT,))

    def envelope(self, distance_mm: Tensor, *, fat_mm: float, skin_mm: float = 1.5) -> Tensor:
        """Skin and subcutaneous fat (its thickness varying) inside a signed distance; returns what lies deeper."""
        thickness = fat_mm * (1.0 + 0.5 * self.noise("slow")).clamp(0.3, 2.0)
        self.paint(distance_mm < 0, Tissue.SKIN)
        self.paint(distance_mm < -skin_mm, Tissue.FAT)
        self.septa(distance_mm < -skin_mm)
        return distance_mm < -(skin_mm + thickness)
