"""The model that is trained: an image tower and a metadata tower that meet on the unit sphere."""

import math
from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

LARGEST_SCALE: Final = 100.0  # Radford 2021: the scale is clipped so that training stays stable


def unit(embeddings: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Embeddings at length 1, in fp32."""
    return functional.normalize(embeddings.float(), dim=-1)


class Features(NamedTuple):
    """L2-normalised embeddings of n pairs."""

    image: Float[Tensor, "n d"]
    metadata: Float[Tensor, "n d"]


class ContrastModel(nn.Module):
    """Two towers, a learned scale of the cosine and, for the sigmoid loss, a learned bias."""

    def __init__(
        self, image: nn.Module, metadata: nn.Module, *, init_scale: float = 1 / 0.07, init_bias: float | None = None
    ) -> None:
        super().__init__()
        self.image = image
        self.metadata = metadata
        self.log_scale = nn.Parameter(torch.tensor(math.log(init_scale)))
        self.bias = None if init_bias is None else nn.Parameter(torch.tensor(init_bias))

    def forward(self, pixels: Tensor, inputs: tuple[Tensor, ...]) -> Features:
        return Features(self.encode_images(pixels), self.encode_metadata(inputs))

    def encode_images(self, pixels: Float[Tensor, "n c s s"]) -> Float[Tensor, "n d"]:
        return unit(self.image(pixels))

    def encode_metadata(self, inputs: tuple[Tensor, ...]) -> Float[Tensor, "n d"]:
        return unit(self.metadata(*inputs))

    def logits(self, features: Features) -> Float[Tensor, "n n"]:
        """Scale x cosine of every image with every metadata, plus the bias if there is one."""
        logits = self.scale * features.image @ features.metadata.T
        return logits if self.bias is None else logits + self.bias

    @property
    def scale(self) -> Tensor:
        """The factor of the cosine, at most `LARGEST_SCALE`."""
        return self.log_scale.exp()

    @torch.no_grad()
    def clamp_scale(self) -> None:
        """To be called after every optimiser step."""
        self.log_scale.clamp_(0, math.log(LARGEST_SCALE))
