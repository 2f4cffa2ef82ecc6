"""Stomach, small bowel and colon: tubes with a wall, folds, contents and gas."""

from collections.abc import Sequence

import numpy as np
import torch

from training.simulate.people.drawing import Point
from training.simulate.people.parts import Parts, Piece, rounded
from training.simulate.physics.tissues import Tissue

_T = Tissue


def _fill(parts: Parts, pieces: Sequence[Piece], *, wall_mm: float, content: Tissue, gas_y: float) -> None:
    """Wall first, then what is inside, so that the tube is open along its length; gas lies in front of `gas_y`."""
    for piece in pieces:
        piece.part.paint(piece.distance < 0, _T.BOWEL_WALL)
    for piece in pieces:
        inside = piece.distance < -wall_mm
        piece.part.paint(inside, content)
        piece.part.paint(inside & (piece.part.y > gas_y), _T.AIR)


def stomach(parts: Parts, top: float, front: float, back: float) -> None:
    """From the fundus under the left diaphragm down and across to the pylorus; fluid behind, gas in front, folds."""
    c = parts.c
    full = c.between(0.5, 1.15)
    middle = (front + back) / 2
    line = [
        [-c.between(45, 65), back + 22, top - c.between(28, 40)],
        [-c.between(55, 75), middle + 5, top - c.between(50, 65)],
        [-c.between(40, 55), front - 24, top - c.between(80, 100)],
        [-c.between(0, 15), front - 22, top - c.between(95, 125)],
        [c.between(20, 30), middle + 8, top - c.between(88, 105)],
    ]
    points = rounded(line)
    radii = np.interp(np.linspace(0, 4, len(points)), range(5), [38 * full, 36 * full, 29 * full, 19 * full, 10])
    pieces = parts.tube(points, radii.tolist())
    wall = c.between(3.0, 6.0)
    content = _T.BILE if c.chance(0.35) else _T.BOWEL_CONTENT
    gas_y = middle + c.between(5, 40) if c.chance(0.75) else 1e3
    for piece in pieces:
        piece.part.paint(piece.distance < 0, _T.BOWEL_WALL)
    folds = c.between(0.0, 3.5)
    for piece in pieces:
        rough = piece.distance + folds * piece.part.noise("lumps").abs()
        piece.part.paint(rough < -wall, content)
        piece.part.paint((rough < -wall) & (piece.part.y > gas_y), _T.AIR)
        if content is _T.BOWEL_CONTENT and c.chance(0.3):
            piece.part.paint((rough < -wall - 4) & (piece.part.noise("grain") > 1.2), _T.BOWEL_WALL)


def duodenum(parts: Parts, top: float, front: float, back: float) -> None:
    """Round the head of the pancreas and across behind the mesenteric vessels."""
    c = parts.c
    middle, low = (front + back) / 2, top - c.between(135, 155)
    line = [
        [25, middle + 6, top - 95],
        [c.between(40, 52), back + 25, top - 100],
        [c.between(42, 52), back + 14, top - 125],
        [25, back + 16, low],
        [-15, back + 24, low + 2],
        [-c.between(25, 40), back + 26, low + 18],
    ]
    points = rounded(line, 1)
    radii = [c.between(7, 12) for _ in points]
    content = c.rng.choice([int(_T.BOWEL_CONTENT), int(_T.BILE), int(_T.BOWEL_WALL)])
    gas = back + 24 if c.chance(0.3) else 1e3
    _fill(parts, parts.tube(points, radii), wall_mm=c.between(2.4, 3.6), content=Tissue(int(content)), gas_y=gas)


def small_bowel(parts: Parts, low: Point, high: Point, *, share: float) -> None:
    """Loops that wander through a box, each of its own width and contents; `share` of the box is tried to be filled."""
    c = parts.c
    size = np.asarray(high, dtype=float) - np.asarray(low, dtype=float)
    if (size < 20).any():
        return
    wanted = share * float(size.prod())
    fluid = c.between(0.0, 0.6)
    while wanted > 0:
        radius = c.between(7, 14) if c.chance(0.85) else c.between(14, 19)
        at = np.asarray(low) + c.rng.uniform(0, 1, 3) * size
        heading = c.rng.normal(0, 1, 3)
        line = [at]
        for _ in range(int(c.rng.integers(3, 6))):
            heading += c.rng.normal(0, 0.9, 3)
            at = np.clip(at + heading * (2.6 * radius / np.linalg.norm(heading)), low, high)
            line.append(at)
        points = rounded([p.tolist() for p in line], 1)
        pieces = parts.tube(points, [radius * c.between(0.88, 1.1) for _ in points])
        wanted -= 3.14 * radius**2 * 2.6 * radius * (len(line) - 1)
        _loop(parts, pieces, radius, fluid)


def _loop(parts: Parts, pieces: Sequence[Piece], radius: float, fluid: float) -> None:
    c = parts.c
    wall = c.between(2.0, 3.2)
    if c.chance(0.3):  # collapsed: the mucosa touches itself
        _fill(parts, pieces, wall_mm=0.7 * radius, content=_T.MUCOSA, gas_y=1e3)
        return
    middle = float(pieces[0].part.y.mean())
    gas = middle + c.between(-radius, radius) if c.chance(0.2) else 1e3
    _fill(parts, pieces, wall_mm=wall, content=_T.BILE if c.chance(fluid) else _T.BOWEL_CONTENT, gas_y=gas)
    if c.chance(0.5):  # the circular folds of the jejunum
        pitch = c.between(6, 9)
        for piece in pieces:
            ring = (torch.remainder(piece.along, pitch) < 2.0) & (piece.distance < 0) & (piece.distance > -0.6 * radius)
            piece.part.paint(ring, _T.BOWEL_WALL)


def colon(parts: Parts, line: Sequence[Point]) -> None:
    """Haustra, half-moon folds between them, stool with gas in it, gas in front."""
    c = parts.c
    points = rounded(line, 2)
    wide, bulge = c.between(14, 25), c.between(0.12, 0.3)
    slow = np.interp(np.linspace(0, 6, len(points)), range(7), c.rng.uniform(0.7, 1.15, 7))
    pieces = parts.tube(points, (wide * slow).tolist())
    pitch, wall = c.between(24, 38), c.between(2.0, 3.0)
    gas = c.between(-8, 20)
    stool = c.between(-1.0, 1.0)
    for wall_turn in (True, False):
        for piece in pieces:
            waist = (torch.cos(piece.along * (6.283 / pitch)) * 0.5 + 0.5).pow(4) * (2.2 * bulge * wide)
            distance = piece.distance + waist
            part = piece.part
            if wall_turn:
                part.paint(distance < 0, _T.BOWEL_WALL)
                continue
            inside = distance < -wall
            part.paint(inside, _T.BOWEL_CONTENT)
            grain = part.noise("grain")
            part.paint(inside & (grain > 1.0 + stool), _T.AIR)
            part.paint(inside & (grain < -1.6 + 0.4 * stool), _T.MUCOSA)
            middle = float(part.y.mean())
            part.paint(inside & (part.y > middle + gas), _T.AIR)
