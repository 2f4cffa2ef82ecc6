"""Retrieval against small cases that a person can rank by eye."""

import numpy as np
import pytest

from training.evaluate.retrieval import (
    Gallery,
    caption_to_image,
    image_to_caption,
    measure,
    ranks,
    volume_mean,
    volume_vote,
)  # fmt: skip

EYE = np.eye(4, dtype=np.float32)


def test_ranks_by_hand() -> None:
    queries = np.array([[1.0, 0.0]])
    items = np.array([[0.9, 0.0], [0.5, 0.0], [0.7, 0.0], [0.1, 0.0]])
    for right, expected in (([1, 0, 0, 0], 1), ([0, 1, 0, 0], 3), ([0, 1, 1, 0], 2), ([0, 0, 0, 1], 4)):
        assert ranks(queries, items, np.array([right], dtype=bool)).tolist() == [expected]


def test_a_collapsed_model_ranks_last() -> None:
    same = np.ones((4, 2), np.float32) / np.sqrt(2)
    found = measure(same, same, EYE.astype(bool))
    assert found.recall[1] == 0
    assert found.median_rank == 4


def test_a_perfect_model() -> None:
    gallery = Gallery(embeddings=EYE, labels=np.arange(4))
    for found in (image_to_caption(EYE, np.arange(4), gallery), caption_to_image(EYE, np.arange(4), gallery)):
        assert (found.queries, found.recall[1], found.median_rank, found.mean_rank) == (4, 1.0, 1.0, 1.0)
        assert found.chance == {1: pytest.approx(0.25), 5: pytest.approx(1.0), 10: pytest.approx(1.0)}


def test_chance_is_what_shuffling_gives() -> None:
    random = np.random.default_rng(0)
    labels, captions = random.integers(0, 6, 3000), np.repeat(np.arange(6), [1, 2, 3, 4, 5, 6])
    images, texts = random.normal(size=(3000, 64)), random.normal(size=(21, 64))
    gallery = Gallery(embeddings=texts / np.linalg.norm(texts, axis=1, keepdims=True), labels=captions)
    found = image_to_caption(images / np.linalg.norm(images, axis=1, keepdims=True), labels, gallery)
    for k in (1, 5, 10):
        assert found.recall[k] == pytest.approx(found.chance[k], abs=0.03)


def test_labels_that_nobody_carries_are_left_out_or_refused() -> None:
    gallery = Gallery(embeddings=EYE[:2], labels=np.array([0, 1]))
    assert image_to_caption(EYE, np.array([0, 1, 7, 8]), gallery).queries == 2
    with pytest.raises(ValueError, match="no query"):
        image_to_caption(EYE, np.array([5, 6, 7, 8]), gallery)


def test_volumes_vote_and_average() -> None:
    # volume a: two slices see label 0, one sees 1; volume b: a tie of 1 and 2, which does not count as first
    images = EYE[[0, 0, 1, 1, 2]]
    volumes, labels = ["a", "a", "a", "b", "b"], np.array([0, 0, 0, 2, 2])
    gallery = Gallery(embeddings=EYE, labels=np.arange(4))
    assert volume_vote(images, labels, volumes, gallery) == {1: 0.5, 5: 1.0, 10: 1.0}
    means, first = volume_mean(images, volumes)
    assert first == [0, 3]
    np.testing.assert_allclose(means[0], np.array([2, 1, 0, 0]) / np.sqrt(5))
