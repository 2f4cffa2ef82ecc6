"""Pelves of random geometry: whole, and the small field of view on a prostate."""

from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from training.simulate.people.canvas import Canvas
from training.simulate.people.part import FAR_MM, Part
from training.simulate.people.prostate import bladder, prostate, rectum, uterus
from training.simulate.physics.tissues import Tissue

_T = Tissue
_Line = list[tuple[float, float, float]]

# The bellies of the right side in mm (points along the middle, radius); the left is their mirror image. Later ones lie
# over earlier ones.
_BELLIES: Final[tuple[tuple[_Line, float], ...]] = (
    ([(22, 15, -78), (55, -5, -105), (78, -12, -135)], 18),  # adductor magnus
    ([(16, 38, -70), (55, 22, -98), (78, 10, -130)], 12),  # adductor brevis
    ([(14, 48, -62), (50, 42, -92), (72, 32, -130)], 12),  # adductor longus
    ([(9, 32, -72), (26, 20, -125)], 7),  # gracilis
    ([(135, 5, -52), (138, 5, -130)], 20),  # vastus lateralis
    ([(122, 20, -70), (120, 22, -130)], 15),  # vastus intermedius
    ([(72, -32, -68), (122, -22, -62)], 10),  # quadratus femoris
    ([(66, -46, -76), (82, -48, -130)], 14),  # hamstrings
    ([(24, 34, -62), (60, 16, -64), (108, -14, -50)], 10),  # obturator externus
    ([(34, 52, -44), (68, 38, -68), (106, 14, -105)], 12),  # pectineus
    ([(40, -14, 120), (52, 2, 55), (72, 28, 5), (87, 30, -25), (106, 2, -64)], 16),  # psoas
    ([(104, 38, 5), (111, 50, -40), (112, 52, -130)], 13),  # rectus femoris
    ([(128, 42, 42), (141, 28, -20), (144, 15, -85)], 11),  # tensor of the fascia
    ([(118, 52, 42), (110, 60, -10), (92, 64, -70), (80, 60, -130)], 8),  # sartorius
    ([(24, -60, 28), (62, -55, 18), (124, -25, 2)], 10),  # piriformis
    ([(60, -36, -34), (126, -20, -16)], 7),  # gemelli
)


def pelvis(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """A pelvis: bowel, bladder, prostate or uterus, rectum, hips, sacrum, muscles, vessels."""
    c = Canvas((400.0, 270.0, 220.0), 1.8 * coarser, rng, bend_mm=4.0)
    _pose(c, (0.0, c.between(-8, 8), c.between(-22, 30)), c.between(0.93, 1.1))
    female = c.chance(0.45)
    part, inner, deep = _walls(c, c.between(6, 42))
    _bowel_loops(part, c.between(-24, 14))
    _vessels(part)
    rectum(part, coil=False)
    if female:
        uterus(part)
    bladder(part)
    if not female:
        prostate(part)
    _skin(c, inner, deep)
    return c


def small_pelvis(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """What a scan of a prostate covers: gland, rectum, bladder, pelvic floor, obturator muscles, pubis and ischium."""
    c = Canvas((210.0, 190.0, 120.0), 1.2 * coarser, rng, bend_mm=3.5)
    _pose(c, (c.between(-3, 3), 8 + c.between(-8, 8), -38 + c.between(-8, 10)), c.between(0.93, 1.08))
    part, inner, deep = _walls(c, c.between(6, 42))
    _bowel_loops(part, c.between(-6, 20))
    _vessels(part)
    rectum(part, coil=c.chance(0.25))
    bladder(part)
    prostate(part)
    _skin(c, inner, deep)
    return c


def _pose(c: Canvas, middle: tuple[float, float, float], scale: float) -> None:
    """Scale, stretch, tilt and shift the body; `middle` is what lies in the middle of the canvas."""
    tilt, turn = c.between(-0.14, 0.14), c.between(-0.06, 0.06)
    x, y, z = c.x, c.y, c.z
    y, z = y * np.cos(tilt) - z * np.sin(tilt), z * np.cos(tilt) + y * np.sin(tilt)
    x, z = x * np.cos(turn) - z * np.sin(turn), z * np.cos(turn) + x * np.sin(turn)
    c.x, c.y, c.z = (axis / (scale * c.between(0.96, 1.04)) + m for axis, m in zip((x, y, z), middle, strict=True))


def _walls(c: Canvas, fat_mm: float) -> tuple[Part, Tensor, Tensor]:
    """Muscles and bones in fat; also the depth under the fat's inner face (mm, below zero inside) and the skin's."""
    wide, deep = c.between(142, 152), c.between(88, 98)
    inner = (c.column(0.0, -8.0, (wide, deep), c.between(2.3, 2.9)) - 1.0) * deep
    inner += c.y.clamp(min=0) / 90 * (c.between(0.26, 0.36) * (40 - c.z)).clamp(0, 26)  # flatter above the pubis
    cleft = torch.sigmoid((-62 - c.y) / 7) * torch.sigmoid((5 - c.z) / 10)
    cleft *= torch.exp(-((c.x / c.between(10, 16)) ** 2))
    inner += 32 * cleft
    thickness = fat_mm * (1.0 + 0.25 * c.noise("slow") - 0.004 * c.y - 0.003 * c.z).clamp(0.25, 2.2)
    outer = torch.maximum(inner - thickness, (-90 - c.z - 0.8 * c.x.abs()).clamp(max=40) - 2)
    c.tissue.fill_(int(_T.FAT))
    part = Part(c, (-FAR_MM, -FAR_MM, -FAR_MM), (FAR_MM, FAR_MM, FAR_MM))
    _trunk_muscles(part, inner)
    _levator(part)
    mass = c.between(0.95, 1.3)
    for side in (-1, 1):
        for line, radius in _BELLIES:
            _belly(part, [(side * x, y, z) for x, y, z in line], radius * mass * c.between(0.9, 1.1))
    share = c.between(0.0, 0.32)
    _marble(part, share)
    _sacrum(part)
    for side in (-1, 1):
        _ilium(part, side, mass)
        _hip_bones(part, side)
    part.paint((part.x.abs() < 2.5) & ((part.y - 49).abs() < 8.5) & ((part.z + 53).abs() < 17), _T.ANNULUS)
    return part, inner, outer


def _marble(c: Part, share: float) -> None:
    """Thin streaks of fat and tendon in the muscles; more of them in the old."""
    where = c.where(_T.MUSCLE)
    c.paint(where & (c.noise("grain") > 2.9 - 3.0 * share), _T.FAT)
    c.paint(where & (c.noise("lumps").abs() < 0.05 * share), _T.FAT)
    c.paint(where & c.curves(0.06), _T.VEIN)
    c.paint(where & c.curves(0.05), _T.LIGAMENT)


def _skin(c: Canvas, inner: Tensor, outer: Tensor) -> None:
    """Subcutaneous fat with its septa and veins outside the muscles, skin, air."""
    layer = inner > 0
    c.paint(layer, _T.FAT)
    sheets = (c.noise("lumps").abs() < c.between(0.0, 0.05)) | (c.noise("folds").abs() < c.between(0.0, 0.02))
    c.paint(layer & sheets, _T.SKIN)
    c.paint(layer & c.curves(c.between(0.04, 0.09)), _T.VEIN)
    c.paint(outer > -2.0, _T.SKIN)
    c.paint(outer > 0, _T.AIR)


def _paint_muscle(c: Part, d: Tensor) -> None:
    """A belly, with a plane of fat about a millimetre thick where it meets others."""
    c.paint(d < 0.9, _T.FAT, over=(_T.MUSCLE,))
    c.paint(d < 0, _T.MUSCLE)


def _belly(c: Part, line: _Line, radius: float) -> None:
    """A belly along a line, of uneven thickness."""
    part = c.near(line, radius * 1.3)
    _paint_muscle(part, part.tube(line) - radius * (1.0 + 0.12 * part.noise("slow").clamp(-2, 2)))


def _trunk_muscles(c: Part, inner: Tensor) -> None:
    """The abdominal wall, the muscles of the back, and the large gluteal muscles, all under the subcutaneous fat."""
    thick = c.between(5, 10)
    front = (c.y > 20) & (c.z > -45)
    wall = torch.maximum(inner + 1, -thick - 3 * (c.x.abs() > 60) - inner)
    straight = torch.maximum(wall, torch.maximum(3 - c.x.abs(), c.x.abs() - (18 + 0.55 * (c.z + 45)).clamp(0, 56)))
    c.paint(front & (straight < 0), _T.MUSCLE)
    flanks = (c.x.abs() > 58) & (c.y > -60) & (c.z > 45 - 0.3 * c.y)
    layers = ((inner + 1).remainder(-0.5 * thick) + 0.25 * thick).abs()
    c.paint(flanks & (wall < 0) & (layers < 0.25 * thick - 0.3), _T.MUSCLE)
    back = (c.column(c.x.sign() * 31, -82.0, (28, 19), 2.6) - 1.0) * 19
    c.paint((back < 0) & (c.z > 10), _T.MUSCLE)
    bow = c.between(10, 20)
    side = c.x.abs()
    part = ((side - 26) / 114).clamp(0, 1)
    middle = -84 + 42 * part + 0.1 * (c.z - 20).clamp(min=0) - bow * 4 * part * (1 - part)
    d = (c.y - middle).abs() - c.between(14, 24) * (1 - 0.3 * part) * ((side - 18) / 18).clamp(0, 1).sqrt()
    d = torch.maximum(d, torch.maximum(22 - side, side - 140))
    d = torch.maximum(d, torch.maximum(c.z - 72 + 0.2 * (140 - side), -88 - c.z))
    c.paint(d < 0, _T.MUSCLE)
    bundles = (c.y - middle + 0.9 * c.z + 0.4 * side + 9 * c.noise("slow")).remainder(13.0)
    c.paint((d < 0) & (bundles < c.between(0.0, 0.7)) & (c.noise() > 0.4), _T.FAT)


def _levator(c: Part) -> None:
    """The pelvic floor, a sling that narrows downwards to the anal canal; obturator internus outside it."""
    steep, half = c.between(0.35, 0.6), c.between(1.4, 2.9)
    low = c.z.clamp(min=-76) + 76
    wide = c.between(11, 16) + steep * low
    squeeze = torch.hypot(c.x, (c.y + 2) * (wide / (wide + 20)))
    sheet = (squeeze - wide).abs() - half - 0.7 * c.noise("slow")
    c.paint((sheet < 0) & (c.z < -22) & (c.z > -88) & (c.y < c.between(24, 48)), _T.MUSCLE)
    for side in (-1, 1):
        part, d = c.ball((side * c.between(50, 54), 4, -34), (c.between(10, 15), c.between(38, 46), 44), 2.3)
        _paint_muscle(part, d)
        alcock = [(side * 46.0, -34.0, -40.0), (side * 42.0, -10.0, -72.0)]
        canal = c.near(alcock, 6)
        canal.paint(canal.tube(alcock) < c.between(1, 2), _T.VEIN)


def _ilium(c: Part, side: int, mass: float) -> None:
    """The wing of the hip bone: iliacus within, the middle and small gluteal muscles outside."""
    part = c.near([(side * 40.0, -100.0, -12.0), (side * 160.0, 75.0, 125.0)], 0)
    x, y, z = side * part.x, part.y, part.z
    end_x, end_y = 84 + 0.4 * z.clamp(-10, 100), 22 + 0.42 * z.clamp(0, 60)
    root_x, root_y = 50.0, (-24 - 0.9 * z).clamp(-80, -10)
    along_x, along_y = end_x - root_x, end_y - root_y
    length = torch.hypot(along_x, along_y)
    t_free = ((x - root_x) * along_x + (y - root_y) * along_y) / length.square()
    t = t_free.clamp(0, 1)
    across = ((x - root_x) * along_y - (y - root_y) * along_x) / length - c.between(6, 16) * 4 * t * (1 - t)
    beyond = (t_free - t).abs() * length
    crest = z - 112 + 160 * (t - 0.5).square()
    low = -4 - z
    within = torch.maximum(torch.maximum(-across - 16 * mass * (1 - 0.4 * t), across), torch.maximum(crest + 8, low))
    _paint_muscle(part, torch.maximum(within, 2.0 * beyond - 6))
    hull = torch.maximum(torch.maximum(crest + 5, -34 - z), beyond - 14) + 40 * (t - 0.6).square()
    for thick in (34 * mass, 15 * mass):  # the middle one lies over the small one
        _paint_muscle(part, torch.maximum(torch.maximum(across - thick * (1 - 0.3 * t), -across), hull))
    plate = torch.hypot(across, beyond) - (4.5 + 7 * (1 - t).square() + 4 * torch.exp(-(((t - 0.95) / 0.1) ** 2)))
    plate = torch.maximum(torch.maximum(plate, crest), low)
    joint = (plate < 2.5) & part.where(_T.RED_MARROW, _T.YELLOW_MARROW, _T.CORTICAL_BONE)
    part.paint(joint, _T.CARTILAGE)
    part.bone(plate, cortex_mm=c.between(1.2, 1.8), red_share=c.between(0.2, 0.6))


def _hip_bones(c: Part, side: int) -> None:
    """Socket, ischium, pubis and femur of one side."""
    red, cortex = c.between(0.2, 0.6), c.between(1.1, 1.7)
    x, r = side * 88.0, c.between(22, 26)
    pubis: _Line = [(side * 74, 22, -20), (side * 40, 46, -36), (side * 13, 51, -46)]
    lower: _Line = [(side * 11, 50, -44), (side * 13, 44, -64), (side * 34, 10, -76), (side * 60, -34, -82)]
    ischium: _Line = [(side * 82, -22, -22), (side * 70, -34, -55), (side * 62, -38, -76)]
    part = c.near([*pubis, *lower, *ischium, (side * 118, 0, 15)], 22)
    socket = torch.maximum((part.ellipsoid((x, 0, -18), (r + 13, r + 12, r + 13)) - 1.0) * r, side * part.x - 97)
    socket = torch.maximum(socket, 56 - side * part.x)
    bone = torch.minimum(socket, part.tube(ischium) - c.between(13, 16))
    bone = torch.minimum(bone, part.tube(pubis) - c.between(8, 10))
    bone = torch.minimum(bone, part.tube(lower) - c.between(6, 8))
    body = (part.ellipsoid((side * 12, 49, -53), (11, 8.5, 17), 2.4) - 1.0) * 8.5
    bone = torch.maximum(torch.minimum(bone, body), 2.5 - side * part.x)
    part.paint(bone < 0.8, _T.FAT, over=(_T.MUSCLE,))
    part.bone(bone, cortex_mm=cortex, red_share=red)
    shaft: _Line = [(x, 0, -18), (side * 126, -8, -45), (side * 128, -2, -130)]
    part = c.near([*shaft, (side * 140, -15, -25)], 28)
    head = (part.ellipsoid((x, 0, -18), (r, r, r)) - 1.0) * r
    part.paint((head < 4.5) & (head > 0), _T.CARTILAGE)
    part.paint((head < 2.6) & (head > 1.7), _T.SYNOVIAL_FLUID)
    part.paint((head < 5) & (head > 2) & (side * part.x > 100), _T.LIGAMENT)
    knob = (part.ellipsoid((side * 132, -14, -34), (14, 19, 20)) - 1.0) * 14
    femur = torch.minimum(torch.minimum(head, knob), part.tube(shaft) - c.between(13, 15.5))
    part.paint((femur < 1.2) & (head > 6), _T.FAT)
    part.bone(femur, cortex_mm=1.3 * cortex, red_share=c.between(0.0, 0.3))
    part.paint((head > 6) & (femur < 0) & (femur > -5) & (part.z < -75), _T.CORTICAL_BONE)


def _sacrum(c: Part) -> None:
    """The lowest lumbar vertebra and its disc, sacrum with its canal and roots, coccyx."""
    red = c.between(0.3, 0.7)
    part = c.near([(-62.0, -110.0, -48.0), (62.0, -5.0, 140.0)], 0)
    z = part.z
    middle = -73 + c.between(0.005, 0.0075) * (z - 12).square().clamp(max=4500)
    wide, thick = (17 + 0.56 * (z + 5)).clamp(6, 55), (7 + 0.16 * (z + 5)).clamp(4, 20)
    d = ((part.x / wide).abs() ** 2.6 + ((part.y - middle) / thick).abs() ** 2.6) ** (1 / 2.6)
    sacrum = torch.maximum((d - 1.0) * thick, torch.maximum(z - 80 - 0.15 * part.y, -40 - z))
    part.bone(sacrum, cortex_mm=1.5, red_share=red)
    gap = (z - 7).remainder(25.0)
    part.paint((sacrum < -2) & (gap < 2.5) & (part.x.abs() < 0.5 * wide) & (part.y > middle), _T.ANNULUS)
    vertebra = part.ellipsoid((0, -24, 112), (26, 18, 19), 4.5)
    part.bone((vertebra - 1.0) * 18, cortex_mm=1.4, red_share=red)
    part.bone(part.tube([(0, -62, 114), (0, -86, 104)]) - 4, cortex_mm=1.4, red_share=red)
    disc = part.ellipsoid((0, -30, 85), (26, 18, 8), 3.0)
    part.paint((disc < 1) & (vertebra > 1), _T.ANNULUS)
    part.paint(disc < 0.6, _T.NUCLEUS_PULPOSUS if c.chance(0.6) else _T.ANNULUS)
    canal = part.tube([(0, -52, 135), (0, -62, 80), (0, -80, 30)])
    part.paint(canal < 9, _T.FAT)
    part.paint((canal < 7) & (z > c.between(30, 60)), _T.CSF)
    part.paint((canal < 6) & (part.noise("grain") > 1.0), _T.NERVE)
    for side in (-1, 1):
        for height, front in ((56, -52), (36, -62), (16, -68)):
            root: _Line = [(side * 10, front - 16, height + 6), (side * 24, front + 4, height), (side * 48, -42, 5)]
            hole = c.near(root, 6)
            way = hole.tube(root)
            hole.paint(way < 4.5, _T.FAT, over=(_T.RED_MARROW, _T.YELLOW_MARROW, _T.CORTICAL_BONE))
            hole.paint(way < 2.4, _T.NERVE)


def _vessels(c: Part) -> None:
    """Iliac vessels with branches, and lymph nodes beside them."""
    stems: tuple[tuple[_Line, float], ...] = (
        ([(8, 2, 130), (38, -4, 82), (56, 22, 40), (68, 44, 0), (74, 58, -40), (84, 58, -130)], c.between(3.5, 5.5)),
        ([(38, -6, 80), (46, -34, 42), (50, -40, 8), (44, -28, -18), (30, -12, -30)], c.between(2.0, 3.2)),
        ([(48, -38, 22), (50, 0, 0), (46, 30, -22)], c.between(1.0, 1.8)),
    )
    for side in (-1, 1):
        for stem, radius in stems:
            line = [(side * x, y, z) for x, y, z in stem]
            beside = [(x - side * 9, y - 6, z) for x, y, z in line]
            for points, r, kind in ((beside, 1.25 * radius, _T.VEIN), (line, radius, _T.ARTERY)):
                part = c.near(points, r + 3)
                d = part.tube(points)
                part.paint(d < r + 1.2, _T.FAT, over=(_T.MUSCLE, _T.BOWEL_CONTENT, _T.BOWEL_WALL))
                part.paint(d < r, kind)
            for _ in range(int(c.rng.integers(0, 3))):
                x, y, z = line[int(c.rng.integers(len(line)))]
                node, d = c.ball((x + side * c.between(5, 9), y + c.between(-9, 4), z + 9), (c.between(2, 5), 3, 6))
                node.paint(d < 0, _T.SPLEEN, over=(_T.FAT,))
    c.paint(c.curves(c.between(0.04, 0.1)), _T.VEIN, over=(_T.FAT,))
    sheets = c.noise("lumps").abs() < c.between(0.01, 0.04)
    c.paint(sheets, _T.SKIN, over=(_T.FAT,))


def _bowel_loops(c: Part, low: float) -> None:
    """Loops of gut packed into the bowl down to `low`: the sausage that is nearest owns a voxel."""
    part = c.near([(-105.0, -45.0, low), (105.0, 85.0, 150.0)], 0)
    room = (part.ellipsoid((0, 22, 85), (100, 64, 85 - low), 2.4) < 1.0) & part.where(_T.FAT)
    room &= part.noise("slow") < c.between(0.9, 3.0)  # the rest is mesentery and omentum
    step = (slice(None, None, 2),) * 3
    points = torch.stack([axis[step].flatten() for axis in (part.x, part.y, part.z)], dim=1)
    count = int(c.rng.integers(80, 150))
    ends = torch.from_numpy(c.rng.uniform((-100, -40, low), (100, 82, 140), (count, 3)).astype(np.float32))
    ways = torch.from_numpy(c.rng.normal(size=(count, 3)).astype(np.float32))
    lengths = torch.from_numpy(c.rng.uniform(15, 60, (count, 1)).astype(np.float32))
    ways = ways / ways.norm(dim=1, keepdim=True) * lengths
    share = ((points @ ways.T - (ends * ways).sum(1)) / ways.square().sum(1)).clamp_(0, 1)
    # |p - e - s w|^2, written out so that no array of points x loops x 3 is made
    squared = torch.cdist(points, ends).square() + share * (share * ways.square().sum(1) - 2 * (points @ ways.T))
    squared += 2 * share * (ends * ways).sum(1)
    sizes = torch.from_numpy(c.rng.choice((9, 11, 13, 15, 19, 24), count).astype(np.float32))
    two = (squared.clamp_(min=0).sqrt_() - sizes).topk(2, dim=1, largest=False)
    grid, full = part.x[step].shape, part.x.shape
    first, second = (
        interpolate(two.values[:, i].reshape(1, 1, *grid), size=full, mode="trilinear", align_corners=False)[0, 0]
        for i in (0, 1)
    )
    owner = interpolate(two.indices[:, 0].float().reshape(1, 1, *grid), size=full, mode="nearest")[0, 0].long()
    depth = torch.minimum(-first, (second - first) / 2 - 0.8)
    part.paint(room & part.curves(0.1), _T.VEIN)
    part.paint(room & (depth > 0), _T.BOWEL_WALL)
    fillings = (_T.BOWEL_CONTENT, _T.BOWEL_CONTENT, _T.MUCOSA, _T.AIR, _T.BOWEL_WALL, _T.URINE)
    kinds = torch.tensor([int(fillings[i]) for i in c.rng.choice(6, count, p=(0.3, 0.2, 0.25, 0.1, 0.1, 0.05))])
    inside = room & (depth > c.between(1.6, 2.8))
    part.tissue[inside] = kinds[owner[inside]].to(torch.uint8)
    part.paint(inside & (part.noise("lumps") > 1.1), _T.MUCOSA, over=(_T.BOWEL_CONTENT,))  # folds
