"""What the image shows: contrast, contrast agent, fat suppression and timing, as marginals over the label grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float32, Float64

from inference.captions import Value
from inference.grid import Grid, mean_embedding
from inference.reading import Answer, Choice, Contrast, Estimate

COVERAGE: Final = 0.9
_ALTERNATIVES: Final = 3
_ESTIMATED: Final = ("EchoTime_ms", "RepetitionTime_ms", "InversionTime_ms", "FlipAngle_deg", "b_value_s_mm2")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What the slices of one stack show."""

    contrast: Contrast
    estimates: Mapping[str, Estimate]  # by caption field, in the unit of its name


def infer(embeddings: Float32[np.ndarray, "n d"], grid: Grid) -> Shown:
    """Read contrast and timing from the embeddings of a stack's slices.

    Slices are combined by the mean of their log-probabilities (`Grid.log_likelihood`): every slice has the same say and
    a slice that shows nothing cannot outvote the others. ValueError for no slice.
    """
    probability = np.exp(grid.log_posterior(mean_embedding(embeddings)))
    by_label: dict[str, float] = {}
    for row, share in zip(grid.rows, probability.tolist(), strict=True):
        by_label[row.contrast] = by_label.get(row.contrast, 0.0) + share
    first, *others = sorted(by_label.items(), key=lambda item: (-item[1], item[0]))
    contrast = Contrast(
        label=first[0],
        probability=min(first[1], 1.0),
        alternatives=tuple(Choice(label=label, probability=share) for label, share in others[:_ALTERNATIVES]),
        post_contrast=_answer("post_contrast", grid, probability),
        fat_suppressed=_answer("fat_suppressed", grid, probability),
    )
    estimates = {field: _estimate(field, grid, probability) for field in _ESTIMATED}
    return Shown(
        contrast=contrast,
        estimates={field: estimate for field, estimate in estimates.items() if estimate is not None},
    )


def holds(estimate: Estimate, value: Value | None) -> bool:
    """True if the value lies in the interval that is quoted for the image."""
    return value is not None and estimate.low <= float(value) <= estimate.high


def weighted_quantile(values: Float64[np.ndarray, " n"], weights: Float64[np.ndarray, " n"], quantile: float) -> float:
    """The smallest value at or below which at least the share `quantile` of the weight lies."""
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weights[order])
    reached = cumulated >= quantile * float(cumulated[-1]) * (1 - 1e-12)
    return float(values[order][int(reached.argmax())])


def _answer(field: str, grid: Grid, probability: Float64[np.ndarray, " r"]) -> Answer | None:
    """The likelier of yes and no among the rows that say either; None where most of the probability says neither."""
    said = grid.said(field)
    yes = float(probability[[value is True for value in said]].sum())
    no = float(probability[[value is False for value in said]].sum())
    if yes + no < 0.5:
        return None
    value = yes > no
    return Answer(value=value, probability=max(yes, no) / (yes + no))


def _estimate(field: str, grid: Grid, probability: Float64[np.ndarray, " r"]) -> Estimate | None:
    """Median and central interval over the rows that have the value; None where most of the probability has none."""
    said = grid.said(field)
    present = np.array([value is not None for value in said])
    weights = probability[present]
    if weights.sum() < 0.5:
        return None
    values = np.array([float(value) for value in said if value is not None], np.float64)
    low, value, high = (
        weighted_quantile(values, weights, quantile) for quantile in ((1 - COVERAGE) / 2, 0.5, (1 + COVERAGE) / 2)
    )
    return Estimate(value=value, low=low, high=high, coverage=COVERAGE)
