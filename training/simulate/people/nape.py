"""The muscles round a cervical spine: layers behind it, bundles beside and in front of it, vessels between them."""

import torch
from torch import Tensor

from training.simulate.people.bellies import Belly, bellies
from training.simulate.people.drawing import Drawing
from training.simulate.people.vertebral import Build, Frame
from training.simulate.physics.tissues import Tissue

_T = Tissue
_TURN_MM = 24.0  # mm to a radian: bellies of a layer are wider than thick


def nape(c: Drawing, f: Frame, b: Build, where: Tensor, *, reach_mm: float) -> None:
    """Layers of bellies round the arches, from multifidus out to trapezius, and the band of the nape between them."""
    back = b.canal_at - f.ahead
    radius = (f.across.square() + back.square()).sqrt()
    turn = torch.atan2(f.across, back) * _TURN_MM
    seeds: list[Belly] = []
    out = c.between(9, 14)
    while out < reach_mm:
        thick, width = c.between(6, 12), c.between(14, 26)
        for side in (-1, 1):  # nearly the same on both sides
            across = width * c.between(0.35, 0.6)
            while across < 2.3 * _TURN_MM:
                lean = (c.between(-0.25, 0.25), c.between(-0.2, 0.2))
                nudge = c.between(-0.15, 0.15) * thick
                seeds.append(
                    Belly(side * across, out + nudge, c.between(-50, 50), lean, c.between(-0.15, 0.15) * thick)
                )
                across += width * c.between(0.8, 1.2)
        out += thick
    bellies(c, where, turn, radius, seeds, plane_mm=c.between(0.3, 1.6))
    tip = b.canal[1] + 0.7 * b.spinous
    nuchal = where & (f.across.abs() < c.between(0.7, 2.2)) & (back > tip)
    c.paint(nuchal, _T.FAT)
    c.paint(nuchal & (f.across.abs() < c.between(0.3, 1.0)), _T.LIGAMENT)
    deep = where & (radius < c.between(22, 34)) & (c.noise("folds") > c.between(0.6, 1.8))
    c.paint(deep & (c.noise("lumps") > 0.3), _T.FAT)  # fat creeps into the deep muscles first
    c.paint(where & (radius < 40) & c.curves(c.between(0.04, 0.16)), _T.VEIN)


def beside(c: Drawing, f: Frame, b: Build) -> tuple[Tensor, Tensor]:
    """Longus colli in front of the bodies, scalenes and levator beside them; first the fat round them."""
    muscle = torch.zeros_like(f.across, dtype=torch.bool)
    edge = torch.zeros_like(muscle)
    shape = 1.0 - c.between(-0.003, 0.006) * f.along
    for side in (-1, 1):
        x = side * f.across / shape
        for at, y, wide, deep in (
            (b.wide * c.between(0.32, 0.5), b.deep / 2 + c.between(2, 4), c.between(5, 8), c.between(2.5, 4.5)),
            (b.wide / 2 + c.between(9, 13), c.between(-2, 5), c.between(4, 7), c.between(5, 9)),
            (b.wide / 2 + c.between(17, 24), c.between(-12, -2), c.between(4, 7), c.between(7, 12)),
            (b.wide / 2 + c.between(8, 14), c.between(-15, -8), c.between(5, 8), c.between(5, 8)),
        ):
            away = ((x - at) / wide).square() + ((f.ahead - y) / deep).square()
            edge |= away < (1.0 + c.between(0.8, 2.0) / wide) ** 2
            muscle |= away < 1.0
    return edge, muscle


def vertebral_arteries(c: Drawing, f: Frame, b: Build) -> None:
    """The arteries that climb through the transverse processes, winding, with veins round them."""
    for side in (-1, 1):
        x, y = b.canal[0] + c.between(4.5, 7), b.canal_at + b.canal[1] + c.between(2.5, 6)
        radius = c.between(1.2, 2.6)
        wave = x + c.between(0, 1.2) * torch.sin(f.along * (6.28 / b.pitch) + c.between(0, 6))
        away = ((side * f.across - wave).square() + (f.ahead - y).square()).sqrt()
        c.paint(away < radius + c.between(0.6, 1.8), _T.VEIN if c.chance(0.6) else _T.FAT)
        c.paint(away < radius, _T.ARTERY)
