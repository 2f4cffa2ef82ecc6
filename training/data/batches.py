"""Where a training step's samples come from: one protocol, and its implementation over a CSV of slices.

Step k of a source is the same whenever it is asked for: a run that was resumed sees what an uninterrupted one would
have seen. N processes see the slices that one would have seen, each its share, changed by random numbers of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Float32, Int
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from inference.captions import Caption
from inference.pixels import PixelSpec, standardise
from training.data.augment import augment
from training.data.rows import SliceRow
from training.data.spec import DataSpec
from training.errors import RefusedError


class Batch(NamedTuple):
    """The samples of one step, or this process's share of them."""

    images: Float32[Tensor, "n c s s"]  # as `inference.pixels` prepares them
    captions: list[Caption]
    labels: Int[Tensor, " n"]


class Batches(Protocol):
    """A source of samples."""

    def steps(self, first: int = 0) -> Iterator[Batch]:
        """The batches of step `first`, `first` + 1, ... without end."""
        ...

    def captions(self) -> Sequence[Caption]:
        """Captions that show what values the fields take, for the vocabulary of a field encoder."""
        ...


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Which share of every batch this process takes: rows rank, rank + world, ..."""

    rank: int = 0
    world: int = 1

    def of(self, items: Sequence[int]) -> list[int]:
        """This process's items; RefusedError where they cannot be shared evenly."""
        if len(items) % self.world:
            raise RefusedError(f"a batch of {len(items)} cannot be shared evenly by {self.world} processes")
        return list(items[self.rank :: self.world])


def read_slice(path: Path, size_px: int) -> Float32[np.ndarray, "s s"]:
    """A grey PNG of a prepared slice in [0, 1], resized if it was written at another size.

    RefusedError names the file that cannot be read.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "I;16"):
                raise RefusedError(f"{path}: is a {image.mode} image; must be grey, of 8 or 16 bits")
            largest = 255.0 if image.mode == "L" else 65535.0
            pixels = np.asarray(image, np.float32) / largest
    except (UnidentifiedImageError, OSError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken chunk
        raise RefusedError(f"{path}: cannot be read as an image: {error}") from error
    if pixels.shape[0] != pixels.shape[1]:
        raise RefusedError(f"{path}: is {pixels.shape[1]} x {pixels.shape[0]}; prepared slices are square")
    if pixels.shape[0] == size_px:
        return pixels
    resized = Image.fromarray(pixels).resize((size_px, size_px), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(resized, np.float32), 0, 1)


class CsvBatches:
    """Batches of the rows of a CSV in a new random order every epoch; the last rows that fill no batch wait."""

    def __init__(
        self,
        rows: Sequence[SliceRow],
        folder: Path,
        *,
        spec: DataSpec,
        pixels: PixelSpec,
        seed: int = 0,
        shard: Shard = Shard(),
    ) -> None:
        if len(rows) < spec.batch_size:
            raise RefusedError(f"{folder}: {len(rows)} slices do not fill one batch of {spec.batch_size}")
        self._rows, self._spec, self._pixels, self._seed, self._shard = rows, spec, pixels, seed, shard
        self._folder = folder

    @property
    def steps_per_epoch(self) -> int:
        return len(self._rows) // self._spec.batch_size

    def captions(self) -> Sequence[Caption]:
        return [row.caption for row in self._rows]

    def steps(self, first: int = 0) -> Iterator[Batch]:
        if self._spec.workers == 0:
            return map(self.batch, count(first))
        loader = DataLoader(
            _Steps(self),
            sampler=_Numbers(first),
            batch_size=None,
            num_workers=self._spec.workers,
            multiprocessing_context="forkserver",  # forking a process that has threads can deadlock
            pin_memory=torch.cuda.is_available(),
        )
        return iter(loader)

    def batch(self, step: int) -> Batch:
        """This process's share of step `step`: read, changed at random, standardised."""
        rows = [self._rows[index] for index in self.indices(step)]
        slices = np.stack([read_slice(self._folder / row.filepath, self._pixels.size_px) for row in rows])
        generator = torch.Generator().manual_seed(mixed_seed(self._seed, step, self._shard.rank))
        images = augment(torch.from_numpy(slices)[:, None], self._spec.augment, generator)
        standard = torch.from_numpy(standardise(images[:, 0].numpy(), self._pixels))
        return Batch(standard, [row.caption for row in rows], torch.tensor([row.label for row in rows]))

    def indices(self, step: int) -> list[int]:
        """The rows of this process's share of step `step`."""
        epoch, position = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._rows))
        return self._shard.of(order[position * self._spec.batch_size :][: self._spec.batch_size].tolist())


class _Steps(Dataset[Batch]):
    """Steps as the items of a data set, so that a worker process makes a whole batch."""

    def __init__(self, batches: CsvBatches) -> None:
        self._batches = batches

    def __getitem__(self, index: int) -> Batch:
        return self._batches.batch(index)


class _Numbers(Sampler[int]):
    """The numbers from `first` on."""

    def __init__(self, first: int) -> None:
        self._first = first

    def __iter__(self) -> Iterator[int]:
        return count(self._first)


class Joined:
    """Several sources as one: every batch is theirs, one after the other."""

    def __init__(self, sources: Sequence[Batches]) -> None:
        self._sources = sources

    def captions(self) -> Sequence[Caption]:
        return [caption for source in self._sources for caption in source.captions()]

    def steps(self, first: int = 0) -> Iterator[Batch]:
        for parts in zip(*(source.steps(first) for source in self._sources), strict=True):
            captions = [caption for part in parts for caption in part.captions]
            images = torch.cat([part.images for part in parts])
            yield Batch(images, captions, torch.cat([part.labels for part in parts]))


def mixed_seed(*parts: int) -> int:
    """One 63-bit seed from several numbers; (1, 2) and (2, 1) give different ones."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
