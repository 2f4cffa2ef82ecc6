"""A source of samples that a tiny model learns in seconds: the picture is a pattern whose kind names the protocol."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch

from inference.captions import Caption
from training.data.batches import Batch
from training.recipe import Recipe, load_recipe

PROTOCOLS = [
    Caption(contrast=contrast, EchoTime_ms=echo, RepetitionTime_ms=repetition, plane="axial", ImageKind="magnitude")
    for contrast, echo, repetition in (("T1", 10.0, 500.0), ("T2", 100.0, 4000.0), ("PROTON_DENSITY", 15.0, 3000.0))
]


class Stripes:
    """Step k is made from k alone; protocol p is stripes of p + 1 periods, with noise."""

    def __init__(self, batch: int = 12, size_px: int = 32, rank: int = 0, world: int = 1) -> None:
        self.batch, self.size_px, self.rank, self.world = batch, size_px, rank, world
        self.asked: list[int] = []

    def captions(self) -> Sequence[Caption]:
        return PROTOCOLS

    def steps(self, first: int = 0) -> Iterator[Batch]:
        step = first
        while True:
            self.asked.append(step)
            random = np.random.default_rng(step)
            kinds = random.integers(0, len(PROTOCOLS), self.batch)
            phase = np.linspace(0, 2 * np.pi, self.size_px)[None, None, :]
            waves = np.sin(phase * (1 + kinds)[:, None, None]) * np.ones((1, self.size_px, 1))
            images = torch.from_numpy((waves + 0.1 * random.normal(size=waves.shape)).astype(np.float32))[:, None]
            own = slice(self.rank, None, self.world)
            yield Batch(images[own], [PROTOCOLS[kind] for kind in kinds[own]], torch.from_numpy(kinds)[own])
            step += 1


TOY = (
    "model.embed_dim=16", "model.image.size_px=32", "model.metadata.vocabulary_min_count=1",
    "model.image.overrides={depths:[1,1,1,1],dims:[8,16,24,32],patch_size:2}",
    "model.metadata.width=16", "model.metadata.heads=2", "model.metadata.layers=1",
    "data.batch_size=12", "optimiser.warmup_steps=2", "run.device=cpu", "run.trackers=[]", "run.log_every=1",
)  # fmt: skip


@pytest.fixture(scope="session")
def stripes() -> type[Stripes]:
    return Stripes


@pytest.fixture(scope="session")
def toy_recipe() -> Callable[..., Recipe]:
    """`toy_recipe("optimiser.steps=4", ...)`: the smallest recipe there is."""
    return lambda *overrides: load_recipe("tiny", [*TOY, *overrides])
