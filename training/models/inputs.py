"""How captions become the input of a metadata tower: the very code that reads a bundle's `fields.json` or
`tokenizer.json`, so training and reading cannot drift apart."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import torch
from torch import Tensor

from inference.captions import NUMERIC_FIELDS, YES_NO_FIELDS, Caption, Template, text
from inference.fields import NO, YES, CategoricalField, ContinuousField, FieldTable
from inference.labels import CONTRASTS
from inference.tokens import Tokenizer
from training.models.text import clip_tokenizer

# Ranges that hold clinical protocols; times on a logarithmic scale, where equal ratios are equal steps.
CONTINUOUS: Final = (
    ContinuousField(name="EchoTime_ms", transform="log1p", low=0.0, high=400.0),
    ContinuousField(name="RepetitionTime_ms", transform="log1p", low=0.0, high=15000.0),
    ContinuousField(name="InversionTime_ms", transform="log1p", low=0.0, high=4000.0),
    ContinuousField(name="FlipAngle_deg", transform="linear", low=0.0, high=180.0),
    ContinuousField(name="b_value_s_mm2", transform="log1p", low=0.0, high=3000.0),
    ContinuousField(name="MagneticFieldStrength_t", transform="linear", low=0.0, high=7.0),
)
_KNOWN: Final = {
    "plane": ("axial", "sagittal", "coronal"),
    "contrast": CONTRASTS,
    "ImageKind": ("magnitude", "phase", "real", "imaginary", "derived"),
    **dict.fromkeys(YES_NO_FIELDS, (YES, NO)),
}


class MetadataInput(Protocol):
    """Captions to the tensors that a metadata tower takes, in the order of its arguments."""

    names: tuple[str, ...]

    def encode(self, captions: Sequence[Caption]) -> tuple[Tensor, ...]: ...


class FieldInput:
    """Input of `FieldTower`."""

    names: tuple[str, ...] = ("continuous", "continuous_mask", "categorical")

    def __init__(self, table: FieldTable) -> None:
        self.table = table

    def encode(self, captions: Sequence[Caption]) -> tuple[Tensor, ...]:
        arrays = self.table.encode(captions)
        return tuple(
            torch.from_numpy(array) for array in (arrays.continuous, arrays.continuous_mask, arrays.categorical)
        )


class TextInput:
    """Input of `TextTower`."""

    names: tuple[str, ...] = ("tokens",)

    def __init__(self, template: Template, context_length: int) -> None:
        self.template: Template = template
        self.tokenizer_json = clip_tokenizer().to_str().encode()
        self._tokenizer = Tokenizer(self.tokenizer_json, context_length=context_length)

    def encode(self, captions: Sequence[Caption]) -> tuple[Tensor, ...]:
        return (torch.from_numpy(self._tokenizer.encode([text(caption, self.template) for caption in captions])),)


def field_table(captions: Iterable[Caption], names: Sequence[str], *, min_count: int) -> FieldTable:
    """The table of the fields in `names`: fixed ranges for numbers, fixed words where there is a list of them, and for
    the others every value that at least `min_count` captions carry, the frequent ones first."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in names if name not in NUMERIC_FIELDS | _KNOWN.keys()}
    for caption in captions:
        for name, counter in counts.items():
            value = caption.get(name)
            if value is not None:
                counter[str(value)] += 1
    return FieldTable(
        continuous=tuple(field for field in CONTINUOUS if field.name in names),
        categorical=tuple(
            CategoricalField(name=name, vocabulary=_KNOWN.get(name) or _frequent(counts[name], min_count))
            for name in names
            if name not in NUMERIC_FIELDS
        ),
    )


def _frequent(counter: Counter[str], min_count: int) -> tuple[str, ...]:
    ordered = sorted(counter.items(), key=lambda entry: (-entry[1], entry[0]))
    return tuple(value for value, count in ordered if count >= min_count)
