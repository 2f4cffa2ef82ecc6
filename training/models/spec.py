"""What a model is made of: the part of a recipe that a checkpoint carries to be built again."""

from dataclasses import field
from typing import Any, Final, Literal

from pydantic.dataclasses import dataclass

from inference.captions import FIELDS, Template
from training.strict import STRICT, AboveZero, Count, Positive, ShareBelowOne

# Free text and the scanner's model name stay out: they name the protocol without describing the image.
DEFAULT_FIELDS: Final = tuple(
    field for field in FIELDS if field not in ("SeriesDescription", "ManufacturerModelName", "ScanOptions")
)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ImageTowerSpec:
    """An image tower by name; it always ends in a linear projection to the embedding."""

    library: Literal["timm", "open_clip"] = "timm"
    name: str = "convnext_atto"
    size_px: Positive = 128
    channels: Literal[1, 3] = 1  # grey, or grey repeated
    drop_path: ShareBelowOne = 0.0
    start: Literal["random", "imagenet"] = "random"  # imagenet: see training.models.pretrained
    frozen_blocks: Count = 0  # of a timm network that has a stem and `blocks`: these and the stem keep their weights
    overrides: dict[str, Any] = field(default_factory=dict)  # keywords of timm.create_model, or of CLIPVisionCfg


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MetadataTowerSpec:
    """A metadata tower: `fields` (one token a field) or `text` (the CLIP text transformer on a caption)."""

    kind: Literal["fields", "text"] = "fields"
    width: Positive = 128
    heads: Positive = 4
    layers: Positive = 2
    # text only
    template: Template = "extended"
    context_length: Positive = 98
    quick_gelu: bool = False  # as OpenAI's weights
    # fields only
    fields: tuple[str, ...] = DEFAULT_FIELDS
    frequencies: Positive = 6  # sines and cosines of pi x 2^k x value, k < frequencies
    vocabulary_min_count: Positive = 3  # rarer values of a category are "other"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.fields) - set(FIELDS))
        if unknown:
            raise ValueError(f"fields names {unknown[0]!r}, which is no caption field")
        if self.width % self.heads:
            raise ValueError(f"width is {self.width}; must be a multiple of heads ({self.heads})")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ModelSpec:
    """Two towers and what joins them."""

    embed_dim: Positive = 128
    init_scale: AboveZero = 1 / 0.07  # of the cosine; learned, at most 100 (Radford 2021)
    init_bias: float | None = None  # -10 for the sigmoid loss (Zhai 2023); None: no bias
    image: ImageTowerSpec = field(default_factory=ImageTowerSpec)
    metadata: MetadataTowerSpec = field(default_factory=MetadataTowerSpec)
