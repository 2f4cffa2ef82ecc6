"""The grid that a body is drawn on: bent coordinates, noise, and muscles."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.drawing import Drawing, Noise, resampled, steepness
from training.simulate.people.fields import fast_size, noise_volume, smooth_noise
from training.simulate.physics.tissues import Tissue

_EXPONENTS: Final[dict[Noise, float]] = {
    "grain": 1.6,
    "streaks": 1.2,
    "lumps": 2.1,
    "folds": 2.7,
    "sheets": 2.7,
    "slow": 3.2,
}


class Canvas(Drawing):
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
        self.x, self.y, self.z = (g + bend_mm * self.piece("slow", shape) for g in grid)
        self.tissue = torch.zeros(shape, dtype=torch.uint8)

    def piece(self, kind: Noise, shape: Sequence[int]) -> Tensor:
        """There is one volume of noise of each kind, periodic: a box of it at a random place, negated or not."""
        if kind not in self._noise:
            make = noise_volume if kind == "grain" else smooth_noise
            self._noise[kind] = make(self._shape, self.rng, exponent=_EXPONENTS[kind])
        found = self._noise[kind]
        for axis, (there, wanted) in enumerate(zip(self._shape, shape, strict=True)):
            first = int(self.rng.integers(there))
            beyond = first + wanted - there
            if beyond <= 0:
                found = found.narrow(axis, first, wanted)
            else:
                found = torch.cat([found.narrow(axis, first, there - first), found.narrow(axis, 0, beyond)], dim=axis)
        return found.clone() if self.chance(0.5) else -found

    def muscles(self, where: Tensor, *, fat_share: float) -> None:
        """Muscle with sheets of fat between the bellies, streaks of it between the bundles, vessels in the sheets."""
        self.paint(where, Tissue.MUSCLE)
        streaks = self._streaks()
        self.paint(where & (streaks > 2.6 - 1.6 * fat_share), Tissue.FAT)
        self.paint(where & (streaks < -2.7), Tissue.LIGAMENT)
        for _ in range(int(self.rng.integers(2, 5))):
            self.paint(where & (self._from_sheet() < self.between(0.2, 0.5) + fat_share), Tissue.FAT)
        self.paint(where & (self.noise() > 2.6 - 1.5 * fat_share), Tissue.FAT)
        vessels = where & self.curves(0.12)
        self.paint(vessels & (self.noise("folds") > 0), Tissue.VEIN)
        self.paint(vessels & (self.noise("folds") > 1), Tissue.ARTERY)

    def _from_sheet(self) -> Tensor:
        """About the distance in mm from winding sheets of no thickness, as fascia between the bellies of muscles is."""
        folds = self._drawn_out("sheets", 3)
        return folds.abs() / steepness(folds, self.spacing_mm).clamp_(min=1e-3)

    def _streaks(self) -> Tensor:
        """Noise that is drawn out along one axis, as bundles of fibres are."""
        return self._drawn_out("streaks", 8)

    def _drawn_out(self, kind: Noise, factor: int) -> Tensor:
        """Noise that changes `factor` times more slowly along one axis, mostly from head to foot, as muscles run."""
        if kind not in self._noise:
            axis = 2 if self.chance(0.7) else int(self.rng.integers(3))
            short = [-(-n // factor) if a == axis else n for a, n in enumerate(self._shape)]
            drawn = noise_volume(tuple(short), self.rng, exponent=_EXPONENTS[kind])
            long = resampled(drawn, self._shape)
            self._noise[kind] = long / long.std()
        return self.noise(kind)
