"""Smooth random fields and the field shift of a susceptibility distribution, on any device."""

import numpy as np
import torch
from torch import Tensor


def noise_volume(shape: tuple[int, ...], rng: np.random.Generator, *, exponent: float) -> Tensor:
    """Periodic Gaussian noise of zero mean and unit variance whose amplitude falls as 1 / frequency^exponent."""
    white = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
    squared = torch.zeros(1)
    for axis, size in enumerate(shape):
        last = axis == len(shape) - 1
        frequency = torch.fft.rfftfreq(size) if last else torch.fft.fftfreq(size)
        view = [1] * len(shape)
        view[axis] = -1
        squared = squared + frequency.reshape(view) ** 2
    squared.flatten()[0] = 1.0
    amplitude = squared ** (-exponent / 2)
    amplitude.flatten()[0] = 0.0
    field = torch.fft.irfftn(torch.fft.rfftn(white) * amplitude, s=shape)
    return field / field.std()


def field_shift_ppm(susceptibility_ppm: Tensor) -> Tensor:
    """Relative shift of the field along z in ppm: k-space dipole 1/3 - kz2/k2 (Salomir 2003, Marques 2005).

    The volume is padded with the value of its corner, which is air, to twice its size, as the kernel is periodic.
    """
    outside = susceptibility_ppm[0, 0, 0]
    shape = [2 * size for size in susceptibility_ppm.shape]
    kx, ky, kz = torch.meshgrid(
        torch.fft.fftfreq(shape[0]), torch.fft.fftfreq(shape[1]), torch.fft.rfftfreq(shape[2]), indexing="ij"
    )
    squared = kx**2 + ky**2 + kz**2
    squared[0, 0, 0] = 1.0
    kernel = 1.0 / 3.0 - kz**2 / squared
    kernel[0, 0, 0] = 0.0
    spectrum = torch.fft.rfftn(susceptibility_ppm - outside, s=shape, dim=(0, 1, 2))
    shift = torch.fft.irfftn(spectrum * kernel, s=shape)
    return shift[tuple(slice(0, size) for size in susceptibility_ppm.shape)].contiguous()


def shimmed(shift_ppm: Tensor, inside: Tensor) -> Tensor:
    """The field after a first-order shim over `inside`: constant and linear parts removed by least squares."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shift_ppm.shape), indexing="ij")
    basis = torch.stack([torch.ones_like(shift_ppm), *axes], dim=-1)
    solution = torch.linalg.lstsq(basis[inside], shift_ppm[inside][:, None]).solution
    return shift_ppm - (basis @ solution)[..., 0]
