"""What the model sees: the part of a recipe that batches are made by."""

from dataclasses import field

from pydantic.dataclasses import dataclass

from training.data.augment import AugmentSpec
from training.data.dropout import DropoutSpec
from training.strict import STRICT, AboveZero, Count, Percentile, Positive


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PixelRecipe:
    """The part of `PixelSpec` that the model's size and channels do not decide."""

    low_percentile: Percentile = 0.5
    high_percentile: Percentile = 99.5
    mean: float = 0.25
    std: AboveZero = 0.25

    def __post_init__(self) -> None:
        if self.low_percentile >= self.high_percentile:
            raise ValueError(
                f"low_percentile is {self.low_percentile}; must be below high_percentile ({self.high_percentile})"
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DataSpec:
    """What the model sees."""

    batch_size: Positive = 256  # over all processes
    workers: Count = 0
    pixels: PixelRecipe = field(default_factory=PixelRecipe)
    augment: AugmentSpec = field(default_factory=AugmentSpec)
    dropout: DropoutSpec = field(default_factory=DropoutSpec)
