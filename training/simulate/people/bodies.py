"""Bodies of random geometry by region, and test objects, all drawn from a seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from training.simulate.people import ball_joints, breast, cord, knee, limbs, neck, pelvis, spine, trunk
from training.simulate.people.anatomy import Anatomy, Target, assemble
from training.simulate.people.canvas import Canvas
from training.simulate.people.lesions import add_body_lesion
from training.simulate.physics.tissues import Tissue


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """How a body region is drawn, and the box (half sizes in mm about its middle) that is planned on."""

    draw: Callable[[np.random.Generator, float], Canvas]
    target_mm: tuple[float, float, float]
    share: float = 1.0


REGIONS: Final[Mapping[str, Region]] = {
    "knee": Region(draw=knee.knee, target_mm=(62, 66, 72), share=1.5),
    "shoulder": Region(draw=ball_joints.shoulder, target_mm=(68, 62, 66)),
    "hip": Region(draw=ball_joints.hip, target_mm=(75, 66, 75), share=0.6),
    "limb": Region(draw=limbs.limb, target_mm=(80, 80, 100), share=0.5),
    "extremity": Region(draw=limbs.extremity, target_mm=(44, 38, 55), share=0.7),
    "lumbar-spine": Region(draw=spine.lumbar_spine, target_mm=(60, 84, 125), share=1.4),
    "neck": Region(draw=neck.neck, target_mm=(60, 74, 92), share=0.8),
    "cord": Region(draw=cord.cervical_cord, target_mm=(27, 25, 24), share=0.5),
    "abdomen": Region(draw=trunk.abdomen, target_mm=(165, 112, 95), share=1.4),
    "pelvis": Region(draw=pelvis.pelvis, target_mm=(140, 105, 85), share=0.9),
    "prostate": Region(draw=pelvis.small_pelvis, target_mm=(92, 78, 42), share=1.3),
    "breast": Region(draw=breast.breast, target_mm=(165, 95, 80), share=0.7),
}


def body(region: str, rng: np.random.Generator, *, coarser: float = 1.0) -> Anatomy:
    """One body of a region, with voxels `coarser` than usual; KeyError for a region that is none."""
    spec = REGIONS[region]
    canvas = spec.draw(rng, coarser)
    for _ in range(int(rng.choice([0, 1, 1, 2, 3]))):
        add_body_lesion(canvas.tissue, canvas.spacing_mm, rng)
    target = Target(mask=_target(canvas, spec.target_mm))
    return assemble(f"drawn-{region}", region, canvas.tissue, spacing_mm=canvas.spacing_mm, target=target, rng=rng)


def _target(canvas: Canvas, half_mm: tuple[float, float, float]) -> Tensor:
    """The box round the middle, cut to the body."""
    shape = canvas.tissue.shape
    box = torch.zeros(shape, dtype=torch.bool)
    spans = [
        slice(max(0, int(n / 2 - half / canvas.spacing_mm)), min(n, int(n / 2 + half / canvas.spacing_mm) + 1))
        for n, half in zip(shape, half_mm, strict=True)
    ]
    box[spans[0], spans[1], spans[2]] = True
    return box & (canvas.tissue > 0)


def qa_object(rng: np.random.Generator) -> Anatomy:
    """A quality-control phantom: a bottle of doped water with inserts, rods and a wedge. No label is true of it."""
    c = Canvas((210.0, 210.0, 170.0), 1.5, rng, bend_mm=0.0)
    round_bottle = c.chance(0.6)
    radius = c.between(70, 98)
    distance = (
        c.ellipsoid((0, 0, 0), (radius, radius, radius))
        if c.chance(0.3)
        else torch.maximum(c.column(0.0, 0.0, (radius, radius), 2.0 if round_bottle else 8.0), c.z.abs() / 78.0)
    )
    liquids = (Tissue.VEIN, Tissue.BILE, Tissue.BOWEL_CONTENT, Tissue.GLAND, Tissue.CYST, Tissue.FAT, Tissue.MUSCLE)
    c.paint(distance < 1, liquids[int(rng.integers(5))])
    c.paint((distance < 1) & (distance > 0.97), Tissue.AIR)
    for _ in range(int(rng.integers(0, 14))):
        x, y, r = c.between(-60, 60), c.between(-60, 60), c.between(2, 14)
        kind = Tissue.AIR if c.chance(0.5) else liquids[int(rng.integers(len(liquids)))]
        c.paint((c.column(x, y, (r, r)) < 1) & (distance < 0.9), kind)
    if c.chance(0.4):
        grid = (torch.remainder(c.x, 14) < 2) | (torch.remainder(c.y, 14) < 2)
        c.paint(grid & (c.z.abs() < 15) & (distance < 0.9), Tissue.AIR)
    target = Target(mask=c.tissue > 0)
    return assemble("drawn-test-object", "test-object", c.tissue, spacing_mm=c.spacing_mm, target=target, rng=rng)
