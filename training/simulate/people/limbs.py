"""Joints and limbs of random geometry: knee, hip or shoulder, thigh or calf, hand or foot."""

import math

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.canvas import Canvas
from training.simulate.physics.tissues import Tissue

_T = Tissue
_FAR = torch.tensor(1e3)  # mm; a distance that is never inside


def knee(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A knee: femur, tibia, fibula, patella, cartilage, menisci, ligaments, fat pad, some effusion."""
    c = Canvas((150.0, 150.0, 170.0), 1.1 * coarser, rng, bend_mm=2.5)
    size = c.between(0.88, 1.12)
    inside = c.envelope((c.column(0.0, -4.0, (58 * size, 62 * size)) - 1.0) * 58 * size, fat_mm=c.between(3, 14))
    c.muscles(inside & (c.y < 5 * size), fat_share=c.between(0.15, 0.4))
    c.paint(inside & (c.y >= 5 * size), _T.FAT)
    side = 1.0 if c.chance(0.5) else -1.0
    femur, condyles = _femur(c, size)
    tibia = _tibia(c, size)
    patella = (c.ellipsoid((0, 42 * size, 16 * size), (20 * size, 9 * size, 19 * size)) - 1.0) * 9 * size
    _effusion(c, condyles, size)
    gap = (c.z > -14 * size) & (c.z < 3 * size)
    cartilage_mm = c.between(1.6, 3.2)
    c.paint((condyles < cartilage_mm) & (c.z < 18 * size), _T.CARTILAGE)
    c.paint((tibia < cartilage_mm) & (c.z > -16 * size) & gap, _T.CARTILAGE)
    c.paint((patella < cartilage_mm) & (c.y < 42 * size), _T.CARTILAGE)
    _menisci(c, size)
    red = c.between(0.0, 0.3)
    for bone in (torch.minimum(femur, condyles), tibia, patella):
        c.bone(bone, cortex_mm=c.between(1.2, 2.0), red_share=red)
    fibula = (c.column(side * -30 * size, -18 * size, (7 * size, 7 * size)) - 1.0) * 7 * size
    c.bone(torch.where(c.z < -30 * size, fibula, _FAR), cortex_mm=1.6)
    _ligaments(c, size)
    for x, tissue in ((4.0, _T.ARTERY), (-5.0, _T.VEIN)):
        c.paint(c.tube([(x, -30 * size, -90), (x, -32 * size, 0), (x, -28 * size, 90)]) < c.between(2.5, 4.5), tissue)
    return c


def _femur(c: Canvas, size: float) -> tuple[Tensor, Tensor]:
    shaft_mm = (14 + 12 * torch.sigmoid((30 * size - c.z) / 8)) * size
    shaft = (c.x.square() + (c.y - 2 * size).square()).sqrt() - shaft_mm
    shaft = torch.where(c.z > 8 * size, shaft, _FAR)
    sides = [
        (c.ellipsoid((s * 21 * size, -2 * size, 10 * size), (18 * size, 29 * size, 21 * size)) - 1.0) * 18 * size
        for s in (-1, 1)
    ]
    return shaft, torch.minimum(*sides)


def _tibia(c: Canvas, size: float) -> Tensor:
    plateau = (c.ellipsoid((0, -4 * size, -28 * size), (38 * size, 25 * size, 15 * size), 3.0) - 1.0) * 15 * size
    shaft = (c.x.square() + (c.y - 2 * size).square()).sqrt() - (14 + 10 * torch.sigmoid((c.z + 52 * size) / 8)) * size
    return torch.minimum(plateau, torch.where(c.z < -28 * size, shaft, _FAR))


def _effusion(c: Canvas, condyles: Tensor, size: float) -> None:
    """A film of fluid in the joint, and sometimes a filled pouch above the patella."""
    c.paint(
        (condyles < c.between(1.5, 6.0)) & (c.z < 22 * size) & (c.noise() > c.between(-0.5, 1.2)), _T.SYNOVIAL_FLUID
    )
    if c.chance(0.5):
        pouch = c.ellipsoid((0, 32 * size, 46 * size), (22 * size, c.between(3, 10), 22 * size))
        c.paint(pouch < 1, _T.SYNOVIAL_FLUID)


def _menisci(c: Canvas, size: float) -> None:
    for s in (-1, 1):
        ring = (((c.x - s * 20 * size) / (17 * size)).square() + ((c.y + 3 * size) / (22 * size)).square()).sqrt()
        wedge = (c.z + 11.5 * size).abs() < (ring - 0.55).clamp(min=0) * 9 * size
        c.paint(wedge & (ring < 1.05), _T.LIGAMENT)


def _ligaments(c: Canvas, size: float) -> None:
    bands = (
        ([(4, -14, 8), (-2, 8, -16)], 3.5),
        ([(-4, -8, 2), (0, -24, -20)], 4.5),
        ([(0, 46, 2), (0, 36, -42)], 3.5),
        ([(0, 48, 32), (0, 44, 90)], 4.5),
        ([(-41, 0, 14), (-38, 0, -40)], 1.8),
        ([(41, 0, 14), (38, 0, -40)], 1.8),
    )
    for points, radius in bands:
        c.paint(c.tube([[p * size for p in point] for point in points]) < radius * size, _T.LIGAMENT)


def ball_joint(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A shoulder or hip: a round head in a socket, cartilage, labrum, muscles round it, trunk fat on one side."""
    c = Canvas((170.0, 150.0, 170.0), 1.2 * coarser, rng, bend_mm=3.5)
    radius = c.between(21, 28)
    outline = c.ellipsoid((c.between(-15, 5), 0, -10), (c.between(74, 95), c.between(62, 82), 150), 2.6)
    inside = c.envelope((outline - 1.0) * 70, fat_mm=c.between(3, 25))
    c.muscles(inside, fat_share=c.between(0.15, 0.45))
    head = c.ellipsoid((0, 0, 0), (radius, radius, radius))
    head_mm = (head - 1.0) * radius
    shaft = c.tube([(0, 0, 0), (radius * 0.9, 0, -radius * 0.9), (radius * 1.1, 0, -90)]) - c.between(11, 15)
    socket = (
        c.ellipsoid((-radius * 1.5, 0, radius * 0.3), (radius * 0.9, radius * c.between(0.6, 1.1), radius * 1.4)) - 1.0
    ) * radius
    c.bone(torch.maximum(socket, 3.5 - head_mm), cortex_mm=1.8, red_share=c.between(0.2, 0.7))
    c.paint((head_mm < c.between(2.5, 5)) & (head_mm > 0) & (c.noise() > c.between(0.0, 1.5)), _T.SYNOVIAL_FLUID)
    c.paint((head_mm < c.between(1.5, 3)) & (c.x < radius * 0.5), _T.CARTILAGE)
    c.bone(torch.minimum(head_mm, shaft), cortex_mm=c.between(1.2, 2.5), red_share=c.between(0.0, 0.4))
    rim = ((c.x + radius * 0.55).abs() < 3) & ((head_mm - 2.0).abs() < 3)
    c.paint(rim, _T.LIGAMENT)
    for _ in range(3):
        angle = c.between(0, 2 * math.pi)
        far = (-70.0, 60 * math.cos(angle), 60 * math.sin(angle))
        near = (radius * 0.6, 0.95 * radius * math.cos(angle), 0.95 * radius * math.sin(angle))
        c.paint(
            c.tube([near, tuple(0.5 * (a + b) for a, b in zip(near, far, strict=True))]) < c.between(2, 4), _T.LIGAMENT
        )
    for tissue in (_T.ARTERY, _T.VEIN):
        y = c.between(25, 45)
        c.paint(c.tube([(-60, y, 60), (0, y, -20), (10, y - 10, -80)]) < c.between(2.5, 5), tissue)
    return c


def limb(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A thigh, calf, arm or forearm: one or two shafts among muscles."""
    c = Canvas((180.0, 180.0, 220.0), 1.6 * coarser, rng, bend_mm=4.0)
    width = c.between(45, 82)
    taper = 1.0 + 0.0015 * c.z
    outline = (c.column(0.0, 0.0, (width, width * c.between(0.85, 1.1))) / taper - 1.0) * width
    inside = c.envelope(outline, fat_mm=c.between(3, 18))
    c.muscles(inside, fat_share=c.between(0.12, 0.5))
    bones = [(c.between(-8, 8), c.between(-8, 8), c.between(11, 17))]
    if c.chance(0.5):
        bones.append((bones[0][0] + c.between(22, 34), bones[0][1] + c.between(-14, 14), c.between(5, 9)))
    for x, y, radius in bones:
        c.bone(
            (c.column(x, y, (radius, radius)) - 1.0) * radius,
            cortex_mm=c.between(2.5, 5.0),
            red_share=c.between(0, 0.2),
        )
    for _ in range(3):
        x, y = c.between(-25, 25), c.between(-30, 30)
        tissue = _T.ARTERY if c.chance(0.4) else _T.VEIN
        c.paint(
            c.tube([(x, y, -110), (x + c.between(-8, 8), y, 110)]) < c.between(1.8, 4), tissue, over=(_T.MUSCLE, _T.FAT)
        )
    return c


def extremity(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A wrist, hand, ankle or foot: many small bones packed in one envelope, tendons along it."""
    c = Canvas((100.0, 90.0, 130.0), 0.9 * coarser, rng, bend_mm=2.0)
    wide, deep = c.between(28, 40), c.between(18, 34)
    inside = c.envelope((c.column(0.0, 0.0, (wide, deep), 2.6) - 1.0) * deep, fat_mm=c.between(2, 7))
    c.paint(inside, _T.FAT)
    core = (c.column(0.0, 0.0, (wide * 0.78, deep * 0.62), 2.5) - 1.0) * deep * 0.62
    count = int(rng.integers(12, 26))
    seeds = np.stack(
        [
            rng.uniform(-0.75 * wide, 0.75 * wide, count),
            rng.uniform(-0.5 * deep, 0.5 * deep, count),
            rng.uniform(-70, 70, count),
        ],
        axis=1,
    )
    first = torch.full(c.tissue.shape, 1e9)
    second = first.clone()
    for x, y, z in seeds.tolist():
        distance = ((c.x - x).square() + (c.y - y).square() + (0.6 * (c.z - z)).square()).sqrt()
        second = torch.minimum(second, torch.maximum(first, distance))
        first = torch.minimum(first, distance)
    wall = torch.maximum(core, (first - second) / 2.0)  # signed distance to the border of each cell
    c.paint(core < 0, _T.LIGAMENT)
    c.paint((core < 0) & (c.noise("grain") > 0.4), _T.SYNOVIAL_FLUID)
    c.paint(wall < -c.between(0.3, 0.8), _T.CARTILAGE)
    c.bone(wall + c.between(1.6, 2.6), cortex_mm=1.0, red_share=c.between(0, 0.3))
    shell = inside & (core > 1.5)
    c.muscles(shell & (c.noise() > c.between(-0.4, 0.8)), fat_share=0.25)
    for _ in range(int(rng.integers(8, 16))):
        angle = c.between(0, 2 * math.pi)
        x, y = 0.87 * wide * math.cos(angle), 0.8 * deep * math.sin(angle)
        radius = c.between(1.2, 3.2)
        tendon = c.tube([(x, y, -70), (x * c.between(0.85, 1.0), y, 70)])
        c.paint((tendon < radius + 0.9) & inside, _T.SYNOVIAL_FLUID if c.chance(0.3) else _T.FAT)
        c.paint((tendon < radius) & inside, _T.LIGAMENT if c.chance(0.75) else _T.VEIN)
    return c
