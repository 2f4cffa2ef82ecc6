"""How volumes become slices: the `preprocess` part of a recipe."""

from typing import Literal

from pydantic.dataclasses import dataclass

from inference.captions import Template
from inference.pixels import PixelSpec
from training.strict import STRICT, Percentile, Positive, Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PreprocessSpec:
    """The comments name what the `paper` recipe does instead, as published."""

    plane: Literal["geometry", "spacing"] = "geometry"  # spacing: the axis of the largest voxel, the first of several
    window: Literal["middle", "published"] = "middle"  # published: even slices 121..220, sagittal 50..150
    slices: Positive = 24  # at most so many of a volume, evenly over the middle 80 % of its depth, as reading does
    low_percentile: Percentile = 0.5  # paper: 0 and 100 of the whole volume, its minimum and maximum
    high_percentile: Percentile = 99.5
    minimum_foreground: Share = 0.02  # share of pixels above a tenth of the window; paper: 0, any pixel above nothing
    minimum_size_px: Positive = 41  # volumes with fewer rows or columns are left out
    size_px: Positive = 160  # of the PNG
    template: Template = "extended"
    labels: Literal["paper", "extended"] = "extended"  # schemes of training.data.labels
    split_by: Literal["patient", "volume"] = "patient"  # paper: volume
    train_share: Share = 0.6
    val_share: Share = 0.1
    test_share: Share = 0.3

    def __post_init__(self) -> None:
        if self.low_percentile >= self.high_percentile:
            raise ValueError(
                f"low_percentile is {self.low_percentile}; must be below high_percentile ({self.high_percentile})"
            )

    @property
    def parts_patients(self) -> bool:
        """Whether patients are kept apart: one part alone keeps nobody apart."""
        shares = (self.train_share, self.val_share, self.test_share)
        return self.split_by == "patient" and sum(share > 0 for share in shares) > 1

    @property
    def pixels(self) -> PixelSpec:
        """How the slices on disk are prepared."""
        return PixelSpec(size_px=self.size_px, low_percentile=self.low_percentile, high_percentile=self.high_percentile)
