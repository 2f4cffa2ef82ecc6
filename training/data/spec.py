"""What the model sees: the part of a recipe that batches are made by."""

from dataclasses import field

from pydantic.dataclasses import dataclass

from training.data.augment import AugmentSpec
from training.data.dropout import DropoutSpec
from training.strict import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PixelRecipe:
    """The part of `PixelSpec` that the model's size and channels do not decide."""

    low_percentile: float = 0.5
    high_percentile: float = 99.5
    mean: float = 0.25
    std: float = 0.25


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataSpec:
    """What the model sees."""

    batch_size: int = 256  # over all processes
    workers: int = 0
    pixels: PixelRecipe = field(default_factory=PixelRecipe)
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    dropout: DropoutSpec = field(default_factory=DropoutSpec)
