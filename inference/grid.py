"""The label grid of a bundle: the captions an image is compared with, and how likely each is after looking at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Float64

from inference.captions import FIELDS, Caption, Value, from_mapping
from inference.encoder import Encoder
from inference.labels import CONTRASTS

# Said by the row itself, whatever its caption says.
_ROW_FIELDS: Final = frozenset({"contrast", "post_contrast", "fat_suppressed"})


@dataclass(frozen=True, kw_only=True, slots=True)
class GridRow:
    """One caption, what it stands for, and how common it is."""

    contrast: str  # of inference.labels.CONTRASTS
    post_contrast: bool | None
    fat_suppressed: bool | None
    weight: float  # relative to the other rows
    caption: Caption

    def value(self, field: str) -> Value | None:
        """What the row says about a caption field."""
        if field in _ROW_FIELDS:
            said: str | bool | None = getattr(self, field)
            return said
        return self.caption.get(field)


def grid_rows(document: Mapping[str, Any]) -> tuple[GridRow, ...]:
    """`label_grid.json`, parsed; ValueError says which row is wrong and how."""
    rows: object = document.get("rows")
    if not isinstance(rows, list) or not rows:
        raise ValueError("label_grid.json must have rows")
    return tuple(_row(index, entry) for index, entry in enumerate(cast("list[Any]", rows)))


def _row(index: int, entry: Mapping[str, Any]) -> GridRow:
    try:
        values: dict[str, Any] = {**entry, "caption": from_mapping(entry["caption"])}
        row = GridRow(**values)
        if row.contrast not in CONTRASTS:
            raise ValueError(f"contrast {row.contrast!r} is not of inference.labels.CONTRASTS")
        if not (row.weight > 0 and np.isfinite(row.weight)):
            raise ValueError(f"weight {row.weight} must be positive")
        for name in ("post_contrast", "fat_suppressed"):
            if values[name] is not None and not isinstance(values[name], bool):
                raise ValueError(f"{name} {values[name]!r} must be true, false or null")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"label_grid.json row {index}: {error}") from error
    return row


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The rows and their embeddings, made once for a bundle.

    An image embedding z makes row r as likely as weight_r * exp(logit_scale * cos(z, caption_r)): the softmax over
    captions that contrastive training teaches (Radford 2021), whose logits approach the logarithm of
    p(image | caption) / p(image) (van den Oord 2018), with the weights as the prior.
    """

    rows: tuple[GridRow, ...]
    embeddings: Float32[np.ndarray, "r d"]
    logit_scale: float

    @cached_property
    def _columns(self) -> Mapping[str, tuple[Value | None, ...]]:
        return {field: tuple(row.value(field) for row in self.rows) for field in FIELDS}

    def said(self, field: str) -> tuple[Value | None, ...]:
        """What the rows say about a caption field, in their order."""
        return self._columns[field]

    @cached_property
    def log_prior(self) -> Float64[np.ndarray, " r"]:
        """The logarithm of the weights, summing to one."""
        weights = np.array([row.weight for row in self.rows], np.float64)
        return np.log(weights / weights.sum())

    def log_likelihood(self, image: Float64[np.ndarray, " d"]) -> Float64[np.ndarray, " r"]:
        """The logarithm of p(image | row) / p(image), up to a constant, in nats.

        `image` is the plain mean of the slices' unit embeddings (`mean_embedding`): the mean of the slices' own
        log-likelihoods. Its length is below 1 where slices disagree, and the answer is then less sure.
        """
        return self.logit_scale * (self.embeddings.astype(np.float64) @ image)

    def log_posterior(self, image: Float64[np.ndarray, " d"]) -> Float64[np.ndarray, " r"]:
        """The logarithm of p(row | image)."""
        logits = self.log_prior + self.log_likelihood(image)
        return logits - log_sum_exp(logits)


def embed_grid(rows: Sequence[GridRow], encoder: Encoder, *, logit_scale: float) -> Grid:
    """Embed the captions of the rows."""
    embeddings = encoder.encode_captions([row.caption for row in rows])
    return Grid(rows=tuple(rows), embeddings=embeddings, logit_scale=logit_scale)


def mean_embedding(embeddings: Float32[np.ndarray, "n d"]) -> Float64[np.ndarray, " d"]:
    """The mean over the slices of a stack, not normalised; ValueError for no slice."""
    if len(embeddings) == 0:
        raise ValueError("no embeddings; a stack without a readable slice has no contrast")
    return embeddings.mean(axis=0, dtype=np.float64)


def log_sum_exp(logits: npt.NDArray[np.float64]) -> float:
    """The logarithm of the sum of exponentials, without overflow; -inf for nothing."""
    if logits.size == 0:
        return -np.inf
    top = logits.max()
    return float(top + np.log(np.exp(logits - top).sum()))
