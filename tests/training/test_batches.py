"""Batches: any step at any time, in any number of processes, and pictures that cannot be used are named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inference.captions import Caption
from inference.pixels import PixelSpec
from training.data.augment import AugmentSpec
from training.data.batches import CsvBatches, Joined, Shard, read_slice
from training.data.rows import SliceRow
from training.data.spec import DataSpec
from training.errors import RefusedError

PIXELS = PixelSpec(size_px=16, mean=0.5, std=0.25)
PLAIN = DataSpec(batch_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(10):
        Image.fromarray(np.full((16, 16), 10 * number, np.uint8)).save(folder / f"{number}.png")
    return folder


def rows(count: int = 10) -> list[SliceRow]:
    return [
        SliceRow(
            filepath=f"{number}.png",
            text="",
            label=number,
            volume="v",
            group="g",
            caption=Caption(EchoTime_ms=float(number)),
        )
        for number in range(count)
    ]


def source(folder: Path, spec: DataSpec = PLAIN, **options: Any) -> CsvBatches:
    return CsvBatches(rows(), folder, spec=spec, pixels=PIXELS, **options)


def labels(batches: CsvBatches, first: int, count: int) -> list[list[int]]:
    steps = batches.steps(first)
    return [next(steps).labels.tolist() for _ in range(count)]


def test_pictures_captions_and_labels_belong_together_and_are_standardised(folder: Path) -> None:
    batch = next(source(folder).steps())
    assert batch.images.shape == (4, 1, 16, 16)
    for image, caption, label in zip(batch.images, batch.captions, batch.labels.tolist(), strict=True):
        assert caption.EchoTime_ms == label
        np.testing.assert_allclose(image.numpy(), (10 * label / 255 - 0.5) / 0.25, rtol=1e-5)


def test_an_epoch_shows_every_row_at_most_once_and_the_next_another_order(folder: Path) -> None:
    first, second, third, fourth = labels(source(folder), 0, 4)
    assert len({*first, *second}) == 8
    assert (first, second) != (third, fourth)


def test_a_step_is_the_same_whenever_it_is_asked_for(folder: Path) -> None:
    assert labels(source(folder), 5, 2) == labels(source(folder), 0, 7)[5:]
    assert labels(source(folder, seed=1), 0, 2) != labels(source(folder), 0, 2)


def test_workers_make_the_same_batches(folder: Path) -> None:
    changing = AugmentSpec(noise=0.1, rotate_deg=20)
    alone, helped = (
        source(folder, DataSpec(batch_size=4, workers=workers, augment=changing)).steps(3) for workers in (0, 2)
    )
    for _ in range(3):
        one, other = next(alone), next(helped)
        assert torch.equal(one.images, other.images)
        assert one.captions == other.captions
        assert torch.equal(one.labels, other.labels)


def test_processes_share_a_batch(folder: Path) -> None:
    whole = labels(source(folder), 0, 3)
    shares = [labels(source(folder, shard=Shard(rank=rank, world=2)), 0, 3) for rank in range(2)]
    for step, both in zip(whole, zip(*shares, strict=True), strict=True):
        assert sorted(step) == sorted([*both[0], *both[1]])
    with pytest.raises(RefusedError, match="4 cannot be shared evenly by 3"):
        next(source(folder, shard=Shard(rank=0, world=3)).steps())


def test_sources_can_be_joined(folder: Path) -> None:
    joined = Joined([source(folder), source(folder, seed=1)])
    batch = next(joined.steps(2))
    assert batch.labels.tolist() == labels(source(folder), 2, 1)[0] + labels(source(folder, seed=1), 2, 1)[0]
    assert batch.images.shape == (8, 1, 16, 16)
    assert len(joined.captions()) == 20


def test_too_few_rows_are_refused(folder: Path) -> None:
    with pytest.raises(RefusedError, match="3 slices do not fill one batch of 4"):
        CsvBatches(rows(3), folder, spec=PLAIN, pixels=PIXELS)


def test_pictures_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "colour.png")
    Image.fromarray(np.zeros((8, 6), np.uint8)).save(tmp_path / "long.png")
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:50])
    for name, words in (
        ("colour", "must be grey"),
        ("long", "are square"),
        ("cut", "cannot be read"),
        ("no", "cannot be"),
    ):
        with pytest.raises(RefusedError, match=rf"{name}\.png: .*{words}"):
            read_slice(tmp_path / f"{name}.png", 8)


def test_16_bits_and_other_sizes(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 32768, np.uint16)).save(tmp_path / "deep.png")
    np.testing.assert_allclose(read_slice(tmp_path / "deep.png", 16), 0.5, atol=1e-4)
