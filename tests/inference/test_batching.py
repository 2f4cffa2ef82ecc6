"""Slices of several series in one batch: who asked gets what is theirs, and it is what they would get alone."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import tiny_bundle
from dicom_factory import series, write_series
from inference.batching import BatchingEncoder
from inference.captions import Caption
from inference.encoder import load_encoder
from inference.model import load_model
from inference.read import Reader, read_paths
from peers import wait_for

# Of an embedding's coordinates, which are at most 1, and of what is computed from them.
TOLERANCE = 1e-5


class Gate:
    """An encoder that can be held up, and remembers its batches; an image's embedding is its first pixels."""

    dim = 2
    caption_fields = frozenset[str]()

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun = threading.Event()
        self.batches: list[int] = []

    def encode_images(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self.batches.append(len(pixels))
        self.begun.set()
        assert self.open.wait(20)
        if np.isnan(pixels).any():
            raise ValueError("not a number")
        return pixels[:, 0, 0, :2]

    def encode_captions(self, captions: Sequence[Caption]) -> npt.NDArray[np.float32]:
        return np.zeros((len(captions), 2), np.float32)


def images(count: int, value: float) -> npt.NDArray[np.float32]:
    return np.full((count, 1, 4, 4), value, np.float32)


def ordered(orders: Sequence[npt.NDArray[np.float32]], most_images: int) -> tuple[list[Any], list[int]]:
    """What came of orders of which all but the first are given while that is encoded, and the batches."""
    gate = Gate()
    encoder = BatchingEncoder(gate, most_images=most_images)
    with ThreadPoolExecutor(len(orders)) as pool:
        futures = [pool.submit(encoder.encode_images, orders[0])]
        assert gate.begun.wait(20)
        for number, order in enumerate(orders[1:], 1):
            futures.append(pool.submit(encoder.encode_images, order))
            wait_for(lambda number=number: len(encoder._waiting) == number)  # they come in this order
        gate.open.set()
        return [future.exception(20) or future.result() for future in futures], gate.batches


def test_what_waits_while_somebody_encodes_is_one_batch_and_comes_back_to_whom_it_belongs() -> None:
    found, batches = ordered([images(number + 1, number) for number in range(5)], most_images=100)
    assert batches == [1, 2 + 3 + 4 + 5]
    for number, embeddings in enumerate(found):
        np.testing.assert_array_equal(embeddings, np.full((number + 1, 2), number))


def test_a_batch_has_a_limit_and_a_series_beyond_it_is_one_of_its_own() -> None:
    _, batches = ordered([images(1, 0), images(4, 1), images(4, 2), images(20, 3), images(1, 4)], most_images=8)
    assert batches == [1, 8, 20, 1]


def test_one_that_cannot_be_encoded_does_not_spoil_the_others() -> None:
    found, batches = ordered([images(1, 0), images(2, 1), images(2, np.nan), images(2, 2)], most_images=8)
    assert batches == [1, 6, 2, 2, 2]
    assert isinstance(found[2], ValueError)
    np.testing.assert_array_equal(found[3], np.full((2, 2), 2))


def test_series_read_together_have_the_answers_of_series_read_alone(tmp_path: Path) -> None:
    bundle = tiny_bundle.write(tmp_path / "bundle")
    for number in range(8):
        images = series(6, seed=number, EchoTime=90, RepetitionTime=4000, SeriesDescription="t2")
        write_series(images, tmp_path / "images" / str(number))
    paths = [tmp_path / "images"]
    alone = read_paths(paths, Reader(model=load_model(bundle, threads=1)), threads=1).to_json()
    together = read_paths(paths, Reader(model=load_model(bundle, threads=1, batch=64)), threads=8).to_json()
    assert_same(alone, together)


def test_a_batch_of_many_series_has_the_embeddings_of_each_alone(tmp_path: Path) -> None:
    bundle = tiny_bundle.write(tmp_path / "bundle")
    size = bundle.manifest.image.size_px
    pixels = np.random.default_rng(0).normal(size=(50, bundle.manifest.image.channels, size, size)).astype(np.float32)
    whole = load_encoder(bundle, threads=1, batch=64).encode_images(pixels)
    encoder = load_encoder(bundle, threads=1)
    alone = np.concatenate([encoder.encode_images(pixels[start : start + 5]) for start in range(0, 50, 5)])
    np.testing.assert_allclose(whole, alone, atol=TOLERANCE)


def assert_same(one: Any, other: Any) -> None:
    """The same document but for the rounding of its numbers."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            assert_same(first, second)
    elif isinstance(one, float):
        assert other == pytest.approx(one, rel=1e-3, abs=100 * TOLERANCE)
    else:
        assert one == other
