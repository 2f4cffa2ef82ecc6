"""A bundle of the size that is meant for CPUs, with random weights: ConvNeXt-atto at 224 px, 16 slices a stack."""

from datetime import UTC, datetime
from pathlib import Path

import torch

from inference.bundle import write_bundle
from inference.captions import Caption
from inference.fields import CategoricalField, ContinuousField, FieldTable
from inference.manifest import (
    FIELD_TABLE,
    IMAGE_ENCODER,
    IMAGE_ENCODER_TORCHSCRIPT,
    LABEL_GRID,
    METADATA_ENCODER,
    METADATA_ENCODER_TORCHSCRIPT,
    MODEL_CARD,
    Manifest,
    MetadataSection,
)
from inference.pixels import PixelSpec
from training.export.graphs import image_example, image_graph, metadata_example, metadata_graph, to_onnx
from training.export.grid import GridSpec, label_grid
from training.export.torchscript import to_torchscript
from training.models.build import build
from training.models.spec import ImageTowerSpec, ModelSpec

SIZE_PX = 224


def write(folder: Path, *, torchscript: bool = False) -> Path:
    """Write it to `folder`, which must not exist; with TorchScript files beside the graphs where asked for."""
    torch.manual_seed(0)
    table = FieldTable(
        continuous=(
            ContinuousField(name="EchoTime_ms", transform="log1p", low=0, high=600),
            ContinuousField(name="RepetitionTime_ms", transform="log1p", low=0, high=15000),
        ),
        categorical=(CategoricalField(name="contrast", vocabulary=("T1", "T2", "FLUID_ATTENUATED", "DIFFUSION")),),
    )
    spec = ModelSpec(image=ImageTowerSpec(size_px=SIZE_PX))
    built = build(spec, table)
    captions = [
        Caption(contrast=contrast, EchoTime_ms=te, RepetitionTime_ms=tr, post_contrast=False, fat_suppressed=False)
        for contrast, tr in (("T1", 500.0), ("T2", 4000.0), ("FLUID_ATTENUATED", 9000.0), ("DIFFUSION", 7000.0))
        for te in (8.0, 40.0, 90.0, 120.0)
        for _ in range(3)
    ]
    manifest = Manifest(
        name="random-atto", version="0", created=datetime.now(UTC).isoformat(), image=PixelSpec(size_px=SIZE_PX),
        metadata=MetadataSection(kind="fields"), embedding_dim=spec.embed_dim, logit_scale=10.0, licence="none",
        training_data="none: random weights, for timing only", slices=16,
    )  # fmt: skip
    files = {
        IMAGE_ENCODER: to_onnx(image_graph(built), image_example(spec.image)),
        METADATA_ENCODER: to_onnx(metadata_graph(built), metadata_example(built)),
        FIELD_TABLE: table.to_json().encode(),
        LABEL_GRID: label_grid(captions, GridSpec(complete=True)),
        MODEL_CARD: b"Random weights, for timing only.\n",
    }
    if torchscript:
        files[IMAGE_ENCODER_TORCHSCRIPT] = to_torchscript(image_graph(built), image_example(spec.image))
        files[METADATA_ENCODER_TORCHSCRIPT] = to_torchscript(metadata_graph(built), metadata_example(built))
    return write_bundle(folder, manifest, files).folder
