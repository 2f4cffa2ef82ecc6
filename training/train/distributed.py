"""Several processes as one: started by torchrun, each with its share of every batch.

Every process computes the loss of the whole batch from gathered features. A process's gradient then holds its own
features' part only, so the sum over the processes is the gradient of one process with the whole batch. That holds for
networks that see every sample by itself; batch normalisation does not and is refused (`training.train.loop`).
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed

from training.data.batches import Shard


@contextmanager
def processes(device: torch.device) -> Iterator[Shard]:
    """Join the group that torchrun made; without torchrun there is one process."""
    if "WORLD_SIZE" not in os.environ:
        yield Shard()
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Shard(rank=distributed.get_rank(), world=distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def local_device(name: str) -> torch.device:
    """The device of this process: `auto` takes the GPU of its local rank where there is one."""
    if name == "auto":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def is_first() -> bool:
    """True in the process that writes files and speaks."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def how_many() -> int:
    """How many processes share every batch."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def gather(tensor: Tensor) -> Tensor:
    """The rows of all processes, in the order of their ranks; the gradient reaches this process's own rows."""
    if not distributed.is_initialized():
        return tensor
    gathered: Tensor = _Gather.apply(tensor)
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        parts = [torch.empty_like(local) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # times the number of processes, because `average` divides by it
        world = distributed.get_world_size()
        return gradients[0].chunk(world)[distributed.get_rank()] * world


def average(tensors: Iterable[Tensor]) -> None:
    """Replace tensors of one dtype by their mean over the processes, in one message."""
    if not distributed.is_initialized():
        return
    items = list(tensors)
    flat = torch.cat([item.flatten() for item in items])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for item, part in zip(items, flat.split([item.numel() for item in items]), strict=True):
        item.copy_(part.view_as(item))


def same_everywhere(tensors: Iterable[Tensor]) -> None:
    """Give every process the first one's tensors."""
    if distributed.is_initialized():
        for tensor in tensors:
            distributed.broadcast(tensor, src=0)
