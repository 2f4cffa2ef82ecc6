"""What an open_clip checkpoint is made of, read from the shapes of its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import Tensor

from training.errors import RefusedError
from training.models.spec import ImageTowerSpec, MetadataTowerSpec, ModelSpec
from training.models.text import VOCABULARY_SIZE

# Attention heads are 64 wide but in the largest towers of open_clip (ViT-H, -g, -bigG, -e); no weight shows it.
_HEAD_WIDTH: Final = 64
_WIDER_HEADS: Final = {1280: 80, 1408: 88, 1664: 104, 1792: 112}  # by the width of the image tower
_IMAGE_STEM: Final = "visual.conv1.weight"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A CLIP with a Vision Transformer."""

    embed_dim: int
    channels: int
    size_px: int
    patch_px: int
    image_width: int
    image_layers: int
    context_length: int
    text_width: int
    text_layers: int
    quick_gelu: bool
    has_bias: bool

    def spec(self) -> ModelSpec:
        """The model of one channel that the weights are folded into."""
        overrides = {
            "width": self.image_width,
            "layers": self.image_layers,
            "patch_size": self.patch_px,
            "head_width": image_head_width(self.image_width),
        }
        return ModelSpec(
            embed_dim=self.embed_dim,
            init_bias=0.0 if self.has_bias else None,
            image=ImageTowerSpec(
                library="open_clip",
                name="ViT-B-16-quickgelu" if self.quick_gelu else "ViT-B-16",
                size_px=self.size_px,
                channels=1,
                overrides=overrides,
            ),
            metadata=MetadataTowerSpec(
                kind="text",
                template="paper",
                context_length=self.context_length,
                width=self.text_width,
                heads=self.text_width // _HEAD_WIDTH,
                layers=self.text_layers,
                quick_gelu=self.quick_gelu,
            ),
        )


def architecture(weights: Mapping[str, Tensor], path: Path, *, quick_gelu: bool) -> Architecture:
    """Infer it; RefusedError names what does not fit a CLIP with a Vision Transformer for slices."""
    stem = _weight(weights, _IMAGE_STEM, path)
    if stem.ndim != 4:
        raise RefusedError(f"{path}: {_IMAGE_STEM} has {stem.ndim} axes; a model of slices has 4 (a 3D one has 5)")
    if stem.shape[1] not in (1, 3):
        raise RefusedError(f"{path}: {_IMAGE_STEM} takes {stem.shape[1]} channels; must be 1 or 3")
    places = _weight(weights, "visual.positional_embedding", path).shape[0] - 1
    grid = round(places**0.5)
    if grid * grid != places:
        raise RefusedError(
            f"{path}: visual.positional_embedding holds {places} patches; a square image has a square of them"
        )
    tokens = _weight(weights, "token_embedding.weight", path)
    if tokens.shape[0] != VOCABULARY_SIZE:
        raise RefusedError(
            f"{path}: token_embedding.weight knows {tokens.shape[0]} tokens; CLIP's tokenizer {VOCABULARY_SIZE}"
        )
    image_width, text_width = int(stem.shape[0]), int(tokens.shape[1])
    for name, width, head in (
        (_IMAGE_STEM, image_width, image_head_width(image_width)),
        ("token_embedding.weight", text_width, _HEAD_WIDTH),
    ):
        if width % head:
            raise RefusedError(f"{path}: {name} is {width} wide; must be a multiple of {head}, the width of a head")
    patch = int(stem.shape[2])
    return Architecture(
        embed_dim=int(_weight(weights, "text_projection", path).shape[1]),
        channels=int(stem.shape[1]),
        size_px=grid * patch,
        patch_px=patch,
        image_width=image_width,
        image_layers=_layers(weights, "visual.transformer.resblocks."),
        context_length=int(_weight(weights, "positional_embedding", path).shape[0]),
        text_width=text_width,
        text_layers=_layers(weights, "transformer.resblocks."),
        quick_gelu=quick_gelu,
        has_bias="logit_bias" in weights,
    )


def image_head_width(width: int) -> int:
    """How wide an attention head is in an image tower of open_clip of that width."""
    return _WIDER_HEADS.get(width, _HEAD_WIDTH)


def _weight(weights: Mapping[str, Tensor], name: str, path: Path) -> Tensor:
    if name not in weights:
        raise RefusedError(f"{path}: has no {name}; only CLIP models with a Vision Transformer can be imported")
    return weights[name]


def _layers(weights: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)})
