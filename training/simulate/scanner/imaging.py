"""A scan carried out: one person, one view, one set of physics, and the images that come out."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from training.simulate.people.fields import fast_size
from training.simulate.physics.magnetisation import parameter_table, signal_table
from training.simulate.physics.scan import PARAMETER_MAPS, Scan
from training.simulate.scanner import encoding as mr
from training.simulate.scanner.encoding import Encoding, Faults
from training.simulate.scanner.planning import matrix
from training.simulate.scanner.render import Person, Picture, View, sample

_MIP_PLANES = 12
_SINGLE_SHOT = 2.0  # noise of one diffusion-weighted image over that of their average
_MIP_SLAB_MM = 36.0


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How finely the signal is sampled before it is encoded."""

    oversampling: float = 1.25  # sampling grid over acquired matrix
    sub_slices: int = 4
    largest_matrix: int | None = None  # acquired matrices are cut down to this; noise is averaged accordingly


def images(
    person: Person, view: View, scan: Scan, faults: Faults, quality: Quality, generator: torch.Generator
) -> Tensor:
    """The images of a series as its output asks for them, float32 (n, rows, columns).

    Magnitudes and maps are positive in arbitrary units; phase and velocity are in [-pi, pi]; an ADC is in um2/ms.
    """
    p = scan.physics
    if p.output == "mip":
        return _projected(person, view, scan, faults, quality, generator)
    encoding = _encoding(view, scan, faults, quality, generator)
    if p.output in PARAMETER_MAPS:
        return _parameter_map(person, view, encoding, quality)
    image, sigma = acquire(person, view, encoding, quality)
    floor = sigma * math.sqrt(2.0 * encoding.sampling.coils)  # what several coils hear where nothing is
    if p.output == "adc":
        plain = replace(encoding, physics=replace(p, b_s_mm2=0.0))
        base, _ = acquire(person, view, plain, quality)
        # Magnitudes were averaged after the noise of single shots had lifted them (Jones 2004, MRM 52:979).
        lifted = (image.abs().square() + (_SINGLE_SHOT * floor) ** 2).sqrt()
        return adc_map(base.abs(), lifted, b_s_mm2=p.b_s_mm2, floor=faults.map_floor * floor)
    if p.output in ("phase", "velocity"):
        return image.angle()
    if p.output == "swi":
        return _susceptibility_weighted(image)
    magnitude = image.abs()
    if faults.blank_background:
        magnitude = torch.where(magnitude > 2.0 * floor, magnitude, 0.0)
    return magnitude


def _encoding(view: View, scan: Scan, faults: Faults, quality: Quality, generator: torch.Generator) -> Encoding:
    full = matrix(view, scan.sampling, along_rows=faults.phase_along_rows)
    acquired = matrix(view, scan.sampling, along_rows=faults.phase_along_rows, largest=quality.largest_matrix)
    averaged = math.sqrt(full[0] * full[1] / (acquired[0] * acquired[1]))
    coils = 1 if scan.physics.output in ("phase", "velocity", "swi") else scan.sampling.coils
    sampling = replace(scan.sampling, snr=scan.sampling.snr * averaged, coils=coils)
    return Encoding(physics=scan.physics, sampling=sampling, faults=faults, acquired=acquired, generator=generator)


def _rebuilt(encoding: Encoding, largest: int | None) -> tuple[int, int]:
    """The reconstructed matrix."""
    sides = [fast_size(round(side * encoding.sampling.zero_fill)) for side in encoding.acquired]
    if largest is not None and max(sides) > largest:
        sides = [max(round(s * largest / max(sides)), a) for s, a in zip(sides, encoding.acquired, strict=True)]
    return sides[0], sides[1]


def _sampled(person: Person, view: View, table: Tensor, encoding: Encoding, quality: Quality) -> Picture:
    fine = [fast_size(round(side * quality.oversampling)) for side in encoding.acquired]
    return sample(person, view, table, (fine[0], fine[1]), sub_slices=quality.sub_slices, generator=encoding.generator)


def acquire(person: Person, view: View, encoding: Encoding, quality: Quality) -> tuple[Tensor, float]:
    """One acquisition on the reconstructed matrix and the standard deviation of its noise.

    The images are complex for one coil and the root of the sum of squares (real) for several.
    """
    p, faults = encoding.physics, encoding.faults
    picture = _sampled(person, view, signal_table(p, person.tissue), encoding, quality)
    image = mr.complex_signal(picture, encoding)
    n, h, w = image.shape
    image = image * mr.receive_profile((n, h, w), encoding)
    if mr.is_epi(p):
        shift_px = mr.epi_shift_px(picture, encoding)
        image = mr.distort(image, shift_px, along_rows=faults.phase_along_rows)
    kspace = mr.to_kspace(image, encoding)
    sigma = _reference(picture, p.b_s_mm2) / encoding.sampling.snr
    return mr.reconstruct(kspace, encoding, sigma=sigma, shape=_rebuilt(encoding, quality.largest_matrix)), sigma


def _reference(picture: Picture, b_s_mm2: float) -> float:
    """Mean signal of the body without diffusion weighting: the level the signal-to-noise ratio is quoted for."""
    level = (picture.water + picture.fat).abs() * picture.body
    mean = float(level.sum() / picture.body.sum().clamp(min=1.0)) or 1.0
    return mean * math.exp(b_s_mm2 * 0.75e-3)


def adc_map(base: Tensor, weighted: Tensor, *, b_s_mm2: float, floor: float) -> Tensor:
    """Apparent diffusion coefficient ln(S0 / Sb) / b in um2/ms; zero where S0 is below `floor`."""
    adc = torch.log(base.clamp_min(1e-9) / weighted.clamp_min(1e-9)) / (b_s_mm2 * 1e-3)
    return torch.where(base > floor, adc.clamp(0.0, 4.0), 0.0)


def _parameter_map(person: Person, view: View, encoding: Encoding, quality: Quality) -> Tensor:
    """A fitted map: the parameter of what lies in the voxel with the scatter of a fit; 0 where nothing was fitted."""
    picture = _sampled(person, view, parameter_table(encoding.physics, person.tissue), encoding, quality)
    kspace = mr.to_kspace(torch.complex(picture.water, torch.zeros_like(picture.water)), encoding)
    single = replace(encoding, sampling=replace(encoding.sampling, coils=1))
    shape = _rebuilt(encoding, quality.largest_matrix)
    noisy = mr.reconstruct(kspace, single, sigma=1.0 / encoding.sampling.snr, shape=shape).real
    outside = _resampled(picture.body, shape) < 0.5
    return torch.where(outside, 0.0, noisy).clamp(min=0.0)


def _resampled(image: Tensor, shape: tuple[int, int]) -> Tensor:
    return interpolate(image[:, None], size=shape, mode="bilinear", align_corners=False)[:, 0]


def _susceptibility_weighted(image: Tensor) -> Tensor:
    """Magnitude times the fourth power of the phase mask (Haacke 2004, MRM 52:612)."""
    parts = torch.view_as_real(image).permute(0, 3, 1, 2)
    block = max(min(image.shape[-2:]) // 24, 2)
    slow = interpolate(
        avg_pool2d(parts, block, ceil_mode=True), size=image.shape[-2:], mode="bicubic", align_corners=False
    )
    phase = (image * torch.view_as_complex(slow.permute(0, 2, 3, 1).contiguous()).conj()).angle()
    mask = (1.0 - phase.clamp(min=0.0) / math.pi) ** 4
    return image.abs() * mask


def _projected(
    person: Person, view: View, scan: Scan, faults: Faults, quality: Quality, generator: torch.Generator
) -> Tensor:
    """Maximum intensity projections of slabs round each slice."""
    steps = (torch.arange(_MIP_PLANES) + 0.5) / _MIP_PLANES - 0.5
    planes = tuple(offset + float(step) * _MIP_SLAB_MM for offset in view.offsets_mm for step in steps)
    thin = replace(view, offsets_mm=planes)
    source = replace(scan, physics=replace(scan.physics, output="magnitude"))
    stack = images(person, thin, source, faults, replace(quality, sub_slices=1), generator)
    return stack.reshape(len(view.offsets_mm), _MIP_PLANES, *stack.shape[-2:]).amax(1)
