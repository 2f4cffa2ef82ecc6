"""How strongly an image speaks against one field of a header: two Bayes factors, in nats.

*Counterfactual.* All other fields stay as the header has them and one is swapped. With L(v) = p(image | caption with v)
up to a constant (`Grid.log_likelihood`), the factor is  sum_v pi(v) L(v)  over the values v that disagree with the
claim, pi their share in the grid, divided by the largest L among the claim and the values that agree with it.

*Grid.* The header's other fields are left aside: the mean of L over the grid rows that disagree with the claim, by
the rows' prior weights, divided by the same mean over the rows that agree. A number beyond the grid's range is taken
as the nearest in it; a word the grid does not know is not judged.

The first finds one wrong field in a header that is right, the second a header that is wrong as a whole and consistent
in itself. The evidence is the mean of the two logarithms, so that neither alone decides against the other. (Bayes
factors: Kass and Raftery 1995; wrong labels by what a contrastive model finds likelier: LEMoN, arXiv 2407.18941.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Float64

from inference.captions import NUMERIC_FIELDS, Caption, Value
from inference.encoder import Encoder
from inference.grid import Grid, log_sum_exp
from inference.judged import JUDGED, JudgedField

_Alternatives = tuple[tuple[Value | None, float], ...]

_PLANES: Final = ("axial", "sagittal", "coronal")
_MOST_ALTERNATIVES: Final = 12
_CAPTIONS_KEPT: Final = 128
_DECIMALS: Final = 4  # single precision embeddings do not carry more, and ties must be ties


@dataclass(frozen=True, kw_only=True, slots=True)
class _Swapped:
    """One header with one field swapped: embeddings of the captions that agree and that disagree with it."""

    agreeing: Float32[np.ndarray, "a d"]
    disagreeing: Float32[np.ndarray, "b d"]
    log_shares: Float64[np.ndarray, " b"]  # of the disagreeing, summing to one


class Counterfactuals:
    """The two Bayes factors for every field of a header; safe to share between threads."""

    def __init__(self, encoder: Encoder, grid: Grid) -> None:
        self._encoder, self._grid = encoder, grid
        self._alternatives = {field.name: _alternatives(field, grid) for field in JUDGED}
        # Series of one protocol have one caption, so most captions have been seen before.
        self._swapped = lru_cache(maxsize=_CAPTIONS_KEPT)(self._swap)
        self._agreeing_rows = lru_cache(maxsize=8 * _CAPTIONS_KEPT)(self._rows)

    def log_odds(self, image: Float64[np.ndarray, " d"], caption: Caption) -> dict[str, float]:
        """The evidence against each field the header fills and the model can judge, in nats; above 0 is against it.

        `image` is the mean embedding of the stack's slices (`grid.mean_embedding`).
        """
        swapped = self._swapped(caption)
        likelihood = self._grid.log_likelihood(image)
        evidence: dict[str, float] = {}
        for field in JUDGED:
            factors = [self._against_rows(field, caption.get(field.name), likelihood)]
            if field.name in swapped:
                factors.append(self._against_swaps(swapped[field.name], image))
            found = [factor for factor in factors if factor is not None]
            if found:
                evidence[field.name] = round(sum(found) / len(found), _DECIMALS)
        return evidence

    def _against_rows(
        self, field: JudgedField, claimed: Value | None, likelihood: Float64[np.ndarray, " r"]
    ) -> float | None:
        agreeing, disagreeing = self._agreeing_rows(field, claimed)
        if not (agreeing.any() and disagreeing.any()):
            return None
        return self._mean_likelihood(likelihood, disagreeing) - self._mean_likelihood(likelihood, agreeing)

    def _mean_likelihood(self, likelihood: Float64[np.ndarray, " r"], chosen: npt.NDArray[np.bool_]) -> float:
        prior = self._grid.log_prior[chosen]
        return log_sum_exp(prior + likelihood[chosen]) - log_sum_exp(prior)

    def _rows(self, field: JudgedField, claimed: Value | None) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Which rows agree with a claim and which disagree; none of either if the field claims nothing."""
        said = self._grid.said(field.name)
        speaks = np.array([value is not None or field.absence_claims for value in said])
        if claimed is None and not field.absence_claims:
            return ~speaks & False, ~speaks & False
        agreeing = np.array([field.agree(claimed, value) for value in said]) & speaks
        if not agreeing.any() and claimed is not None and field.name in NUMERIC_FIELDS:
            distance = np.array([np.inf if value is None else _ratio(float(claimed), float(value)) for value in said])
            agreeing = (distance == distance.min()) & np.isfinite(distance)
        return agreeing, speaks & ~agreeing

    def _against_swaps(self, swapped: _Swapped, image: Float64[np.ndarray, " d"]) -> float:
        scale = self._grid.logit_scale
        disagreeing = scale * (swapped.disagreeing @ image) + swapped.log_shares
        return log_sum_exp(disagreeing) - float((scale * (swapped.agreeing @ image)).max())

    def _swap(self, caption: Caption) -> Mapping[str, _Swapped]:
        """Embed the caption and all that differ from it in one field that the encoder can see."""
        captions = [caption]
        places: dict[str, tuple[list[int], list[int], list[float]]] = {}
        for field in JUDGED:
            claimed = caption.get(field.name)
            alternatives = self._alternatives[field.name]
            if field.name not in self._encoder.caption_fields or not _is_judged(field, claimed, alternatives):
                continue
            agreeing, disagreeing, shares = places.setdefault(field.name, ([0], [], []))
            for value, share in alternatives:
                if value == claimed:
                    continue
                agrees = field.agree(claimed, value)
                (agreeing if agrees else disagreeing).append(len(captions))
                if not agrees:
                    shares.append(share)
                captions.append(replace(caption, **{field.name: value}))
        embeddings = self._encoder.encode_captions(captions)
        return {
            name: _Swapped(
                agreeing=embeddings[agreeing],
                disagreeing=embeddings[disagreeing],
                log_shares=np.log(np.array(shares) / sum(shares)),
            )
            for name, (agreeing, disagreeing, shares) in places.items()
            if disagreeing
        }


def _alternatives(field: JudgedField, grid: Grid) -> _Alternatives:
    """The values a field is swapped for, each with its share of the grid's weight."""
    shares: dict[Value | None, float] = {}
    for row, value in zip(grid.rows, grid.said(field.name), strict=True):
        if value is not None or field.absence_claims:
            shares[value] = shares.get(value, 0.0) + row.weight
    if field.name == "plane" and not shares:
        return tuple((plane, 1.0) for plane in _PLANES)
    absent = [(None, shares.pop(None))] if None in shares else []
    if field.name in NUMERIC_FIELDS:
        return (*absent, *_thinned({float(value): share for value, share in shares.items() if value is not None}))
    return (*absent, *sorted(shares.items(), key=lambda item: (-item[1], str(item[0])))[:_MOST_ALTERNATIVES])


def _is_judged(field: JudgedField, claimed: Value | None, alternatives: _Alternatives) -> bool:
    """True if the header claims something here that the grid could have said too."""
    if claimed is None:
        return field.absence_claims
    return field.name in NUMERIC_FIELDS or any(field.agree(claimed, value) for value, _ in alternatives)


def _thinned(shares: Mapping[float, float]) -> list[tuple[float, float]]:
    """Few values that stand for all: the commonest of each bin, the bins of equal width in log(1 + value)."""
    if len(shares) <= _MOST_ALTERNATIVES:
        return sorted(shares.items())
    values = np.array(sorted(shares))
    scaled: npt.NDArray[np.float64] = np.log1p(values)
    edges = np.linspace(float(scaled[0]), float(scaled[-1]), _MOST_ALTERNATIVES + 1)
    bins = np.digitize(scaled, edges[1:-1])
    members = [[float(value) for value in values[bins == index]] for index in np.unique(bins)]
    return [(max(found, key=lambda v: shares[v]), sum(shares[v] for v in found)) for found in members]


def _ratio(one: float, other: float) -> float:
    """How far apart two values are, as the logarithm of their ratio; a zero counts as a hundredth."""
    return abs(float(np.log(max(one, 0.01) / max(other, 0.01))))
