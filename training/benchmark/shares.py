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
    negative: Sequence[float], positive: Sequence[float], *, seed: int = 0, draws: int = 500
) -> tuple[float, float]:
    """The 95 % interval of `auroc`, series drawn again with replacement (Efron 1979)."""
    rng = np.random.default_rng(seed)
    some, others = np.asarray(negative), np.asarray(positive)
    if not some.size or not others.size:
        return float("nan"), float("nan")
    found = [
        auroc(rng.choice(some, some.size).tolist(), rng.choice(others, others.size).tolist()) for _ in range(draws)
    ]
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
