"""From a picture of signals to complex images: coil, encoding, noise, artefacts.

The order is that of a scanner: suppression and fields act on the magnetisation, the coil weights it, phase encoding
takes time (distortion, blur, ghosts), the receiver adds complex Gaussian noise, reconstruction filters and zero-fills.
Magnitudes then are Rician for one coil (Gudbjartsson 1995) and noncentral chi for several (Constantinides 1997).
"""

import cmath
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from training.simulate.physics import signal
from training.simulate.physics.scan import Physics, Sampling
from training.simulate.scanner.render import Picture

Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """How imperfect this scanner is today; the default is a perfect one."""

    receive_bias: float = 0.0  # relative variation of the coil over the field of view
    near_coil: float = 0.0  # how much brighter what lies close to a surface coil is
    transmit_bias: float = 0.0  # brighter (or darker) middle at high field
    ghost: float = 0.0  # share of the signal in the N/2 ghost
    motion_mm: float = 0.0
    fat_failure: float = 0.0  # share of fat that is left where suppression works
    shim_ppm: float = 0.0  # linear field error at the edge of the field of view
    fat_shift_px: float = 0.0  # along readout; echo-planar images shift along phase encoding by their own bandwidth
    epi_spacing_ms: float = 0.5  # echo spacing of an echo-planar readout over its acceleration
    phase_along_rows: bool = False  # phase encoding runs along the rows of the image
    kspace_filter: float = 0.0  # 1: a full Hamming window; below 0 high frequencies are raised
    map_floor: float = 3.0  # an ADC is computed where the signal is so many times the noise
    blank_background: bool = False  # the reconstruction sets what is below the noise to zero


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """One acquisition as the scanner sees it."""

    physics: Physics
    sampling: Sampling
    faults: Faults
    acquired: Size  # matrix, rows and columns
    generator: torch.Generator

    def random(self, *shape: int) -> Tensor:
        """Uniform in [0, 1), on the generator's device."""
        return torch.rand(shape, generator=self.generator, device=self.generator.device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, on the generator's device."""
        return torch.randn(shape, generator=self.generator, device=self.generator.device)


def is_epi(physics: Physics) -> bool:
    """Whether all of k-space is read after one excitation, echo-planar."""
    return physics.kind in ("gradient-epi", "spin-epi")


def complex_signal(picture: Picture, encoding: Encoding) -> Tensor:
    """Water and fat with their phases, complex64 (n, h, w): suppression, dephasing, phase of the fields."""
    p, faults = encoding.physics, encoding.faults
    hz_per_ppm = signal.GYROMAGNETIC_HZ_PER_T * p.field_t * 1e-6
    shift_hz = (picture.field_ppm + _shim(picture.field_ppm, encoding)) * hz_per_ppm
    fat = picture.fat * fat_left(p, shift_hz, hz_per_ppm, faults)
    fat = _shifted_fat(fat, encoding, hz_per_ppm)
    if p.output == "velocity":
        return torch.polar((picture.water + fat).abs(), math.pi * picture.local_ppm)
    if p.kind not in ("spoiled", "prepared", "gradient-epi"):
        return torch.complex(picture.water + fat, torch.zeros_like(fat))
    te_s = p.te_ms * 1e-3
    phasor = signal.fat_phasor(p.field_t, p.te_ms)
    total = torch.complex(picture.water + fat * phasor.real, fat * phasor.imag)
    through = torch.sinc(picture.across_ppm * hz_per_ppm * te_s)  # the phase runs linearly across the slice
    angle = 2.0 * math.pi * te_s * (shift_hz + picture.local_ppm * hz_per_ppm)
    return total * torch.polar(through.abs(), angle)


def _shim(like: Tensor, encoding: Encoding) -> Tensor:
    """A linear error of the field over the picture, in ppm."""
    if encoding.faults.shim_ppm == 0:
        return torch.zeros((), device=like.device)
    h, w = like.shape[-2:]
    slope = (encoding.normal(3) * encoding.faults.shim_ppm).to(like.device)
    rows = torch.linspace(-1, 1, h, device=like.device)[:, None]
    return rows * slope[0] + torch.linspace(-1, 1, w, device=like.device) * slope[1] + 0.3 * slope[2]


def fat_left(p: Physics, shift_hz: Tensor, hz_per_ppm: float, faults: Faults) -> Tensor | float:
    """Share of the fat signal that survives; spectral methods fail where the field is off by much of the fat shift."""
    if p.fat in ("none", "inversion"):
        return 1.0
    if p.fat == "dixon-water":
        return 0.02 + 0.3 * faults.fat_failure
    width_ppm = 2.4 if is_epi(p) else 1.6  # echo-planar scans suppress fat twice
    miss = 1.0 - torch.exp(-((shift_hz / (width_ppm * hz_per_ppm)) ** 2))
    return faults.fat_failure + (1.0 - faults.fat_failure) * miss


def _shifted_fat(fat: Tensor, encoding: Encoding, hz_per_ppm: float) -> Tensor:
    """Fat lies where its frequency says: some pixels along readout, many along phase encoding in echo-planar images."""
    faults = encoding.faults
    if is_epi(encoding.physics):
        axis = 2 if faults.phase_along_rows else 1
        readout_s = faults.epi_spacing_ms * 1e-3 * encoding.acquired[axis - 1]
        pixels = 3.4 * hz_per_ppm * readout_s
    else:
        axis = 1 if faults.phase_along_rows else 2
        pixels = faults.fat_shift_px
    steps = round(pixels * fat.shape[axis] / encoding.acquired[axis - 1])
    if steps == 0:
        return fat
    moved = torch.roll(fat, steps, dims=axis)
    if not is_epi(encoding.physics):  # what leaves along readout is lost; along phase encoding it folds in
        moved.narrow(axis, 0 if steps > 0 else fat.shape[axis] + steps, abs(steps)).zero_()
    return moved


def receive_profile(shape: tuple[int, int, int], encoding: Encoding) -> Tensor:
    """A smooth positive weight (n, h, w) of mean one: coils far and near, and the transmit field in the middle."""
    n, h, w = shape
    faults = encoding.faults
    device = encoding.generator.device
    rows = torch.linspace(-1, 1, h, device=device)[:, None]
    columns = torch.linspace(-1, 1, w, device=device)
    c = encoding.normal(6)
    log_weight = faults.receive_bias * (
        c[0] * rows + c[1] * columns + c[2] * rows * columns + c[3] * (rows**2 - 0.33) + c[4] * (columns**2 - 0.33)
    )
    if faults.near_coil > 0:
        angle = 2 * math.pi * float(encoding.random(1))
        towards = rows * math.cos(angle) + columns * math.sin(angle)
        log_weight = log_weight + faults.near_coil * towards
    log_weight = log_weight + faults.transmit_bias * torch.cos(
        0.5 * math.pi * (rows**2 + columns**2).sqrt().clamp(max=2.0)
    )
    along = torch.linspace(-0.5, 0.5, n, device=device)[:, None, None] * faults.receive_bias * c[5] if n > 1 else 0.0
    weight = torch.exp(log_weight[None] + along)
    return weight / weight.mean()


def to_kspace(image: Tensor, encoding: Encoding) -> Tensor:
    """Encode complex (n, h, w): crop to the acquired matrix, blur, ghost, move; centred k-space (n, *acquired)."""
    h, w = image.shape[-2:]
    ah, aw = min(encoding.acquired[0], h), min(encoding.acquired[1], w)
    kspace = torch.fft.fftshift(torch.fft.fft2(image), dim=(-2, -1))
    top, left = h // 2 - ah // 2, w // 2 - aw // 2
    kspace = kspace[:, top : top + ah, left : left + aw] * (ah * aw / (h * w))
    lines = aw if encoding.faults.phase_along_rows else ah
    gain = _line_gain(lines, encoding)
    return kspace * (gain if encoding.faults.phase_along_rows else gain[:, None])


def _line_gain(lines: int, encoding: Encoding) -> Tensor:
    """What happens to each phase encoding line: decay, alternating errors, movement, lines that are not read."""
    faults, sampling = encoding.faults, encoding.sampling
    position = torch.fft.fftshift(torch.fft.fftfreq(lines, device=encoding.generator.device))
    gain = torch.ones(lines, dtype=torch.complex64, device=position.device)
    if sampling.blur_ms > 0:  # T2 decay of typical tissue while the outer lines are read
        gain = gain * torch.exp(-2 * position.abs() * sampling.blur_ms / 80.0)
    if faults.ghost > 0:
        gain[::2] *= 1.0 + 2.0 * faults.ghost * cmath.exp(2j * math.pi * float(encoding.random(1)))
    if faults.motion_mm > 0:
        gain = gain * _motion(position, encoding)
    if sampling.partial_fourier < 1.0:
        read = torch.arange(lines, device=gain.device) >= round(lines * (1.0 - sampling.partial_fourier))
        gain = gain * torch.where(
            read, 1.0, 0.6
        )  # what symmetry of k-space does not give back of the lines that were not read
    return gain


def _motion(position: Tensor, encoding: Encoding) -> Tensor:
    """Phase errors of a body that breathes and jumps along the phase encoding direction."""
    lines = position.numel()
    time = torch.arange(lines, device=position.device) / lines
    rate, start, jump_at, jump = encoding.random(4).tolist()
    breathing = torch.sin(2 * math.pi * ((3.0 + 9.0 * rate) * time + start))
    jumped = (time > 0.55 + 0.4 * jump_at) * (2.0 * jump - 1.0)
    shift_px = encoding.faults.motion_mm / encoding.sampling.voxel_mm[0] * (0.5 * breathing + jumped)
    return torch.polar(torch.ones_like(time), -2 * math.pi * position * shift_px)


def reconstruct(kspace: Tensor, encoding: Encoding, *, sigma: float, shape: Size) -> Tensor:
    """Noise of standard deviation `sigma` per acquired pixel, filter, zero-fill to `shape`.

    Complex for one coil; for several the root of the sum of squares (real): one coil sees the signal, all hear noise.
    """
    ah, aw = kspace.shape[-2:]
    quiet = sigma * math.sqrt(ah * aw)
    window = _window(ah, encoding)[:, None] * _window(aw, encoding)
    noise = torch.view_as_complex(encoding.normal(*kspace.shape, 2)) * quiet
    first = _to_image((kspace + noise) * window, shape)
    if encoding.sampling.coils == 1:
        return first
    # The other coils hear noise alone: the sum of their squares is chi-squared, here by its normal approximation.
    others = 2 * (encoding.sampling.coils - 1)
    level = sigma**2 * others * float(window.square().mean())
    spread = 1.0 + encoding.normal(*kspace.shape) * math.sqrt(2.0 / others)
    if spread.shape != first.shape:
        spread = interpolate(spread[:, None], size=first.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    return (first.abs().square() + level * spread.clamp(min=0.0)).sqrt()


def _window(size: int, encoding: Encoding) -> Tensor:
    """A blend of nothing and a Hamming window, or of nothing and raised high frequencies."""
    strength = encoding.faults.kspace_filter
    hamming = torch.hamming_window(size, periodic=False, device=encoding.generator.device)
    return 1.0 - strength * (1.0 - hamming)


def _to_image(kspace: Tensor, shape: Size) -> Tensor:
    """Inverse transform of centred k-space onto an equal or larger matrix; keeps the mean intensity."""
    ah, aw = kspace.shape[-2:]
    h, w = max(shape[0], ah), max(shape[1], aw)
    if (h, w) != (ah, aw):
        padded = torch.zeros((*kspace.shape[:-2], h, w), dtype=kspace.dtype, device=kspace.device)
        top, left = h // 2 - ah // 2, w // 2 - aw // 2
        padded[..., top : top + ah, left : left + aw] = kspace
        kspace = padded
    return torch.fft.ifft2(torch.fft.ifftshift(kspace, dim=(-2, -1))) * (h * w / (ah * aw))


def epi_shift_px(picture: Picture, encoding: Encoding) -> Tensor:
    """Displacement along phase encoding in pixels of the picture: field shift times readout time (Jezzard 1995)."""
    axis = 2 if encoding.faults.phase_along_rows else 1
    hz_per_ppm = signal.GYROMAGNETIC_HZ_PER_T * encoding.physics.field_t * 1e-6
    acquired = encoding.acquired[axis - 1]
    pixels = picture.field_ppm * hz_per_ppm * encoding.faults.epi_spacing_ms * 1e-3 * acquired
    return pixels.clamp(-12, 12) * (picture.water.shape[axis] / acquired)


def distort(image: Tensor, shift_px: Tensor, *, along_rows: bool) -> Tensor:
    """Displace complex (n, h, w) along phase encoding and pile the signal up where the displacement converges."""
    n, h, w = image.shape
    device = image.device
    rows = ((torch.arange(h, device=device) + 0.5) / h * 2 - 1)[:, None].expand(n, h, w)
    columns = ((torch.arange(w, device=device) + 0.5) / w * 2 - 1).expand(n, h, w)
    if along_rows:
        columns = columns + shift_px * (2.0 / w)
    else:
        rows = rows + shift_px * (2.0 / h)
    density = (1.0 + torch.gradient(shift_px, dim=2 if along_rows else 1)[0]).clamp(0.1, 4.0)
    parts = torch.view_as_real(image).permute(0, 3, 1, 2)
    moved = grid_sample(parts, torch.stack([columns, rows], -1), align_corners=False, padding_mode="zeros")
    return torch.view_as_complex(moved.permute(0, 2, 3, 1).contiguous()) * density
