"""From a picture of signals to a reconstructed magnitude: coil, k-space, noise, artefacts.

The order is that of a scanner: fat suppression and transmit field act on the magnetisation, the receive coil weights it,
phase encoding takes time (distortion, blur, ghosts), the receiver adds complex Gaussian noise, and the reconstruction zero-fills
and takes the magnitude (Rician for one coil, Gudbjartsson 1995; noncentral chi for several, Constantinides 1997).
"""

import cmath
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from training.simulate import signal
from training.simulate.render import Picture
from training.simulate.scan import Physics, Sampling


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """How imperfect this scanner is today; zero everywhere is a perfect one."""

    receive_bias: float = 0.3  # relative variation of the coil over the field of view
    transmit_bias: float = 0.1
    ghost: float = 0.0  # share of the signal in the N/2 ghost
    motion_mm: float = 0.0
    fat_failure: float = 0.1  # share of fat that is left where suppression works
    shim_ppm: float = 0.0  # linear field error at the edge of the field of view
    phase_along_rows: bool = False  # phase encoding along the rows of the image
    kspace_filter: float = 0.5  # 0: none, 1: a full Hamming window


def complex_signal(picture: Picture, physics: Physics, faults: Faults, generator: torch.Generator) -> Tensor:
    """Water and fat with their phases (n, h, w) complex64: suppression, dephasing, phase of the field."""
    hz = signal.GYROMAGNETIC_HZ_PER_T * physics.field_t * 1e-6
    shift_hz = (picture.field_ppm + _shim(picture.field_ppm, faults.shim_ppm, generator)) * hz
    fat = picture.fat * _fat_left(physics, shift_hz, hz, faults)
    gradient_echo = physics.kind in ("spoiled", "prepared", "gradient-epi")
    if not gradient_echo:
        return torch.complex(picture.water + fat, torch.zeros_like(fat))
    phasor = signal.fat_phasor(physics.field_t, physics.te_ms) if physics.kind != "gradient-epi" else 1.0 + 0.0j
    total = torch.complex(picture.water + fat * phasor.real, fat * phasor.imag)
    te_s = physics.te_ms * 1e-3
    through = torch.sinc(picture.dephasing_ppm.abs() * hz * te_s)  # phase spread linearly across the slice
    return total * torch.polar(through.abs(), 2.0 * math.pi * shift_hz * te_s)


def _shim(like: Tensor, ppm: float, generator: torch.Generator) -> Tensor:
    h, w = like.shape[-2:]
    slope = torch.randn(3, generator=generator) * ppm
    rows = torch.linspace(-1, 1, h)[:, None] * slope[0] + torch.linspace(-1, 1, w) * slope[1] + 0.3 * slope[2]
    return rows.to(like.device)


def _fat_left(physics: Physics, shift_hz: Tensor, hz_per_ppm: float, faults: Faults) -> Tensor | float:
    """Share of the fat signal that survives; spectral methods fail where the field is off by the fat shift."""
    if physics.fat in ("none", "inversion"):
        return 1.0
    if physics.fat == "dixon-water":
        return 0.03 + 0.3 * faults.fat_failure
    width = 1.1 * hz_per_ppm
    miss = 1.0 - torch.exp(-((shift_hz / width) ** 2))
    return (faults.fat_failure + (1.0 - faults.fat_failure) * miss).clamp(0.0, 1.0)


def receive_profile(shape: tuple[int, int, int], strength: float, generator: torch.Generator) -> Tensor:
    """A smooth positive weight (n, h, w) of mean one: a second-order surface in log space plus a near coil element."""
    n, h, w = shape
    rows, columns = torch.linspace(-1, 1, h)[:, None], torch.linspace(-1, 1, w)[None, :]
    c = torch.randn(6, generator=generator) * strength
    surface = c[0] * rows + c[1] * columns + c[2] * rows * columns + c[3] * (rows**2 - 0.33) + c[4] * (columns**2 - 0.33)
    along = torch.linspace(-0.5, 0.5, n)[:, None, None] * c[5] if n > 1 else torch.zeros(1, 1, 1)
    weight = torch.exp(surface[None] + along)
    return weight / weight.mean()


def through_kspace(
    image: Tensor, physics: Physics, sampling: Sampling, faults: Faults, *, acquired: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Encode (n, h, w) complex: crop to the acquired matrix, blur, filter, ghost, move. Returns k-space, centred."""
    n, h, w = image.shape
    ah, aw = min(acquired[0], h), min(acquired[1], w)
    kspace = torch.fft.fftshift(torch.fft.fft2(image), dim=(-2, -1))
    top, left = h // 2 - ah // 2, w // 2 - aw // 2
    kspace = kspace[:, top : top + ah, left : left + aw] * (ah * aw / (h * w))
    axis = 2 if faults.phase_along_rows else 1
    lines = kspace.shape[axis]
    position = torch.fft.fftshift(torch.fft.fftfreq(lines))
    gain = torch.ones(lines, dtype=torch.complex64)
    if sampling.blur_ms > 0:  # T2 decay of typical tissue away from the centre line
        gain = gain * torch.exp(-(2 * position.abs()) * sampling.blur_ms / 80.0)
    if faults.ghost > 0:
        gain[::2] *= 1.0 + faults.ghost * cmath.exp(1j * float(torch.rand(1, generator=generator)) * 6.28)
    if faults.motion_mm > 0:
        gain = gain * _motion(position, faults, sampling, generator)
    view = [1, 1, 1]
    view[axis] = lines
    kspace = kspace * gain.reshape(view).to(kspace.device)
    if sampling.partial_fourier < 1.0:
        keep = torch.arange(lines) >= round(lines * (1.0 - sampling.partial_fourier))
        kspace = kspace * keep.reshape(view).to(kspace.device)
    return kspace


def _window(h: int, w: int, strength: float) -> Tensor:
    """A blend of nothing and a Hamming window along both axes."""
    sides = [1.0 - strength * (1.0 - torch.hamming_window(size, periodic=False)) for size in (h, w)]
    return sides[0][:, None] * sides[1]


def _motion(position: Tensor, faults: Faults, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """Phase errors of a body that jumps or breathes along the phase encoding direction."""
    lines = position.numel()
    time = torch.arange(lines) / lines
    rate = 3.0 + 9.0 * float(torch.rand(1, generator=generator))
    breathing = torch.sin(2 * math.pi * rate * time + 6.28 * torch.rand(1, generator=generator))
    jump = (time > 0.55 + 0.4 * float(torch.rand(1, generator=generator))).float()
    shift_px = faults.motion_mm / sampling.voxel_mm[0] * (0.5 * breathing + jump * float(torch.randn(1, generator=generator)))
    return torch.polar(torch.ones(lines), -2 * math.pi * position * shift_px)


def reconstruct(
    kspace: Tensor, *, shape: tuple[int, int], sigma: float, coils: int, filtering: float, generator: torch.Generator
) -> Tensor:
    """Add complex noise of standard deviation `sigma` per pixel, filter, zero-fill to `shape`; complex for one coil.

    With several coils the answer is the root of the sum of squares, real: one coil sees the signal, all see noise.
    """
    ah, aw = kspace.shape[-2:]
    quiet = sigma * math.sqrt(ah * aw)
    window = _window(ah, aw, filtering).to(kspace.device)

    def noisy(signal_part: Tensor | None) -> Tensor:
        parts = torch.randn((2, *kspace.shape), generator=generator, device=generator.device).to(kspace.device) * quiet
        total = torch.complex(parts[0], parts[1]) if signal_part is None else signal_part + torch.complex(parts[0], parts[1])
        return _to_image(total * window, shape)

    first = noisy(kspace)
    if coils == 1:
        return first
    squared = first.abs().square()
    for _ in range(coils - 1):
        squared = squared + noisy(None).abs().square()
    return squared.sqrt()


def _to_image(kspace: Tensor, shape: tuple[int, int]) -> Tensor:
    """Inverse transform of centred k-space onto a larger or equal matrix; keeps the mean intensity."""
    ah, aw = kspace.shape[-2:]
    h, w = max(shape[0], ah), max(shape[1], aw)
    padded = torch.zeros((*kspace.shape[:-2], h, w), dtype=kspace.dtype, device=kspace.device)
    top, left = h // 2 - ah // 2, w // 2 - aw // 2
    padded[..., top : top + ah, left : left + aw] = kspace
    return torch.fft.ifft2(torch.fft.ifftshift(padded, dim=(-2, -1))) * (h * w / (ah * aw))


def distort(image: Tensor, shift_px: Tensor, *, along_rows: bool) -> Tensor:
    """Displace (n, h, w) by the field (in pixels along phase encoding) and pile the signal up (Jezzard 1995)."""
    n, h, w = image.shape
    rows, columns = torch.meshgrid(
        (torch.arange(h, device=image.device) + 0.5) / h * 2 - 1,
        (torch.arange(w, device=image.device) + 0.5) / w * 2 - 1, indexing="ij",
    )  # fmt: skip
    axis = 2 if along_rows else 1
    size = w if along_rows else h
    step = shift_px * 2.0 / size
    grid = torch.stack([columns + step, rows.expand(n, h, w)], -1) if along_rows else torch.stack(
        [columns.expand(n, h, w), rows + step], -1
    )
    density = (1.0 + torch.gradient(shift_px, dim=axis)[0]).clamp(0.1, 4.0)
    parts = torch.view_as_real(image).permute(0, 3, 1, 2) if image.is_complex() else image[:, None]
    moved = grid_sample(parts, grid.float(), align_corners=False, padding_mode="zeros") * density[:, None]
    return torch.view_as_complex(moved.permute(0, 2, 3, 1).contiguous()) if image.is_complex() else moved[:, 0]


def resized(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """(n, h, w) to another matrix, antialiased."""
    return interpolate(image[:, None], size=shape, mode="bilinear", antialias=True, align_corners=False)[:, 0]
