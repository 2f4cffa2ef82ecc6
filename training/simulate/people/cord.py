"""The small field of view on a cervical cord: grey and white matter in fluid, between vertebra and arch."""

import numpy as np
import torch

from training.simulate.people.canvas import Canvas
from training.simulate.physics.tissues import Tissue

_T = Tissue


def cervical_cord(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A cord in its canal and what a narrow field of view shows round it: in adults the cord is some 11 to 14 mm wide
    and 6 to 9 mm deep."""
    c = Canvas((96.0, 96.0, 64.0), 0.7 * coarser, rng, bend_mm=1.5)
    c.paint(c.x.abs() < 60, _T.FAT)
    c.muscles(c.y < -c.between(12, 18), fat_share=c.between(0.2, 0.5))
    for side in (-1, 1):
        c.muscles(c.ellipsoid((side * 34, 4, 0), (16, 26, 80), 2.3) < 1, fat_share=c.between(0.15, 0.4))
    wide, deep = c.between(11.0, 14.5) / 2, c.between(6.0, 8.8) / 2
    canal = (wide + c.between(2.0, 4.0), deep + c.between(1.8, 4.0))
    _bones(c, canal)
    sack = c.column(0.0, 0.0, canal)
    c.paint(sack < 1.16, _T.FAT if c.chance(0.5) else _T.VEIN)
    c.paint(sack < 1.07, _T.MENINGES)
    c.paint(sack < 1.0, _T.CSF)
    _cord(c, (c.between(-1, 1), c.between(-0.8, 0.8)), wide, deep)
    return c


def _bones(c: Canvas, canal: tuple[float, float]) -> None:
    """Vertebral body in front, arch with facets behind, arteries beside, airway and vessels at the edge."""
    pitch, deep = c.between(16, 21), c.between(15, 19)
    place = torch.remainder(c.z + c.between(0, pitch), pitch) - pitch / 2
    front = canal[1] + 2.5 + deep / 2
    across = c.column(0.0, front, (c.between(19, 26) / 2, deep / 2), 3.0)
    high = pitch - c.between(3, 6)
    c.paint((across < 1.0) & (place.abs() >= high / 2), _T.ANNULUS)
    c.paint((across < 0.65) & (place.abs() >= high / 2), _T.NUCLEUS_PULPOSUS)
    c.bone(
        torch.maximum((across - 1.0) * deep / 2, place.abs() - high / 2), cortex_mm=1.1, red_share=c.between(0.4, 0.9)
    )
    ring = c.column(0.0, -1.0, (canal[0] + 6.0, canal[1] + 6.0))
    arch = (ring < 1.0) & (c.y < front - deep / 2) & (place.abs() < high * c.between(0.3, 0.5))
    spinous = (c.x.abs() < 4) & (c.y < -canal[1]) & (c.y > -canal[1] - c.between(14, 28)) & (place.abs() < high * 0.35)
    for side in (-1, 1):
        facet = c.ellipsoid((side * (canal[0] + 7), -canal[1] - 1, 0), (7, 7, 90))
        arch |= (facet < 1) & (place.abs() < high * 0.45)
        c.paint(c.column(side * (canal[0] + 6), front - deep / 3, (2.2, 2.2)) < 1, _T.ARTERY)
        c.paint(c.tube([(side * 4, 0, 0), (side * (canal[0] + 8), 4, 3)]) < 1.3, _T.NERVE)
    for bone in (arch, spinous):
        c.paint(bone, _T.CORTICAL_BONE)
        c.paint(bone & (c.noise("grain") > -0.4), _T.RED_MARROW)
    c.paint(c.ellipsoid((0, front + deep / 2 + c.between(10, 14), 0), (10, 7, 90)) < 1, _T.AIR)


def _cord(c: Canvas, middle: tuple[float, float], wide: float, deep: float) -> None:
    """White matter with the grey butterfly in it, roots in the fluid; a cut in front."""
    x, y = middle
    cord = c.column(x, y, (wide, deep))
    for side in (-1, 1):
        for across, ahead in ((0.75, 0.75), (0.7, -0.8)):
            root = c.column(x + side * wide * across * 1.2, y + deep * ahead * 1.2, (0.7, 0.7))
            c.paint((root < 1) & (cord > 1), _T.NERVE)
    c.paint(cord < 1, _T.WHITE_MATTER)
    thick = c.between(0.85, 1.25)
    for side in (-1, 1):
        waist = (x + side * wide * 0.26, y)
        for horn in ((x + side * wide * 0.42, y + deep * 0.45), (x + side * wide * 0.5, y - deep * 0.75)):
            c.paint((_line(c, waist, horn) < thick) & (cord < 0.95), _T.GREY_MATTER)
    c.paint((c.x - x).abs().lt(wide * 0.26) & (c.y - y).abs().lt(0.6 * thick) & (cord < 1), _T.GREY_MATTER)
    c.paint((c.x - x).abs().lt(0.5) & (c.y - y > deep * 0.45) & (cord < 1.02), _T.CSF)


def _line(c: Canvas, start: tuple[float, float], end: tuple[float, float]) -> torch.Tensor:
    """Distance in mm from a line across the cord, the same at every level."""
    ax, ay = end[0] - start[0], end[1] - start[1]
    share = (((c.x - start[0]) * ax + (c.y - start[1]) * ay) / (ax * ax + ay * ay)).clamp(0.0, 1.0)
    return ((c.x - start[0] - share * ax).square() + (c.y - start[1] - share * ay).square()).sqrt()
