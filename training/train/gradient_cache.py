"""The gradient of a contrastive loss over a batch that does not fit into memory at once (Gao 2021, GradCache).

Summing the losses of micro-batches is wrong here: a sample must be compared with the whole batch. So the features of
all micro-batches are made without a graph, the loss's gradient with respect to the features is taken, and every
micro-batch is run again with a graph to carry its part of that gradient to the weights. Features must not depend on
what else is in a micro-batch: no batch normalisation.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor

from training.models.contrast import ContrastModel, Features


class Samples(NamedTuple):
    """What both towers are given."""

    images: Tensor
    inputs: tuple[Tensor, ...]


Objective = Callable[[Features], Tensor]


def backward(
    model: ContrastModel,
    samples: Samples,
    objective: Objective,
    *,
    micro_batch: int,
    seed: int,
    autocast: Callable[[], AbstractContextManager[object]],
) -> Tensor:
    """Add the gradient of `objective` to the weights' `grad` and give the loss.

    The random numbers of a micro-batch (dropout, stochastic depth) come from `seed` and its number, so both of its
    passes draw the same ones.
    """
    starts = range(0, len(samples.images), micro_batch)

    def encode(start: int) -> Features:
        torch.manual_seed(seed + start)
        part = slice(start, start + micro_batch)
        with autocast():
            return model(samples.images[part], tuple(tensor[part] for tensor in samples.inputs))

    if len(starts) == 1:
        loss = objective(encode(0))
        loss.backward()
        return loss.detach()
    with torch.no_grad():
        parts = [encode(start) for start in starts]
    cached = Features(*(torch.cat(columns).requires_grad_() for columns in zip(*parts, strict=True)))
    loss = objective(cached)
    loss.backward()
    for start in starts:
        features = encode(start)
        gradients = [column.grad[start : start + micro_batch] for column in cached if column.grad is not None]
        torch.autograd.backward(list(features), gradients)
    return loss.detach()
