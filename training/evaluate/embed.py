"""Embeddings of many slices and captions with a trained model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from inference.captions import Caption
from inference.pixels import PixelSpec, standardise
from training.data.batches import read_slice
from training.data.rows import SliceRow
from training.evaluate.retrieval import Gallery
from training.models.build import Built

_AT_ONCE = 256


def embed_slices(
    built: Built, rows: Sequence[SliceRow], folder: Path, pixels: PixelSpec, device: torch.device
) -> Float[np.ndarray, "n d"]:
    """The normalised image embeddings of `rows`, in their order."""
    found = [np.zeros((0, 0), np.float32)] if not rows else []
    for start in range(0, len(rows), _AT_ONCE):
        slices = np.stack([read_slice(folder / row.filepath, pixels.size_px) for row in rows[start : start + _AT_ONCE]])
        images = torch.from_numpy(standardise(slices, pixels))
        with torch.inference_mode():
            found.append(built.model.encode_images(images.to(device)).cpu().numpy())
    return np.concatenate(found)


def embed_captions(built: Built, captions: Sequence[Caption], device: torch.device) -> Float[np.ndarray, "n d"]:
    """The normalised metadata embeddings of `captions`, in their order."""
    found: list[np.ndarray] = []
    for start in range(0, len(captions), _AT_ONCE):
        inputs = built.inputs.encode(captions[start : start + _AT_ONCE])
        with torch.inference_mode():
            found.append(built.model.encode_metadata(tuple(tensor.to(device) for tensor in inputs)).cpu().numpy())
    return np.concatenate(found)


@dataclass(frozen=True, kw_only=True)
class CaptionGallery:
    """The unique captions of some rows, encoded."""

    captions: list[Caption]
    gallery: Gallery


def caption_gallery(
    built: Built, rows: Sequence[SliceRow], device: torch.device, *, description: bool = True
) -> CaptionGallery:
    """Every caption of `rows` once, with or without its SeriesDescription, which often gives the contrast away."""
    labels: dict[Caption, int] = {}
    for row in rows:
        caption = row.caption if description else replace(row.caption, SeriesDescription=None)
        labels.setdefault(caption, row.label)
    captions = list(labels)
    embeddings = embed_captions(built, captions, device)
    return CaptionGallery(
        captions=captions, gallery=Gallery(embeddings=embeddings, labels=np.array(list(labels.values())))
    )
