"""Smooth random fields and the field shift of a susceptibility distribution, on any device."""

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn.functional import interpolate, pad


def fast_size(size: int) -> int:
    """The next size that a Fourier transform likes."""
    found = next_fast_len(size, real=True)
    return size if found is None else int(found)


def smooth_noise(shape: tuple[int, int, int], rng: np.random.Generator, *, exponent: float) -> Tensor:
    """`noise_volume` of three dimensions, made on every other voxel and interpolated: for exponents of 2 and above."""
    half = noise_volume(tuple(-(-size // 2) for size in shape), rng, exponent=exponent)
    return interpolate(half[None, None], size=shape, mode="trilinear", align_corners=False)[0, 0]


def noise_volume(shape: tuple[int, ...], rng: np.random.Generator, *, exponent: float) -> Tensor:
    """Gaussian noise of zero mean and unit variance whose amplitude falls as 1 / frequency^exponent.

    Periodic where every size is one that a Fourier transform likes (a product of 2, 3, 5, 7, 11); cut from a larger one
    elsewhere.
    """
    sizes = tuple(fast_size(size) for size in shape)
    white = torch.from_numpy(rng.standard_normal(sizes, dtype=np.float32))
    squared = torch.zeros(1)
    for axis, size in enumerate(sizes):
        last = axis == len(sizes) - 1
        frequency = torch.fft.rfftfreq(size) if last else torch.fft.fftfreq(size)
        view = [1] * len(sizes)
        view[axis] = -1
        squared = squared + frequency.reshape(view) ** 2
    squared.flatten()[0] = 1.0
    amplitude = squared ** (-exponent / 2)
    amplitude.flatten()[0] = 0.0
    field = torch.fft.irfftn(torch.fft.rfftn(white) * amplitude, s=sizes)
    field = field[tuple(slice(0, size) for size in shape)]
    return field / field.std()


def field_shift_ppm(susceptibility_ppm: Tensor) -> Tensor:
    """Relative shift of the field along z in ppm: k-space dipole 1/3 - kz2/k2 (Salomir 2003, Marques 2005).

    The volume goes on beyond its faces as it ends there, for as far as it is large: a neck is not cut off in air.
    """
    sides = [size // 2 for size in susceptibility_ppm.shape]
    padding = [side for side in reversed(sides) for _ in range(2)]
    extended = pad(susceptibility_ppm[None, None], padding, mode="replicate")[0, 0]
    shape = [fast_size(size) for size in extended.shape]
    kx, ky, kz = torch.meshgrid(
        torch.fft.fftfreq(shape[0]), torch.fft.fftfreq(shape[1]), torch.fft.rfftfreq(shape[2]), indexing="ij"
    )
    squared = kx**2 + ky**2 + kz**2
    squared[0, 0, 0] = 1.0
    kernel = 1.0 / 3.0 - kz**2 / squared
    kernel[0, 0, 0] = 0.0
    spectrum = torch.fft.rfftn(extended - extended[0, 0, 0], s=shape, dim=(0, 1, 2))
    shift = torch.fft.irfftn(spectrum * kernel, s=shape)
    inside = tuple(slice(side, side + size) for side, size in zip(sides, susceptibility_ppm.shape, strict=True))
    return shift[inside].contiguous()


def shimmed(shift_ppm: Tensor, inside: Tensor) -> Tensor:
    """The field after a first-order shim over `inside`: constant and linear parts removed by least squares."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shift_ppm.shape), indexing="ij")
    basis = torch.stack([torch.ones_like(shift_ppm), *axes], dim=-1)
    solution = torch.linalg.lstsq(basis[inside], shift_ppm[inside][:, None]).solution
    return shift_ppm - (basis @ solution)[..., 0]
