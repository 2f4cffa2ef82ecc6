"""A person to scan: what every voxel is made of, and what follows from it before any scanner comes near.

Heads come from label maps (`head`), everything else from random geometry (`phantoms`). Everything later samples slices.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d

from training.simulate.people.fields import field_shift_ppm, noise_volume, shimmed
from training.simulate.physics.tissues import FACTS, Tissue

_FIELD_GRID_MM: Final = 4.0
_FIBRE_SIZE: Final = 24
_TEXTURE_SIZE: Final = 64
# A voxel's code is its tissue times this, plus its level of texture; level 8 is the tissue's mean, 2.5 levels make one
# standard deviation.
TEXTURE_LEVELS: Final = 16
_LEVEL_ZERO, _LEVELS_PER_DEVIATION = 8, 2.5
_BRAIN: Final = (
    Tissue.GREY_MATTER, Tissue.WHITE_MATTER, Tissue.DEEP_GREY, Tissue.PALLIDUM, Tissue.OEDEMA, Tissue.TUMOUR,
    Tissue.ENHANCING_TUMOUR, Tissue.INFARCT, Tissue.BLOOD_PRODUCT,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Voxels (x to the right, y to the front, z to the head) of `spacing_mm`, and what planners need to know.

    Beyond its faces a body goes on as it ends there.
    """

    name: str
    region: str
    codes: Tensor  # int16 (x, y, z): tissue number x TEXTURE_LEVELS + level of texture
    spacing_mm: float
    field_ppm: Tensor  # float32 (x', y', z'): shift of the resonance after shimming, on a grid of about 4 mm
    fibre: Tensor  # float32 (24, 24, 24): which way anisotropic tissue runs, unit variance, over the same box
    centre_mm: tuple[float, float, float]  # where a planner would put the middle of the stack
    extent_mm: tuple[float, float, float]  # of what is to be covered
    margin_mm: float = 0.0  # what lies round it that the field of view takes in too

    def to(self, device: torch.device) -> "Anatomy":
        """The same person on another device."""
        return replace(
            self, codes=self.codes.to(device), field_ppm=self.field_ppm.to(device), fibre=self.fibre.to(device)
        )

    @property
    def tissue(self) -> Tensor:
        """Tissue numbers, uint8 (x, y, z)."""
        return (self.codes // TEXTURE_LEVELS).to(torch.uint8)


def level_deviations() -> Tensor:
    """What a level of texture means, in standard deviations, (TEXTURE_LEVELS,)."""
    return (torch.arange(TEXTURE_LEVELS) - _LEVEL_ZERO) / _LEVELS_PER_DEVIATION


def dilated(mask: Tensor, radius: int) -> Tensor:
    """A boolean volume grown by a cube of `radius` voxels: one axis after the other, shifts doubled."""
    grown = mask.clone()
    for axis in range(mask.dim()):
        done = 0
        while done < radius:
            step = min(max(done, 1), radius - done)
            before = grown.clone()
            length = grown.shape[axis] - step
            if length <= 0:
                break
            grown.narrow(axis, step, length).logical_or_(before.narrow(axis, 0, length))
            grown.narrow(axis, 0, length).logical_or_(before.narrow(axis, step, length))
            done += step
    return grown


def eroded(mask: Tensor, radius: int) -> Tensor:
    """A boolean volume shrunk by a cube of `radius` voxels."""
    return ~dilated(~mask, radius)


def is_any(tissue: Tensor, wanted: Sequence[Tissue]) -> Tensor:
    """Where a tissue volume is one of `wanted`."""
    table = torch.zeros(256, dtype=torch.bool, device=tissue.device)
    table[[int(t) for t in wanted]] = True
    return table[tissue.int()]


def brain_mask(tissue: Tensor) -> Tensor:
    """What a skull-stripping tool leaves of a head at about 1 mm: brain with its fluid and vessels, holes closed."""
    return eroded(dilated(is_any(tissue, _BRAIN), 4), 3)


def stripped(anatomy: Anatomy) -> Anatomy:
    """The head after skull-stripping."""
    codes = torch.where(brain_mask(anatomy.tissue), anatomy.codes, 0).to(torch.int16)
    return replace(anatomy, codes=codes, margin_mm=0.0)


def box_of(mask: Tensor) -> list[tuple[int, int]]:
    """First and last index plus one of a boolean volume along each axis."""
    spans: list[tuple[int, int]] = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        along = torch.nonzero(mask.any(dim=others[1]).any(dim=others[0]))[:, 0]
        spans.append((int(along[0]), int(along[-1]) + 1))
    return spans


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is planned on and shimmed over: boolean, like the tissue, and what lies round it that is shown too."""

    mask: Tensor
    margin_mm: float = 0.0


def assemble(
    name: str, region: str, tissue: Tensor, *, spacing_mm: float, target: Target, rng: np.random.Generator
) -> Anatomy:
    """An anatomy from its tissues."""
    susceptibility = torch.tensor([FACTS[t].susceptibility_ppm for t in Tissue], dtype=torch.float32)
    factor = max(1, round(_FIELD_GRID_MM / spacing_mm))
    field = field_shift_ppm(_coarse(susceptibility[tissue.int()], factor))
    inside = (_coarse(target.mask.float(), factor) > 0.8) & (_coarse((tissue > 0).float(), factor) > 0.8)
    spans = box_of(target.mask)
    return Anatomy(
        name=name,
        region=region,
        codes=_codes(tissue, rng),
        spacing_mm=spacing_mm,
        field_ppm=shimmed(field, inside),
        fibre=noise_volume((_FIBRE_SIZE,) * 3, rng, exponent=1.5),
        centre_mm=_triple([(low + high) / 2 * spacing_mm for low, high in spans]),
        extent_mm=_triple([(high - low) * spacing_mm for low, high in spans]),
        margin_mm=target.margin_mm,
    )


def _triple(values: list[float]) -> tuple[float, float, float]:
    x, y, z = values
    return (x, y, z)


def _codes(tissue: Tensor, rng: np.random.Generator) -> Tensor:
    """Tissue and texture in one number; grain and mottle repeat every 64 voxels."""
    size = (_TEXTURE_SIZE,) * 3
    texture = 0.6 * noise_volume(size, rng, exponent=0.8) + 0.8 * noise_volume(size, rng, exponent=1.6)
    levels = (texture * _LEVELS_PER_DEVIATION + _LEVEL_ZERO).round().clamp(0, TEXTURE_LEVELS - 1).to(torch.int16)
    tiles = [-(-n // _TEXTURE_SIZE) for n in tissue.shape]
    x, y, z = tissue.shape
    return (tissue.to(torch.int16) * TEXTURE_LEVELS + levels.repeat(tiles)[:x, :y, :z]).contiguous()


def _coarse(volume: Tensor, factor: int) -> Tensor:
    return avg_pool3d(volume[None, None], factor, ceil_mode=True)[0, 0]
