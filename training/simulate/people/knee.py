"""Knees of random geometry."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.canvas import Canvas
from training.simulate.people.drawing import melted, resampled, steepness
from training.simulate.physics.tissues import Tissue

_T = Tissue
_Node = tuple[float, float, float, float]  # x, y, z and radius
_BELLIES: Final[dict[str, tuple[_Node, ...]]] = {
    "vastus medialis": ((-30, 24, 17, 3), (-32, 18, 36, 12), (-28, 14, 95, 27)),
    "vastus lateralis": ((28, 26, 32, 3), (32, 18, 50, 13), (30, 12, 98, 27)),
    "vastus intermedius": ((0, 26, 52, 3), (0, 32, 75, 10), (0, 34, 98, 18)),
    "semimembranosus": ((-29, -24, -18, 4), (-26, -34, 6, 12), (-20, -34, 95, 20)),
    "sartorius": ((-34, -18, -42, 2.5), (-39, -28, 4, 7), (-40, -22, 90, 9)),
    "biceps femoris": ((38, -18, -22, 3), (35, -30, 5, 11), (28, -34, 40, 13), (22, -34, 95, 19)),
    "medial gastrocnemius": ((-19, -29, 26, 6), (-15, -43, -4, 14), (-20, -40, -90, 24)),
    "lateral gastrocnemius": ((19, -28, 24, 6), (16, -42, -4, 13), (22, -40, -90, 22)),
    "popliteus": ((22, -28, -22, 3), (-6, -28, -42, 8), (-12, -18, -62, 7)),
    "soleus": ((20, -30, -40, 5), (4, -26, -90, 20)),
    "tibialis anterior": ((24, 10, -38, 4), (28, 12, -60, 12), (26, 8, -95, 17)),
    "peroneus": ((34, -8, -42, 3), (38, -6, -90, 11)),
}
_TENDONS: Final[tuple[tuple[_Node, ...], ...]] = (
    ((9, -15, 10, 2.6), (-2, 5, -13, 3.2)),  # anterior cruciate
    ((-7, -4, 2, 3.4), (-4, -19, -3, 3.4), (-1, -27, -20, 3.0)),  # posterior cruciate
    ((-39, -5, 17, 1.0), (-39.5, -4, -14, 1.3), (-33, 2, -50, 1.0)),  # medial collateral
    ((39, -8, 14, 1.3), (38, -20, -28, 1.6)),  # lateral collateral
    ((-33, -45, 90, 2.5), (-34, -40, 0, 2.0), (-28, 2, -52, 2.0)),  # semitendinosus
    ((-40, -36, 20, 1.6), (-36, -18, -40, 1.6)),  # gracilis
    ((36, -30, 5, 2.5), (37, -20, -26, 3.0)),  # biceps
    ((33, 18, 30, 1.2), (29, 12, -24, 1.6)),  # iliotibial tract
)


@dataclass(frozen=True)
class _Leg:
    """Coordinates along a straight leg (x lateral, y front, z head) on every other voxel, where shapes cost less."""

    canvas: Canvas
    x: Tensor
    y: Tensor
    z: Tensor

    def ball(self, centre: Sequence[float], radii: Sequence[float]) -> Tensor:
        """About the signed distance from an ellipsoid."""
        parts = [((a - m) / r).square() for a, m, r in zip((self.x, self.y, self.z), centre, radii, strict=True)]
        return ((parts[0] + parts[1] + parts[2]).sqrt() - 1.0) * min(radii)

    def rod(self, nodes: Sequence[_Node], flat: float = 1.0) -> Tensor:
        """About the signed distance from a tube through the nodes, whose radius changes; `flat` times wider in x."""
        nearest = torch.full_like(self.x, torch.inf)
        for (x0, y0, z0, r0), (x1, y1, z1, r1) in pairwise(nodes):
            start, along = (x0 / flat, y0, z0), ((x1 - x0) / flat, y1 - y0, z1 - z0)
            gone = [a - s for a, s in zip((self.x / flat, self.y, self.z), start, strict=True)]
            share = sum((g * a for g, a in zip(gone, along, strict=True)), torch.zeros(1)) / sum(a * a for a in along)
            share = share.clamp(0.0, 1.0)
            squared = sum(((g - share * a).square() for g, a in zip(gone, along, strict=True)), torch.zeros(1))
            nearest = torch.minimum(nearest, squared.sqrt() - (r0 + share * (r1 - r0)))
        return nearest

    def even(self, distance: Tensor) -> Tensor:
        """A signed distance whose slope is made 1 everywhere, so that layers of it are equally thick."""
        return distance / steepness(distance, 2.0 * self.canvas.spacing_mm).clamp_(0.4, 3.0)

    def full(self, half: Tensor) -> Tensor:
        """Carry a field to all voxels."""
        return resampled(half, tuple(self.canvas.tissue.shape))

    def wander(self, nodes: Sequence[_Node], by_mm: float) -> list[_Node]:
        """The nodes a little elsewhere and a little thicker or thinner."""
        go = self.canvas.between
        x, y, thick = go(-by_mm, by_mm), go(-by_mm, by_mm), go(0.85, 1.15)
        return [(n[0] + x, n[1] + y, n[2] + go(-by_mm, by_mm), n[3] * thick) for n in nodes]


@dataclass(frozen=True)
class _Bones:
    """Signed distances on every other voxel."""

    femur: Tensor
    tibia: Tensor
    patella: Tensor
    fibula: Tensor
    notch: Tensor
    face: Tensor  # positive behind the back of the patella


def knee(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A knee: bones with cartilage, menisci, ligaments, the muscles round them, fat pad, some effusion."""
    c = Canvas((150.0, 150.0, 170.0), 1.1 * coarser, rng, bend_mm=float(rng.uniform(1.0, 2.6)))
    leg = _leg(c)
    worn = c.chance(0.12)
    cartilage_mm = c.between(0.3, 1.2) if worn else c.between(1.6, 3.0)
    bones = _bones(leg, cartilage_mm, rough_mm=c.between(0.8, 1.4) if worn else c.between(0.1, 0.5))
    deep = _skin(leg, bones)
    _muscles(leg, bones, deep)
    _joint(leg, bones, cartilage_mm)
    _marrow(leg, bones)
    _tendons(leg, bones)
    _vessels(leg)
    return c


def _leg(c: Canvas) -> _Leg:
    """A leg of random size and side, turned, tilted, and bent a little at the knee."""
    x, y, z = (resampled(a, tuple(-(-n // 2) for n in a.shape)) for a in (c.x, c.y, c.z))
    size, turn = c.between(0.88, 1.12), c.between(-0.3, 0.3)
    x, y = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    away = (z.square() + 400.0).sqrt() - 20.0
    y = y - 3.0 + c.between(-0.03, 0.24) * away + c.between(-0.1, 0.1) * z
    x = x * (1.0 if c.chance(0.5) else -1.0) + c.between(-0.05, 0.1) * away + c.between(-0.1, 0.1) * z
    return _Leg(c, *(a / (size * c.between(0.95, 1.05)) for a in (x, y, z)))


def _bones(leg: _Leg, cartilage_mm: float, rough_mm: float) -> _Bones:
    c = leg.canvas
    rough = rough_mm * resampled(c.noise(), tuple(leg.x.shape)) * torch.exp(-((leg.z + 12) / 25).square())
    femur, notch = _femur(leg)
    tibia = _tibia(leg, top=-10.5 - 2.0 * cartilage_mm - c.between(0.0, 1.2))
    fibula = leg.rod(leg.wander([(35, -20, -33, 8), (35, -19, -44, 5.5), (33, -15, -95, 6)], 2.0))
    up, wide = c.between(12, 24), c.between(0.9, 1.1)
    back = 26.5 + 2.0 * cartilage_mm + c.between(0.0, 3.0)
    ridge = c.between(-1, 3)
    patella = leg.ball((1, back + c.between(5, 10), up), (22 * wide, 11.5, 21 * wide))
    facets = back + c.between(0.25, 0.4) * (leg.x - ridge).abs() - leg.y
    patella = -melted(-patella, -facets, 4.0)
    return _Bones(leg.even(femur + rough), leg.even(tibia + rough), leg.even(patella), fibula, notch, facets)


def _femur(leg: _Leg) -> tuple[Tensor, Tensor]:
    """Femur and the intercondylar notch cut out of it."""
    go = leg.canvas.between
    wide = go(0.93, 1.05)
    flare = torch.sigmoid((go(36, 46) - leg.z) / go(8, 12))
    radii = (go(13, 16) + 17 * flare, go(13, 15.5) + 6 * flare)
    shaft = (((leg.x / radii[0]).square() + ((leg.y - 7 + 5 * flare) / radii[1]).square()).sqrt() - 1.0) * radii[1]
    femur = -melted(-shaft, leg.z - 8.0, 10.0)
    parts = [leg.ball((0, -2, 17), (39 * wide, 19, 17))]
    for side in (-1.0, 1.0):
        parts.append(leg.ball((side * 22 * wide, go(-16, -13), 10.5), (15 * wide, 21, 21 + go(-0.7, 0.7))))
        parts.append(leg.ball((side * 19 * wide, 6 + 1.5 * side, 13), (18 * wide, go(23, 26), 23)))
    femur = reduce(lambda a, b: melted(a, b, 7.0), parts, femur)
    notch = leg.ball((1, go(-28, -25), -5), (go(8.5, 11.5), go(21, 25), go(24, 29)))
    return -melted(-femur, notch, 4.0), notch


def _tibia(leg: _Leg, top: float) -> Tensor:
    """A wide flat plateau, its two eminences, the tuberosity, and a shaft they taper into."""
    go = leg.canvas.between
    below = ((top - leg.z).clamp(min=0.0) / go(26, 34)) ** 1.5
    taper = torch.exp(-below)
    radii = (go(12, 14) + go(23.5, 26) * taper, go(13.5, 16) + 9 * taper)
    middle = 4 - 10 * taper
    across = ((leg.x / radii[0]).abs() ** 2.5 + ((leg.y - middle) / radii[1]).abs() ** 2.5) ** 0.4
    aside = leg.x.abs()
    height = top + 6 * torch.exp(-((aside - 4) / 4).square() - ((leg.y + 5) / 10).square())
    height = height - go(0.3, 1.5) * torch.exp(-((aside - 21) / 9).square()) + go(0.0, 0.09) * (leg.y + 8)
    tibia = -melted(-(across - 1.0) * radii[1], height - leg.z, 5.0)
    return melted(tibia, leg.ball((3, go(13, 16), -45), (10, 10, 15)), 10.0)


def _skin(leg: _Leg, bones: _Bones) -> Tensor:
    """Skin and fat; returns what lies deeper, all fat at first."""
    c = leg.canvas
    thigh, calf = torch.sigmoid((leg.z - 45) / 14), torch.sigmoid((-38 - leg.z) / 12)
    radius = c.between(40, 46) + c.between(6, 18) * thigh + c.between(2, 9) * calf
    middle = -9 + 5 * thigh - c.between(6, 12) * calf
    across = ((leg.x / radius).abs() ** 2.3 + ((leg.y - middle) / radius).abs() ** 2.3) ** (1 / 2.3)
    fat_mm = c.between(2, 12)
    outline = (across - 1.0) * radius - 0.2 * fat_mm
    hard = melted(melted(bones.femur, bones.patella, 14.0), torch.minimum(bones.tibia, bones.fibula), 8.0)
    hard = torch.minimum(hard, leg.rod([(0, 46, 5, 3), (3, 28, -46, 3)], 2.0))
    outline = melted(outline, hard - c.between(1, 4.5) - 0.3 * fat_mm, 24.0)
    return c.envelope(leg.full(leg.even(outline)), fat_mm=fat_mm, skin_mm=c.between(1.0, 2.0))


def _muscles(leg: _Leg, bones: _Bones, deep: Tensor) -> None:
    """Bellies side by side; where two meet there is a thin plane of fat."""
    c = leg.canvas
    first = second = torch.full_like(leg.x, 99.0)
    thick = c.between(0.95, 1.35)
    for nodes in _BELLIES.values():
        belly = leg.rod([(x, y, z, r * thick) for x, y, z, r in leg.wander(nodes, 3.0)])
        second = torch.minimum(second, torch.maximum(first, belly))
        first = torch.minimum(first, belly)
    swollen = c.between(7, 15) * torch.sigmoid((leg.z - 46) / 8) + c.between(5, 11) * torch.sigmoid((-45 - leg.z) / 8)
    first, second = first - swollen, second - swollen
    popliteal = leg.rod([(2, -34, 95, 4), (1, -36, 25, c.between(5, 11)), (0, -34, -20, 3)])
    first = torch.maximum(first, -popliteal)
    first, second = leg.full(first), leg.full(second)
    plane = c.between(0.3, 1.6)
    c.muscles(deep & (first < 0) & (second - first > plane), fat_share=c.between(0.0, 0.2))
    capsule = melted(melted(bones.femur, bones.tibia, 10.0), bones.patella, 10.0) - c.between(2.5, 5.0)
    inside = torch.maximum(12.0 - bones.femur - bones.patella, 3.0 - bones.notch)  # there the joint is open
    wrap = torch.maximum(torch.maximum(capsule.abs(), (leg.z - 5).abs() - 36), inside)
    c.paint(deep & (leg.full(wrap) < c.between(0.4, 1.0)), _T.LIGAMENT, over=(_T.FAT,))


def _joint(leg: _Leg, bones: _Bones, cartilage_mm: float) -> None:
    """Effusion, cartilage and menisci."""
    c = leg.canvas
    femur, tibia, patella = (leg.full(b) for b in (bones.femur, bones.tibia, bones.patella))
    x, y, z = leg.full(leg.x), leg.full(leg.y), leg.full(leg.z)
    film = c.between(0.2, 1.0) + (c.between(1, 4) if c.chance(0.15) else 0.0)
    patella_face = torch.where(leg.full(bones.face) > -2.0, patella, 99.0)
    wet = (torch.minimum(femur, patella_face) < cartilage_mm + film - 0.2 * (z - 14).clamp(min=0.0)) & (z > -16)
    c.paint(wet & ((x.abs() < 36) | (y > 8)) & (c.noise() > c.between(-0.5, 1)), _T.SYNOVIAL_FLUID)
    if c.chance(0.6):
        filled = c.between(5, 10) if c.chance(0.15) else c.between(1.2, 4)
        c.paint(leg.full(leg.ball((0, 32, 46), (c.between(14, 26), filled, c.between(12, 24)))) < 0, _T.SYNOVIAL_FLUID)
    if c.chance(0.08):
        c.paint(leg.full(leg.ball((-17, -42, 2), (6, 6, c.between(8, 20)))) < 0, _T.CYST)
    gliding = (x.abs() < 35) & (leg.full(bones.notch) > 1.5) & ((y.abs() > 12) | (z < 5))
    ends = ((torch.where(y > 8, 34.0, 27.0) - z) / 8).clamp(0.0, 1.0)  # it thins out where the joint ends
    c.paint(gliding & (femur < cartilage_mm * ends), _T.CARTILAGE)
    c.paint((tibia < cartilage_mm) & (femur < 12) & (x.abs() < 35) & ((y + 6).abs() < 24) & (z > -22), _T.CARTILAGE)
    c.paint((patella_face < 1.2 * cartilage_mm) & (x.abs() < 22), _T.CARTILAGE)
    ring = (((x.abs() - 20) / c.between(16.5, 18.5)).square() + ((y + 7) / c.between(22, 24)).square()).sqrt()
    closed = (patella_face + femur < 2 * cartilage_mm + 5) & (patella_face < cartilage_mm + 2) & (x.abs() < 22)
    closed |= (ring < 1.0) & (x.abs() > 6) & (femur + tibia < 2 * cartilage_mm + 7) & (z < -4) & (z > -26)
    c.paint(closed, _T.CARTILAGE if c.chance(0.6) else _T.SYNOVIAL_FLUID, over=(_T.FAT,))
    between = (femur > 0.85 * cartilage_mm) & (tibia > 0.85 * cartilage_mm) & (femur < 9) & (z < -4) & (z > -26)
    ringed = (ring > c.between(0.45, 0.62)) & (ring < 1.06) & (x.abs() > 6)
    c.paint(between & ringed & (tibia < 9), _T.LIGAMENT)


def _marrow(leg: _Leg, bones: _Bones) -> None:
    """Bones: a thin cortex that thickens along the shafts, marrow, some red, sometimes the scar of the growth plate."""
    c = leg.canvas
    cortex_mm, z = c.between(0.7, 1.2), leg.full(leg.z)
    up, down = (leg.z - c.between(36, 50)) / 6, (-c.between(44, 58) - leg.z) / 6
    shafts = 1.0 + c.between(0.8, 2.8) * (torch.sigmoid(up) + torch.sigmoid(down))
    grain = c.noise("grain")
    grain = grain - resampled(resampled(grain, tuple(-(-n // 4) for n in grain.shape)), tuple(grain.shape))
    grain = grain / grain.std()
    red = 2.6 - c.between(0.0, 1.1) + c.between(0.0, 0.8) * c.noise()
    scarred, scar_tissue = c.chance(0.4), _T.LIGAMENT if c.chance(0.4) else _T.MUSCLE
    for bone, scar in ((bones.femur, 24.0), (bones.tibia, -32.0), (bones.patella, None), (bones.fibula, None)):
        distance = leg.full(bone / shafts)
        c.bone(distance, cortex_mm=cortex_mm)
        if scar is None:
            continue
        inner, off = distance < -cortex_mm - 1.0, z - scar
        c.paint(inner & (grain > red + (off - np.sign(scar) * 10).abs() / 25), _T.RED_MARROW)
        if scarred:
            waves = off + np.sign(scar) * 0.8 * leg.full((leg.x / 14).square()) + c.between(0.8, 2.2) * c.noise()
            c.paint(inner & (waves.abs() < c.between(0.4, 0.8)) & (grain > c.between(-0.6, 0.8)), scar_tissue)


def _tendons(leg: _Leg, bones: _Bones) -> None:
    """Ligaments and tendons, all dark."""
    go = leg.canvas.between
    low, high, flat = go(-6, 4), go(28, 40), go(3.5, 5.0)
    patellar = [(1.0, 47.0, low + 4, 2.2), (2.0, 38.0, -20.0, 2.2), (3.0, 27.0, -46.0, 2.5)]
    quadriceps = [(0.0, 47.0, high - 4, 3.0), (0.0, 44.0, 60.0, 3.2), (0.0, 40.0, 95.0, 2.0)]
    dark = torch.minimum(leg.rod(patellar, flat), leg.rod(quadriceps, flat))
    dark = torch.minimum(dark, (leg.rod([(0, 51, low, 1.0), (0, 51, high, 1.0)], 12.0)))
    for nodes in _TENDONS:
        dark = torch.minimum(dark, leg.rod(leg.wander(nodes, 1.0)))
    bone = torch.minimum(torch.minimum(bones.femur, bones.tibia), torch.minimum(bones.patella, bones.fibula))
    where = leg.full(torch.maximum(dark, -bone)) < 0
    leg.canvas.paint(where, _T.LIGAMENT)
    notch = leg.full(torch.maximum(bones.notch, leg.z - 14)) < 0  # the cruciates lie there, loose and streaky
    leg.canvas.paint(where & notch & (leg.canvas.noise("grain") > go(-0.2, 1.5)), _T.MUSCLE)


def _vessels(leg: _Leg) -> None:
    """Popliteal artery and vein, tibial nerve, great saphenous vein."""
    lines: tuple[tuple[Tissue, tuple[_Node, ...]], ...] = (
        (_T.ARTERY, ((-2, -28, 95, 3.0), (0, -32, 10, 3.0), (0, -31, -95, 2.4))),
        (_T.VEIN, ((2, -34, 95, 3.6), (3, -38, 10, 3.6), (4, -34, -95, 2.8))),
        (_T.NERVE, ((6, -40, 95, 2.6), (5, -45, 10, 2.6), (3, -38, -95, 2.2))),
        (_T.VEIN, ((-46, -26, 95, 1.6), (-45, -30, 0, 1.6), (-40, -12, -95, 1.6))),
    )
    for tissue, nodes in lines:
        leg.canvas.paint(leg.full(leg.rod(leg.wander(nodes, 2.0))) < 0, tissue)
