"""Contrast, answers and estimates as marginals over a grid small enough to check by hand."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.captions import Caption
from inference.contrast import infer, weighted_quantile
from inference.grid import Grid, GridRow, grid_rows, log_sum_exp, mean_embedding

AXES = np.eye(4, dtype=np.float32)


def row(contrast: str, weight: float = 1.0, **fields: Any) -> GridRow:
    said = {
        "post_contrast": None,
        "fat_suppressed": None,
        **{k: fields.pop(k) for k in ("post_contrast", "fat_suppressed") if k in fields},
    }
    return GridRow(contrast=contrast, weight=weight, caption=Caption(contrast=contrast, **fields), **said)


# Rows on the axes of the embedding space; at scale ln 3 a cosine of 1 triples a row against a cosine of 0.
ROWS = (
    row("T1", EchoTime_ms=10.0, post_contrast=False, fat_suppressed=False),
    row("T1", EchoTime_ms=12.0, post_contrast=True, fat_suppressed=False),
    row("T2", EchoTime_ms=100.0, post_contrast=False, fat_suppressed=True, InversionTime_ms=150.0),
    row("DIFFUSION", weight=2.0, EchoTime_ms=80.0, b_value_s_mm2=1000.0),
)
GRID = Grid(rows=ROWS, embeddings=AXES, logit_scale=math.log(3))


def images(*axes: int) -> npt.NDArray[np.float32]:
    return AXES[list(axes)]


def test_the_likeliest_label_is_the_one_whose_captions_fit() -> None:
    # Weights 1, 1, 1, 2 times 1, 1, 3, 1: T2 has 3 of 7, T1 2 of 7, DIFFUSION 2 of 7.
    contrast = infer(images(2), GRID).contrast
    assert (contrast.label, contrast.probability) == ("T2", pytest.approx(3 / 7))
    others = {choice.label: choice.probability for choice in contrast.alternatives}
    assert others == pytest.approx({"DIFFUSION": 2 / 7, "T1": 2 / 7})


def test_answers_are_shares_of_the_rows_that_say_either() -> None:
    # Image on the agent's row: 1, 3, 1, 2 of 7; agent said by the first three: yes 3, no 2. Fat: yes 1, no 4.
    contrast = infer(images(1), GRID).contrast
    assert contrast.post_contrast is not None
    assert (contrast.post_contrast.value, contrast.post_contrast.probability) == (True, pytest.approx(3 / 5))
    assert contrast.fat_suppressed is not None
    assert (contrast.fat_suppressed.value, contrast.fat_suppressed.probability) == (False, pytest.approx(4 / 5))


def test_an_axis_most_of_the_probability_is_silent_on_has_no_answer() -> None:
    # Image on the diffusion row, which says nothing of an agent: it has 6 of 9.
    contrast = infer(images(3), GRID).contrast
    assert (contrast.label, contrast.post_contrast, contrast.fat_suppressed) == ("DIFFUSION", None, None)


def test_estimates_are_weighted_quantiles_of_the_rows_that_have_the_value() -> None:
    # Image on the T2 row: TE 10, 12, 80, 100 with 1, 1, 2, 3 of 7. Half is reached at 80, 0.05 at 10, 0.95 at 100.
    estimates = infer(images(2), GRID).estimates
    estimate = estimates["EchoTime_ms"]
    assert (estimate.value, estimate.low, estimate.high, estimate.coverage) == (80.0, 10.0, 100.0, 0.9)
    assert "InversionTime_ms" not in estimates  # 3 of 7 only
    assert set(infer(images(3), GRID).estimates) == {"EchoTime_ms", "b_value_s_mm2"}


def test_slices_that_disagree_make_the_answer_less_sure() -> None:
    agreeing = infer(images(2, 2), GRID).contrast
    split = infer(images(2, 0), GRID).contrast
    assert agreeing.probability == infer(images(2), GRID).contrast.probability
    # The mean of the logarithms: rows 0 and 2 get sqrt(3) each, so T1 has sqrt(3) + 1 of 2 sqrt(3) + 3.
    assert (split.label, split.probability) == ("T1", pytest.approx((math.sqrt(3) + 1) / (2 * math.sqrt(3) + 3)))


def test_no_slices_have_no_contrast() -> None:
    with pytest.raises(ValueError, match="no embeddings"):
        infer(images(), GRID)


def test_a_large_scale_does_not_overflow() -> None:
    contrast = infer(images(2), Grid(rows=ROWS, embeddings=AXES, logit_scale=5000.0)).contrast
    assert (contrast.label, contrast.probability) == ("T2", 1.0)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_probabilities_sum_to_one_whatever_the_slices(axes: list[int]) -> None:
    contrast = infer(images(*axes), GRID).contrast
    total = contrast.probability + sum(choice.probability for choice in contrast.alternatives)
    assert total == pytest.approx(1)
    assert contrast.probability >= max(choice.probability for choice in contrast.alternatives)


@pytest.mark.parametrize(
    ("quantile", "expected"), [(0.0, 1.0), (0.2, 1.0), (0.21, 2.0), (0.5, 2.0), (0.7, 2.0), (0.71, 5.0), (1.0, 5.0)]
)
def test_a_weighted_quantile_is_where_that_share_is_reached(quantile: float, expected: float) -> None:
    assert weighted_quantile(np.array([5.0, 1.0, 2.0]), np.array([0.3, 0.2, 0.5]), quantile) == expected


def test_the_logarithm_of_a_sum_of_exponentials() -> None:
    assert log_sum_exp(np.array([1000.0, 1000.0])) == pytest.approx(1000 + math.log(2))
    assert log_sum_exp(np.array([])) == -math.inf


def test_the_mean_of_embeddings_is_not_normalised() -> None:
    assert np.linalg.norm(mean_embedding(images(0, 1))) == pytest.approx(math.sqrt(0.5))


ENTRY = {"contrast": "T2", "post_contrast": None, "fat_suppressed": True, "weight": 2, "caption": {"EchoTime_ms": 80}}


def test_a_grid_comes_from_its_json() -> None:
    (made,) = grid_rows({"rows": [ENTRY]})
    assert made == GridRow(
        contrast="T2", post_contrast=None, fat_suppressed=True, weight=2, caption=Caption(EchoTime_ms=80.0)
    )
    # What the row says goes before what its caption says.
    assert (made.value("contrast"), made.value("fat_suppressed"), made.value("EchoTime_ms")) == ("T2", True, 80.0)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "must have rows"),
        ({"rows": []}, "must have rows"),
        ({"rows": [ENTRY, {**ENTRY, "contrast": "UNKNOWN"}]}, "row 1: contrast 'UNKNOWN'"),
        ({"rows": [{**ENTRY, "weight": 0}]}, "row 0: weight 0 must be positive"),
        ({"rows": [{**ENTRY, "weight": "1"}]}, "row 0"),
        ({"rows": [{**ENTRY, "post_contrast": 1}]}, "row 0: post_contrast 1 must be true, false or null"),
        ({"rows": [{**ENTRY, "caption": {"TE": 80}}]}, "row 0: 'TE' is not a caption field"),
        ({"rows": [{"contrast": "T2"}]}, "row 0: 'caption'"),
        ({"rows": ["T2"]}, "row 0"),
        ({"rows": [{**ENTRY, "colour": 1}]}, "row 0: .*colour"),
    ],
)
def test_a_grid_that_cannot_be_meant_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grid_rows(document)
