"""The small field of view on a cervical cord: grey and white matter in fluid, between vertebra and arch."""

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.canvas import Canvas
from training.simulate.people.drawing import Drawing
from training.simulate.people.nape import beside, nape, vertebral_arteries
from training.simulate.people.part import FAR_MM, Part
from training.simulate.people.vertebral import Build, Frame, follow, vertebral_column
from training.simulate.physics.tissues import Tissue

_T = Tissue


def cervical_build(c: Drawing) -> Build:
    """The sizes of one person's cervical vertebrae; the sac leaves room round a cord of 11 to 14 by 6 to 9 mm."""
    half = c.between(7.2, 11.0)
    return Build(
        wide=c.between(19, 27), deep=c.between(14, 19.5), high=c.between(10.5, 15), disc=c.between(3.5, 6.5),
        canal=(half, min(half * c.between(0.55, 0.8), 7.2)), spinous=c.between(13, 30), neck=True,
        worn=c.between(0.0, 0.8),
    )  # fmt: skip


def cervical_frame(c: Drawing, at: float) -> Frame:
    """A column whose canal lies near y = `at` less the vertebral depth: lordotic, straight or bent the other way."""
    wave, rise, phase = c.between(-3, 10), c.between(40, 80), c.between(-0.8, 0.8)
    lean, bow, shift = c.between(-5, 5), c.between(40, 100), c.between(0, 6)
    slope = c.between(-0.18, 0.18)
    return follow(
        c,
        lambda z: at + slope * z + wave * np.cos(z / rise + phase) - wave,
        lambda z: lean * (np.sin(z / bow + shift) - np.sin(shift)),
    )


def cervical_cord(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A cord in its canal and what a narrow field of view shows round it."""
    c = Canvas((96.0, 96.0, 64.0), 0.7 * coarser, rng, bend_mm=float(rng.uniform(0.8, 2.5)))
    b = cervical_build(c)
    f = cervical_frame(c, -b.canal_at)
    c.paint(c.x.abs() < 60, _T.FAT)
    back = f.ahead < c.between(-8, 3) - 0.1 * f.across.abs()
    edge, muscle = beside(c, f, b)
    c.muscles((back & ~edge) | muscle | (f.ahead > b.deep / 2 + c.between(6, 12)), fat_share=c.between(0.0, 0.4))
    nape(c, f, b, back & ~muscle, reach_mm=62.0)
    _airway(c, f, b)
    _great_vessels(c, f)
    w = Part(c, (-32, -46, -FAR_MM), (32, 36, FAR_MM))
    near = f.within(w)
    sac = vertebral_column(w, near, b)
    vertebral_arteries(w, near, b)
    draw_cord(w, near, b, sac)
    return c


def _airway(c: Drawing, f: Frame, b: Build) -> None:
    """The back of the throat, closed in some."""
    front = f.ahead - b.deep / 2
    airway = ((f.across / c.between(8, 13)).square() + ((front - c.between(9, 16)) / 6).square()).sqrt()
    c.paint(airway < 1.3, _T.MUCOSA)
    c.paint(airway < 1.0, _T.AIR if c.chance(0.7) else _T.BOWEL_WALL)


def _great_vessels(c: Drawing, f: Frame) -> None:
    """Carotid and jugular beside the airway, at the edge of the view."""
    for side in (-1, 1):
        for x, y, radius, tissue in (
            (c.between(20, 28), c.between(8, 18), c.between(2.5, 4), _T.ARTERY),
            (c.between(27, 36), c.between(4, 14), c.between(3, 7), _T.VEIN),
        ):
            away = ((side * f.across - x - 0.08 * f.along).square() + (f.ahead - y).square()).sqrt()
            c.paint(away < radius + c.between(0.5, 2.0), _T.FAT)
            c.paint(away < radius, tissue)


def draw_cord(c: Drawing, f: Frame, b: Build, sac: Tensor) -> None:
    """Fill the sac: white matter with the grey butterfly in it, a cut in front, roots that leave sideways."""
    inside = sac < 1.0
    x = f.across[inside] - c.between(-1, 1)
    y = f.ahead[inside] - b.canal_at - c.between(-0.15, 0.15) * b.canal[1]
    swell = 1.0 + c.between(0, 0.12) * torch.sin(f.along[inside] / c.between(20, 45) + c.between(0, 6))
    wide = min(c.between(10.5, 14.5) / 2, b.canal[0] - 0.8)
    deep = min(c.between(6.0, 9.0) / 2, b.canal[1] - 0.5)
    tissue = c.tissue[inside]
    cord = ((x / wide).abs().pow(2.2) + (y / deep).abs().pow(2.2)).pow(1 / 2.2) / swell
    for side in (-1, 1):
        for ahead in (0.75, -0.8):
            spread = 1.0 + 0.25 * torch.remainder(f.along[inside] / b.pitch + c.between(0, 1), 1.0)
            away = (x - side * wide * 0.9 * spread).square() + (y - deep * ahead * 1.05).square()
            tissue[(away < c.between(0.4, 0.9) ** 2) & (cord > 1)] = int(_T.NERVE)
        if c.chance(0.5):  # the ligament that holds the cord
            tissue[(side * x > 0) & (y.abs() < 0.35) & (cord > 1)] = int(_T.MENINGES)
    tissue[cord < 1] = int(_T.WHITE_MATTER)
    tissue[_grey(c, x / (wide * swell), y / (deep * swell), deep) & (cord < 0.95)] = int(_T.GREY_MATTER)
    tissue[(x.abs() < 0.5) & (y > deep * 0.45) & (cord < 1.02)] = int(_T.CSF)
    if c.chance(0.12):  # a patch of oedema in the cord
        patch = (
            ((f.along[inside] - c.between(-15, 15)) / c.between(3, 14)).square() + (x / 3).square() + (y / 2).square()
        )
        tissue[(patch < 1) & (cord < 1)] = int(_T.OEDEMA)
    c.tissue[inside] = tissue


def _grey(c: Drawing, x: Tensor, y: Tensor, deep: float) -> Tensor:
    """The butterfly, in units of the cord's radii: a horn to the front and one to the back on each side, a bridge."""
    thick = c.between(0.75, 1.2) / deep
    side = x.abs()
    grey = (side < 0.26) & (y.abs() < 0.6 * thick)
    for end_x, end_y in ((0.42, 0.45), (0.5, -0.75)):
        ax, ay = end_x - 0.26, end_y
        share = (((side - 0.26) * ax + y * ay) / (ax * ax + ay * ay)).clamp(0.0, 1.0)
        near = ((side - 0.26 - share * ax).square() * 2.0 + (y - share * ay).square()).sqrt()
        grey |= near < thick * (1.0 if end_y > 0 else 0.7)
    return grey
