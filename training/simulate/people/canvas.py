"""A canvas to draw bodies on: coordinates bent by noise, and shapes painted one over the other."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from training.simulate.people.fields import fast_size, noise_volume, smooth_noise
from training.simulate.physics.tissues import Tissue

Point = Sequence[float]
Noise = Literal["grain", "streaks", "lumps", "folds", "slow"]
_EXPONENTS: Final[dict[Noise, float]] = {"grain": 1.6, "streaks": 1.2, "lumps": 2.1, "folds": 2.7, "slow": 3.2}


class Canvas:
    """Tissue numbers on a grid centred on the origin; x to the right, y to the front, z to the head, in mm.

    Coordinates are bent by smooth noise (`bend_mm`), so that no two drawings have the same outline.
    """

    def __init__(
        self, size_mm: tuple[float, float, float], spacing_mm: float, rng: np.random.Generator, *, bend_mm: float = 3.0
    ) -> None:
        self.rng = rng
        self.spacing_mm = spacing_mm
        nx, ny, nz = (fast_size(int(np.ceil(s / spacing_mm))) for s in size_mm)
        shape = (nx, ny, nz)
        self._shape = shape
        self._noise: dict[Noise, Tensor] = {}
        axes = [(torch.arange(n) - (n - 1) / 2) * spacing_mm for n in shape]
        grid = torch.meshgrid(*axes, indexing="ij")
        self.x, self.y, self.z = (g + bend_mm * self.noise("slow") for g in grid)
        self.tissue = torch.zeros(shape, dtype=torch.uint8)

    def noise(self, kind: Noise = "lumps") -> Tensor:
        """Noise of unit variance on the grid: one volume of each kind, rolled and negated at random each time."""
        if kind not in self._noise:
            make = noise_volume if kind == "grain" else smooth_noise
            self._noise[kind] = make(self._shape, self.rng, exponent=_EXPONENTS[kind])
        steps = [int(self.rng.integers(n)) for n in self._shape]
        rolled = self._noise[kind].roll(steps, dims=(0, 1, 2))
        return rolled if self.chance(0.5) else -rolled

    def between(self, low: float, high: float) -> float:
        """A random length or angle."""
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        """True with probability `share`."""
        return bool(self.rng.random() < share)

    def ellipsoid(self, centre: Point, radii: Point, power: float = 2.0) -> Tensor:
        """Distance from the centre in units of the radii: below 1 is inside. A larger power makes it boxier."""
        total = torch.zeros(self._shape)
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
        nearest = torch.full(self._shape, torch.inf)
        for start, end in pairwise(points):
            along = [e - s for s, e in zip(start, end, strict=True)]
            length = sum(a * a for a in along)
            share = torch.zeros(self._shape)  # of the way from start to end, where the foot of each voxel lies
            for axis, s, a in zip(axes, start, along, strict=True):
                share += (axis - s) * (a / length)
            share.clamp_(0.0, 1.0)
            squared = torch.zeros(self._shape)
            for axis, s, a in zip(axes, start, along, strict=True):
                squared += (axis - s - share * a).square_()
            nearest = torch.minimum(nearest, squared)
        return nearest.sqrt_()

    def paint(self, where: Tensor, tissue: Tissue, *, over: Sequence[Tissue] | None = None) -> None:
        """Set `tissue` where the mask is true; only over the given tissues if there are any."""
        if over is not None:
            where = where & self.where(*over)
        self.tissue[where] = int(tissue)

    def where(self, *tissues: Tissue) -> Tensor:
        """Where the canvas holds one of the tissues."""
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

    def muscles(self, where: Tensor, *, fat_share: float) -> None:
        """Muscle with sheets of fat between the bellies, streaks of it between the bundles, vessels in the sheets."""
        self.paint(where, Tissue.MUSCLE)
        streaks = self._streaks()
        self.paint(where & (streaks > 2.6 - 1.6 * fat_share), Tissue.FAT)
        self.paint(where & (streaks < -2.7), Tissue.LIGAMENT)
        sheets = torch.minimum(self.noise("folds").abs(), 0.7 * self.noise("folds").abs())
        self.paint(where & (sheets < 0.3 * fat_share), Tissue.FAT)
        self.paint(where & (self.noise() > 2.6 - 1.5 * fat_share), Tissue.FAT)
        vessels = where & self.curves(0.12)
        self.paint(vessels & (self.noise("folds") > 0), Tissue.VEIN)
        self.paint(vessels & (self.noise("folds") > 1), Tissue.ARTERY)

    def _streaks(self) -> Tensor:
        """Noise that is drawn out along one axis, as bundles of fibres are."""
        if "streaks" not in self._noise:
            axis = int(self.rng.integers(3))
            short = [-(-n // 8) if a == axis else n for a, n in enumerate(self._shape)]
            drawn = noise_volume(tuple(short), self.rng, exponent=1.2)
            long = interpolate(drawn[None, None], size=self._shape, mode="trilinear", align_corners=False)[0, 0]
            self._noise["streaks"] = long / long.std()
        return self.noise("streaks")

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
