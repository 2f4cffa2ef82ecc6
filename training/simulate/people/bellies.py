"""Muscles as bellies that lie against each other, with thin planes of fat between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from training.simulate.people.drawing import Drawing
from training.simulate.physics.tissues import Tissue

_T = Tissue
_STEP = 4  # the planes run mostly along z: every fourth slice is enough, the rest lie between


@dataclass(frozen=True, slots=True)
class Belly:
    """The line in the middle of a belly: its place at `z`, and how far it leans for each mm upwards."""

    across: float
    out: float
    z: float = 0.0
    lean: tuple[float, float] = (0.0, 0.0)
    weight: float = 0.0  # mm that it presses its neighbours away


def between_bellies(c: Drawing, across: Tensor, out: Tensor, seeds: Sequence[Belly], *, rough_mm: float) -> Tensor:
    """Twice the distance in mm, near enough, from the planes where one belly meets the next."""
    p = (across + rough_mm * c.noise("folds"))[:, :, ::_STEP].contiguous()
    q = (out + rough_mm * c.noise("folds"))[:, :, ::_STEP].contiguous()
    z = c.z[:, :, ::_STEP].contiguous()
    first, second = torch.full_like(p, 1e4), torch.full_like(p, 1e4)
    for seed in seeds:
        up = z - seed.z
        distance = (p - seed.across - seed.lean[0] * up).square_()
        distance += (q - seed.out - seed.lean[1] * up).square_()
        distance += up.mul_(0.22).square_()  # bellies end too, but are long
        distance.sqrt_().sub_(seed.weight)
        second = torch.minimum(second, torch.maximum(first, distance))
        first = torch.minimum(first, distance)
    return interpolate(second - first, size=c.z.shape[2], mode="linear", align_corners=True)


def bellies(
    c: Drawing,
    where: Tensor,
    across: Tensor,
    out: Tensor,
    seeds: Sequence[Belly],
    *,
    plane_mm: float,
) -> None:
    """Cut muscle into bellies: a plane of fat of changing thickness between them, vessels running in it."""
    gap = between_bellies(c, across, out, seeds, rough_mm=c.between(0.5, 2.5))
    width = plane_mm * (1.0 + 0.6 * c.noise("folds")).clamp(0.35, 2.5)
    planes = where & (gap < width)
    c.paint(planes, _T.FAT)
    c.paint(where & (gap < 0.25 * width) & (c.noise("lumps") > 0.8), _T.LIGAMENT)
    vessels = where & (gap < 1.5 + 0.7 * width) & (c.noise("lumps").abs() < 0.06)
    c.paint(vessels & (c.noise("slow") > 0), _T.VEIN)
