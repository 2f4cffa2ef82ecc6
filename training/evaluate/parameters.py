"""How far the parameters of the retrieved caption are from the truth (`--distance`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from inference.captions import Caption

FIELDS: Final = ("EchoTime_ms", "RepetitionTime_ms", "InversionTime_ms")


@dataclass(frozen=True, kw_only=True)
class ParameterError:
    """The error of one field over all queries; the numbers are None where both captions never had a value."""

    both: int  # queries whose caption and whose retrieved caption have a value
    only_one: int  # one has a value, the other none: an inversion time seen where there was none, or missed
    median_absolute: float | None  # in the unit of the field
    mean_absolute: float | None
    within_tenth: float | None  # share of `both` with a relative error of at most 10 %


def parameter_errors(truth: Sequence[Caption], retrieved: Sequence[Caption]) -> dict[str, ParameterError]:
    """Compare every query's own caption with the one that was retrieved for it."""
    return {field: _error(field, truth, retrieved) for field in FIELDS}


def _error(field: str, truth: Sequence[Caption], retrieved: Sequence[Caption]) -> ParameterError:
    pairs = [(own.get(field), found.get(field)) for own, found in zip(truth, retrieved, strict=True)]
    values = np.array([(own, found) for own, found in pairs if own is not None and found is not None], np.float64)
    only_one = sum((own is None) != (found is None) for own, found in pairs)
    if not len(values):
        return ParameterError(both=0, only_one=only_one, median_absolute=None, mean_absolute=None, within_tenth=None)
    error = np.abs(values[:, 1] - values[:, 0])
    return ParameterError(
        both=len(values),
        only_one=only_one,
        median_absolute=float(np.median(error)),
        mean_absolute=float(error.mean()),
        within_tenth=float((error <= 0.1 * values[:, 0]).mean()),
    )
