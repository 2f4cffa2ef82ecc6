"""What a loss is told about a batch besides its logits: labels, and how far apart two acquisitions are."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from inference.captions import Caption
from inference.fields import FieldTable
from training.data.labels import stable_id
from training.models.inputs import CONTINUOUS

# Fields that shape the image, not those that name the scanner or the protocol.
_NUMBERS: Final = FieldTable(
    continuous=tuple(field for field in CONTINUOUS if field.name != "MagneticFieldStrength_t"), categorical=()
)
_WORDS: Final = ("plane", "ScanningSequence", "ImageKind", "contrast", "post_contrast", "fat_suppressed")


class Targets(NamedTuple):
    """One row a sample; tensors only, so that processes can gather them."""

    labels: Int[Tensor, " n"]
    numbers: Float[Tensor, "n f"]  # TE, TR, TI, flip angle and b-value in [0, 1]; NaN where absent
    codes: Int[Tensor, "n w"]  # the words as hashes

    def to(self, device: torch.device) -> "Targets":
        return Targets(*(tensor.to(device) for tensor in self))


def targets(captions: Sequence[Caption], labels: Int[Tensor, " n"]) -> Targets:
    """The targets of a batch."""
    arrays = _NUMBERS.encode(captions)
    numbers = np.where(arrays.continuous_mask, arrays.continuous, np.nan)
    codes = [[stable_id(str(caption.get(field))) for field in _WORDS] for caption in captions]
    return Targets(labels, torch.from_numpy(numbers), torch.tensor(codes))


def positives(targets: Targets) -> Tensor:
    """(n, n): True where two samples carry the same label."""
    return targets.labels[:, None] == targets.labels[None, :]


def distance(targets: Targets) -> Float[Tensor, "n n"]:
    """How many axes of the acquisition lie between two samples: the sum over the fields of a step in [0, 1].

    A number's step is its difference on the field's scale (log for times: 90 to 100 ms echo time is 0.02, 10 to 100 ms
    0.37); present against absent and one word against another are whole steps; absent twice is none.
    """
    first, second = targets.numbers[:, None], targets.numbers[None, :]
    one_absent = first.isnan() ^ second.isnan()
    steps = torch.where(one_absent, 1.0, (first - second).abs().nan_to_num(0.0)).sum(dim=-1)
    words = (targets.codes[:, None] != targets.codes[None, :]).sum(dim=-1)
    return steps + words
