"""Solid organs and great vessels of the upper abdomen. The patient's right is at positive x."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.parts import Parts, rounded
from training.simulate.physics.tissues import Tissue

_T = Tissue


@dataclass(frozen=True, kw_only=True)
class Room:
    """Where the cavity of an abdomen lies, in mm."""

    half: float  # from the midline to the side wall
    front: float  # y of the front wall
    back: float  # y of the front of the vertebrae
    top: float  # z of the right dome of the diaphragm


def liver(parts: Parts, room: Room, dome: Tensor) -> None:
    """A wedge under the diaphragm: all of the right side, thinning across the midline in front; vessels, hilum."""
    c = parts.c
    end = -c.between(5, 95)
    slope = c.between(0.55, 1.05)
    back = room.back - 45 + torch.nn.functional.softplus((c.between(55, 70) - c.x) / 10) * (10 * slope)
    low = room.top - c.between(125, 175) + c.between(0.35, 0.75) * (room.half - c.x) - 0.22 * (c.y - room.back)
    surfaces = torch.stack([back - c.y, (low - c.z) * 0.75, (end - c.x) * 0.6])
    distance = torch.logsumexp(surfaces / 7.0, dim=0) * 7.0 + 3.5 * c.noise("slow")
    vessels = (c.x.abs() < 45) & (c.y < room.back + 30) & c.where(_T.VEIN, _T.ARTERY)
    whole = parts.limit & (distance < 0) & (c.z < dome - 3.0) & ~vessels
    c.paint(whole, _T.LIVER)
    hilum = [c.between(18, 32), room.back + c.between(34, 44), room.top - c.between(78, 92)]
    _liver_vessels(parts, room, hilum)
    _liver_lesions(parts, room, whole)
    fissure = [[c.between(-8, 8), room.front, hilum[2] - 40], [0.6 * hilum[0], hilum[1] + 6, hilum[2] + 4]]
    parts.vessel(fissure, c.between(1.5, 5), _T.FAT, over=(_T.LIVER,))
    _gall_bladder(parts, room, hilum)


def _liver_vessels(parts: Parts, room: Room, hilum: list[float]) -> None:
    c = parts.c
    over = (_T.LIVER,)
    width = c.between(0.75, 1.2)
    x, y, z = hilum
    part = parts.round(hilum, 22)
    part.paint(part.ellipsoid(hilum, (17, 9, 10)) + 0.2 * part.noise() < 1, _T.FAT, over=over)
    meeting = [18, room.back + 20, room.top - c.between(14, 24)]
    side = 0.55 * room.half
    for goal in (
        [side + 25, room.back - 8, room.top - 85],
        [side - 8, room.back + 45, room.top - 75],
        [-28, room.back + 60, room.top - 50],
    ):
        parts.tree(meeting, goal, c.between(4.2, 6.4) * width, _T.VEIN, over=over)
    both = (*over, _T.FAT)
    fork = [x + 16, y + 3, z + 8]
    parts.vessel([[6, room.back + 24, z - 25], hilum, fork], c.between(5, 7) * width, _T.VEIN, over=both, end=5.0)
    for goal in (
        [side + 30, room.back + 28, room.top - 115],
        [side + 28, room.back - 2, room.top - 55],
        [-35, room.back + 62, room.top - 72],
    ):
        parts.tree(fork, goal, c.between(4.2, 6.0) * width, _T.VEIN, over=both)
    duct = [[25, room.back + 16, z - 40], [x + 4, y + 7, z], [x + 34, y + 10, z + 12]]
    parts.vessel(duct, c.between(1.4, 3.4), _T.BILE, over=both, end=0.9)
    parts.vessel([[-4, room.back + 14, z - 8], [x - 2, y + 6, z + 2]], 2.0, _T.ARTERY, over=both, end=1.2)


def _liver_lesions(parts: Parts, room: Room, whole: Tensor) -> None:
    """Cysts and haemangiomas in some; fat in the cells of others."""
    c = parts.c
    count = int(c.rng.integers(1, 6)) if c.chance(0.3) else 0
    for _ in range(count):
        centre = [c.between(-20, room.half), c.between(room.back - 20, room.front), room.top - c.between(10, 120)]
        radius = c.between(2.5, 9) if c.chance(0.8) else c.between(9, 25)
        part = parts.round(centre, 1.4 * radius)
        ball = part.ellipsoid(centre, (radius, radius * c.between(0.7, 1.1), radius)) + 0.12 * part.noise()
        part.paint(ball < 1, _T.CYST if c.chance(0.6) else _T.TUMOUR, over=(_T.LIVER, _T.VEIN))
    if c.chance(0.12):
        nx, ny, nz = (torch.arange(n) for n in c.x.shape)  # evenly spread, so that slices show a mean and no grain
        every = int(c.rng.integers(4, 17))
        drops = torch.remainder(nx[:, None, None] + 2 * ny[None, :, None] + 5 * nz[None, None, :], every) == 0
        c.paint(whole & drops, _T.FAT, over=(_T.LIVER,))


def _gall_bladder(parts: Parts, room: Room, hilum: list[float]) -> None:
    c = parts.c
    if c.chance(0.12):  # taken out
        return
    neck = [hilum[0] + 10, hilum[1] + 4, hilum[2] - 6]
    bottom = [
        c.between(45, 65),
        min(room.front - 18, neck[1] + c.between(18, 40)),
        neck[2] - c.between(30, 55),
    ]
    full = c.between(7, 17)
    line = rounded([neck, [(n + b) / 2 + 4 for n, b in zip(neck, bottom, strict=True)], bottom])
    pieces = parts.tube(line, np.interp(np.linspace(0, 1, len(line)), [0, 0.6, 1], [3.5, full, 0.9 * full]).tolist())
    wall = c.between(1.3, 3.0)
    for piece in pieces:
        piece.part.paint(piece.distance < wall, _T.BOWEL_WALL)
    stones = c.chance(0.15)
    for piece in pieces:
        piece.part.paint(piece.distance < 0, _T.BILE)
        if stones:
            low = (piece.part.y < bottom[1] - 0.35 * full) & (piece.part.noise("grain") > 0.2)
            piece.part.paint((piece.distance < -1) & low, _T.CORTICAL_BONE)


def spleen(parts: Parts, room: Room) -> None:
    """A crescent along the left back wall, its hollow side towards the stomach."""
    c = parts.c
    big = c.between(0.8, 1.25)
    centre = [-room.half + c.between(12, 26), room.back - c.between(12, 28), room.top - c.between(60, 80)]
    part = parts.round(centre, 75 * big)
    outer = part.ellipsoid(centre, (40 * big, 47 * big, 50 * big)) + 0.05 * part.noise()
    hollow = [centre[0] + 42 * big, centre[1] + 32 * big, centre[2] - 6]
    inner = part.ellipsoid(hollow, (37 * big, 40 * big, 62 * big)) - 0.06 * part.noise()
    part.paint((outer < 1) & (inner > 1), _T.SPLEEN)
    hilum = [centre[0] + 12 * big, centre[1] + 8 * big, centre[2]]
    for _ in range(3):
        goal = [h + c.between(-22, 6) for h in hilum]
        parts.vessel([[hilum[0] + 18, hilum[1] + 8, hilum[2]], goal], 2.4, _T.VEIN, end=1.0)


def kidney(parts: Parts, room: Room, side: float) -> None:
    """A bean in its own fat: cortex, pyramids, fat and calices in the hollow that looks to the vessels; adrenal."""
    c = parts.c
    if c.chance(0.02):
        return
    high, thick = c.between(48, 60), c.between(22, 29)
    z = room.top - c.between(112, 135) - (12 if side > 0 else 0)
    centre = [side * c.between(60, 70), room.back - c.between(10, 20), z]
    part = parts.round(centre, high + 16)
    x, y, z_local = part.x - centre[0], part.y - centre[1], part.z - z
    turn = c.between(0.3, 0.9)  # the hollow looks inwards and to the front
    w = z_local + 0.22 * side * x
    u = (x * np.cos(turn) - side * y * np.sin(turn)) * side - 0.18 * z_local  # away from the midline
    v = side * x * np.sin(turn) + y * np.cos(turn)
    u = u + w.square() * (0.11 / high)  # bent round the hollow
    shape = ((u / (thick * 1.12)).square() + (v / (thick * 0.88)).square() + (w / high).square()).sqrt()
    shape = shape + 0.03 * part.noise()
    pad = c.between(1.04, 1.3)
    part.paint(shape < pad, _T.FAT)
    part.paint(shape < 1, _T.RENAL_CORTEX)
    pitch, phase = c.between(4.0, 5.5), c.between(0, 6.3)
    around = torch.atan2(w * (thick / high), u + 0.4 * thick)
    cones = torch.cos(around * pitch + phase) * 0.6 + torch.cos(v * (5.5 / thick) + phase) * 0.55
    medulla = (shape < 0.79) & (cones > 0.95 * shape - 0.62)
    part.paint(medulla, _T.RENAL_MEDULLA)
    fat = c.between(0.85, 1.2)
    sinus = ((u + 0.62 * thick) / (0.78 * thick * fat)).square() + (v / (0.36 * thick * fat)).square()
    sinus = (sinus + (w / (0.5 * high * fat)).square()).sqrt() + 0.18 * part.noise()
    part.paint((sinus < 1) & (shape < 1.1), _T.FAT)
    calices = c.between(0.04, 0.3) if c.chance(0.9) else c.between(0.6, 1.0)
    part.paint((sinus < 0.85) & (part.noise().square() < calices**2) & (shape < 0.95), _T.URINE)
    part.paint((sinus < 0.9) & (part.noise().abs() < 0.12), _T.VEIN, over=(_T.FAT,))
    _renal_extras(parts, room, side, centre, thick)


def _renal_extras(parts: Parts, room: Room, side: float, centre: list[float], thick: float) -> None:
    c = parts.c
    hilum = [centre[0] - side * 0.55 * thick, centre[1] + 0.45 * thick, centre[2] + c.between(-4, 8)]
    vein = [18, room.back + 10, hilum[2] + 6] if side > 0 else [-10, room.back + 20, hilum[2] + 10]
    parts.vessel([hilum, [0.5 * (hilum[0] + vein[0]), hilum[1] + 4, hilum[2] + 4], vein], 4.0, _T.VEIN, over=(_T.FAT,))
    start = [hilum[0], hilum[1] - 3, hilum[2] + 3]
    parts.vessel([start, [-6, room.back + 6, hilum[2] + 12]], 2.4, _T.ARTERY, over=(_T.FAT,))
    down = [[hilum[0], hilum[1] - 3, hilum[2] - 6], [side * 38, room.back + 2, hilum[2] - 50]]
    parts.vessel([*down, [side * 36, room.back + 4, -140]], c.between(1.2, 2.6), _T.URINE, over=(_T.FAT,))
    root = [side * 38, room.back + 2, centre[2] + c.between(48, 62)]
    for dx, dy in ((4, -22), (16, -18)):  # the limbs of the adrenal
        limb = [[root[0], root[1] + 6, root[2] + 8], [root[0] + side * dx, root[1] + dy, root[2] - 8]]
        parts.vessel(limb, c.between(1.8, 3.2), _T.GLAND, over=(_T.FAT,), end=1.5)
    for _ in range(int(c.rng.integers(1, 4)) if c.chance(0.35) else 0):
        radius = c.between(2.5, 8) if c.chance(0.8) else c.between(8, 28)
        at = [m + s * c.between(-1, 1) for m, s in zip(centre, (thick, thick, 45), strict=True)]
        part = parts.round(at, radius)
        part.paint(part.ellipsoid(at, (radius, radius, radius)) < 1, _T.CYST)


def pancreas(parts: Parts, room: Room) -> None:
    """Head in the arch of the duodenum, body over the vessels, tail back to the spleen; lobed, with fat between."""
    c = parts.c
    head = room.top - c.between(108, 122)
    arch = c.between(22, 34)
    line = rounded(
        [
            [c.between(26, 34), room.back + 18, head - 8],
            [c.between(18, 26), room.back + 26, head + 10],
            [-6, room.back + arch + 10, head + 20],
            [-35, room.back + arch - 4, head + 26],
            [-c.between(65, 85), room.back - c.between(5, 18), head + c.between(30, 45)],
        ]
    )
    size = c.between(0.75, 1.15)
    radii = size * np.interp(np.linspace(0, 1, len(line)), [0, 0.25, 0.5, 1], [14, 12, 8.5, 8])
    behind = [[p[0], p[1] - 9, p[2] + 2] for p in line[3:]]
    parts.vessel(behind, c.between(2.8, 4.5), _T.VEIN)  # the splenic vein runs along its back
    lobes = c.between(0.8, 3.5)
    for piece in parts.tube(line, radii.tolist()):
        grain = piece.part.noise("grain")
        piece.part.paint(piece.distance + lobes * grain < 0.4 * lobes, _T.PANCREAS, over=(_T.FAT, _T.PANCREAS))
    parts.vessel(line, c.between(0.3, 1.3), _T.BILE, over=(_T.PANCREAS,))


def great_vessels(parts: Parts, room: Room) -> None:
    """Aorta, cava, mesenteric artery and vein, coeliac trunk; crura of the diaphragm beside the aorta."""
    c = parts.c
    a = c.between(7.5, 12)
    for side, x in ((1, 6), (-1, -20)):
        crus = [[x + side * 4, room.back + 6, room.top + 10], [x, room.back - 1, room.top - 120]]
        parts.vessel(crus, c.between(3.5, 7), _T.MUSCLE, end=2.0)
    shift = c.between(-4, 4)
    aorta = [[-10 + shift, room.back + a, 170], [-7 + shift, room.back + a, 0], [-5, room.back + a + 1, -170]]
    parts.vessel(aorta, a, _T.ARTERY, end=0.85 * a)
    if c.chance(0.3):  # plaque
        parts.vessel([[p[0] + 0.8 * a, p[1], p[2]] for p in aorta], 1.6, _T.CORTICAL_BONE, over=(_T.ARTERY,))
    flat = c.between(0.45, 1.1)
    wide = c.between(10, 14)
    part = parts.box([-10, room.back - 15, -170], [45, room.back + 55, room.top + 25])
    lean = 16 + 0.04 * part.z
    forward = room.back + 7 + 14 * ((part.z - room.top + 100) / 100).clamp(0, 1.2)
    cava = ((part.x - lean) / wide).square() + ((part.y - forward) / (wide * flat)).square()
    part.paint((cava < 1) & (part.z < room.top + 20), _T.VEIN)
    z = room.top - c.between(98, 112)
    y = room.back + 2 * a
    for x, radius, tissue, dz in ((-5, 3.4, _T.ARTERY, 0.0), (7, 5.0, _T.VEIN, -8.0)):
        down = [[x, y, z + dz], [x, y + 10, z - 18], [x + 3, y + c.between(12, 30), -170]]
        parts.vessel(down, radius * c.between(0.85, 1.2), tissue, over=(_T.FAT,), end=2.0)
    gullet = [[-6, room.back + 2 * a + 6, 170], [-8, room.back + 2 * a + 8, room.top], [-30, y + 10, room.top - 35]]
    parts.vessel(gullet, c.between(5, 8), _T.BOWEL_WALL)
    trunk = [[-6, y - 3, z + 16], [-5, y + 12, z + 20], [c.between(12, 25), y + 16, z + 22]]
    parts.vessel(trunk, 3.0, _T.ARTERY, over=(_T.FAT,), end=2.0)


def mesentery(parts: Parts, room: Room) -> None:
    """Branches of the mesenteric vessels through the fat between the loops."""
    c = parts.c
    root = [4.0, room.back + 34.0, room.top - 125.0]
    for _ in range(int(c.rng.integers(3, 8))):
        goal = [c.between(-0.7, 0.7) * room.half, room.front - c.between(5, 35), root[2] - c.between(0, 70)]
        parts.tree(root, goal, c.between(1.7, 2.8), _T.VEIN if c.chance(0.6) else _T.ARTERY, over=(_T.FAT,))
