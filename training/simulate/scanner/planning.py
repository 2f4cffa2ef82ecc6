"""What an operator and a patient add: where the slices lie, how the person is built, how well the scan went."""

from typing import Final

import numpy as np
import torch

from training.simulate.people.anatomy import Anatomy
from training.simulate.people.fields import fast_size
from training.simulate.physics.scan import Plane, Sampling, Scan
from training.simulate.physics.tissues import parameters
from training.simulate.scanner.encoding import Faults, is_epi
from training.simulate.scanner.render import Person, Vector, View

# Right, down and normal of each plane in RAS, as radiology shows it: the patient's right on the left of the picture.
AXES: Final[dict[Plane, tuple[Vector, Vector, Vector]]] = {
    "axial": ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)),
    "coronal": ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
    "sagittal": ((0.0, -1.0, 0.0), (0.0, 0.0, -1.0), (-1.0, 0.0, 0.0)),
}
# Axis of the anatomy along down, right and normal.
_AXIS_OF: Final[dict[Plane, tuple[int, int, int]]] = {"axial": (1, 0, 2), "coronal": (2, 0, 1), "sagittal": (2, 1, 0)}
# Regions that are seen by a coil on one side of the body.
_SURFACE_COIL: Final = {
    "lumbar-spine": 1.2,
    "neck": 0.5,
    "cord": 0.5,
    "breast": 0.9,
    "shoulder": 0.8,
    "hip": 0.4,
    "pelvis": 0.4,
    "prostate": 0.6,
    "abdomen": 0.3,
}

# Regions that are often shown whole, with air round them.
_WITH_AIR_ROUND: Final = ("knee", "limb", "extremity", "abdomen", "breast", "test-object")


def _triple(values: np.ndarray) -> Vector:
    x, y, z = values.tolist()
    return (x, y, z)


def rotation(rng: np.random.Generator, tilt_deg: float) -> np.ndarray:
    """A small random rotation (3, 3), the operator's angulation (Rodrigues' formula)."""
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    angle = np.radians(rng.normal(0.0, tilt_deg))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def person(anatomy: Anatomy, field_t: float, rng: np.random.Generator, *, warp_mm: float = 2.5) -> Person:
    """One person built like `anatomy`: other size, other shape, other tissue values."""
    warp = torch.from_numpy(rng.normal(0.0, warp_mm, (3, 6, 6, 6)).astype(np.float32)) if warp_mm > 0 else None
    return Person(
        anatomy=anatomy,
        tissue=parameters(field_t, rng).to(anatomy.codes.device),
        stretch=_triple(np.exp(rng.normal(0.0, 0.04, 3))),
        warp_mm=None if warp is None else warp.to(anatomy.codes.device),
    )


def plan(anatomy: Anatomy, scan: Scan, offsets: np.ndarray, rng: np.random.Generator, *, tilt_deg: float = 4.0) -> View:
    """Put slices over the anatomy; `offsets` are positions in [-0.5, 0.5] of the stack's coverage."""
    turn = rotation(rng, tilt_deg)
    right, down, normal = (_triple(turn @ np.array(axis)) for axis in AXES[scan.plane])
    down_axis, right_axis, through_axis = _AXIS_OF[scan.plane]
    extents = [anatomy.extent_mm[axis] + anatomy.margin_mm for axis in (down_axis, right_axis)]
    factor = float(rng.uniform(*_field_of_view(anatomy, scan)))
    fov = [extents[0] * factor, extents[1] * factor]
    if rng.random() < 0.6 or scan.plane != "axial":
        fov = [max(fov), max(fov)] if anatomy.region == "head" else [min(fov) * 1.15, min(fov) * 1.15]
    centre = np.asarray(anatomy.centre_mm) + rng.normal(0.0, 0.02, 3) * np.asarray(anatomy.extent_mm)
    reach = anatomy.extent_mm[through_axis]
    return View(
        centre_mm=_triple(centre),
        right=right,
        down=down,
        normal=normal,
        fov_mm=(fov[0], fov[1]),
        offsets_mm=tuple((offsets * reach).tolist()),
        thickness_mm=scan.sampling.thickness_mm,
    )


def _field_of_view(anatomy: Anatomy, scan: Scan) -> tuple[float, float]:
    """Range of the field of view over what it must cover: tight for echo-planar heads, wide for legs."""
    if anatomy.region == "head":
        return (0.95, 1.18) if is_epi(scan.physics) else (1.0, 1.3)
    return (0.7, 1.25) if anatomy.region in _WITH_AIR_ROUND else (0.6, 1.1)


def stack_offsets(anatomy: Anatomy, scan: Scan, slices: int) -> np.ndarray:
    """Evenly spaced positions of a whole stack, as shares of the coverage; thinned where there are too few slices."""
    reach = anatomy.extent_mm[_AXIS_OF[scan.plane][2]]
    step = (scan.sampling.thickness_mm + scan.sampling.gap_mm) / reach
    if scan.sampling.volumetric or step * slices < 0.5:
        step = max(step, 0.86 / slices)
    step = min(step, 0.95 / max(slices - 1, 1))
    return (np.arange(slices) - (slices - 1) / 2) * step


def matrix(view: View, sampling: Sampling, *, along_rows: bool, largest: int | None = None) -> tuple[int, int]:
    """Acquired matrix (rows, columns), of sizes that transform fast; `largest` bounds both sides.

    Phase encoding has the coarser voxel.
    """
    phase, read = sampling.voxel_mm
    down, right = (read, phase) if along_rows else (phase, read)
    sides = [fast_size(max(32, round(view.fov_mm[0] / down))), fast_size(max(32, round(view.fov_mm[1] / right)))]
    if largest is not None:
        sides = [min(side, largest) for side in sides]
    return sides[0], sides[1]


def draw_faults(scan: Scan, rng: np.random.Generator) -> Faults:
    """How good the scanner and how still the patient is."""
    epi = is_epi(scan.physics)
    high_field = scan.physics.field_t / 3.0
    surface = _SURFACE_COIL.get(scan.region, 0.1)
    moving = rng.random() < (0.2 if scan.region in ("head", "knee", "limb", "extremity") else 0.5)
    return Faults(
        receive_bias=float(abs(rng.normal(0.0, 0.3 if epi else 0.2))) * (0.6 + 0.4 * high_field),
        near_coil=float(abs(rng.normal(0.0, surface))) if rng.random() < 0.6 else 0.0,
        transmit_bias=float(rng.normal(0.05, 0.15)) * high_field,
        ghost=float(rng.exponential(0.02)) if epi else 0.0,
        motion_mm=float(rng.exponential(0.5)) if moving and not epi else 0.0,
        fat_failure=float(rng.beta(1.2, 14.0)) * (0.2 if epi else 1.0),
        shim_ppm=float(abs(rng.normal(0.0, 0.15))),
        fat_shift_px=float(rng.uniform(0.0, 2.2)),
        epi_spacing_ms=float(np.exp(rng.uniform(np.log(0.12), np.log(0.65)))),  # short where it is segmented
        phase_along_rows=bool(rng.random() < (0.15 if epi else 0.5)),
        kspace_filter=float(rng.uniform(-0.3, 0.5) if epi else rng.uniform(-0.6, 0.7)),
        # some scanners compute a map everywhere, in the noise of the air too
        map_floor=0.0 if rng.random() < 0.2 else float(rng.uniform(1.5, 12.0)),
        blank_background=bool(rng.random() < 0.08),
    )
