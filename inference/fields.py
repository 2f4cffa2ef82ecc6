"""Captions as numbers for a field encoder: `fields.json` of a bundle and what it turns a caption into."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64

from inference.captions import FIELDS, NUMERIC_FIELDS, YES_NO_FIELDS, Caption, Value

ABSENT: Final = 0  # the category of a field that says nothing
OTHER: Final = 1  # the category of a value that is not in the vocabulary
FIRST: Final = 2  # the category of the vocabulary's first value
YES, NO = "YES", "NO"  # how a yes/no field is written in a vocabulary

Transform = Literal["log1p", "linear"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ContinuousField:
    """A numeric field and how it is scaled: `low` becomes 0 and `high` 1 after the transform; beyond is clipped."""

    name: str
    transform: Transform
    low: float  # in the unit of the field's name
    high: float

    def __post_init__(self) -> None:
        if self.name not in NUMERIC_FIELDS:
            raise ValueError(f"continuous field {self.name!r} must be one of {', '.join(sorted(NUMERIC_FIELDS))}")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(
                f"continuous field {self.name} has low {self.low} and high {self.high}; must be low < high"
            )
        if self.transform not in ("log1p", "linear"):
            raise ValueError(f"continuous field {self.name} has transform {self.transform!r}; must be log1p or linear")
        if self.transform == "log1p" and self.low < 0:
            raise ValueError(f"continuous field {self.name} has low {self.low}; log1p needs low >= 0")

    def scaled(self, value: float) -> float:
        """`value` in [0, 1]."""
        low, high = self.low, self.high
        value = min(max(value, low), high)
        if self.transform == "log1p":
            low, high, value = math.log1p(low), math.log1p(high), math.log1p(value)
        return (value - low) / (high - low)


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoricalField:
    """A field of words and the words it knows, in the order of their codes from `FIRST`."""

    name: str
    vocabulary: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.name not in FIELDS or self.name in NUMERIC_FIELDS:
            raise ValueError(f"categorical field {self.name!r} must be a caption field that holds no number")
        if len(set(self.vocabulary)) != len(self.vocabulary):
            raise ValueError(f"categorical field {self.name} names a value twice")
        if self.name in YES_NO_FIELDS and not set(self.vocabulary) <= {YES, NO}:
            raise ValueError(f"categorical field {self.name} may only know {YES} and {NO}")

    def code(self, value: Value | None) -> int:
        """The category of `value`."""
        if value is None:
            return ABSENT
        word = (YES if value else NO) if isinstance(value, bool) else str(value)
        return FIRST + self.vocabulary.index(word) if word in self.vocabulary else OTHER


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldArrays:
    """The three inputs of a field encoder, one row a caption."""

    continuous: Float32[np.ndarray, "n fc"]  # in [0, 1]; 0 where absent
    continuous_mask: Bool[np.ndarray, "n fc"]  # True where present
    categorical: Int64[np.ndarray, "n fk"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldTable:
    """Which caption fields a field encoder sees, and in which columns."""

    continuous: tuple[ContinuousField, ...]
    categorical: tuple[CategoricalField, ...]

    def __post_init__(self) -> None:
        names = [field.name for field in (*self.continuous, *self.categorical)]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"a field table names each field once and at least one, not {names}")

    @property
    def names(self) -> frozenset[str]:
        """Every caption field in the table."""
        return frozenset(field.name for field in (*self.continuous, *self.categorical))

    def encode(self, captions: Sequence[Caption]) -> FieldArrays:
        """The captions as arrays, in their order."""
        continuous = np.zeros((len(captions), len(self.continuous)), np.float32)
        mask = np.zeros(continuous.shape, np.bool_)
        for column, field in enumerate(self.continuous):
            for row, caption in enumerate(captions):
                value = caption.get(field.name)
                if value is not None:
                    continuous[row, column], mask[row, column] = field.scaled(float(value)), True
        categorical = np.array(
            [[field.code(caption.get(field.name)) for field in self.categorical] for caption in captions], np.int64
        ).reshape(len(captions), len(self.categorical))
        return FieldArrays(continuous=continuous, continuous_mask=mask, categorical=categorical)

    def to_json(self) -> str:
        """The text of `fields.json`."""
        return json.dumps(asdict(self), indent=1) + "\n"


def field_table(document: Mapping[str, Any]) -> FieldTable:
    """`fields.json`, parsed; ValueError says which field is wrong."""
    try:
        return FieldTable(
            continuous=tuple(ContinuousField(**entry) for entry in document["continuous"]),
            categorical=tuple(
                CategoricalField(name=entry["name"], vocabulary=tuple(entry["vocabulary"]))
                for entry in document["categorical"]
            ),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"fields.json lacks or misnames a key: {error}") from error
