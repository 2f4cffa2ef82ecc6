"""Whether a model has seen images like these: the gate before any verdict."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from jaxtyping import Float32, Float64

NEIGHBOURS: Final = 5
FARTHEST: Final = 2.0


class Gate(Protocol):
    """A distance from what the model knows; the larger, the stranger."""

    def distance(self, image: Float64[np.ndarray, " d"]) -> float:
        """How far a stack's mean embedding lies from the embeddings of known stacks."""
        ...


@dataclass(frozen=True, kw_only=True)
class NearestNeighbours:
    """The cosine distance, in [0, 2], to the k-th nearest known stack (Sun 2022, kNN out-of-distribution detection)."""

    reference: Float32[np.ndarray, "m d"]  # unit vectors, one a stack
    neighbours: int = NEIGHBOURS

    def __post_init__(self) -> None:
        if self.reference.ndim != 2 or len(self.reference) < self.neighbours:
            raise ValueError(
                f"reference.npy has shape {self.reference.shape}; must hold at least {self.neighbours} embeddings"
            )

    def distance(self, image: Float64[np.ndarray, " d"]) -> float:
        if not image.any():
            return FARTHEST  # the slices cancel out: they have nothing in common
        cosines = self.reference @ unit(image)
        nearest = np.partition(cosines, len(cosines) - self.neighbours)[len(cosines) - self.neighbours]
        return float(1.0 - nearest)


def unit(image: Float64[np.ndarray, " d"]) -> Float32[np.ndarray, " d"]:
    """A mean embedding at length 1: its direction says what the image is, its length how much the slices agree."""
    return (image / np.linalg.norm(image)).astype(np.float32)
