"""Retrieval between images and captions, at slice and at volume level.

A caption is right for an image if it carries the image's label. The rank of a query is that of the best right item;
wrong items that tie with it are ranked before it, so that a collapsed model scores nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Int

K: Final = (1, 5, 10)

Vectors = Float[np.ndarray, "n d"]
Labels = Int[np.ndarray, " n"]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The unique captions that images are compared with, L2-normalised, and their labels."""

    embeddings: Vectors
    labels: Labels


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """How well queries find a right item."""

    queries: int
    recall: Mapping[int, float]  # share of queries with a right item among the first k
    chance: Mapping[int, float]  # the same for a random order
    median_rank: float  # from 1
    mean_rank: float


def ranks(queries: Float[np.ndarray, "q d"], items: Vectors, right: Bool[np.ndarray, "q n"]) -> Int[np.ndarray, " q"]:
    """The rank, from 1, of every query's best right item; embeddings are normalised, so the score is the cosine."""
    scores = queries @ items.T
    best = np.where(right, scores, -np.inf).max(axis=1)
    before = (scores >= best[:, None]) & ~right
    return 1 + before.sum(axis=1)


def measure(queries: Float[np.ndarray, "q d"], items: Vectors, right: Bool[np.ndarray, "q n"]) -> Retrieval:
    """Recall, ranks and what chance gives; queries without any right item are left out."""
    answerable = right.any(axis=1)
    queries, right = queries[answerable], right[answerable]
    if not len(queries):
        raise ValueError("no query has a right item")
    found = ranks(queries, items, right)
    return Retrieval(
        queries=len(queries),
        recall={k: float((found <= k).mean()) for k in K},
        chance={k: float(np.mean([_chance(int(count), len(items), k) for count in right.sum(axis=1)])) for k in K},
        median_rank=float(np.median(found)),
        mean_rank=float(found.mean()),
    )


def image_to_caption(images: Vectors, labels: Labels, gallery: Gallery) -> Retrieval:
    """Every image looks for a caption of its label."""
    return measure(images, gallery.embeddings, labels[:, None] == gallery.labels[None, :])


def caption_to_image(images: Vectors, labels: Labels, gallery: Gallery) -> Retrieval:
    """Every caption looks for an image of its label."""
    return measure(gallery.embeddings, images, gallery.labels[:, None] == labels[None, :])


def volume_mean(images: Vectors, volumes: Sequence[str]) -> tuple[Float[np.ndarray, "v d"], list[int]]:
    """The mean embedding of every volume, normalised again, and the number of its first slice."""
    members = _members(volumes)
    means = np.stack([images[rows].mean(axis=0) for rows in members])
    return means / np.linalg.norm(means, axis=1, keepdims=True), [rows[0] for rows in members]


def volume_vote(images: Vectors, labels: Labels, volumes: Sequence[str], gallery: Gallery) -> dict[int, float]:
    """The share of volumes whose label is among the k that most of their slices voted for (k: share).

    A slice votes for the label of its nearest caption. Labels with as many votes as the right one come before it.
    """
    votes = gallery.labels[(images @ gallery.embeddings.T).argmax(axis=1)]
    positions: list[float] = []
    for rows in _members(volumes):
        counts = Counter(votes[rows].tolist())
        own = counts.pop(int(labels[rows[0]]), 0)
        positions.append(np.inf if own == 0 else 1 + sum(count >= own for count in counts.values()))
    return {k: float(np.mean(np.array(positions) <= k)) for k in K}


def _members(volumes: Sequence[str]) -> list[list[int]]:
    members: dict[str, list[int]] = {}
    for row, volume in enumerate(volumes):
        members.setdefault(volume, []).append(row)
    return list(members.values())


def _chance(right: int, items: int, k: int) -> float:
    """The probability that k items drawn without replacement hold at least one of the `right` ones."""
    missed = 1.0
    for drawn in range(min(k, items)):
        missed *= max(0, items - right - drawn) / (items - drawn)
    return 1 - missed
