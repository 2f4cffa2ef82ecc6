"""The vertebral column along a curve: bodies, discs, arches, joints, foramina, and the sac in the canal."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.drawing import Drawing
from training.simulate.people.part import Part
from training.simulate.physics.tissues import Tissue

_T = Tissue


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Coordinates in mm that follow the column: right of its middle, in front of the bodies' middle, up along it."""

    across: Tensor
    ahead: Tensor
    along: Tensor

    def within(self, part: Part) -> "Frame":
        """The same on the voxels of a box."""
        return Frame(across=part.cut(self.across), ahead=part.cut(self.ahead), along=part.cut(self.along))


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """Sizes in mm of one person's vertebrae."""

    wide: float
    deep: float
    high: float
    disc: float
    canal: tuple[float, float]  # half the width and half the depth of the sac
    spinous: float
    neck: bool
    worn: float = 0.3  # share of discs that are narrow, dry and bulging
    sacrum_below: float = -1e3  # along; the discs below are rudiments

    @property
    def canal_at(self) -> float:
        """Where the middle of the sac lies, in front of the bodies' middle."""
        return -(self.deep / 2 + 1.5 + self.canal[1])

    @property
    def pitch(self) -> float:
        """From one disc to the next."""
        return self.high + self.disc


@dataclass(frozen=True, kw_only=True, slots=True)
class _Levels:
    """Where a voxel lies: mm above the middle of its vertebra and of the nearest disc, and that disc's number."""

    place: Tensor
    gap: Tensor
    disc: Tensor

    def each(self, c: Drawing, low: float, high: float, share: float = 1.0) -> Tensor:
        """A random value for each disc, 0 at those that a `share` leaves out."""
        values = c.rng.uniform(low, high, 64) * (c.rng.random(64) < share)
        return torch.from_numpy(values.astype(np.float32))[self.disc]


def follow(c: Drawing, front: Callable[[np.ndarray], np.ndarray], middle: Callable[[np.ndarray], np.ndarray]) -> Frame:
    """The frame of a column whose y and x are these functions of z."""
    step = 0.25
    z = np.arange(-220.0, 220.0, step)
    y = front(z)
    angle = np.arctan(np.gradient(y, step))
    tables = [y, middle(z), np.sin(angle), np.cos(angle), np.cumsum(step / np.cos(angle))]
    tables[4] = tables[4] - np.interp(0.0, z, tables[4])
    rows = [torch.from_numpy(t.astype(np.float32)) for t in tables]

    def at(height: Tensor) -> Tensor:
        return ((height + 220.0) * (1.0 / step)).long().clamp_(0, len(z) - 1)

    index = at(c.z)
    foot = c.z + rows[2][index] * rows[3][index] * (c.y - rows[0][index])
    index = at(foot.clamp_(-219.0, 219.0))
    forward, up = c.y - rows[0][index], c.z - foot
    sin, cos = rows[2][index], rows[3][index]
    return Frame(
        across=c.x - rows[1][index], ahead=forward * cos - up * sin, along=rows[4][index] + up * cos + forward * sin
    )


def vertebral_column(c: Drawing, f: Frame, b: Build) -> Tensor:
    """Draw everything but what swims in the sac; returns the sac in units of its radii."""
    turns = f.along / b.pitch + c.between(0, 1)
    disc = torch.floor(turns + 0.5)
    place = (turns - torch.floor(turns) - 0.5) * b.pitch
    levels = _Levels(place=place, gap=(turns - disc) * b.pitch, disc=(disc.long() + 32).clamp_(0, 63))
    behind = f.ahead - b.canal_at
    _between_arches(c, f, b, behind)
    _arches(c, f, b, levels, behind)
    _foramina(c, f, b, levels, behind)
    tight = levels.each(c, 0.1, 0.5, b.worn * 0.7) * torch.exp(-(levels.gap / 4.5).square())
    sac = ((f.across / b.canal[0]).square() + (behind / b.canal[1]).square()).sqrt() / (1.0 - tight)
    triangle = (behind < 0) & (f.across.abs() < (b.canal[1] + 6.0 + behind) * 1.2)
    fatty = c.between(1.08, 1.3)
    c.paint((sac < fatty) & (c.noise("lumps") < 1.2), _T.FAT)
    c.paint(triangle & (levels.gap.abs() < b.pitch * 0.3) & (behind > -b.canal[1] - c.between(2, 6)), _T.FAT)
    c.paint((sac < 1.12) & (behind > 0) & (c.noise("lumps") > 0.3), _T.VEIN)
    c.paint(sac < 1.05, _T.MENINGES)
    c.paint(sac < 1.0, _T.CSF)
    _bodies(c, f, b, levels)
    return sac


def _wrap(height: Tensor, b: Build) -> Tensor:
    """Heights of more than half a level belong to the next vertebra."""
    return torch.remainder(height + b.pitch / 2, b.pitch) - b.pitch / 2


def _between_arches(c: Drawing, f: Frame, b: Build, behind: Tensor) -> None:
    """Fat and ligament between the spinous processes, the yellow ligament behind the sac."""
    rx, ry = b.canal
    ring = ((f.across / (rx + 5.0)).square() + (behind / (ry + 5.0)).square()).sqrt()
    midline = (f.across.abs() < c.between(2.0, 4.5)) & (behind < -ry) & (behind > -ry - b.spinous)
    c.paint((ring < 1.15) & (behind < b.canal[1]), _T.FAT)
    c.paint(midline, _T.FAT)
    c.paint(midline & (c.noise("grain") > c.between(-0.2, 1.2)), _T.LIGAMENT)
    c.paint((ring < 1.0) & (behind < -1.0), _T.LIGAMENT)
    tip = -ry - b.spinous
    c.paint((f.across.abs() < 2.0) & (behind < tip + 1.0) & (behind > tip - 1.5), _T.LIGAMENT)


def _arches(c: Drawing, f: Frame, b: Build, levels: _Levels, behind: Tensor) -> None:
    """Pedicles, laminae, spinous and transverse processes, and the facets with their joints."""
    rx, ry = b.canal
    side, place = f.across.abs(), levels.place
    thick = 3.0 if b.neck else 4.2
    pedicle = ((place / b.high - 0.18) / 0.3).square() + ((side - rx - 1.0 - thick) / (1.1 * thick)).square()
    pedicle = (pedicle.sqrt() - 1.0) * thick
    pedicle = torch.maximum(pedicle, torch.maximum(-behind - 3.0, behind - (ry + 6.0)))
    slope = c.between(0.2, 0.55)
    slanted = _wrap(place - slope * behind + c.between(0.0, 0.15) * b.high, b)
    ring = (((f.across / (rx + 2.5)).square() + (behind / (ry + 2.5)).square()).sqrt() - 1.0) * ry
    lamina = torch.maximum((ring - thick).abs() - thick * 0.8, slanted.abs() - c.between(0.28, 0.38) * b.high)
    lamina = torch.maximum(lamina, behind)
    tip = (-behind - ry) / b.spinous
    spine = torch.maximum(side - c.between(2.0, 3.5) * (1.0 + 0.5 * tip.clamp(0, 1).square()), tip.sub(1.0).abs() - 1.0)
    tall = b.high * (c.between(0.2, 0.3) if b.neck else c.between(0.3, 0.42))
    spine = torch.maximum(spine, (slanted + 0.05 * b.high).abs() - tall)
    spine = torch.maximum(spine, (tip - 1.0) * b.spinous)
    pillar, joint = _facets(c, f, b, levels, behind)
    wing = (place.square() + (f.ahead + b.deep * (0.2 if b.neck else 0.55)).square()).sqrt() - thick * 0.9
    wing = torch.maximum(wing, side - b.wide / 2 - (8.0 if b.neck else c.between(10, 24)))
    bone = pedicle
    for part in (lamina, spine, pillar, wing):
        bone = torch.minimum(bone, part)
    c.bone(bone, cortex_mm=c.between(0.8, 1.7) if b.neck else c.between(0.5, 1.1), red_share=c.between(0.3, 0.95))
    c.paint((pillar < 0.5) & (joint < 1.6), _T.CORTICAL_BONE)
    c.paint((pillar < 0.5) & (joint < c.between(0.5, 0.9)), _T.SYNOVIAL_FLUID if c.chance(0.3) else _T.CARTILAGE)


def _facets(c: Drawing, f: Frame, b: Build, levels: _Levels, behind: Tensor) -> tuple[Tensor, Tensor]:
    """Signed distance from the facets, and the distance from their joints' planes."""
    rx, ry = b.canal
    dx = f.across.abs() - rx - (8.0 if b.neck else 7.5)
    dy = behind + 0.6 * ry + (3.0 if b.neck else 4.0)
    if b.neck:  # pillars that the joints cut obliquely
        pillar = ((dx / c.between(5.5, 7.5)).square() + (dy / c.between(5, 6.5)).square()).sqrt().sub(1.0) * 6.0
        return pillar, (levels.gap + c.between(0.6, 1.0) * dy).abs() * 0.75
    size = c.between(7.0, 10.0)
    up = levels.gap / (0.4 * b.pitch)
    pillar = ((dx / size).square() + (dy / size).square() + up.square()).sqrt().sub(1.0) * size
    angle = c.between(0.3, 0.9)  # the joint faces inwards and back
    return pillar, (dx * float(np.cos(angle)) + dy * float(np.sin(angle)) + 0.05 * dy.square()).abs()


def _foramina(c: Drawing, f: Frame, b: Build, levels: _Levels, behind: Tensor) -> None:
    """Between the pedicles: fat, in it a root that leaves downwards (in the neck to the front), veins beside it."""
    rx = b.canal[0]
    out = f.across.abs() - rx
    small = 0.7 if b.neck else 1.0
    ahead = (behind - 1.0 - (0.55 * out if b.neck else 0.12 * out)) if b.neck else behind - 2.0 - 0.12 * out
    up = levels.gap - 2.0 * small
    hole = (ahead / (5.5 * small)).square() + (up / (0.32 * b.pitch)).square() < 1
    c.paint(hole & (out > -1.0) & (out < 16 * small), _T.FAT)
    up = _wrap(up - c.between(0, 3) * small + c.between(0.2, 0.5) * out, b)
    root = ((ahead + c.between(-1.0, 1.0)).square() + up.square()).sqrt()
    swollen = 1.0 + 0.5 * torch.exp(-((out - 7.0 * small) / 5.0).square())  # the ganglion
    far = out < c.between(14, 34) * small
    c.paint(far & (out > -2.0) & (root < c.between(3.2, 4.4) * small * swollen), _T.FAT)
    c.paint(far & (out > -2.0) & (root < c.between(1.4, 2.4) * small * swollen), _T.NERVE)
    vein = ((ahead - 3.0 * small).square() + (up + 3.5 * small).square()).sqrt()
    c.paint(far & (out > 0) & (vein < c.between(0.5, 1.5)), _T.VEIN)


def _bodies(c: Drawing, f: Frame, b: Build, levels: _Levels) -> None:
    """Bodies with a waist and hollow end plates, discs between them, ligaments and the vein that enters from behind."""
    side = f.across.abs() / (b.wide / 2)
    grown = 1.0 - c.between(0.0, 0.0012) * f.along  # larger below
    hollow = (1.0 - side.square()).clamp(0) * c.between(0.3, 1.8)
    rho = ((side.square() + ((f.ahead - hollow) / (b.deep / 2)).square().pow(1.3)).clamp(1e-6).sqrt()) / grown
    worn = levels.each(c, 0.4, 1.0, b.worn)
    rudiment = (f.along < b.sacrum_below).float()
    thick = b.disc * (1.0 - 0.55 * worn) * (1.0 + levels.each(c, -0.15, 0.15)) * (1.0 - 0.75 * rudiment)
    dish = c.between(0.3, 2.2) * (0.5 if b.neck else 1.0) * (1.0 - rho.square()).clamp(0) * (1.0 - 0.8 * rudiment)
    half = b.pitch / 2 - thick / 2 - dish
    if b.neck:  # uncinate processes: the upper rim of a body rises at both sides
        half = half + 3.0 * (side - 0.6).clamp(0, 0.4) * torch.sign(levels.place)
    height = (levels.place.abs() * (2.0 / b.pitch)).clamp(max=1.0)
    wall = 1.0 - c.between(0.02, 0.12) * (1.0 - height.square()) + c.between(0.0, 0.25) * worn * height.pow(12)
    body = torch.maximum((rho / wall - 1.0) * b.deep / 2, levels.place.abs() - half)
    bulge = 1.0 + c.between(0.0, 0.06) + worn * levels.each(c, 0.0, 0.25, 0.7)
    disc = (rho < bulge) & (levels.place.abs() >= half)
    c.paint((rho < 1.0 + 1.6 / b.deep) & (side < 0.7), _T.LIGAMENT)
    c.paint(disc, _T.ANNULUS)
    c.paint(disc & (rho > bulge - c.between(0.06, 0.2)), _T.LIGAMENT)
    inner = disc & (rho < c.between(0.6, 0.82)) & (levels.gap.abs() < thick * 0.36 + 0.6 * dish)
    c.paint(inner & (worn < 0.3), _T.NUCLEUS_PULPOSUS)
    c.paint(inner & (worn > 0.85), _T.LIGAMENT)
    if c.chance(0.4):
        c.paint(inner & (levels.gap.abs() < 0.7) & (c.noise("lumps") > -0.3), _T.ANNULUS)
    c.bone(body, cortex_mm=c.between(0.5, 1.1), red_share=c.between(0.25, 0.95))
    edge = (levels.gap.abs() - thick / 2 - dish) < c.between(2, 7) * (levels.each(c, 0.3, 1.0, 0.5) * (worn > 0))
    if c.chance(0.5):  # marrow next to a worn disc turns to fat or swells
        change = _T.YELLOW_MARROW if c.chance(0.6) else _T.OEDEMA
        c.paint(edge & (body < -1.0) & (worn > 0), change, over=(_T.RED_MARROW, _T.YELLOW_MARROW))
    vein = (
        (levels.place.abs() < c.between(0.6, 2.4) * (-2.0 / b.deep) * f.ahead)
        & (f.across.abs() < c.between(2, 6))
        & (body < 0)
    )
    c.paint(vein & (f.ahead < -b.deep * c.between(0.0, 0.3)), _T.VEIN if c.chance(0.7) else _T.FAT)


def cauda(c: Drawing, f: Frame, b: Build, sac: Tensor, *, conus_at: float) -> None:
    """The end of the cord, and below it the roots, which lie at the back of the sac when the body lies on its back."""
    inside = (sac < 0.97) & c.where(_T.CSF)
    x, y, along = f.across[inside], f.ahead[inside] - b.canal_at, f.along[inside]
    hit = torch.zeros_like(x, dtype=torch.bool)
    rx, ry = b.canal
    taper = ((along - conus_at) / 25.0).clamp(0.0, 1.0).sqrt()
    back = -c.between(0.0, 0.35) * ry
    hit |= ((x / 4.8).square() + ((y - back) / 3.8).square()).sqrt() < taper
    for _ in range(int(c.rng.integers(12, 26))):
        start, angle = c.between(0.1, 0.9), c.between(-1.4, 1.4)
        px, py = rx * start * float(np.sin(angle)), -ry * start * float(np.cos(angle))
        lower = conus_at - c.between(30, 170)  # where this root leaves the sac
        lean = ((conus_at - along) / 120.0).clamp(0, 1.2)
        wave = 0.8 * torch.sin(along / c.between(9, 25) + c.between(0, 6))
        away = (x - px * (0.4 + 0.8 * lean) - wave).square() + (y - py - 0.4 * wave).square()
        hit |= (away < c.between(0.5, 1.0) ** 2) & (along < conus_at + 25) & (along > lower)
    values = torch.where(hit, int(_T.NERVE), int(_T.CSF))
    c.tissue[inside] = values.to(torch.uint8)
