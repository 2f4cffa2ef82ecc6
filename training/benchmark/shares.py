"""Shares with exact intervals, and areas under the curve with bootstrapped ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, rankdata


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """`count` of `total` with the exact 95 % interval (Clopper and Pearson 1934)."""

    count: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound; (0, 1) for nothing of nothing."""
        low = float(beta.ppf(0.025, self.count, self.total - self.count + 1)) if self.count else 0.0
        high = float(beta.ppf(0.975, self.count + 1, self.total - self.count)) if self.count < self.total else 1.0
        return low, high

    def __str__(self) -> str:
        if not self.total:
            return "none"
        low, high = self.interval
        return (
            f"{self.count} of {self.total} ({100 * self.count / self.total:.1f} %, {100 * low:.1f} to {100 * high:.1f})"
        )

    def to_json(self) -> dict[str, object]:
        """Counts and interval."""
        return {"count": self.count, "total": self.total, "interval": self.interval}


def share(flags: Sequence[bool]) -> Share:
    """How many are true."""
    return Share(count=sum(flags), total=len(flags))


def auroc(negative: Sequence[float], positive: Sequence[float]) -> float:
    """The probability that a positive scores higher than a negative, ties counting half (Mann and Whitney 1947)."""
    if not negative or not positive:
        return float("nan")
    ranks = rankdata(np.concatenate([negative, positive]))
    n, m = len(negative), len(positive)
    return float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))


def auroc_interval(
    negative: Sequence[float],
    positive: Sequence[float],
    *,
    of: tuple[Sequence[str], Sequence[str]],
    seed: int = 0,
    draws: int = 500,
) -> tuple[float, float]:
    """The 95 % interval of `auroc`, series drawn again with replacement (Efron 1979).

    `of` names the series of each negative and of each positive score. All scores of a series are drawn together: those
    of one image before and after its header was changed, or under several headers, tell little more than one of them.
    """
    if not len(negative) or not len(positive):
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    names, places = np.unique([*of[0], *of[1]], return_inverse=True)
    before, after = places[: len(negative)], places[len(negative) :]
    found: list[float] = []
    for _ in range(draws):
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        found.append(auroc(np.repeat(negative, times[before]).tolist(), np.repeat(positive, times[after]).tolist()))
    low, high = np.nanquantile(found, (0.025, 0.975))  # a draw may hold one kind of score alone
    return float(low), float(high)
