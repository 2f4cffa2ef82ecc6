"""Random changes of a batch of prepared slices that leave its contrast what it is.

Everything runs on tensors (n, 1, s, s) in [0, 1], on any device, from one generator, so that a step's images depend on
the seed and the step alone.
"""

import math

import torch
from jaxtyping import Float
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional

from training.strict import STRICT, AboveZero, NotNegative, Share, ShareBelowOne


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AugmentSpec:
    """How far each change may go; the default changes nothing."""

    rotate_deg: NotNegative = 0.0  # uniform in +-
    translate: NotNegative = 0.0  # share of the image, uniform in +-
    scale_low: AboveZero = 1.0
    scale_high: AboveZero = 1.0
    close_up: Share = 0.0  # probability of a part of the image alone, brightness set anew by it
    close_up_most: AboveZero = 1.0  # magnification at most
    flip: Share = 0.0  # probability of left for right
    quarter_turns: bool = False  # any multiple of 90 degrees
    blur_px: NotNegative = 0.0  # largest standard deviation of a Gaussian
    gamma: ShareBelowOne = 0.0  # exponent uniform in 1 +-
    bias_field: NotNegative = 0.0  # largest relative change of a smooth receive field across the image
    noise: NotNegative = 0.0  # largest standard deviation of added Rician noise

    def __post_init__(self) -> None:
        if self.scale_low > self.scale_high:
            raise ValueError(f"scale_low is {self.scale_low}; must be at most scale_high ({self.scale_high})")
        if self.close_up_most < 1:
            raise ValueError(f"close_up_most is {self.close_up_most}; must be at least 1")


Images = Float[Tensor, "n 1 s s"]


def augment(images: Images, spec: AugmentSpec, generator: torch.Generator) -> Images:
    """`images` changed at random, in [0, 1]."""
    images = _move(images, spec, generator)
    if spec.close_up > 0:
        images = _close_up(images, spec, generator)
    if spec.blur_px > 0:
        images = _blur(images, spec.blur_px * _uniform(len(images), 0, 1, generator, images))
    if spec.bias_field > 0:
        images = images * _smooth_field(images, spec.bias_field, generator)
    if spec.gamma > 0:
        exponent = _uniform(len(images), 1 - spec.gamma, 1 + spec.gamma, generator, images)
        images = images.clamp(0, 1) ** exponent[:, None, None, None]
    if spec.noise > 0:
        images = _add_noise(images, spec.noise, generator)
    return images.clamp(0, 1)


def _uniform(count: int, low: float, high: float, generator: torch.Generator, like: Tensor) -> Tensor:
    return (low + (high - low) * torch.rand(count, generator=generator)).to(like)


def _move(images: Images, spec: AugmentSpec, generator: torch.Generator) -> Images:
    """One affine map: rotation, scale, translation, flip, quarter turn; what comes from outside is black."""
    count = len(images)
    angle = math.radians(spec.rotate_deg) * _uniform(count, -1, 1, generator, images)
    if spec.quarter_turns:
        angle = angle + math.pi / 2 * torch.randint(4, (count,), generator=generator).to(images)
    zoom = 1 / _uniform(count, spec.scale_low, spec.scale_high, generator, images)
    mirror = torch.where(_uniform(count, 0, 1, generator, images) < spec.flip, -1.0, 1.0)
    shift = 2 * spec.translate * torch.stack([_uniform(count, -1, 1, generator, images) for _ in range(2)], dim=1)
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    rows = torch.stack([cosine * mirror, -sine, sine * mirror, cosine], dim=1).view(count, 2, 2)
    if not shift.any() and torch.equal(rows, torch.eye(2).to(images).expand(count, 2, 2)):
        return images
    grid = functional.affine_grid(torch.cat([rows, shift[:, :, None]], dim=2), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _close_up(images: Images, spec: AugmentSpec, generator: torch.Generator) -> Images:
    """Some images as a smaller field of view shows them: a square part, its own brightest tissue near white."""
    chosen = torch.rand(len(images), generator=generator) < spec.close_up
    count = int(chosen.sum())
    if count == 0:
        return images
    chosen = chosen.to(images.device)
    side = spec.close_up_most ** -_uniform(count, 0, 1, generator, images)
    reach = 0.8 * (1 - side)  # of the middle; at the very edge there is little but air
    middle = torch.stack([reach * _uniform(count, -1, 1, generator, images) for _ in range(2)], dim=1)
    window = torch.cat([side[:, None, None] * torch.eye(2).to(images), middle[:, :, None]], dim=2)
    shape = [count, *images.shape[1:]]
    part = functional.grid_sample(
        images[chosen], functional.affine_grid(window, shape, align_corners=False), mode="bilinear", align_corners=False
    )
    white = torch.quantile(part.flatten(1), 0.995, dim=1).clamp(min=0.1)
    images = images.clone()
    images[chosen] = (part / white[:, None, None, None]).clamp(0, 1)
    return images


def _blur(images: Images, sigma_px: Float[Tensor, " n"]) -> Images:
    """A Gaussian of its own for every image, separable; a grouped convolution with one group an image."""
    count, _, size, _ = images.shape
    reach = max(1, math.ceil(3 * float(sigma_px.max())))
    offset = torch.arange(-reach, reach + 1).to(images)
    kernel = torch.exp(-0.5 * (offset / sigma_px.clamp(min=1e-3)[:, None]) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    stacked = images.view(1, count, size, size)
    stacked = functional.conv2d(stacked, kernel[:, None, None, :], padding=(0, reach), groups=count)
    stacked = functional.conv2d(stacked, kernel[:, None, :, None], padding=(reach, 0), groups=count)
    return stacked.view(count, 1, size, size)


def _smooth_field(images: Images, strength: float, generator: torch.Generator) -> Images:
    """A random field that varies as slowly as a receive coil's, between 1 - strength and 1 + strength."""
    coarse = 2 * torch.rand(len(images), 1, 3, 3, generator=generator).to(images) - 1
    field = functional.interpolate(coarse, size=images.shape[-2:], mode="bicubic", align_corners=True).clamp(-1, 1)
    return 1 + strength * field


def _add_noise(images: Images, largest: float, generator: torch.Generator) -> Images:
    """Rician noise: the magnitude of the image with complex Gaussian noise (Gudbjartsson 1995)."""
    sigma = _uniform(len(images), 0, largest, generator, images)[:, None, None, None]
    real, imaginary = (torch.randn(images.shape, generator=generator).to(images) * sigma for _ in range(2))
    return ((images + real) ** 2 + imaginary**2).sqrt()
