"""A neck of random geometry, with the base of the head above and the beginning of the shoulders below."""

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.canvas import Canvas
from training.simulate.people.cord import cervical_build, cervical_frame, draw_cord
from training.simulate.people.drawing import Drawing
from training.simulate.people.nape import beside, nape, vertebral_arteries
from training.simulate.people.part import FAR_MM, Part
from training.simulate.people.throat import Throat, draw_throat, throat_muscles
from training.simulate.people.vertebral import Build, Frame, vertebral_column
from training.simulate.physics.tissues import Tissue

_T = Tissue


def neck(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A neck: airway in front, spine with cord in the middle, muscles and vessels round them."""
    c = Canvas((170.0, 180.0, 200.0), 1.3 * coarser, rng, bend_mm=float(rng.uniform(1.5, 4.0)))
    b = cervical_build(c)
    f = cervical_frame(c, c.between(-16, 0))
    jaw, wide = c.between(20, 90), c.between(50, 66)
    inside = _skin(c, wide, jaw)
    c.muscles(inside, fat_share=c.between(0.0, 0.4))
    back = inside & (f.ahead < -4.0 - 0.15 * f.across.abs())
    _bare(c, f, b, inside, back, jaw)
    nape(c, f, b, back, reach_mm=70.0)
    sides = Part(c, (-62, -30, -FAR_MM), (62, 55, FAR_MM))
    _vessels(sides, f.within(sides), b, sides.cut(inside))
    w = Part(c, (-34, -68, -FAR_MM), (34, 32, FAR_MM))
    near = f.within(w)
    sac = vertebral_column(w, near, b)
    vertebral_arteries(w, near, b)
    draw_cord(w, near, b, sac)
    skull = jaw + c.between(5, 25)
    if skull < 95:
        _skull(c, f, b, skull)
    return c


def _skin(c: Drawing, wide: float, jaw: float) -> Tensor:
    """Skin and the fat under it: wider towards the shoulders below, and the head above."""
    low, high = c.between(-75, -35), c.between(0.2, 0.9)
    shoulders = (low - c.z).clamp(0) * high
    head = torch.sigmoid((c.z - jaw) / 12.0) * c.between(4, 14)
    half = wide + shoulders + head
    deep = c.between(48, 60) + 0.2 * shoulders + 1.2 * head
    outline = ((c.x / half).square() + ((c.y + c.between(12, 22) - 1.3 * head) / deep).square()).sqrt() - 1.0
    return c.envelope(outline * wide, fat_mm=c.between(2, 16))


def _bare(c: Drawing, f: Frame, b: Build, inside: Tensor, back: Tensor, jaw: float) -> None:
    """In front of the back's muscles, put fat where no muscle of the throat, the sides or the spine lies."""
    keep = back | (inside & _strap(c, f))
    beside_spine = Part(c, (-52, -50, -FAR_MM), (52, 32, FAR_MM))
    edge, muscle = beside(beside_spine, f.within(beside_spine), b)
    beside_spine.cut(keep).logical_and_(~edge).logical_or_(muscle & beside_spine.cut(inside))
    beside_spine.cut(back).logical_and_(~muscle)
    w = Part(c, (-46, -10, -FAR_MM), (46, 90, FAR_MM))
    larynx = jaw - c.between(30, 55)
    throat = Throat(f=f.within(w), b=b, inside=w.cut(inside), jaw=jaw, at=c.between(13, 18), larynx=larynx)
    w.cut(keep).logical_or_(throat_muscles(w, throat))
    c.paint(inside & ~keep, _T.FAT)
    draw_throat(w, throat)


def _strap(c: Drawing, f: Frame) -> Tensor:
    """Sternocleidomastoid, which runs forward and inward as it descends."""
    x = f.across.abs() - c.between(36, 42) - 0.14 * c.z + 0.05 * c.between(-1, 1) * f.across
    y = f.ahead - c.between(0, 12) + 0.32 * c.z
    long, thin = c.between(13, 19), c.between(4.5, 7.5)
    return ((y - x) * (0.7 / long)).square() + ((x + y) * (0.7 / thin)).square() < 1


def _vessels(c: Drawing, f: Frame, b: Build, inside: Tensor) -> None:
    """Carotid and jugular, nodes beside them."""
    for side in (-1, 1):
        vx, vy = b.wide / 2 + c.between(11, 16), b.deep / 2 + c.between(2, 10)
        for dx, dy, radius, tissue in (
            (0.0, 0.0, c.between(2.6, 4.2), _T.ARTERY),
            (c.between(5, 9), c.between(-5, 1), c.between(2.5, 7), _T.VEIN),
        ):
            away = (side * f.across - vx - dx).square() + ((f.ahead - vy - dy) * 1.15).square()
            c.paint(away < (radius + c.between(0, 1.5)) ** 2, _T.FAT)
            c.paint(away < radius**2, tissue)
        for _ in range(int(c.rng.integers(0, 3))):
            centre = (side * c.between(30, 46), c.between(-20, 20), c.between(-80, 60))
            node = c.ellipsoid(centre, (c.between(2, 4), c.between(2, 4), c.between(3, 8)))
            c.paint((node < 1) & inside, _T.SPLEEN, over=(_T.FAT,))


def _skull(c: Drawing, f: Frame, b: Build, base: float) -> None:
    """The back of the skull on the spine: bone, fluid, cerebellum with folds, brain stem going on from the cord."""
    w = Part(c, (-84, -90, -FAR_MM), (84, 30, FAR_MM))
    x, y, z = w.x, w.y, w.z
    tall, wide = c.between(50, 70), c.between(56, 68)
    middle = -20.0 + b.canal_at * 0.5
    cave = (
        (x / wide).square() + ((y - middle) / c.between(44, 54)).square() + ((z - base - tall) / tall).square()
    ).sqrt()
    cave = (cave - 1.0) * 45 + 2.5 * w.noise("slow")
    w.paint((cave < 9) & (z > base), _T.MUSCLE, over=(_T.CARTILAGE, _T.CORTICAL_BONE, _T.RED_MARROW, _T.YELLOW_MARROW))
    w.bone(cave - c.between(4, 7), cortex_mm=1.6, red_share=c.between(0, 0.6))
    w.paint(cave < 0.8, _T.MENINGES)
    w.paint(cave < 0, _T.CSF)
    lobes = (cave < -c.between(1.5, 4)) & (y < middle + 8) & ((x.abs() > 4) | (y > middle - 26))
    w.paint(lobes, _T.WHITE_MATTER)
    folds = torch.remainder(cave + 2.0 * w.noise("lumps"), c.between(3.0, 4.5))
    w.paint(lobes & (folds < 2.3) & (cave > -c.between(16, 26)), _T.GREY_MATTER)
    w.paint(lobes & (folds < 0.5) & (cave > -15), _T.CSF)
    across, ahead = w.cut(f.across), w.cut(f.ahead) - b.canal_at
    up = (z - base).clamp(0)
    stem = (
        (across / (6 + 0.28 * up).clamp(max=15)).square()
        + ((ahead - 0.25 * up) / (4.5 + 0.22 * up).clamp(max=12)).square()
    ).sqrt()
    w.paint((stem < 1.35) & (z > base - 6), _T.CSF)
    w.paint((stem < 1) & (z > base - 6), _T.WHITE_MATTER)
