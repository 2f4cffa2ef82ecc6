"""Pelves of random geometry: whole, and the small field of view on a prostate."""

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.canvas import Canvas
from training.simulate.physics.tissues import Tissue

_T = Tissue


def pelvis(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A pelvis: bladder, prostate or uterus, rectum, hips, sacrum, muscles."""
    c = Canvas((400.0, 270.0, 220.0), 1.8 * coarser, rng, bend_mm=5.0)
    wide, deep = c.between(155, 182), c.between(95, 120)
    inside = c.envelope((c.column(0.0, 0.0, (wide, deep), 2.6) - 1.0) * deep, fat_mm=c.between(10, 38), skin_mm=2.0)
    c.muscles(inside, fat_share=c.between(0.2, 0.4))
    bowl = c.ellipsoid((0, 8, 15), (72, 72, 110), 2.4) < 1
    c.paint(bowl, _T.FAT)
    loops = c.noise()
    c.paint(bowl & (c.z > 40) & (loops > 0.0), _T.BOWEL_WALL)
    c.paint(bowl & (c.z > 40) & (loops > 0.35), _T.BOWEL_CONTENT)
    for side in (-1, 1):
        _hip_bones(c, side)
        c.muscles(c.tube([(side * 62, 30, 40), (side * 55, 25, -30), (side * 40, 38, -60)]) < 12, fat_share=0.1)
        c.paint(c.column(side * 62.0, 48.0, (5, 5)) < 1, _T.ARTERY)
        c.paint(c.column(side * 54.0, 44.0, (6, 6)) < 1, _T.VEIN)
    sacrum = (c.ellipsoid((0, -68, 25), (46, 17, 60), 2.5) - 1.0) * 17
    c.bone(sacrum, cortex_mm=2.0, red_share=0.6)
    bladder = c.ellipsoid((0, 26, 22), (c.between(22, 48), c.between(18, 38), c.between(16, 38)))
    c.paint(bladder < 1.14, _T.BOWEL_WALL)
    c.paint(bladder < 1, _T.URINE)
    _rectum(c)
    if c.chance(0.6):
        _prostate(c)
    else:
        _uterus(c)
    return c


def _hip_bones(c: Canvas, side: int) -> None:
    red = c.between(0.2, 0.6)
    iliac = torch.maximum(
        (c.ellipsoid((side * 70, -15, 30), (48, 60, 75), 2.2) - 1.0).abs() * 45 - c.between(5, 9),
        70 - c.x.abs() + 0.25 * c.z.clamp(min=0) - 20,
    )
    c.bone(torch.maximum(iliac, -c.z - 5), cortex_mm=2.4, red_share=red)
    socket = (c.ellipsoid((side * 82, 0, -15), (33, 33, 33)) - 1.0) * 33
    c.bone(torch.maximum(socket, (c.x * side) - 92), cortex_mm=2.2, red_share=red)
    head = (c.ellipsoid((side * 90, 0, -18), (24, 24, 24)) - 1.0) * 24
    c.paint(head < 3, _T.CARTILAGE)
    neck = c.tube([(side * 90, 0, -18), (side * 128, -8, -42), (side * 132, -5, -110)]) - 15
    c.bone(torch.minimum(head, neck), cortex_mm=2.6, red_share=0.15)
    pubis = c.tube([(side * 75, 10, -30), (side * 30, 50, -40), (side * 4, 54, -52)]) - 10
    c.bone(pubis, cortex_mm=2.4, red_share=red)


def _rectum(c: Canvas) -> None:
    line = [(0, -48, 60), (c.between(-8, 8), -50, 10), (0, -38, -30), (0, -48, -75)]
    distance = c.tube(line)
    radius = c.between(9, 20)
    c.paint(distance < radius, _T.BOWEL_WALL)
    content = _T.AIR if c.chance(0.4) else _T.BOWEL_CONTENT
    c.paint(distance < radius - 4, content)


def _prostate(c: Canvas, middle: tuple[float, float, float] = (0.0, -4.0, -22.0)) -> Tensor:
    """The gland with its zones, nodules, urethra and seminal vesicles; the distance from it in units of its radii."""
    size = c.between(0.85, 1.35)
    x, y, z = middle
    gland = c.ellipsoid((x, y, z), (25 * size, 19 * size, 22 * size))
    c.paint(gland < 1.08, _T.LIGAMENT)
    c.paint(gland < 1.0, _T.PERIPHERAL_ZONE)
    grown = c.between(0.75, 1.15)  # hyperplasia fills the gland from within
    inner = c.ellipsoid((x, y + 6 * size, z + 3), (18 * size * grown, 12 * size * grown, 18 * size * grown))
    within = (inner < 1.0) & (gland < 0.97)
    c.paint((inner < 1.07) & (gland < 0.97), _T.LIGAMENT)
    c.paint(within, _T.TRANSITION_ZONE)
    c.paint(within & (c.noise("grain") > c.between(0.6, 1.6)), _T.PERIPHERAL_ZONE)
    c.paint(within & (c.noise("lumps") > 1.2), _T.CYST if c.chance(0.3) else _T.PERIPHERAL_ZONE)
    c.paint(within & (c.noise("lumps").abs() < 0.06), _T.LIGAMENT)
    c.paint(c.tube([(x, y + 9, z + 27), (x, y + 4, z - 23)]) < 2.5, _T.URINE if c.chance(0.4) else _T.MUSCLE)
    for side in (-1, 1):
        vesicle = c.ellipsoid((side * 16, y - 14, z + 28), (18, 8, 9))
        c.paint((vesicle < 1) & (c.noise("grain") > -0.3), _T.PERIPHERAL_ZONE)
    return gland


def _uterus(c: Canvas) -> None:
    tilt = c.between(-0.5, 0.5)
    body = c.ellipsoid(
        (c.between(-8, 8), -8 + 20 * tilt, 10), (c.between(22, 32), c.between(18, 26), c.between(30, 42))
    )
    c.paint(body < 1, _T.TRANSITION_ZONE)
    c.paint((body < 0.45) & (body > 0.3), _T.MUSCLE)
    c.paint(body < 0.3, _T.MUCOSA)
    for side in (-1, 1):
        ovary = c.ellipsoid((side * c.between(30, 45), -8, 22), (13, 10, 15))
        c.paint(ovary < 1, _T.SPLEEN)
        c.paint((ovary < 0.9) & (c.noise("grain") > 0.7), _T.CYST)


def small_pelvis(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """What a scan of a prostate covers: gland, rectum, bladder, pelvic floor, obturator muscles, pubis and ischium."""
    c = Canvas((210.0, 190.0, 120.0), 1.35 * coarser, rng, bend_mm=4.0)
    c.paint(c.y < c.between(72, 95) - 0.004 * c.x.square(), _T.FAT)
    c.septa(c.y < 95)
    wide = c.between(0.9, 1.12)
    for side in (-1, 1):
        _side_wall(c, side, wide)
    pubis_y = c.between(38, 48)
    for side in (-1, 1):
        bone = c.tube([(side * 8, pubis_y, -8), (side * 26 * wide, pubis_y - 3, 4), (side * 60 * wide, 26, 12)])
        c.bone(bone - c.between(8, 11), cortex_mm=1.8, red_share=c.between(0.2, 0.6))
    c.paint((c.x.abs() < 3) & ((c.y - pubis_y).abs() < 11) & ((c.z + 5).abs() < 18), _T.LIGAMENT)
    _vessels_round(c, c.ellipsoid((0, 4, 0), (34, 27, 32)))
    bladder = c.ellipsoid((0, c.between(8, 18), c.between(40, 55)), (c.between(25, 46), c.between(18, 32), 26))
    c.paint(bladder < 1.14, _T.BOWEL_WALL)
    c.paint(bladder < 1, _T.URINE)
    _filled_rectum(c)
    _prostate(c, (c.between(-3, 3), c.between(-2, 6), c.between(-6, 4)))
    return c


def _side_wall(c: Canvas, side: int, wide: float) -> None:
    """One side from without: buttock, thigh, hip, the obturators on the ischium, the pelvic floor."""
    c.muscles(c.ellipsoid((side * 62 * wide, -78, 0), (52, 26, 120), 2.4) < 1, fat_share=c.between(0.3, 0.6))
    c.muscles(c.ellipsoid((side * 78 * wide, 42, -25), (42, 24, 60), 2.4) < 1, fat_share=c.between(0.2, 0.5))
    c.muscles(c.tube([(side * 18, 44, -22), (side * 60 * wide, 30, -30), (side * 90, 5, -40)]) < 15, fat_share=0.2)
    ischium = (c.ellipsoid((side * 72 * wide, -8, -8), (15, 27, 70), 2.3) - 1.0) * 15
    c.muscles(c.ellipsoid((side * 53 * wide, 2, 4), (c.between(10, 15), 38, 60), 2.2) < 1, fat_share=0.15)
    c.bone(ischium, cortex_mm=2.2, red_share=c.between(0.2, 0.6))
    head = (c.ellipsoid((side * 98 * wide, 8, 30), (24, 24, 24)) - 1.0) * 24
    c.paint(head < 3, _T.CARTILAGE)
    c.bone(head, cortex_mm=1.8, red_share=0.2)
    slope = 20 + 0.35 * (c.z + 40).clamp(min=0) + 0.0012 * c.y.square()
    sheet = ((side * c.x) - slope).abs() < c.between(2.0, 3.5)
    c.paint(sheet & (c.y > -48) & (c.y < 30) & (c.z < 30), _T.MUSCLE)
    c.paint(c.column(side * 64.0 * wide, 56.0, (5, 5)) < 1, _T.ARTERY)
    c.paint(c.column(side * 54.0 * wide, 54.0, (6, 6)) < 1, _T.VEIN)


def _vessels_round(c: Canvas, distance: Tensor) -> None:
    """The venous plexus and the bundles round the gland."""
    shell = (distance < c.between(1.1, 1.4)) & (distance > 0.7)
    for _ in range(3):
        c.paint(shell & c.curves(0.3), _T.VEIN)
    c.paint(shell & (c.noise("lumps").abs() < 0.12), _T.LIGAMENT)


def _filled_rectum(c: Canvas) -> None:
    """Collapsed, full, or stretched by gas or by a coil."""
    radius = c.between(10, 27)
    x, y = c.between(-5, 5), -25 - radius * c.between(0.8, 1.0)
    distance = c.tube([(x, y - 6, 80), (x, y, 0), (0, y - 4, -40), (0, y - 18, -90)])
    c.paint(distance < radius + 3.5, _T.BOWEL_WALL)
    c.paint((distance < radius + 1) & (c.noise("folds") > -0.5), _T.MUCOSA)
    filled = distance < radius - 1.5 + 1.5 * c.noise("lumps")
    c.paint(filled, _T.AIR if c.chance(0.6) else _T.BOWEL_CONTENT)
    if c.chance(0.2):  # gel, or the wall of a balloon
        c.paint(filled & (distance > radius - 5), _T.BOWEL_CONTENT)
