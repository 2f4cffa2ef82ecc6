"""Metadata tower with one token a field, so that near values get near embeddings.

A word tower sees 95 and 100 as other digits; here they are points on a line (Fourier features, Tancik 2020).
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from open_clip.transformer import Transformer
from torch import Tensor, nn

from training.models.spec import MetadataTowerSpec


class FieldTower(nn.Module):
    """Continuous fields in [0, 1] and categories to an embedding; an absent field has a token of its own.

    The three inputs are those of `metadata_encoder.onnx` with `metadata.kind: fields` (ARCHITECTURE.md, "The bundle").
    """

    frequencies: Tensor
    offsets: Tensor

    def __init__(self, spec: MetadataTowerSpec, embed_dim: int, *, continuous: int, category_sizes: list[int]) -> None:
        """`category_sizes[k]` counts the codes of category k, with 0 (absent) and 1 (other)."""
        super().__init__()
        octaves = torch.arange(spec.frequencies)
        self.register_buffer("frequencies", math.pi * 2.0**octaves, persistent=False)
        # fast waves begin small, so that an untrained tower already varies slowly with the value
        loudness = torch.cat([torch.ones(1), 2.0**-octaves, 2.0**-octaves])[:, None]
        self.value = nn.Parameter(loudness * torch.randn(continuous, len(loudness), spec.width))
        self.present = nn.Parameter(0.02 * torch.randn(continuous, spec.width))
        self.absent = nn.Parameter(0.02 * torch.randn(continuous, spec.width))
        self.category = nn.Embedding(sum(category_sizes), spec.width)
        offsets = torch.tensor([0, *category_sizes[:-1]]).cumsum(0)[: len(category_sizes)]
        self.register_buffer("offsets", offsets, persistent=False)
        self.summary = nn.Parameter(0.02 * torch.randn(1, 1, spec.width))
        self.transformer = Transformer(spec.width, spec.layers, spec.heads, batch_first=True)
        self.norm = nn.LayerNorm(spec.width)
        self.projection = nn.Linear(spec.width, embed_dim, bias=False)

    def forward(
        self,
        continuous: Float[Tensor, "n fc"],
        continuous_mask: Bool[Tensor, "n fc"],
        categorical: Int[Tensor, "n fk"],
    ) -> Float[Tensor, "n d"]:
        angles = continuous[..., None] * self.frequencies
        waves = torch.cat([continuous[..., None], angles.sin(), angles.cos()], dim=-1)
        values = torch.einsum("nfk,fkw->nfw", waves, self.value) + self.present
        numbers = torch.where(continuous_mask[..., None], values, self.absent)
        names = self.category(categorical + self.offsets)
        summary = self.summary.expand(continuous.shape[0], -1, -1)
        tokens = self.transformer(torch.cat([summary, numbers, names], dim=1))
        return self.projection(self.norm(tokens[:, 0]))
