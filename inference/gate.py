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
    # The same of what is no stack of a patient (test objects, scrambled images). What is nearer to these than to the
    # known ones is as far away as can be: a distance alone lets a third of them through, which lie beside the known.
    strange: Float32[np.ndarray, "s d"] | None = None
    neighbours: int = NEIGHBOURS

    def __post_init__(self) -> None:
        for name, array in (("reference.npy", self.reference), ("strange.npy", self.strange)):
            if array is not None and (array.ndim != 2 or len(array) < self.neighbours):
                raise ValueError(f"{name} has shape {array.shape}; must hold at least {self.neighbours} embeddings")

    def distance(self, image: Float64[np.ndarray, " d"]) -> float:
        if not image.any():
            return FARTHEST  # the slices cancel out: they have nothing in common
        nearest = self._cosine(self.reference, image)
        if self.strange is not None and self._cosine(self.strange, image) > nearest:
            return FARTHEST
        return float(1.0 - nearest)

    def _cosine(self, known: Float32[np.ndarray, "m d"], image: Float64[np.ndarray, " d"]) -> float:
        cosines = known @ unit(image)
        return float(np.partition(cosines, len(cosines) - self.neighbours)[len(cosines) - self.neighbours])


def unit(image: Float64[np.ndarray, " d"]) -> Float32[np.ndarray, " d"]:
    """A mean embedding at length 1: its direction says what the image is, its length how much the slices agree."""
    return (image / np.linalg.norm(image)).astype(np.float32)
