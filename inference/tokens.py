"""Sentences as token ids for a text tower: `tokenizer.json` of a bundle (Hugging Face tokenizers)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64


class Tokenizer:
    """Start and end tokens added, padded with 0, cut so that the end token stays.

    The start and end tokens come from the post-processor in `tokenizer.json`: they are what it adds to an empty text.
    """

    def __init__(self, tokenizer_json: bytes, *, context_length: int) -> None:
        """ValueError if the file is no tokenizer or adds no start and end token."""
        from tokenizers import Tokenizer as Native  # imported late: only text bundles need it

        try:
            self._native = Native.from_buffer(tokenizer_json)
        except ValueError as error:
            raise ValueError(f"tokenizer.json cannot be read: {error}") from error
        self._native.no_truncation()
        self._native.no_padding()
        if len(self._native.encode("").ids) != 2:
            raise ValueError("tokenizer.json must add one start and one end token (post_processor)")
        if context_length < 3:
            raise ValueError(f"context length is {context_length}; must hold start, end and a token between")
        self._context_length = context_length

    def encode(self, texts: Sequence[str]) -> Int64[np.ndarray, "n length"]:
        """One row of `context_length` ids a text."""
        tokens = np.zeros((len(texts), self._context_length), np.int64)
        for row, encoding in enumerate(self._native.encode_batch(list(texts))):
            ids = encoding.ids
            if len(ids) > self._context_length:
                ids = [*ids[: self._context_length - 1], ids[-1]]
            tokens[row, : len(ids)] = ids
        return tokens
