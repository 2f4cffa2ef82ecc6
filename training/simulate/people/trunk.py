"""Upper abdomens of random geometry: the body's wall here, what is inside it in `viscera` and `bowel`."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.simulate.people.bowel import colon, duodenum, small_bowel, stomach
from training.simulate.people.canvas import Canvas
from training.simulate.people.parts import Parts, heart
from training.simulate.people.spine import vertebrae
from training.simulate.people.viscera import Room, great_vessels, kidney, liver, mesentery, pancreas, spleen
from training.simulate.physics.tissues import Tissue

_T = Tissue


@dataclass(frozen=True, kw_only=True)
class _Build:
    """How somebody is built, in mm."""

    wide: float
    deep: float
    fat: float
    wall: float
    spine_y: float


def _build(c: Canvas) -> _Build:
    fat = c.between(4, 14) if c.chance(0.4) else c.between(12, 32)
    wall = c.between(9, 16)
    behind = 0.6 * fat + c.between(60, 69)  # from the skin of the back to the middle of a vertebra
    deep = min((behind + c.between(98, 138) + 0.35 * fat) / 2, 136.0)
    wide = min(c.between(126, 152) + 0.9 * fat, 186.0, 1.62 * deep)
    return _Build(wide=wide, deep=deep, fat=fat, wall=wall, spine_y=behind - deep)


def _skin_and_fat(c: Canvas, build: _Build, outline: Tensor) -> Tensor:
    """Skin, uneven fat with a fascia in it; returns the depth below the fat in mm."""
    flank = (c.x.abs() / build.wide).clamp(max=1.0)
    front = (c.y / build.deep).clamp(-1.0, 1.0)
    belly = c.between(-0.1, 0.5)
    uneven = 0.75 + 0.3 * flank * (1 - front) * 0.5 + belly * front.clamp(min=0) + 0.2 * c.noise("slow")
    thickness = build.fat * uneven.clamp(0.25, 1.8)
    c.paint(outline < 0, _T.SKIN)
    depth = -outline - c.between(1.8, 2.8)
    c.paint(depth > 0, _T.FAT)
    c.septa(depth > 0)
    fascia = (depth - 0.55 * thickness + 1.2 * c.noise("lumps")).abs() < c.between(0.3, 0.8)
    c.paint(fascia & (c.noise("lumps") > -0.3), _T.SKIN, over=(_T.FAT,))
    return depth - thickness


def _back_muscles(c: Canvas, spine_y: float, top: float) -> tuple[Tensor, Tensor]:
    """Where psoas, erector spinae and quadratus lumborum are, and the sheets of fat between them."""
    size = c.between(0.8, 1.2)
    side = c.x.abs()
    low = (0.75 - (c.z - top + 110) / 220).clamp(0.2, 1.3)  # psoas grows downwards
    psoas = (((side - 36) / 17).square() + ((c.y - spine_y - 1) / 20).square()) / low.square() / size**2
    psoas = torch.where(c.z < top - 85, psoas, 9.0)
    erector = ((side - 32) / (29 * size)).square() + ((c.y - spine_y + 43) / (19 * size)).square()
    lumborum = ((side - 62) / 19).square() + ((c.y - spine_y + 19) / (8 * size)).square()
    lumborum = torch.where(c.z < top - 100, lumborum, 9.0)
    nearest = torch.minimum(torch.minimum(psoas, erector), lumborum)
    middle = (side < 27) & (c.y < spine_y + 12)
    rim = c.between(0.05, 0.14) * (0.5 + c.noise("lumps")).clamp(min=0.0)
    return (nearest < 1) | middle, ((nearest - 1.0).abs() < rim) | ((side - 34).abs() + 3 * erector < 30 * rim)


def _wall(c: Canvas, build: _Build, depth: Tensor, cavity: Tensor, sheets: Tensor) -> None:
    """Muscle round the cavity: rectus before it, three layers at the sides, with fat between them."""
    body = (depth > 0) & ~cavity
    c.muscles(body, fat_share=c.between(0.05, 0.3))
    thin = c.between(0.3, 2.0)
    layer = depth / build.wall
    rectus = (c.y > 0.3 * build.deep) & (c.x.abs() < c.between(0.36, 0.5) * build.wide)
    planes = ((layer - 0.34).abs() < 0.5 * thin / build.wall) | ((layer - 0.68).abs() < 0.5 * thin / build.wall)
    c.paint(body & ((planes & ~rectus & (c.y > build.spine_y)) | sheets), _T.FAT, over=(_T.MUSCLE,))
    border = (c.x.abs() - c.between(0.34, 0.46) * build.wide).abs() < c.between(1.0, 4.0)
    front = body & (c.y > 0.3 * build.deep)
    c.paint(front & border & (layer > 0.2), _T.FAT if c.chance(0.5) else _T.LIGAMENT)
    c.paint(front & (c.x.abs() < c.between(1.5, 7.0)), _T.LIGAMENT)


def _ribs(c: Canvas, build: _Build, depth: Tensor, top: float) -> None:
    """Ribs run down to the front within the wall; their front ends are cartilage."""
    pitch, tilt = c.between(25, 33), c.between(0.35, 0.65)
    height = torch.remainder(c.z + tilt * c.y + c.between(0, pitch), pitch) - pitch / 2
    distance = (((depth - 0.55 * build.wall) / 4.2).square() + (height / c.between(5.5, 7.5)).square()).sqrt() - 1.0
    margin = top - c.between(125, 160) + 1.1 * (c.y + 10).clamp(min=0.0)
    absent = (c.z < margin) | (c.x.abs() < 34) | (depth < 0)
    distance = torch.where(absent, 9.0, distance) * 4.2
    gristle = c.y > c.between(0.45, 0.7) * build.deep
    c.bone(torch.where(gristle, 9.0, distance), cortex_mm=1.2, red_share=c.between(0.5, 0.95))
    c.paint((distance < 0) & gristle, _T.CARTILAGE)


def _dome(c: Canvas, build: _Build, half: float, top: float) -> Tensor:
    """Height of the diaphragm: two domes, the left one lower."""
    lower = c.between(5, 22)
    heights: list[Tensor] = []
    for side, high in ((1.0, top), (-1.0, top - lower)):
        away = ((c.x - side * 0.52 * half) / (0.62 * half)).square()
        away = away + ((c.y - 0.1 * build.deep) / (0.85 * build.deep)).square()
        heights.append(high - 75.0 * (1.0 - (1.0 - away).clamp(min=0.01).sqrt()))
    return torch.maximum(heights[0], heights[1])


def _bowels(parts: Parts, room: Room) -> None:
    c = parts.c
    half, top = room.half, room.top
    side, deep, low = half - c.between(20, 32), room.back + c.between(-12, 15), -150.0
    right = [[side, deep, low], [side, deep + 5, top - 150], [side - 8, room.front - 38, top - 140]]
    sag = top - c.between(125, 190)
    across = [[0.4 * half, room.front - 20, sag], [-0.4 * half, room.front - 20, sag + c.between(0, 30)]]
    left = [[-side + 8, room.front - 45, top - 85], [-side, deep, top - 95], [-side, deep, low]]
    start, end = [-side + 18, room.back + 5, -135.0], [side - 18, room.front - 10, top - 118]
    small_bowel(parts, start, end, share=c.between(0.8, 3.2))
    mesentery(parts, room)
    colon(parts, [*right, *across, *left])


def abdomen(rng: np.random.Generator, coarser: float = 1.0) -> Canvas:
    """An upper abdomen: liver, spleen, kidneys, pancreas, stomach, bowel, vessels, spine, base of the lungs."""
    c = Canvas((400.0, 290.0, 250.0), 1.8 * coarser, rng, bend_mm=float(rng.uniform(3.0, 6.5)))
    build, top = _build(c), c.between(38, 125)
    outline = (c.column(0.0, 0.0, (build.wide, build.deep), c.between(2.1, 2.7)) - 1.0) * build.deep
    depth = _skin_and_fat(c, build, outline)
    behind, sheets = _back_muscles(c, build.spine_y, top)
    cavity = (depth > build.wall) & ~behind
    cavity &= c.y > build.spine_y - 18.0 - 1.1 * (c.x.abs() - 48.0).clamp(0.0, 60.0)
    _wall(c, build, depth, cavity, sheets)
    c.paint(cavity, _T.FAT)
    front = build.deep - 2.0 - build.fat - build.wall
    half = build.wide - 1.25 * (0.85 * build.fat + build.wall) - 3
    room = Room(half=half, front=front, back=build.spine_y + 17, top=top)
    dome = _dome(c, build, half, top)
    chest = cavity & (c.z > dome)
    whole, below = Parts(c, cavity), Parts(c, cavity & ~chest)
    _bowels(below, room)
    great_vessels(whole, room)
    stomach(below, top, front, room.back)
    duodenum(below, top, front, room.back)
    pancreas(below, room)
    spleen(below, room)
    liver(below, room, dome)
    for side in (-1.0, 1.0):
        kidney(below, room, side)
    c.paint(cavity & ((c.z - dome).abs() < 1.8), _T.MUSCLE, over=(_T.FAT, _T.LIVER, _T.SPLEEN))
    between = (c.x + c.between(0, 16)).abs() < c.between(9, 20) + 4.0 * c.noise("slow")  # the fat of the mediastinum
    c.paint(chest & (c.z > dome + 1.5) & ~between, _T.LUNG, over=(_T.FAT,))
    heart(Parts(c, chest), [-0.5 * half, front - 12, top - c.between(10, 28)], c.between(34, 44))
    vertebrae(
        c,
        front=build.spine_y,
        body=(c.between(42, 50), c.between(30, 36), c.between(24, 29)),
        disc_mm=c.between(6, 11),
        cord=c.chance(0.5),
    )
    _ribs(c, build, depth, top)
    return c
