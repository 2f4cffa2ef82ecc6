"""Slices of several series in one batch: for a GPU, which encodes a hundred images nearly as quickly as one.

Series are read on several threads, so that one is decoded while another is encoded. Whoever finds nobody encoding
encodes all that waits, up to a limit; nobody waits for a batch to fill. Each image is encoded by itself in any batch,
so the answers are the same but for the rounding of the kernels that the backend chooses by batch size.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from inference.captions import Caption
from inference.encoder import Encoder


@dataclass(eq=False, slots=True)
class _Order:
    """Images that a thread wants encoded, and what came of them."""

    pixels: Float32[np.ndarray, "n c s s"]
    embeddings: Float32[np.ndarray, "n d"] | None = None
    error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.embeddings is not None or self.error is not None


class BatchingEncoder:
    """An `Encoder` that puts what several threads ask for into one batch of at most `most_images`.

    A series with more images than that is a batch of its own.
    """

    def __init__(self, encoder: Encoder, *, most_images: int) -> None:
        self._encoder, self._most_images = encoder, most_images
        self._waiting: deque[_Order] = deque()
        self._busy = False
        self._changed = threading.Condition()

    @property
    def dim(self) -> int:
        """The length of an embedding."""
        return self._encoder.dim

    @property
    def caption_fields(self) -> frozenset[str]:
        """The caption fields that make a difference to `encode_captions`."""
        return self._encoder.caption_fields

    def encode_captions(self, captions: Sequence[Caption]) -> Float32[np.ndarray, "n d"]:
        """Embed captions; they are few and are not put together."""
        return self._encoder.encode_captions(captions)

    def encode_images(self, pixels: Float32[np.ndarray, "n c s s"]) -> Float32[np.ndarray, "n d"]:
        """Embed images that `inference.pixels` prepared for this bundle."""
        mine = _Order(pixels)
        with self._changed:
            self._waiting.append(mine)
        while (batch := self._next(mine)) is not None:
            try:
                self._encode(batch)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
        if mine.embeddings is None:
            raise mine.error or RuntimeError("nobody encoded the images")
        return mine.embeddings

    def _next(self, mine: _Order) -> list[_Order] | None:
        """What this thread is to encode now; None once its own images are encoded."""
        with self._changed:
            self._changed.wait_for(lambda: mine.done or not self._busy)
            if mine.done:
                return None
            self._busy = True
            batch = [self._waiting.popleft()]
            count = len(batch[0].pixels)
            while self._waiting and count + len(self._waiting[0].pixels) <= self._most_images:
                batch.append(self._waiting.popleft())
                count += len(batch[-1].pixels)
            return batch

    def _encode(self, batch: Sequence[_Order]) -> None:
        """Encode a batch; where it fails, each order by itself, so that one cannot spoil the others."""
        try:
            embeddings = self._encoder.encode_images(np.concatenate([order.pixels for order in batch]))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised to whoever ordered
            if len(batch) == 1:
                batch[0].error = error
                return
            for order in batch:
                self._encode([order])
            return
        ends = np.cumsum([len(order.pixels) for order in batch])
        for order, part in zip(batch, np.split(embeddings, ends[:-1]), strict=True):
            order.embeddings = part
