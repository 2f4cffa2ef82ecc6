"""Limbs of random geometry: thigh or calf, hand or foot."""

import math

import numpy as np
import torch

from training.simulate.people.canvas import Canvas
from training.simulate.physics.tissues import Tissue

_T = Tissue


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
