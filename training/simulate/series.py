"""One simulated series: a person, a scan and a view, imaged."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from training.simulate import scanner
from training.simulate.anatomy import Anatomy, brain_mask
from training.simulate.render import Picture, View, sample, signal_table
from training.simulate.scan import Physics, Plane, Sampling, Scan
from training.simulate.scanner import Faults
from training.simulate.tissues import TissueParameters, parameters

# Right, down and normal of each plane in RAS, as radiology shows it: the patient's right on the left of the picture.
_AXES: Final[dict[Plane, tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]]] = {
    "axial": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "coronal": ((-1, 0, 0), (0, 0, -1), (0, -1, 0)),
    "sagittal": ((0, -1, 0), (0, 0, -1), (-1, 0, 0)),
}
_AXIS_OF: Final[dict[Plane, tuple[int, int, int]]] = {"axial": (1, 0, 2), "coronal": (2, 0, 1), "sagittal": (2, 1, 0)}


@dataclass(frozen=True, kw_only=True)
class SimulatedSeries:
    """Pixels and everything that is true about them."""

    scan: Scan
    view: View
    volume: Tensor  # float32 (slices, rows, columns), in units of the noise-free tissue signal
    seed: int


def rotation(rng: np.random.Generator, tilt_deg: float) -> np.ndarray:
    """A small random rotation (3, 3): the operator's angulation, by Rodrigues' formula."""
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    angle = np.radians(rng.normal(0.0, tilt_deg))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def plan(anatomy: Anatomy, scan: Scan, slices: int, rng: np.random.Generator, *, tilt_deg: float = 4.0) -> View:
    """Put a stack of slices over the anatomy as an operator would."""
    turn = rotation(rng, tilt_deg)
    right, down, normal = (tuple((turn @ np.array(v, dtype=float)).tolist()) for v in _AXES[scan.plane])
    down_axis, right_axis, through_axis = _AXIS_OF[scan.plane]
    margin = float(rng.uniform(1.12, 1.35)) if anatomy.region == "head" else float(rng.uniform(0.75, 1.1))
    # The field of view covers the head and not the brain alone: skull and scalp add about 35 mm.
    skull = 35.0 if anatomy.region == "head" else 0.0
    extents = (anatomy.extent_mm[down_axis] + skull, anatomy.extent_mm[right_axis] + skull)
    side = max(extents) * margin
    fov = (side, side) if rng.random() < 0.6 else (extents[0] * margin, max(extents[1] * margin, 0.7 * side))
    step = scan.sampling.thickness_mm + scan.sampling.gap_mm
    reach = 0.86 * anatomy.extent_mm[through_axis]
    if not scan.sampling.volumetric and slices > 1:
        step = max(step, min(reach / slices, 1.6 * step))
    if scan.sampling.volumetric:
        step = reach / slices  # a volume is written thinned to the slices that are asked for
    offsets = tuple((np.arange(slices) - (slices - 1) / 2) * step)
    centre = np.asarray(anatomy.centre_mm) + rng.normal(0.0, 3.0, 3)
    return View(
        centre_mm=tuple(centre.tolist()), right=right, down=down, normal=normal, fov_mm=fov,
        offsets_mm=tuple(float(o) for o in offsets), thickness_mm=scan.sampling.thickness_mm,
    )  # fmt: skip


def matrix(view: View, sampling: Sampling, *, along_rows: bool) -> tuple[int, int]:
    """Acquired matrix (rows, columns): phase encoding gets the coarser voxel."""
    phase, read = sampling.voxel_mm
    down, right = (read, phase) if along_rows else (phase, read)
    return (max(32, round(view.fov_mm[0] / down)), max(32, round(view.fov_mm[1] / right)))


def draw_faults(scan: Scan, rng: np.random.Generator) -> Faults:
    """How good the scanner and how still the patient is."""
    epi = scan.physics.kind.endswith("epi")
    high_field = scan.physics.field_t / 3.0
    return Faults(
        receive_bias=float(abs(rng.normal(0.0, 0.22))) * (0.5 + 0.5 * high_field),
        transmit_bias=float(abs(rng.normal(0.0, 0.1))) * high_field,
        ghost=float(rng.exponential(0.02)) if epi else 0.0,
        motion_mm=float(rng.exponential(0.25)) if rng.random() < 0.25 and not epi else 0.0,
        fat_failure=float(rng.beta(1.2, 8.0)),
        shim_ppm=float(abs(rng.normal(0.0, 0.3))),
        phase_along_rows=bool(rng.random() < (0.2 if epi else 0.5)),
        kspace_filter=float(rng.uniform(0.0, 1.0)),
    )


@dataclass(frozen=True, kw_only=True)
class Imaging:
    """What one acquisition needs besides its physics; shared by the members of a study."""

    tissue: TissueParameters
    faults: Faults
    generator: torch.Generator
    oversampling: float = 1.25
    sub_slices: int = 4


def _reference(picture: Picture) -> float:
    """Mean signal of the body, the level that the signal-to-noise ratio is quoted for."""
    inside = picture.body > 0.5
    level = (picture.water + picture.fat).abs()[inside]
    return float(level.mean()) if level.numel() else 1.0


def acquire(anatomy: Anatomy, view: View, physics: Physics, sampling: Sampling, imaging: Imaging) -> Tensor:
    """Complex or real images (n, rows, columns) of one acquisition, on the reconstructed matrix."""
    faults, generator = imaging.faults, imaging.generator
    acquired = matrix(view, sampling, along_rows=faults.phase_along_rows)
    fine = tuple(round(side * imaging.oversampling) for side in acquired)
    jitter = torch.rand(3, generator=generator) - 0.5
    table = signal_table(physics, imaging.tissue)
    picture = sample(anatomy, view, table, fine, sub_slices=imaging.sub_slices, jitter=jitter)
    still = replace(physics, b_s_mm2=0.0)
    quiet = picture if physics.b_s_mm2 == 0 else sample(
        anatomy, view, signal_table(still, imaging.tissue), fine, sub_slices=1, jitter=jitter
    )
    image = scanner.complex_signal(picture, physics, faults, generator)
    weight = scanner.receive_profile(tuple(image.shape), faults.receive_bias, generator)
    image = image * weight.to(image.device)
    if physics.kind.endswith("epi"):
        image = scanner.distort(image, _epi_shift(picture, physics, view, acquired, faults), along_rows=faults.phase_along_rows)
    kspace = scanner.through_kspace(image, physics, sampling, faults, acquired=acquired, generator=generator)
    rebuilt = tuple(round(side * sampling.zero_fill) for side in acquired)
    return scanner.reconstruct(
        kspace, shape=rebuilt, sigma=_reference(quiet) / sampling.snr, coils=sampling.coils,
        filtering=faults.kspace_filter, generator=generator,
    )  # fmt: skip


def _epi_shift(picture: Picture, physics: Physics, view: View, acquired: tuple[int, int], faults: Faults) -> Tensor:
    """Displacement in pixels of the fine grid: field shift over the bandwidth per pixel of phase encoding."""
    hz = physics.field_t * 42.577
    readout_s = 0.5e-3 * acquired[1 if faults.phase_along_rows else 0] / 2.0  # echo spacing 0.5 ms, acceleration 2
    pixels = picture.field_ppm * hz * readout_s
    return pixels.clamp(-12, 12) * picture.water.shape[1] / acquired[0]


def produce(anatomy: Anatomy, view: View, scan: Scan, imaging: Imaging) -> Tensor:
    """The images of a series as its output kind wants them, float32 (n, rows, columns)."""
    output = scan.physics.output
    if output == "adc":
        plain = replace(scan.physics, b_s_mm2=0.0, output="magnitude")
        base = acquire(anatomy, view, plain, scan.sampling, imaging).abs()
        weighted = acquire(anatomy, view, scan.physics, scan.sampling, imaging).abs()
        return adc_map(base, weighted, scan.physics.b_s_mm2)
    return acquire(anatomy, view, scan.physics, scan.sampling, imaging).abs()


def adc_map(base: Tensor, weighted: Tensor, b_s_mm2: float) -> Tensor:
    """Apparent diffusion coefficient ln(S0 / Sb) / b in um2/ms; zero where there is no signal."""
    adc = torch.log(base.clamp_min(1e-9) / weighted.clamp_min(1e-9)) / (b_s_mm2 * 1e-3)
    noise = torch.quantile(base.flatten()[:: max(1, base.numel() // 100000)], 0.3)
    return torch.where(base > 2.5 * noise, adc.clamp(0.0, 4.0), 0.0)


def simulate(anatomy: Anatomy, scan: Scan, *, seed: int, slices: int, tissue: TissueParameters | None = None) -> SimulatedSeries:
    """One series of `slices` slices; the same arguments give the same pixels."""
    rng = np.random.default_rng(seed)
    view = plan(anatomy, scan, slices, rng)
    generator = torch.Generator().manual_seed(seed)
    imaging = Imaging(
        tissue=tissue if tissue is not None else parameters(scan.physics.field_t, rng),
        faults=draw_faults(scan, rng), generator=generator, oversampling=1.5, sub_slices=6,
    )  # fmt: skip
    return SimulatedSeries(scan=scan, view=view, volume=produce(anatomy, view, scan, imaging), seed=seed)
