"""Captions with fields left out, so that the model answers whatever a header lacks."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic.dataclasses import dataclass

from inference.captions import FIELDS, Caption
from training.strict import STRICT, Share


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DropoutSpec:
    """Probabilities of leaving a field out of a sample's caption, each drawn on its own."""

    field: Share = 0.0
    description: Share = 0.0  # of SeriesDescription, which often names the contrast
    only_contrast: Share = 0.0  # of keeping nothing but contrast, agent and fat suppression


_ANSWERS = frozenset({"contrast", "post_contrast", "fat_suppressed"})


def drop_fields(captions: Sequence[Caption], spec: DropoutSpec, *, seed: int) -> list[Caption]:
    """The captions, each with its own fields left out; the same for the same seed."""
    random = np.random.default_rng(seed)
    rates = np.array([spec.description if field == "SeriesDescription" else spec.field for field in FIELDS])
    answers = np.array([field in _ANSWERS for field in FIELDS])
    left_out = random.random((len(captions), len(FIELDS))) < rates
    bare = random.random(len(captions)) < spec.only_contrast
    left_out = np.where(bare[:, None], ~answers, left_out)
    return [
        replace(caption, **{field: None for field, gone in zip(FIELDS, row, strict=True) if gone})
        for caption, row in zip(captions, left_out, strict=True)
    ]
