"""The front of a neck: gullet, windpipe and larynx, thyroid gland, the floor of the mouth and the jaw."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.simulate.people.drawing import Drawing
from training.simulate.people.vertebral import Build, Frame
from training.simulate.physics.tissues import Tissue

_T = Tissue


@dataclass(frozen=True, kw_only=True, slots=True)
class Throat:
    """Where the front of a neck lies: heights of the jaw and larynx, how far the airway is in front of the spine."""

    f: Frame
    b: Build
    inside: Tensor
    jaw: float
    at: float
    larynx: float

    @property
    def front(self) -> Tensor:
        """Distance in mm in front of the vertebral bodies."""
        return self.f.ahead - self.b.deep / 2


def throat_muscles(c: Drawing, t: Throat) -> Tensor:
    """The strap muscles in front of the airway, and the tongue with the floor of the mouth."""
    front, side = t.front, t.f.across.abs()
    round_airway = (side / 9).square() + ((front - t.at) / 9).square()
    straps = (round_airway > 1.9**2) & (round_airway < c.between(2.2, 2.7) ** 2) & (front > t.at) & (side < 22)
    muscle = straps & (c.z < t.jaw - 14) & (side > 2)
    if t.jaw < 85:
        above = c.z - t.jaw
        tongue = (side < c.between(20, 30)) & (front > 14) & (front < c.between(42, 54))
        tongue &= (above > -16 + 0.2 * front) & (above < c.between(25, 60))
        muscle |= tongue & ((side > 0.8) | (c.noise("folds") > 0))
    return muscle & t.inside


def draw_throat(c: Drawing, t: Throat) -> None:
    """Oesophagus, trachea in its thyroid gland, larynx, pharynx, from below upwards."""
    f, front, at = t.f, t.front, t.at
    gullet = ((f.across - c.between(-5, 5)) / c.between(6, 10)).square() + ((front - 6) / c.between(2.5, 4)).square()
    flat = torch.sigmoid((c.z - t.larynx - 8) / 5.0)  # the pharynx is wide and flat
    wide, deep = c.between(6.5, 10) + c.between(2, 9) * flat, c.between(6.5, 10) - c.between(2, 4.5) * flat
    airway = ((f.across / wide).square() + ((front - at + 5 * flat) / deep).square()).sqrt()
    voice = (c.z - t.larynx).abs()
    for side in (-1, 1):
        middle = (side * c.between(15, 20), c.between(-4, 4), t.larynx - c.between(28, 45))
        lobe = ((f.across - middle[0]) / c.between(6, 11)).square() + ((front - at - middle[1]) / 9).square()
        lobe += ((c.z - middle[2]) / c.between(18, 28)).square()
        c.paint((lobe < 1) & (airway > 1.2), _T.GLAND)
    c.paint(gullet < 1, _T.MUSCLE)
    c.paint(gullet < 0.4, _T.MUCOSA)
    shield = (voice < c.between(10, 16)) & (airway > 1.5) & (airway < 1.85) & (front > at - 4)
    c.paint(shield, _T.CARTILAGE if c.chance(0.5) else _T.YELLOW_MARROW)
    c.paint((airway < 1.5) & (voice < 14), _T.MUSCLE)
    if t.jaw < 85:
        _jaw(c, t)
    c.paint(airway < c.between(1.15, 1.4), _T.MUCOSA)
    c.paint((airway < 1.45) & (airway > 1.2) & (torch.remainder(c.z, 5.0) < 3.0) & (c.z < t.larynx - 12), _T.CARTILAGE)
    c.paint(airway < 1.0 - 0.6 * torch.exp(-((c.z - t.larynx) / 3.0).square()), _T.AIR)


def _jaw(c: Drawing, t: Throat) -> None:
    """The arch of the jaw without teeth, and the glands under it."""
    front, above = t.front, c.z - t.jaw
    reach, half = c.between(48, 62), c.between(30, 40)
    arch = ((t.f.across / half).square() + ((front - 16) / (reach - 16)).square()).sqrt()
    for side in (-1, 1):
        x, y, z = side * c.between(22, 28), c.between(18, 30), -c.between(2, 10)
        gland = ((t.f.across - x) / 7).square() + ((front - y) / 12).square() + ((above - z) / 10).square()
        c.paint((gland < 1) & t.inside, _T.GLAND)
    rim = (above - 10 - 0.02 * (reach - front).square()).abs() - 14
    bone = torch.maximum((arch - 1.0).abs() * half - c.between(4, 6), rim)
    bone = torch.where(t.inside & (front > 6), bone, torch.full_like(bone, 9.0))
    c.bone(bone, cortex_mm=1.6, red_share=c.between(0, 0.4))
