"""Captions as the arrays of a field encoder."""

import json

import numpy as np
import pytest

from inference.captions import Caption
from inference.fields import CategoricalField, ContinuousField, FieldTable, field_table

TABLE = FieldTable(
    continuous=(
        ContinuousField(name="EchoTime_ms", transform="log1p", low=0.0, high=np.expm1(6.0).item()),
        ContinuousField(name="FlipAngle_deg", transform="linear", low=0.0, high=180.0),
    ),
    categorical=(
        CategoricalField(name="ScanningSequence", vocabulary=("SE", "GR")),
        CategoricalField(name="fat_suppressed", vocabulary=("NO", "YES")),
    ),
)


def test_values_become_columns_and_absence_is_told_apart_from_zero() -> None:
    arrays = TABLE.encode(
        [
            Caption(EchoTime_ms=np.expm1(3.0).item(), FlipAngle_deg=90.0, ScanningSequence="GR", fat_suppressed=False),
            Caption(EchoTime_ms=0.0, ScanningSequence="EP_SE", fat_suppressed=True),
            Caption(FlipAngle_deg=270.0),
        ]
    )
    np.testing.assert_allclose(arrays.continuous, [[0.5, 0.5], [0.0, 0.0], [0.0, 1.0]], rtol=1e-6)
    np.testing.assert_array_equal(arrays.continuous_mask, [[True, True], [True, False], [False, True]])
    np.testing.assert_array_equal(arrays.categorical, [[3, 2], [1, 3], [0, 0]])
    assert (arrays.continuous.dtype, arrays.categorical.dtype) == (np.float32, np.int64)


def test_no_captions_give_arrays_of_no_rows() -> None:
    arrays = TABLE.encode([])
    assert (arrays.continuous.shape, arrays.categorical.shape) == ((0, 2), (0, 2))


def test_the_table_comes_back_from_its_json() -> None:
    assert field_table(json.loads(TABLE.to_json())) == TABLE
    assert TABLE.names == {"EchoTime_ms", "FlipAngle_deg", "ScanningSequence", "fat_suppressed"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"continuous": []}, "categorical"),
        ({"continuous": [], "categorical": []}, "at least one"),
        (
            {"continuous": [{"name": "EchoTime_ms", "transform": "sqrt", "low": 0, "high": 1}], "categorical": []},
            "sqrt",
        ),
        (
            {"continuous": [{"name": "EchoTime", "transform": "linear", "low": 0, "high": 1}], "categorical": []},
            "EchoTi",
        ),
        (
            {"continuous": [{"name": "EchoTime_ms", "transform": "linear", "low": 2, "high": 1}], "categorical": []},
            "low",
        ),
        ({"continuous": [{"name": "EchoTime_ms", "low": 0, "high": 1}], "categorical": []}, "transform"),
        ({"continuous": [], "categorical": [{"name": "EchoTime_ms", "vocabulary": []}]}, "no number"),
        ({"continuous": [], "categorical": [{"name": "plane", "vocabulary": ["axial", "axial"]}]}, "twice"),
        ({"continuous": [], "categorical": [{"name": "post_contrast", "vocabulary": ["yes"]}]}, "YES and NO"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(document: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        field_table(document)
