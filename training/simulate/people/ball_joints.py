"""Shoulders and hips of random geometry: bones and bellies of muscle, packed with thin planes of fat between them."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.canvas import Canvas
from training.simulate.people.drawing import Point, melted, resampled
from training.simulate.physics.tissues import Tissue

_T = Tissue


class _Belly(NamedTuple):
    """A muscle: a long ellipsoid between two points, `thick` across and `wide` along `facing` (half axes in mm)."""

    start: Point
    end: Point
    thick: float
    wide: float
    facing: Point = (0.0, 0.0, 1.0)


# Both joints are drawn round a head of radius 24 mm in the origin, the trunk on the left: x outward, y front, z up.
_BALL: Final = (24.0, 24.0, 24.0)
_SHOULDER: Final = (
    _Belly((-100, -34, 22), (-2, -5, 31), 10, 13, (0, 0, 1)),  # supraspinatus
    _Belly((-105, -60, -18), (8, -32, 8), 15, 26),  # infraspinatus
    _Belly((-85, -52, -50), (12, -27, -10), 9, 11),  # teres minor
    _Belly((-95, -45, -80), (14, 8, -62), 12, 14),  # teres major
    _Belly((-105, -18, -22), (0, 23, 3), 12, 30),  # subscapularis
    _Belly((-20, 32, 18), (4, 22, -120), 8, 11, (1, 0, 0)),  # coracobrachialis and the short head of biceps
    _Belly((-28, -9, -22), (6, -22, -130), 12, 16, (1, 0, 0)),  # triceps
    _Belly((10, 20, -55), (12, 20, -150), 11, 14, (1, 0, 0)),  # brachialis
    _Belly((-20, 34, 14), (-110, 55, -75), 7, 16, (1, 0, 1)),  # pectoralis minor
    _Belly((-120, 45, -20), (10, 34, -60), 11, 40, (0, 0, 1)),  # pectoralis major
    _Belly((-110, -45, 62), (-5, -22, 46), 9, 26, (0, 1, 0)),  # trapezius
)
_HIP: Final = (
    _Belly((-75, -75, 60), (50, -42, -62), 19, 46, (1, 0, 1.2)),  # gluteus maximus
    _Belly((0, -10, 118), (50, -8, -2), 15, 36, (0, 1, 0)),  # medius
    _Belly((2, 8, 84), (46, 5, -6), 9, 26, (0, 1, 0)),  # minimus
    _Belly((34, 40, 70), (56, 22, -90), 9, 17, (0.3, 1, 0)),  # tensor fasciae latae
    _Belly((24, 54, 80), (-32, 52, -110), 7, 13, (1, 0, 0)),  # sartorius
    _Belly((12, 36, 34), (24, 40, -130), 12, 16, (1, 0, 0)),  # rectus femoris
    _Belly((52, 6, -26), (52, 12, -160), 14, 27, (0, 1, 0)),  # vastus lateralis
    _Belly((34, 18, -40), (32, 18, -160), 12, 18, (1, 0, 0)),  # intermedius
    _Belly((-52, 18, 120), (-6, 32, -10), 15, 20, (1, 0.5, 0)),  # iliopsoas
    _Belly((-12, 34, 16), (20, 0, -60), 14, 16),
    _Belly((-34, 2, 120), (-16, 22, 22), 11, 30, (0, 1, 0)),  # iliacus
    _Belly((-66, 42, -14), (20, 2, -58), 11, 18),  # pectineus
    _Belly((-62, 34, -30), (8, 14, -130), 13, 20, (0, 1, 0)),  # adductors longus and brevis
    _Belly((-46, -10, -58), (10, -8, -140), 20, 26, (0, 1, 0)),  # magnus
    _Belly((-66, 16, -36), (32, -16, -18), 9, 15),  # obturator externus
    _Belly((-44, -2, 28), (-50, 4, -52), 9, 32, (0, 1, 0)),  # obturator internus
    _Belly((-84, -48, 44), (42, -20, 4), 8, 12),  # piriformis
    _Belly((-22, -30, -44), (36, -18, -40), 8, 16),  # quadratus femoris
    _Belly((-22, -40, -54), (8, -40, -160), 14, 20, (1, 0, 0)),  # hamstrings
)


class _Pack:
    """Bellies side by side: keeps how deep each voxel lies in the nearest of them, and in the next one."""

    def __init__(self, c: Canvas, first: Tensor | None = None) -> None:
        self._c = c
        self._best = torch.full(c.x.shape, 60.0) if first is None else first
        self._second = torch.full(c.x.shape, 60.0)

    def bellies(self, bellies: Sequence[_Belly]) -> None:
        """Ellipsoids, each shifted and scaled at random; drawn slab by slab, which fits the cache."""
        frames = [self._frame(belly) for belly in bellies]
        for slab in range(0, self._best.shape[0], 6):
            points = torch.stack([axis[slab : slab + 6].flatten() for axis in (self._c.x, self._c.y, self._c.z)])
            best, second = (kept[slab : slab + 6].view(-1) for kept in (self._best, self._second))
            for frame, shift, thick in frames:
                depth = torch.addmm(shift, frame, points).square_().sum(0).sqrt_().sub_(1.0).mul_(thick)
                torch.minimum(second, torch.maximum(best, depth), out=second)
                torch.minimum(best, depth, out=best)

    def _frame(self, belly: _Belly) -> tuple[Tensor, Tensor, float]:
        """The map to the unit ball, and the least half axis."""
        start, end = (np.array(p, dtype=float) + self._c.rng.normal(0, 2.5, 3) for p in (belly.start, belly.end))
        length = float(np.linalg.norm(end - start))
        axis = (end - start) / length
        across = np.cross(axis, np.array(belly.facing, dtype=float))
        across /= np.linalg.norm(across)
        thick, wide = belly.thick * self._c.between(0.8, 1.25), belly.wide * self._c.between(0.85, 1.2)
        frame = np.stack([axis / (0.56 * length), across / thick, np.cross(axis, across) / wide])
        return torch.from_numpy(frame).float(), torch.from_numpy(-frame @ (start + end) / 2).float()[:, None], thick

    def paint(self, inside: Tensor) -> None:
        """The bellies, grown to fill most gaps, less the planes between them; most are lean, some have wasted."""
        c = self._c
        packed = (self._best < c.between(3.0, 9.0)) & (self._second - self._best > c.between(0.9, 2.0))
        c.muscles(inside & packed, fat_share=c.between(0.0, 0.05) if c.chance(0.8) else c.between(0.05, 0.35))


def _pose(c: Canvas, middle: Point, radius: float) -> None:
    """Right or left, the origin in the head, the body turned a little, the head scaled to its usual radius."""
    side = 1.0 if c.chance(0.5) else -1.0
    turns = c.rng.normal(0, math.radians(5), 3).clip(-0.2, 0.2)
    stretch = radius / _BALL[0] * c.rng.uniform(0.95, 1.05, 3)
    p = [axis - m for axis, m in zip((side * c.x, c.y, c.z), middle, strict=True)]
    for first, second, turn in ((0, 1, turns[0]), (1, 2, turns[1]), (2, 0, turns[2])):
        a, b, cos, sin = p[first], p[second], math.cos(turn), math.sin(turn)
        p[first], p[second] = cos * a - sin * b, sin * a + cos * b
    c.x, c.y, c.z = (a / float(s) for a, s in zip(p, stretch, strict=True))


def _coarse(c: Canvas) -> Canvas:
    """A canvas of voxels twice as large in the same pose: signed distances are smooth, and drawn faster there."""
    nx, ny, nz = (n * c.spacing_mm for n in c.x.shape)
    k = Canvas((nx, ny, nz), 2.0 * c.spacing_mm, c.rng, bend_mm=0.0)
    k.x, k.y, k.z = (resampled(axis, k.x.shape) for axis in (c.x, c.y, c.z))
    return k


def _mm(c: Canvas, centre: Point, radii: Point, power: float = 2.0) -> Tensor:
    """About the signed distance from an ellipsoid."""
    return (c.ellipsoid(centre, radii, power) - 1.0) * min(radii)


def _plate(c: Canvas, normal: Point, through: Point, half_mm: float) -> Tensor:
    """Signed distance from a plate of endless extent."""
    parts = [n * (axis - p) for n, axis, p in zip(normal, (c.x, c.y, c.z), through, strict=True)]
    return torch.stack(parts).sum(0).abs_() / math.hypot(*normal) - half_mm


def _turned(x: float, y: float, z: float, angle: float) -> tuple[float, float, float]:
    """A point of the bone after turning the limb about its length."""
    return (x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle), z)


def _scar(c: Canvas, bone: Tensor, along: Point) -> None:
    """What is left of the growth plate below the head, a broken line, and small patches of red marrow."""
    c.paint((bone < 0) & (c.noise("grain") > c.between(1.2, 3.0)), _T.RED_MARROW, over=(_T.YELLOW_MARROW,))
    level = sum(a * axis for a, axis in zip(along, (c.x, c.y, c.z), strict=True)) - c.between(8, 16)
    curved = level + (c.x.square() + c.y.square()) * c.between(0.0, 0.02) + 1.5 * c.noise()
    line = (curved.abs() < c.between(-0.8, 0.6)) & (bone < -2)
    c.paint(line, _T.LIGAMENT, over=(_T.YELLOW_MARROW, _T.RED_MARROW))


def _humerus(c: Canvas, angle: float) -> Tensor:
    """Signed distance: the head, two tubercles with the groove between them, and the shaft."""
    greater = _mm(c, _turned(13, -2, 6, angle), (14, 15, 14))
    lesser = _mm(c, _turned(9, 15, 0, angle), (9, 9, 12))
    shaft = c.tube([(4, 0, -8), (8, 0, -38), (9, 0, -130)]) - c.between(10, 12.5)
    return melted(melted(_mm(c, (0, 0, 0), _BALL), melted(greater, lesser, 3), 3), shaft, c.between(12, 22))


def _scapula(c: Canvas) -> Tensor:
    """Signed distance: glenoid and neck, blade, spine, acromion, coracoid."""
    back = c.between(0.4, 0.75)  # how far backward the blade runs, on its way inward
    glenoid = _mm(c, (-37, -6, 0), (13, 12, c.between(16, 20)))
    neck = c.tube([(-38, -7, 0), (-58, -7 - 20 * back, 0)]) - c.between(6, 9)
    blade = _plate(c, (-back, 1, 0), (-38, -8, 0), c.between(1.4, 2.4))
    blade = torch.stack([blade, c.x + 44, c.z - 20, 0.55 * (1.5 * (c.x + 30) - c.z)]).amax(0)  # cut at its borders
    ridge = c.tube([(-110, -62, 16), (-50, -46, 26), (-6, -34, 36)]) - c.between(3.5, 5.0)
    root = _plate(c, (0.05, -0.35, 1), (-70, -34, 19), 2.0)
    root = torch.stack([root, c.x + 38, (c.y + 34).abs() - 14]).amax(0)
    acromion = _mm(c, (9, -14, c.between(37, 41)), (c.between(14, 19), c.between(20, 26), c.between(5.0, 7.5)), 2.5)
    coracoid = c.tube([(-36, 2, 14), (-32, 20, 23), (-17, 33, 12)]) - c.between(5, 7)
    roofed = melted(melted(ridge, acromion, 6), root, 3)
    return melted(melted(melted(melted(glenoid, neck, 8), blade, 6), coracoid, 5), roofed, 3)


def _chest(c: Canvas, k: Canvas) -> None:
    """Ribs with muscle between them, and lung."""
    wall = resampled(_mm(k, (-125, c.between(-5, 15), -45), (c.between(55, 68), 72, 105)), c.x.shape)
    c.paint((wall < 7) & (wall > -9), _T.MUSCLE)
    ribs = torch.remainder(c.z + c.between(0.2, 0.6) * c.y + c.between(0, 26), c.between(22, 30)) - 5.0
    rib = torch.maximum(ribs.abs() - 5.5, (wall + 4.5).abs() - 3.5)
    c.bone(torch.where(c.where(_T.MUSCLE), rib, 9.0), cortex_mm=1.0, red_share=0.5)
    c.paint((wall < 7.6) & (wall > 6.6) | (wall < 0.5) & (wall > -0.7), _T.FAT, over=(_T.MUSCLE,))
    c.paint(wall < -9, _T.LUNG)
    c.paint((wall < -9) & c.curves(0.16), _T.VEIN)


def _deltoid(c: Canvas, outline: Tensor, humerus: Tensor) -> Tensor:
    """The outermost layer, from the collar bone round the outside, where it reaches the humerus, to the scapula."""
    bundles = c.between(10, 20) * (1.0 + 0.25 * c.noise("slow")).clamp(0.5, 1.5)
    inner = torch.where(c.y < 0, -18.0 - 0.3 * (c.z + 40).clamp(min=0), -14.0)
    layer = torch.minimum(-outline - bundles, torch.maximum(c.between(3, 7) - humerus, 14 - c.x))
    return torch.maximum(torch.maximum(layer, inner - c.x), c.z - 44)


def _cuff(c: Canvas, k: Canvas, sphere: Tensor, angle: float) -> None:
    """Tendons over the head, fluid in the joint and the bursa, the biceps tendon."""
    tendon = c.between(2.5, 5.5)
    covered = (c.z > 4 - 0.7 * c.y.abs()) & (c.x > -c.between(2, 14)) & (c.x + c.z > -4)
    c.paint((sphere < 2.0 + tendon) & (sphere > 0.8) & covered, _T.LIGAMENT)
    if c.chance(0.5):  # a tear, or degeneration
        spot = c.ellipsoid((c.between(5, 22), c.between(-16, 12), c.between(14, 26)), (c.between(3, 9), 7, 7)) < 1
        c.paint(spot, _T.SYNOVIAL_FLUID if c.chance(0.5) else _T.MUCOSA, over=(_T.LIGAMENT,))
    bursa = ((sphere - tendon - 3.0).abs() < c.between(0.4, 1.4)) & (c.z > 4) & (c.x > -8)
    c.paint(bursa, _T.SYNOVIAL_FLUID if c.chance(0.3) else _T.FAT)
    groove = [_turned(*p, angle) for p in ((8, 6, 27), (17, 20, 6), (18, 19, -25))]
    biceps = resampled(k.tube([*groove, (10, 22, -90)]), c.x.shape)
    c.paint(biceps < c.between(2.8, 4.2), _T.SYNOVIAL_FLUID if c.chance(0.5) else _T.FAT)
    c.paint(biceps < c.between(1.8, 2.8), _T.LIGAMENT)


def _glenohumeral(c: Canvas, k: Canvas, humerus: Tensor, angle: float) -> None:
    """The bones of the shoulder with what lies between and on them."""
    sphere = _mm(c, (0, 0, 0), _BALL)
    _cuff(c, k, sphere, angle)
    room = c.between(2.2, 3.6)
    scapula = torch.maximum(resampled(_scapula(k), c.x.shape), room - sphere)
    pouch = (sphere > 0) & (sphere < c.between(0.8, 3.0)) & (c.z < -10) & (c.x < -2) & (c.x - c.z > -12)
    c.paint((sphere < room + 0.8) & (sphere > 0) & (c.x < -4) & (c.z < 12), _T.LIGAMENT)
    c.paint((sphere < room) & (sphere > 0) & (c.x < -14), _T.SYNOVIAL_FLUID if c.chance(0.4) else _T.CARTILAGE)
    c.paint(pouch, _T.SYNOVIAL_FLUID)
    c.paint(((c.x + 0.82 * _BALL[0]).abs() < 3.0) & (sphere > 0) & (sphere < room + 2.0), _T.LIGAMENT)
    c.paint((sphere > room - c.between(0.9, 1.6)) & (sphere < room + 1) & (c.x < -18), _T.CARTILAGE)
    c.paint((sphere < c.between(1.1, 1.9)) & (sphere > 0) & (c.x - 0.5 * c.z < 0), _T.CARTILAGE)
    collar = resampled(k.tube([(-110, 18, 46), (-55, 22, 47), (-12, 0, 41)]), c.x.shape) - c.between(5.0, 7.0)
    c.paint(torch.minimum(scapula, collar) < 1.2, _T.LIGAMENT, over=(_T.FAT,))
    c.paint(c.ellipsoid((-8, -4, 40), (3, 8, 7)) < 1, _T.MUCOSA if c.chance(0.5) else _T.CARTILAGE)
    cortex = c.between(0.7, 1.3)
    c.bone(torch.minimum(scapula, torch.maximum(collar, c.x + 9)), cortex_mm=cortex, red_share=c.between(0.1, 0.5))
    c.bone(humerus, cortex_mm=cortex, red_share=c.between(0.0, 0.3))
    _scar(c, humerus, (0.5, 0.0, -0.8))
    c.paint((humerus < 0) & (humerus > (c.z + 28).clamp(-45, 0) * c.between(0.04, 0.09)), _T.CORTICAL_BONE)


def shoulder(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A shoulder: humerus, scapula, collar bone, cuff, deltoid, the muscles of the girdle, chest wall and lung."""
    c = Canvas((170.0, 150.0, 170.0), 1.2 * coarser, rng, bend_mm=2.5)
    _pose(c, (c.between(8, 24), c.between(-6, 8), c.between(-2, 14)), c.between(21, 27))
    angle, bulk = c.between(-0.6, 0.5), c.between(0, 14)
    k = _coarse(c)
    arm = _mm(k, (-4, -4, -45), (48 + bulk, 46 + bulk, c.between(105, 112)), 2.6)
    trunk = _mm(k, (-95, -5, -40), (c.between(70, 85), 72 + bulk, c.between(100, 118)), 3.0)
    outline = resampled(melted(arm, trunk, 25), c.x.shape)
    fat = c.between(2, 9) if c.chance(0.75) else c.between(9, 22)
    inside = c.envelope(outline - fat, fat_mm=fat)
    humerus = resampled(_humerus(k, angle), c.x.shape)
    _chest(c, k)
    pack = _Pack(c, _deltoid(c, outline, humerus))
    pack.bellies(_SHOULDER)
    pack.paint(inside & ~c.where(_T.LUNG, _T.CORTICAL_BONE, _T.YELLOW_MARROW, _T.RED_MARROW))
    for tissue, shift, radius in ((_T.ARTERY, 0.0, 3.2), (_T.VEIN, -8.0, 4.5), (_T.NERVE, 8.0, 2.2)):
        course = [(-100, 18, 22 + shift), (-48, 22 + shift / 2, -14 + shift), (-10, 12, -60), (-8, 10 + shift, -120)]
        c.paint(resampled(k.tube(course), c.x.shape) < radius * c.between(0.7, 1.2), tissue)
    _glenohumeral(c, k, humerus, angle)
    return c


def _femur(c: Canvas, angle: float) -> Tensor:
    """Signed distance: head, neck, trochanters, shaft."""
    drop, side = c.between(22, 34), c.between(34, 42)
    corner = _turned(side, -3, -drop, angle)
    neck = c.tube([(0, 0, 0), corner]) - c.between(12.5, 15.5)
    greater = _mm(c, _turned(side + 7, -9, 9 - drop, angle), (12, 16, c.between(16, 22)))
    lesser = _mm(c, _turned(side - 13, -15, -drop - 24, angle), (8, 8, 11))
    shaft = c.tube([corner, (side - 4, 0, -150)]) - c.between(13, 16)
    return melted(melted(melted(_mm(c, (0, 0, 0), _BALL), neck, 7), melted(greater, shaft, 8), 9), lesser, 7)


def _pelvis(c: Canvas) -> Tensor:
    """Signed distance: the socket, the wing above it, pubis and ischium with the hole between them."""
    mouth = (0.72 * c.x + 0.35 * c.y - 0.6 * c.z) + c.between(0, 7)  # the open side looks out, forward and down
    socket = torch.maximum(_mm(c, (0, 0, 0), _BALL) - c.between(9, 14), mouth)
    roof = _mm(c, (-8, -4, 34), (c.between(17, 22), 21, 20))
    wing = _plate(c, (1, 0.25, c.between(-0.1, 0.45)), (-10, -6, 40), c.between(4, 8))
    wing = torch.maximum(wing, _mm(c, (-14, -8, 84), (60, c.between(34, 46), 60)))
    pubis = c.tube([(-22, 18, -6), (-50, 36, -10), (-88, 40, -28)]) - c.between(7, 9)
    ischium = c.tube([(-18, -22, -10), (-26, -28, -50)]) - c.between(11, 15)
    ramus = c.tube([(-28, -24, -56), (-56, 10, -56), (-86, 36, -36)]) - c.between(5, 7)
    below = melted(melted(pubis, ischium, 4), ramus, 6)
    return melted(melted(melted(socket, roof, 8), wing, 14), below, 8)


def _belly_organs(c: Canvas, k: Canvas) -> None:
    """The bladder and loops of bowel at the inner edge."""
    for _ in range(int(c.rng.integers(2, 6))):
        x, y, z = c.between(-90, -66), c.between(-30, 45), c.between(15, 80)
        loop = k.tube([(x - 20, y, z), (x, y + c.between(-20, 20), z + 10), (x - 5, y, z + 30)]) - c.between(6, 12)
        loop = resampled(loop, c.x.shape)
        c.paint(loop < 0, _T.BOWEL_WALL)
        c.paint(loop < -2, _T.AIR if c.chance(0.2) else _T.BOWEL_CONTENT)
    size = c.between(18, 36)
    bladder = _mm(c, (-60 - size, c.between(0, 22), c.between(-6, 25)), (size + 8, size, size))
    c.paint(bladder < 0, _T.BOWEL_WALL)
    c.paint(bladder < -c.between(2, 5), _T.URINE)


def _hip_joint(c: Canvas, k: Canvas) -> None:
    """The bones of the hip with what lies between and on them."""
    sphere = _mm(c, (0, 0, 0), _BALL)
    femur = resampled(_femur(k, c.between(-0.45, 0.1)), c.x.shape)
    room = c.between(1.8, 3.4)
    hollow = _mm(k, (-25, 1, -10), (c.between(5, 8), c.between(7, 11), c.between(8, 13)))
    pelvis = torch.maximum(resampled(torch.maximum(_pelvis(k), -hollow), c.x.shape), room - sphere)
    notch = resampled(hollow, c.x.shape) < 0
    mouth = 0.72 * c.x + 0.35 * c.y - 0.6 * c.z
    near = (c.x < 30) & (c.x - 0.6 * c.z < 42)
    c.paint((femur < c.between(2.5, 5)) & near, _T.LIGAMENT)
    c.paint((femur < (c.between(0.3, 1.3) if c.chance(0.75) else c.between(1.3, 3.0))) & near, _T.SYNOVIAL_FLUID)
    c.paint((sphere > 0) & (sphere < 6) & ((mouth + 1).abs() < 4.0), _T.LIGAMENT)
    c.paint((sphere > 0) & (sphere < room + 0.6) & (mouth < 6), _T.CARTILAGE)
    film = ((sphere - room / 2).abs() < c.between(-0.2, 0.5)) & (c.noise() > c.between(-1.5, 0.5))
    c.paint(film, _T.SYNOVIAL_FLUID, over=(_T.CARTILAGE,))
    c.paint(torch.minimum(pelvis, femur) < 1.0, _T.LIGAMENT, over=(_T.FAT,))
    cortex = c.between(0.8, 1.4)
    c.bone(pelvis, cortex_mm=cortex, red_share=c.between(0.2, 0.7))
    c.bone(femur, cortex_mm=cortex, red_share=c.between(0.0, 0.4))
    c.paint(sphere < -c.between(1, 26), _T.YELLOW_MARROW, over=(_T.RED_MARROW,))  # the head turns yellow first
    c.paint((femur < 0) & (femur > (c.z + 28).clamp(-45, 0) * c.between(0.06, 0.13)), _T.CORTICAL_BONE)
    _scar(c, femur, (0.75, 0.0, -0.6))
    c.paint(notch & (sphere > -1.5), _T.FAT if c.chance(0.7) else _T.MUCOSA)
    c.paint(notch & (resampled(k.tube([(-22, -2, -8), (-24, 8, -26)]), c.x.shape) < c.between(1.5, 3)), _T.LIGAMENT)


def hip(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A hip: femur in its socket, the muscles of buttock, thigh and pelvis, vessels, bladder and bowel, lateral fat."""
    c = Canvas((170.0, 150.0, 170.0), 1.2 * coarser, rng, bend_mm=2.5)
    _pose(c, (c.between(-18, 2), c.between(-6, 8), c.between(-4, 12)), c.between(21, 27))
    fat = c.between(8, 50)
    k = _coarse(c)
    flank = _mm(k, (-70, -5, -20), (138 + c.between(-4, 6), c.between(76, 92), 400), 2.5)
    inside = c.envelope(resampled(flank, c.x.shape) - 0.5 * fat, fat_mm=0.5 * fat)
    _belly_organs(c, k)
    pack = _Pack(c)
    pack.bellies(_HIP)
    pack.paint(inside)
    for tissue, shift, radius in ((_T.ARTERY, 0.0, 4.0), (_T.VEIN, -10.0, 5.0), (_T.NERVE, 9.0, 2.0)):
        course = [(-50 + shift, 30, 90), (-16 + shift, 48, 15), (-6 + shift, 46, -40), (0, 34 + shift / 2, -130)]
        c.paint(resampled(k.tube(course), c.x.shape) < radius * c.between(0.7, 1.3), tissue)
    sciatic = resampled(k.tube([(-36, -46, 50), (2, -42, -20), (8, -36, -130)]), c.x.shape)
    c.paint(sciatic < c.between(1.5, 3.5), _T.NERVE)
    _hip_joint(c, k)
    return c
