"""An exponential average of the weights, which is what is measured and exported."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)


class WeightAverage(Generic[Model]):
    """A copy of a model whose weights follow the model's; with decay 0 it is always the same as the model.

    The first updates count more ((1 + n) / (10 + n) bounds the decay), so that the random start is soon forgotten.
    """

    def __init__(self, model: Model, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, model: Model, step: int) -> None:
        """Follow `model` after optimiser step number `step`, counted from 0."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for own, new in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if own.is_floating_point():
                own.lerp_(new, 1 - decay)
            else:
                own.copy_(new)
