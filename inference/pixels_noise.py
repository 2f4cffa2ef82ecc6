"""Whether slices hold noise only: pixels that know nothing of their neighbours, everywhere alike."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

# Both must hold. Measured on the shared real series (phantoms and volunteers, all vendors): noise has 1.0 and 0.6; the
# least related image is the phase map of a phantom with 1.75, whose inside is smooth (0.001); magnitudes have above 10.
LARGEST_RELATION: Final = 2.0
LEAST_EVENNESS: Final = 0.2

_BLOCK_PX: Final = 4
_Slice = npt.NDArray[np.float32]


def is_noise(slices: Sequence[Float32[np.ndarray, "_ _"]]) -> bool:
    """True where neighbouring pixels are unrelated and vary as much in one place as in another.

    White noise of any distribution does so; an image, however noisy, has structure larger than its pixels, and a phase
    map has a smooth object in its noise. Noise that a scanner interpolated is related, and let through.
    """
    relation = neighbour_relation(slices)
    if relation is None or relation >= LARGEST_RELATION:
        return False
    evenness = local_evenness(slices)
    return evenness is not None and evenness > LEAST_EVENNESS


def neighbour_relation(slices: Sequence[Float32[np.ndarray, "_ _"]]) -> float | None:
    """16 times the variance of 4 x 4 block means over the variance of pixels: 1 for white noise, 16 for a smooth image.

    The median over the slices; None where no slice is large enough or varies.
    """
    return _median(slices, _relation)


def local_evenness(slices: Sequence[Float32[np.ndarray, "_ _"]]) -> float | None:
    """The 5th percentile of the variances inside 4 x 4 blocks over their median: near 0 where some place is smooth.

    The median over the slices; None where no slice is large enough or varies.
    """
    return _median(slices, _evenness)


def _relation(whole: _Slice) -> float:
    means = _blocks(whole).mean(axis=(1, 3))
    return float(means.var()) * _BLOCK_PX**2 / float(whole.var())


def _evenness(whole: _Slice) -> float:
    variances = _blocks(whole).var(axis=(1, 3))
    middle = float(np.median(variances))
    return float(np.quantile(variances, 0.05)) / middle if middle > 0 else 0.0


def _median(slices: Sequence[_Slice], measure: Callable[[_Slice], float]) -> float | None:
    measured: list[float] = []
    for one in slices:
        rows, columns = (size - size % _BLOCK_PX for size in one.shape)
        whole = one[:rows, :columns]
        if min(rows, columns) >= _BLOCK_PX**2 and whole.min() < whole.max():  # 16 blocks and more
            measured.append(measure(whole))
    return float(np.median(measured)) if measured else None


def _blocks(whole: _Slice) -> _Slice:
    return whole.reshape(whole.shape[0] // _BLOCK_PX, _BLOCK_PX, whole.shape[1] // _BLOCK_PX, _BLOCK_PX)
