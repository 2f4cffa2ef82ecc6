"""How surprising a clean stack is expected to be, by its distance from what the model knows.

The farther a stack lies from every stack the model was trained on, the wilder the evidence, of clean series too. So the
surprise of a stack counts in units of what is expected at its distance: the mean of an exponential distribution that
grows with a power of the distance (exponential regression on its logarithm, by maximum likelihood). The distance is the
image's alone: a wrong header changes the surprise, never what was expected.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

_STEPS: Final = 50
_CLOSE: Final = 1e-9
_LEAST_DISTANCE: Final = 0.01  # cosine distances below are all alike: a copy of something known


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What is expected at each distance, relative to the (geometric) mean distance of clean stacks."""

    power: float  # of the distance; 0: the same everywhere
    middle: float  # cosine distance
    farthest: float  # no clean stack tells of what lies beyond; it counts as this

    def __post_init__(self) -> None:
        if not (0 <= self.power < math.inf and 0 < self.middle <= self.farthest < math.inf):
            raise ValueError(
                f"expected surprise has power {self.power}, middle {self.middle}, farthest {self.farthest}; the power "
                "must be at least 0, the distances must be above 0 and the farthest the largest"
            )

    def relative(self, surprise_nats: float, distance: float | None) -> float:
        """A surprise as it would count at the mean distance; unchanged where no distance is known."""
        if distance is None:
            return surprise_nats
        near = min(max(distance, _LEAST_DISTANCE), self.farthest)
        return surprise_nats * (near / self.middle) ** -self.power


EVEN: Final = Expected(power=0.0, middle=1.0, farthest=1.0)


def expected(surprises_nats: Sequence[float], distances: Sequence[float]) -> Expected:
    """Fit to the largest surprise and the distance of clean stacks; `EVEN` where either is the same for all."""
    surprise = np.asarray(surprises_nats, np.float64)
    far = np.log(np.maximum(np.asarray(distances, np.float64), _LEAST_DISTANCE))
    if not len(surprise) or np.ptp(far) == 0 or surprise.max() <= 0:
        return EVEN
    middle = float(far.mean())
    design = np.stack([np.ones_like(far), far - middle], axis=1)
    weights = np.array([math.log(surprise.mean()), 0.0])
    for _ in range(_STEPS):  # Newton's method; the negative log likelihood is convex
        ratio = surprise * np.exp(-design @ weights)
        step = np.linalg.solve(design.T @ (design * ratio[:, None]), design.T @ (ratio - 1.0))
        weights = weights + step / max(1.0, float(np.abs(design @ step).max()))
        if np.abs(step).max() < _CLOSE:
            break
    return Expected(power=max(float(weights[1]), 0.0), middle=math.exp(middle), farthest=math.exp(float(far.max())))
