"""Spines of random geometry: the vertebrae that a trunk shows, and a lumbar spine with what lies round it."""

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.bellies import Belly, bellies
from training.simulate.people.canvas import Canvas
from training.simulate.people.drawing import Drawing
from training.simulate.people.part import FAR_MM, Part
from training.simulate.people.vertebral import Build, Frame, cauda, follow, vertebral_column
from training.simulate.physics.tissues import Tissue

_T = Tissue


def vertebrae(
    c: Drawing, *, front: Tensor | float, body: tuple[float, float, float], disc_mm: float, cord: bool
) -> None:
    """Vertebrae and discs along z behind `front` (y of the vertebral centre), canal, arches and spinous processes."""
    middle = float(front.mean()) if isinstance(front, Tensor) else front
    w = Part(c, (-62, middle - 68, -FAR_MM), (62, middle + 32, FAR_MM))
    build = Build(
        wide=body[0], deep=body[1], high=body[2], disc=disc_mm, canal=(c.between(8, 11), c.between(6.5, 9)),
        spinous=c.between(18, 26), neck=False, worn=c.between(0.0, 0.6),
    )  # fmt: skip
    if isinstance(front, Tensor):
        frame = Frame(across=w.x, ahead=w.y - middle, along=w.z)
    else:
        wave, rise, phase = c.between(0, 6), c.between(60, 140), c.between(0, 6)
        lean, turn = c.between(-5, 5), c.between(60, 150)
        frame = follow(w, lambda z: middle + wave * np.sin(z / rise + phase), lambda z: lean * np.sin(z / turn + phase))
    sac = vertebral_column(w, frame, build)
    cauda(w, frame, build, sac, conus_at=-400.0 if cord else c.between(-60, 160))


def _curve(c: Drawing) -> tuple[Frame, float]:
    """The frame of a lumbar spine, which ends in a sacrum that turns back; the z where that begins."""
    wave, rise, phase = c.between(4, 15), c.between(55, 95), c.between(-0.6, 0.9)
    end, turn = c.between(-135, -55), c.between(0.35, 1.0)
    lean, bow, shift = c.between(-9, 9) * float(c.chance(0.6)), c.between(50, 130), c.between(0, 6)
    at = c.between(-4, 10)

    def front(z: np.ndarray) -> np.ndarray:
        below = 14.0 * np.logaddexp(0.0, (end - z) / 14.0)
        return at + wave * np.sin(np.maximum(z, end - 10.0) / rise + phase) - turn * below

    return follow(c, front, lambda z: lean * np.sin(z / bow + shift)), end


def _back(c: Drawing, f: Frame, muscle: Tensor) -> None:
    """Multifidus next to the spines, erector spinae beside and behind it, each of several bellies; a fascia behind."""
    seeds: list[Belly] = []
    for side in (-1, 1):
        seeds += [Belly(side * c.between(9, 14), -c.between(38, 48), z) for z in (-90.0, -30.0, 30.0, 90.0)]
        for _ in range(int(c.rng.integers(4, 9))):
            place = (side * c.between(22, 75), -c.between(24, 62))
            seeds.append(Belly(*place, c.between(-100, 100), (c.between(-0.15, 0.15), c.between(-0.1, 0.1))))
        seeds.append(Belly(side * c.between(55, 65), -c.between(8, 18), c.between(-60, 60)))  # quadratus lumborum
    bellies(c, muscle, f.across, f.ahead, seeds, plane_mm=c.between(0.4, 2.0))
    if c.chance(0.45):  # with age fat fills the deep muscles, most at the bottom
        wet = c.noise("folds") + 0.012 * (-c.z - 40.0) - (f.ahead + 45.0).abs() * 0.04
        c.paint(muscle & (wet > c.between(0.6, 2.0)) & (c.noise("lumps") > -0.4), _T.FAT)


def _front_of_back(c: Drawing, f: Frame, b: Build) -> Tensor:
    """How far in front of the muscles of the back a place is."""
    side = f.across.abs()
    swell = 9.0 * torch.exp(-((side - c.between(48, 66)) / 16.0).square()) + 3.0 * c.noise("slow")
    return f.ahead + 0.5 * b.deep - swell


def _belly(c: Drawing, f: Frame) -> None:
    """Bowel loops, kidneys, aorta and cava in fat; psoas beside the spine."""
    limit = f.ahead - c.between(34, 54)
    loops = c.noise("folds" if c.chance(0.4) else "lumps")
    cut = c.between(-0.8, 0.4)
    c.paint((limit > 0) & (loops > cut), _T.BOWEL_WALL)
    inner = (limit > 2) & (loops > cut + c.between(0.12, 0.3))
    c.paint(inner, _T.BOWEL_CONTENT)
    c.paint(inner & (c.noise("folds") > 0.7), _T.AIR)
    c.paint((limit > -8) & c.curves(0.16), _T.VEIN, over=(_T.FAT,))
    for side in (-1, 1):
        if c.chance(0.6):
            centre = (side * c.between(62, 80), c.between(-12, 12), c.between(30, 130))
            kidney = c.ellipsoid(centre, (c.between(20, 30), c.between(20, 28), c.between(45, 58)))
            c.paint(kidney < 1, _T.RENAL_CORTEX)
            c.paint((kidney < 0.8) & (c.noise("lumps") > 0), _T.RENAL_MEDULLA)
            c.paint((kidney < 0.5) & (c.noise("folds") > -0.5), _T.FAT)


def _psoas(c: Drawing, f: Frame) -> Tensor:
    """The muscles beside the bodies: thicker and further out below."""
    fibres, wide, deep = 0.14 * (f.along - 60), c.between(11, 18), c.between(15, 24)
    thick = (0.75 - 0.004 * f.along).clamp(0.35, 1.25)
    x = f.across.abs() - c.between(25, 33) + 0.5 * fibres
    return (x / wide).square() + ((f.ahead + 3.0 + fibres) / deep).square() < thick.square()


def _vessels(c: Drawing, f: Frame) -> None:
    """Aorta and cava in front of the bodies, which divide below."""
    split = c.between(-70, -20)
    apart = (split - c.z).clamp(0) * 0.35
    for side, tissue, radius in ((1, _T.ARTERY, c.between(7, 11)), (-1, _T.VEIN, c.between(7, 12))):
        x, y = f.across.abs() * torch.sign(f.across + side * 0.1), f.ahead
        away = ((x - side * (radius + apart)).square() + ((y - 19.0 - radius) * c.between(1.0, 1.4)).square()).sqrt()
        lumen = away / (radius * (1.0 - 0.3 * (apart > 1).float()))
        c.paint(lumen < 1.12, _T.BOWEL_WALL)
        c.paint(lumen < 1.0, tissue)


def lumbar_spine(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A lumbar spine with its muscles behind and vessels, bowel and fat in front."""
    c = Canvas((160.0, 190.0, 270.0), 1.4 * coarser, rng, bend_mm=float(rng.uniform(1.5, 4.0)))
    f, sacrum = _curve(c)
    deep = c.envelope(-(c.y + 88.0) - 0.004 * c.x.square(), fat_mm=c.between(6, 36))
    build = Build(
        wide=c.between(40, 53), deep=c.between(29, 37), high=c.between(22, 29), disc=c.between(7, 12.5),
        canal=(c.between(7.5, 11), c.between(6, 9)), spinous=c.between(20, 32), neck=False,
        worn=c.between(0.0, 0.9), sacrum_below=sacrum,
    )  # fmt: skip
    back = deep & (_front_of_back(c, f, build) < 0) & (f.ahead > -build.deep / 2 - c.between(45, 75))
    c.paint(deep, _T.FAT)
    _belly(c, f)
    c.muscles(back | _psoas(c, f), fat_share=c.between(0.0, 0.35))
    _vessels(c, f)
    _back(c, f, back)
    w = Part(c, (-64, -90, -FAR_MM), (64, 42, FAR_MM))
    near = f.within(w)
    sac = vertebral_column(w, near, build)
    cauda(w, near, build, sac, conus_at=c.between(20, 130) if c.chance(0.93) else -400.0)
    return c
