"""Small boxes cut out of a canvas: tubes, vessel trees and organs are drawn there, much faster than on all of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from training.simulate.people.canvas import Canvas
from training.simulate.people.drawing import Point
from training.simulate.people.part import Part
from training.simulate.physics.tissues import Tissue

_T = Tissue


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of a tube: signed distance in mm from its surface, and mm along the whole tube."""

    part: Part
    distance: Tensor
    along: Tensor


class Parts:
    """Cuts boxes out of a canvas."""

    def __init__(self, c: Canvas, limit: Tensor) -> None:
        self.c = c
        self.limit = limit

    def box(self, low: Point, high: Point) -> Part:
        """The part between two corners in mm."""
        return Part(self.c, low, high, limit=self.limit)

    def round(self, centre: Point, reach: float) -> Part:
        """The part round a point."""
        return self.box([m - reach for m in centre], [m + reach for m in centre])

    def tube(self, points: Sequence[Point], radii: Sequence[float]) -> list[Piece]:
        """The pieces of a tube through points, its radius changing from point to point."""
        pieces: list[Piece] = []
        walked = 0.0
        for i in range(len(points) - 1):
            start, end = np.asarray(points[i], dtype=float), np.asarray(points[i + 1], dtype=float)
            reach = max(radii[i], radii[i + 1]) + 3.0
            part = self.box((np.minimum(start, end) - reach).tolist(), (np.maximum(start, end) + reach).tolist())
            step = (end - start).tolist()
            squared = max(sum(s * s for s in step), 1e-6)
            x, y, z = part.x - float(start[0]), part.y - float(start[1]), part.z - float(start[2])
            share = ((x * step[0] + y * step[1] + z * step[2]) / squared).clamp_(0.0, 1.0)
            gap = (x - share * step[0]).square() + (y - share * step[1]).square() + (z - share * step[2]).square()
            distance = gap.sqrt() - (radii[i] + share * (radii[i + 1] - radii[i]))
            pieces.append(Piece(part=part, distance=distance, along=walked + share * squared**0.5))
            walked += squared**0.5
        return pieces

    def vessel(
        self,
        points: Sequence[Point],
        radius: float,
        tissue: Tissue,
        *,
        over: Sequence[Tissue] | None = None,
        end: float = 0.0,
    ) -> None:
        """A vessel through points, `end` its last radius where it tapers."""
        for piece in self.tube(points, np.linspace(radius, end or radius, len(points)).tolist()):
            piece.part.paint(piece.distance < 0, tissue, over=over)

    def tree(self, start: Point, goal: Point, radius: float, tissue: Tissue, *, over: Sequence[Tissue]) -> None:
        """A vessel towards `goal` that gives off ever thinner branches."""
        rng = self.c.rng
        a, b = np.asarray(start, dtype=float), np.asarray(goal, dtype=float)
        length = float(np.linalg.norm(b - a))
        points = [a + (b - a) * t + rng.normal(0, 0.05 * length, 3) * (t > 0) for t in (0.0, 0.35, 0.7, 1.0)]
        self.vessel([p.tolist() for p in points], radius, tissue, over=over, end=0.55 * radius)
        if radius < 1.7 or length < 14:
            return
        for i in (1, 2, 3):
            for _ in range(2 if i == 3 else 1):
                turned = (b - a) / length + rng.normal(0, 0.62, 3)
                turned *= length * rng.uniform(0.4, 0.68) / np.linalg.norm(turned)
                smaller = radius * float(rng.uniform(0.45, 0.68))
                self.tree(points[i].tolist(), (points[i] + turned).tolist(), smaller, tissue, over=over)


def spheroid(part: Part, centre: Point, radii: tuple[float, float], axis: Point) -> Tensor:
    """Distance in units of the radii, the first along the axis and the second across it."""
    offsets = [a - m for a, m in zip((part.x, part.y, part.z), centre, strict=True)]
    unit = np.asarray(axis) / np.linalg.norm(axis)
    along = offsets[0] * float(unit[0]) + offsets[1] * float(unit[1]) + offsets[2] * float(unit[2])
    across = offsets[0].square() + offsets[1].square() + offsets[2].square() - along.square()
    return ((along / radii[0]).square() + across.clamp(min=0.0) / radii[1] ** 2).sqrt()


def rounded(points: Sequence[Point], times: int = 2) -> list[list[float]]:
    """The line through the points with its corners cut off."""
    line = np.asarray(points, dtype=float)
    for _ in range(times):
        near = 0.75 * line[:-1] + 0.25 * line[1:]
        far = 0.25 * line[:-1] + 0.75 * line[1:]
        line = np.concatenate([line[:1], np.stack([near, far], 1).reshape(-1, 3), line[-1:]])
    return line.tolist()


def heart(parts: Parts, apex: Point, size: float) -> None:
    """Four chambers, thick muscle round the left ventricle, thin round the right, fat outside; apex left in front."""
    c = parts.c
    axis = np.array([-0.62, 0.58, -0.45]) + c.rng.normal(0, 0.08, 3)
    axis /= np.linalg.norm(axis)
    left = np.asarray(apex) - axis * 0.95 * size
    right = left + np.array([0.55, 0.42, -0.02]) * size
    atria = left - axis * 1.05 * size
    part = parts.round((left + 0.2 * (right - left)).tolist(), 2.4 * size)
    chambers = [
        (left.tolist(), (0.95 * size, 0.66 * size), axis.tolist()),
        (right.tolist(), (0.9 * size, 0.52 * size), (axis + np.array([-0.3, 0.0, -0.25])).tolist()),
        ((atria + np.array([0.75, 0.25, 0.0]) * size).tolist(), (0.55 * size, 0.55 * size), [0.0, 0.0, 1.0]),
        ((atria + np.array([0.05, -0.1, 0.1]) * size).tolist(), (0.58 * size, 0.48 * size), [1.0, 0.0, 0.0]),
    ]
    inside = [spheroid(part, centre, radii, along) for centre, radii, along in chambers]
    fat = c.between(1.02, 1.16) + c.between(0.02, 0.12) * part.noise()
    for distance in inside:
        part.paint(distance < fat, _T.FAT)
    for distance in inside[1:]:
        part.paint(distance < 1.06, _T.MUSCLE)
    for distance, blood in zip(inside[1:], (_T.VEIN, _T.VEIN, _T.ARTERY), strict=True):
        part.paint(distance < 0.95, blood)
    part.paint(inside[0] < 1.0, _T.MUSCLE)
    part.paint(inside[0] + 0.05 * part.noise() < c.between(0.55, 0.72), _T.ARTERY)
