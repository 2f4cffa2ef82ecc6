"""A trained model as a bundle folder, written by `inference`'s bundle writer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from inference import manifest as names
from inference.bundle import Bundle, write_bundle
from inference.captions import Caption
from inference.manifest import Manifest, MetadataSection
from training.errors import RefusedError
from training.export.about import About
from training.export.card import card
from training.export.graphs import (
    image_example,
    image_graph,
    metadata_example,
    metadata_graph,
    run_onnx,
    to_onnx,
)  # fmt: skip
from training.export.grid import GridSpec, label_grid
from training.export.torchscript import to_torchscript
from training.export.variants import Drift, drift, image_variant
from training.models.inputs import TextInput
from training.train.checkpoint import Trained

PARITY = 1e-3  # largest difference of an element of an embedding between torch and ONNX Runtime


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A written bundle and what was measured while it was made."""

    bundle: Bundle
    parity: float  # largest difference between torch and ONNX Runtime
    drift: Drift  # of the image tower in the bundle against fp32


def export(
    trained: Trained,
    folder: Path,
    about: About,
    *,
    captions: Sequence[Caption],
    images: Float32[np.ndarray, "n c s s"],
) -> Exported:
    """Write the bundle of `trained` to `folder`, which must not exist.

    `captions` are those of the training data and make the label grid; `images`, prepared, check parity and drift and
    set 8-bit scales. RefusedError if torch and ONNX Runtime disagree or there is no image to compare them on.
    """
    if not len(images):
        raise RefusedError("export compares torch with ONNX Runtime on images; give at least one")
    built, recipe = trained.built, trained.recipe
    image = to_onnx(image_graph(built), image_example(recipe.model.image))
    metadata = to_onnx(metadata_graph(built), metadata_example(built))
    parity = _parity(trained, image, metadata, images)
    tower = image_variant(image, about.precision, images)
    measured = drift(image, tower, images)
    complete = recipe.data.dropout.field == 0
    files = {
        names.IMAGE_ENCODER: tower,
        names.METADATA_ENCODER: metadata,
        names.LABEL_GRID: label_grid(captions, GridSpec(complete=complete)),
        names.MODEL_CARD: card(trained, about, measured).encode(),
        **_metadata_input(trained),
        **(_torchscript(trained) if about.torchscript else {}),
        **about.files,
    }
    bundle = write_bundle(folder, _manifest(trained, about), files)
    return Exported(bundle=bundle, parity=parity, drift=measured)


def _manifest(trained: Trained, about: About) -> Manifest:
    metadata = trained.recipe.model.metadata
    text = metadata.kind == "text"
    return Manifest(
        name=about.name,
        version=about.version,
        created=about.created,
        image=trained.recipe.pixels,
        metadata=MetadataSection(
            kind=metadata.kind,
            template=metadata.template if text else None,
            context_length=metadata.context_length if text else None,
        ),
        embedding_dim=trained.recipe.model.embed_dim,
        logit_scale=trained.built.model.scale.item(),
        licence=about.licence,
        training_data=about.training_data,
        slices=about.slices,
        minimum_probability=about.minimum_probability,
    )


def _metadata_input(trained: Trained) -> dict[str, bytes]:
    inputs = trained.built.inputs
    if isinstance(inputs, TextInput):
        return {names.TOKENIZER: inputs.tokenizer_json}
    if trained.built.table is None:
        raise RefusedError("a field encoder without a field table cannot be exported")
    return {names.FIELD_TABLE: trained.built.table.to_json().encode()}


def _torchscript(trained: Trained) -> dict[str, bytes]:
    image = to_torchscript(image_graph(trained.built), image_example(trained.recipe.model.image))
    metadata = to_torchscript(metadata_graph(trained.built), metadata_example(trained.built))
    return {names.IMAGE_ENCODER_TORCHSCRIPT: image, names.METADATA_ENCODER_TORCHSCRIPT: metadata}


def _parity(trained: Trained, image: bytes, metadata: bytes, images: Float32[np.ndarray, "n c s s"]) -> float:
    """The largest difference between torch and ONNX Runtime; RefusedError if it is one that could be seen."""
    pixels = torch.from_numpy(np.ascontiguousarray(images[:8]))
    inputs = metadata_example(trained.built)
    graph = metadata_graph(trained.built)
    with torch.inference_mode():
        expected = [image_graph(trained.built)(pixels).numpy(), graph(*inputs).numpy()]
    found = [
        run_onnx(image, {"pixels": pixels.numpy()}),
        run_onnx(metadata, {name: tensor.numpy() for name, tensor in zip(graph.names, inputs, strict=True)}),
    ]
    worst = max(float(np.abs(one - other).max()) for one, other in zip(expected, found, strict=True))
    if not worst <= PARITY:
        raise RefusedError(f"torch and ONNX Runtime differ by {worst:.2g} in an embedding; at most {PARITY} is allowed")
    return worst
