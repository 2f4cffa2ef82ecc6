"""What a model is made of: the part of a recipe that a checkpoint carries to be built again."""

from dataclasses import dataclass, field
from typing import Any, Final, get_args

from inference.captions import FIELDS, Template
from training.errors import RefusedError

IMAGE_LIBRARIES = ("timm", "open_clip")
METADATA_KINDS = ("fields", "text")
# Free text and the scanner's model name stay out: they name the protocol without describing the image.
DEFAULT_FIELDS: Final = tuple(
    field for field in FIELDS if field not in ("SeriesDescription", "ManufacturerModelName", "ScanOptions")
)


@dataclass(frozen=True, kw_only=True)
class ImageTowerSpec:
    """An image tower by name; it always ends in a linear projection to the embedding."""

    library: str = "timm"
    name: str = "convnext_atto"
    size_px: int = 128
    channels: int = 1
    drop_path: float = 0.0
    overrides: dict[str, Any] = field(default_factory=dict)  # keywords of timm.create_model, or of CLIPVisionCfg

    def __post_init__(self) -> None:
        if self.library not in IMAGE_LIBRARIES:
            raise RefusedError(f"model.image.library is {self.library!r}; must be one of {', '.join(IMAGE_LIBRARIES)}")
        if self.channels not in (1, 3):
            raise RefusedError(f"model.image.channels is {self.channels}; must be 1 (grey) or 3 (grey repeated)")


@dataclass(frozen=True, kw_only=True)
class MetadataTowerSpec:
    """A metadata tower: `fields` (one token a field) or `text` (the CLIP text transformer on a caption)."""

    kind: str = "fields"
    width: int = 128
    heads: int = 4
    layers: int = 2
    # text only
    template: str = "extended"
    context_length: int = 98
    # fields only
    fields: tuple[str, ...] = DEFAULT_FIELDS
    frequencies: int = 6  # sines and cosines of pi x 2^k x value, k < frequencies
    vocabulary_min_count: int = 3  # rarer values of a category are "other"

    def __post_init__(self) -> None:
        if self.kind not in METADATA_KINDS:
            raise RefusedError(f"model.metadata.kind is {self.kind!r}; must be one of {', '.join(METADATA_KINDS)}")
        if self.template not in get_args(Template):
            raise RefusedError(f"model.metadata.template is {self.template!r}; must be one of {get_args(Template)}")
        unknown = sorted(set(self.fields) - set(FIELDS))
        if unknown:
            raise RefusedError(f"model.metadata.fields names {unknown[0]!r}, which is no caption field")
        if self.width % self.heads:
            raise RefusedError(f"model.metadata.width is {self.width}; must be a multiple of heads ({self.heads})")


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Two towers and what joins them."""

    embed_dim: int = 128
    init_scale: float = 1 / 0.07  # of the cosine; learned, at most 100 (Radford 2021)
    init_bias: float | None = None  # -10 for the sigmoid loss (Zhai 2023); None: no bias
    image: ImageTowerSpec = field(default_factory=ImageTowerSpec)
    metadata: MetadataTowerSpec = field(default_factory=MetadataTowerSpec)
