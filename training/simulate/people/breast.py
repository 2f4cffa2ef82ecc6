"""Breasts of random geometry before the chest, lying prone: they hang towards positive y."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.canvas import Canvas
from training.simulate.people.part import Part
from training.simulate.people.parts import Parts, heart, rounded
from training.simulate.physics.tissues import Tissue

_T = Tissue


@dataclass(frozen=True, kw_only=True)
class _Mound:
    """One breast: where it sits on the chest, how far it hangs, where its nipple is (mm)."""

    side: float
    x: float
    y: float  # of the chest's front behind it
    z: float
    wide: float
    high: float
    hang: float

    @property
    def nipple(self) -> list[float]:
        """Tip of the breast."""
        return [self.x + 4 * self.side, self.y + self.hang, self.z - 3]


@dataclass(frozen=True, kw_only=True)
class _Chest:
    """The chest's cross-section: half sizes of the inside of the ribs, its middle, thickness of what covers it."""

    wide: float
    deep: float
    y: float
    power: float
    cover: float  # from the outside of the ribs to the skin


def _mounds(c: Canvas, chest: _Chest) -> list[_Mound]:
    hang, wide = c.between(42, 125), c.between(52, 76)
    apart = wide + c.between(2, 14)
    both: list[_Mound] = []
    for side in (-1.0, 1.0):
        if c.chance(0.04):  # removed
            continue
        x = side * apart
        level = chest.y + (chest.deep + 9) * (1 - abs(x / (chest.wide + 9)) ** chest.power) ** (1 / chest.power)
        size = c.between(0.88, 1.08)
        both.append(
            _Mound(
                side=side, x=x, y=level, z=c.between(-12, 12), wide=wide * size, high=wide * c.between(0.95, 1.2),
                hang=min(hang * size + 0.6 * chest.cover, 122 - level),
            )
        )  # fmt: skip
    return both


def _outline(c: Canvas, chest: _Chest, ribs: Tensor, mounds: list[_Mound]) -> Tensor:
    """Signed distance in mm, about, from the skin: the chest with the breasts blended into it."""
    distance = ribs - chest.cover
    for m in mounds:
        droop = c.between(0.0, 0.16) * (c.y - m.y).clamp(min=0.0)  # hangs a little to the feet as well
        ahead = (c.y - m.y) / m.hang
        ahead = torch.where(ahead > 0, ahead, ahead * (m.hang / 45.0))
        power = c.between(1.9, 2.5)
        across = ((c.x - m.x) / m.wide).square() + ((c.z - m.z + droop) / m.high).square()
        mound = ((across + 1e-6) ** (power / 2) + ahead.abs() ** power) ** (1 / power)
        mound = (mound - 1.0) * min(m.wide, m.hang)
        blend = ((mound - distance).abs() / 14.0).neg().exp() * 7.0  # a fold that is rounded, not a crease
        distance = torch.minimum(mound, distance) - blend
        tip = c.x.new_tensor(m.nipple)
        gap = ((c.x - tip[0]).square() + (c.z - tip[2]).square()).sqrt()
        nipple = torch.maximum(gap - c.between(4, 7), c.y - tip[1] - c.between(1, 8))
        distance = torch.where(c.y > m.y + 0.5 * m.hang, torch.minimum(distance, nipple), distance)
    return distance


def _gland(parts: Parts, m: _Mound, *, density: float, mottled: float) -> None:
    """A cone of strands that fans out from the nipple, with lobules of fat between them; ducts, ligaments, vessels."""
    c = parts.c
    reach = 1.15 * max(m.wide, m.high, m.hang)
    part = parts.box([m.x - reach, m.y - 12, m.z - reach], [m.x + reach, m.y + m.hang, m.z + reach])
    tip = m.nipple
    dx, dy, dz = part.x - tip[0], (tip[1] - part.y).clamp(min=0.5), part.z - tip[2]
    far = (dx.square() + dy.square() + dz.square()).sqrt()
    spread = c.between(0.7, 1.05) + 0.4 * density
    lean = 0.12 * m.side * c.between(-0.2, 1.0)  # more of it lies outwards and up
    off = ((dx / dy - lean).square() + (dz / dy - 0.08).square()).sqrt() / spread
    depth = far / (m.hang * c.between(0.85, 1.0))
    cone = torch.maximum(off, depth) + 0.14 * part.noise("lumps")
    shrunk = far.clamp(min=10.0) * 0.9  # strands run along lines from the nipple: noise on the angles, slow with depth
    fan = _fan_noise(c, dx / shrunk, dz / shrunk, far)
    lobes = part.noise("lumps")
    grain = part.noise("grain")
    webs = torch.lerp(fan, 1.2 - 1.5 * fan.abs(), c.between(0.0, 1.0))
    tissue = mottled * webs + (1 - mottled) * lobes + c.between(0.2, 0.6) * grain
    dense = (cone < 1) & (tissue > 0.75 - 1.9 * density + 0.5 * cone)
    part.paint(dense, _T.FIBROGLANDULAR, over=(_T.FAT, _T.SKIN))
    sheets = (part.noise("lumps").abs() < c.between(0.01, 0.05)) & (lobes > -0.5)
    part.paint(sheets & (cone < 1.5), _T.LIGAMENT if c.chance(0.5) else _T.SKIN, over=(_T.FAT,))
    part.paint((cone < 0.95) & (fan > 2.3), _T.MUCOSA, over=(_T.FIBROGLANDULAR,))  # ducts
    _ducts_vessels_cysts(parts, m, part, cone, density)


def _fan_noise(c: Canvas, u: Tensor, v: Tensor, far: Tensor) -> Tensor:
    """Noise that varies with the direction from the nipple and only slowly with the distance."""
    table = torch.from_numpy(c.rng.standard_normal((1, 1, 14, 22, 22), dtype=np.float32))
    where = torch.stack([u.clamp(-1, 1), v.clamp(-1, 1), (far / 70.0 - 1.0).clamp(-1, 1)], dim=-1)
    drawn = torch.nn.functional.grid_sample(table, where[None], align_corners=True, padding_mode="border")[0, 0]
    return drawn * 1.6


def _ducts_vessels_cysts(parts: Parts, m: _Mound, part: Part, cone: Tensor, density: float) -> None:
    c = parts.c
    for _ in range(int(c.rng.integers(2, 6))):  # vessels run under the skin and from the side to the nipple
        start = [m.x + m.side * c.between(0.3, 0.9) * m.wide, m.y + 6, m.z + c.between(-0.5, 0.9) * m.high]
        middle = [m.x + c.between(-0.4, 0.5) * m.wide, m.y + 0.55 * m.hang, m.z + c.between(-0.4, 0.5) * m.high]
        line = rounded([start, middle, [m.nipple[0], m.nipple[1] - 14, m.nipple[2]]])
        parts.vessel(line, c.between(0.9, 2.0), _T.VEIN if c.chance(0.7) else _T.ARTERY, end=0.8)
    for _ in range(int(c.rng.integers(1, 9)) if c.chance(0.15 + 0.25 * density) else 0):
        radius = c.between(1.5, 6) if c.chance(0.85) else c.between(6, 14)
        at = [m.x + c.between(-0.5, 0.5) * m.wide, m.y + c.between(0.2, 0.8) * m.hang, m.z + c.between(-25, 25)]
        ball = parts.round(at, radius)
        ball.paint(ball.ellipsoid(at, (radius, radius * 0.9, radius)) < 1, _T.CYST, over=(_T.FAT, _T.FIBROGLANDULAR))
    nipple = (part.y > m.nipple[1] - 5) & (cone < 0.5)
    part.paint(nipple, _T.FIBROGLANDULAR if c.chance(0.5) else _T.SKIN, over=(_T.FAT,))


def _implant(parts: Parts, m: _Mound) -> None:
    """A bag of saline or something like it before the muscle, in a dark capsule."""
    deep = 0.32 * m.hang
    centre = [m.x, m.y + 4 + deep, m.z]
    part = parts.round(centre, 1.2 * m.wide)
    bag = part.ellipsoid(centre, (0.74 * m.wide, deep, 0.7 * m.high)) + 0.03 * part.noise()
    part.paint(bag < 1.04, _T.LIGAMENT)
    part.paint(bag < 1.0, _T.CYST)


def _pectorals(c: Canvas, chest: _Chest, ribs: Tensor, inside: Tensor) -> None:
    """Muscle on the ribs: the large pectoral over the small one with fat between, thin at the midline; flanks."""
    bulk = c.between(5, 15)
    fade = ((c.x.abs() - 9) / 40).clamp(0.0, 1.0) * (0.65 + 0.006 * c.z + 0.15 * c.noise("slow")).clamp(0.15, 1.3)
    reach = 9.0 + bulk * fade * torch.where(c.y > chest.y, 1.0, 1.4)
    layer = (ribs > 8.0) & (ribs < reach) & inside
    c.muscles(layer, fat_share=c.between(0.05, 0.35))
    c.paint(layer & ((ribs - 9.0 - 0.42 * bulk * fade).abs() < 0.7) & (c.x.abs() > 60) & (c.z > -30), _T.FAT)


def _rib_cage(c: Canvas, chest: _Chest, ribs: Tensor) -> None:
    """Intercostal muscle, ribs as flat ovals that run down to the front, cartilage near the breastbone."""
    shell = (ribs > 0) & (ribs < 8.0)
    c.paint(shell, _T.MUSCLE)
    c.paint((ribs > 8.0) & (ribs < 8.0 + c.between(0.8, 2.0)), _T.FAT, over=(_T.MUSCLE,))
    c.paint(shell & (c.noise("lumps").abs() < c.between(0.02, 0.2)), _T.FAT)
    pitch, tilt = c.between(27, 36), c.between(0.3, 0.6)
    rise = c.between(0.1, 0.5) * (70.0 - c.x.abs()).clamp(min=0.0)  # the cartilages climb to the breastbone
    height = torch.remainder(c.z + tilt * (c.y - chest.y) - rise + c.between(0, pitch), pitch) - pitch / 2
    oval = (((ribs - 4.0) / 4.2).square() + (height / c.between(5.5, 7.5)).square()).sqrt() - 1.0
    front = (c.y > chest.y + 0.5 * chest.deep) & (c.x.abs() < c.between(50, 80))
    c.bone(torch.where(front, 9.0, oval) * 4.0, cortex_mm=1.2, red_share=c.between(0.5, 0.95))
    c.paint((oval < 0) & front, _T.CARTILAGE)
    breastbone = ((c.x / c.between(14, 20)).abs() ** 3 + ((ribs - 4.5) / 6.0).abs() ** 3) ** (1 / 3) - 1.0
    c.bone(torch.where(c.y > chest.y, breastbone, 9.0) * 6.0, cortex_mm=1.3, red_share=c.between(0.4, 0.95))


def _inside_chest(c: Canvas, chest: _Chest, ribs: Tensor) -> None:
    """Lungs with fat and great vessels between, the heart behind the breastbone, the liver's dome below."""
    cavity = ribs < 0
    c.paint(cavity, _T.FAT)
    parts = Parts(c, cavity)
    front = chest.y + chest.deep
    middle = c.between(-2, 14)
    between = (c.x + middle).abs() < c.between(3, 12) + 0.2 * (front - 10 - c.y).clamp(0.0, 60.0)
    c.paint(cavity & (ribs < -1.5) & ~between, _T.LUNG)
    for side in (-1, 1):
        for _ in range(2):
            goal = [side * c.between(70, 115), chest.y + c.between(-20, 70), c.between(-90, 90)]
            parts.tree([side * 24, chest.y + 15, c.between(-10, 25)], goal, 4.5, _T.VEIN, over=(_T.LUNG,))
    for at, width, tissue in (
        ([-c.between(12, 24), chest.y - 14], 11, _T.ARTERY),
        ([c.between(-4, 6), chest.y], 6.5, _T.BOWEL_WALL),
    ):
        parts.vessel([[*at, -150], [at[0], at[1] - 4, 150]], width, tissue)
    fork = [c.between(0, 6), chest.y + 14, c.between(15, 40)]  # of the windpipe
    for goal in ([fork[0], fork[1] - 3, 150], [-38, fork[1] - 6, fork[2] - 32], [42, fork[1] - 6, fork[2] - 32]):
        parts.vessel([fork, goal], 7.5, _T.AIR, end=5.0)
    size = c.between(34, 45)
    apex = [-c.between(55, 80), front - c.between(12, 28), c.between(-65, -20)]
    heart(parts, apex, size)
    parts.vessel([[6, front - 45, apex[2] + 60], [10, front - 38, apex[2] + 95], [6, front - 60, 160]], 14, _T.ARTERY)
    parts.vessel([[26, front - 52, apex[2] + 45], [28, front - 50, 160]], 9, _T.VEIN)
    away = ((c.x - 70) / 110).square() + ((c.y - chest.y) / 120).square()
    dome = c.between(-95, -35) - 45 * away
    below = cavity & (c.z < dome)
    c.paint(below & (ribs < -2), _T.LIVER)
    c.paint(cavity & ((c.z - dome).abs() < 1.6), _T.MUSCLE)
    for _ in range(3):
        goal = [c.between(20, 110), chest.y + c.between(0, 60), -120]
        parts.tree([18, chest.y - 10, -60], goal, 5.0, _T.VEIN, over=(_T.LIVER,))


def breast(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """Both breasts before the chest wall: fat, fibroglandular tissue, pectoral muscles, ribs, lungs, heart, liver."""
    c = Canvas((380.0, 260.0, 200.0), 1.8 * coarser, rng, bend_mm=float(rng.uniform(2.5, 5.0)))
    deep = c.between(78, 105)
    chest = _Chest(
        wide=c.between(118, 142), deep=deep, y=-deep - c.between(-6, 20), power=c.between(2.1, 2.6),
        cover=c.between(18, 34),
    )  # fmt: skip
    ribs = (c.column(0.0, chest.y, (chest.wide, chest.deep), chest.power) - 1.0) * chest.deep
    mounds = _mounds(c, chest)
    outline = _outline(c, chest, ribs, mounds)
    inside = c.envelope(outline, fat_mm=c.between(2, 8), skin_mm=c.between(1.6, 2.8))
    density, mottled = c.between(0.0, 1.0), c.between(0.2, 0.9)
    parts = Parts(c, (outline < -2.5) & (ribs > 9.0))
    for m in mounds:
        _gland(parts, m, density=float(np.clip(density + c.between(-0.1, 0.1), 0, 1)), mottled=mottled)
    _pectorals(c, chest, ribs, inside)
    _rib_cage(c, chest, ribs)
    _inside_chest(c, chest, ribs)
    if c.chance(0.05):
        for m in mounds:
            _implant(parts, m)
    return c
