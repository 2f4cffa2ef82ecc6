"""The loss of a recipe as a function of features and targets."""

from collections.abc import Callable
from typing import Final, Literal

from pydantic.dataclasses import dataclass
from torch import Tensor

from training import losses
from training.data.targets import Targets, distance, positives
from training.models.contrast import ContrastModel, Features
from training.strict import STRICT, AboveZero, NotNegative, Share
from training.train.distributed import gather

LossName = Literal["clip", "multi_positive", "dhn_nce", "siglip", "soft_targets", "rank_n_contrast"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class LossSpec:
    """Which loss, and the constants of those that have some."""

    name: LossName = "multi_positive"
    delta: Share = 0.5  # weight of image -> metadata
    alpha: Share = 0.0  # dhn_nce: share of the positive in the denominator
    beta: NotNegative = 0.15  # dhn_nce: hardness
    width: AboveZero = 0.1  # soft_targets: distance at which a neighbour counts 1/e
    same_label_is_positive: bool = True  # dhn_nce and siglip; False: only the own pair is


def _pairs(targets: Targets, spec: LossSpec) -> Tensor | None:
    return positives(targets) if spec.same_label_is_positive else None


LOSSES: Final[dict[LossName, Callable[[Tensor, Targets, LossSpec], Tensor]]] = {
    "clip": lambda logits, _targets, _spec: losses.clip(logits),
    "multi_positive": lambda logits, targets, spec: losses.multi_positive(logits, positives(targets), delta=spec.delta),
    "dhn_nce": lambda logits, targets, spec: losses.dhn_nce(
        logits, _pairs(targets, spec), alpha=spec.alpha, beta=spec.beta, delta=spec.delta
    ),
    "siglip": lambda logits, targets, spec: losses.siglip(logits, _pairs(targets, spec)),
    "soft_targets": lambda logits, targets, spec: losses.soft_targets(
        logits, distance(targets), width=spec.width, delta=spec.delta
    ),
    "rank_n_contrast": lambda logits, targets, spec: losses.rank_n_contrast(
        logits, distance(targets), delta=spec.delta
    ),
}


def objective(model: ContrastModel, targets: Targets, spec: LossSpec) -> Callable[[Features], Tensor]:
    """The loss over the samples of all processes; `targets` are this process's own."""
    everyone = Targets(*(gather(tensor) for tensor in targets))

    def loss(features: Features) -> Tensor:
        logits = model.logits(Features(*(gather(column) for column in features)))
        return LOSSES[spec.name](logits, everyone, spec)

    return loss
