"""Export: torch, ONNX Runtime and TorchScript agree; the bundle is one that the node reads; drift is measured."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import dicom_node
from inference.bundle import default_bundle, open_bundle, write_bundle
from inference.captions import Caption
from inference.encoder import load_encoder
from inference.model import load_model
from inference.read import Reader, read_paths
from training.errors import RefusedError
from training.export import bundle as bundles
from training.export.about import About
from training.export.bundle import Exported, export
from training.export.graphs import ImageGraph
from training.export.grid import GridSpec, label_grid
from training.export.variants import drift, image_variant
from training.models.build import build
from training.models.inputs import field_table
from training.recipe import Recipe
from training.train.checkpoint import Trained

ABOUT = About(
    name="toy",
    version="0.1",
    created="2026-01-02T03:04:05Z",
    licence="CC0-1.0",
    training_data="Stripes.",
    notes="Knows stripes only.",
    torchscript=True,
)


STUDY = Path(dicom_node.__file__).parent / "demo_study" / "study.zip"


@dataclass(frozen=True, kw_only=True)
class Made:
    trained: Trained
    exported: Exported
    images: Any
    captions: list[Caption]


def trained_model(recipe: Recipe, captions: list[Caption]) -> Trained:
    torch.manual_seed(0)
    metadata = recipe.model.metadata
    table = field_table(captions, metadata.fields, min_count=1) if metadata.kind == "fields" else None
    built = build(recipe.model, table)
    built.model.eval().requires_grad_(False)
    return Trained(built=built, recipe=recipe, step=3)


@pytest.fixture(scope="module", params=["fields", "text"])
def made(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    toy_recipe: Callable[..., Recipe],
    stripes: Any,
) -> Made:
    captions = list(stripes().captions())
    trained = trained_model(toy_recipe(f"model.metadata.kind={request.param}"), captions)
    images = next(stripes(24).steps()).images.numpy()
    folder = tmp_path_factory.mktemp(request.param) / "bundle"
    return Made(
        trained=trained,
        exported=export(trained, folder, ABOUT, captions=captions, images=images),
        images=images,
        captions=captions,
    )


@pytest.mark.parametrize("backend", ["onnx", "torchscript"])
def test_the_node_embeds_what_torch_embeds(made: Made, backend: Any) -> None:
    bundle = open_bundle(made.exported.bundle.folder)
    encoder = load_encoder(bundle, backend=backend)
    model = made.trained.built.model
    captions = [*made.captions, Caption(), replace(made.captions[0], SeriesDescription="x " * 300)]
    with torch.no_grad():
        images = model.encode_images(torch.from_numpy(made.images)).numpy()
        metadata = model.encode_metadata(made.trained.built.inputs.encode(captions)).numpy()
    np.testing.assert_allclose(encoder.encode_images(made.images), images, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_captions(captions), metadata, atol=1e-5)
    for count in (1, 5):  # the batch is dynamic
        np.testing.assert_allclose(encoder.encode_images(made.images[:count]), images[:count], atol=1e-5)


def test_the_bundle_is_complete(made: Made) -> None:
    model = load_model(made.exported.bundle)
    assert {row.contrast for row in model.grid.rows} == {"T1", "T2", "PROTON_DENSITY"}
    assert made.exported.bundle.manifest.logit_scale == pytest.approx(1 / 0.07)
    assert made.exported.bundle.manifest.image == made.trained.recipe.pixels
    card = made.exported.bundle.read("MODEL_CARD.md").decode()
    for words in ("# toy 0.1", "CC0-1.0", "Stripes.", "Knows stripes only.", "not a medical device", "embed_dim: 16"):
        assert words in card
    assert made.exported.parity < 1e-5


def test_nothing_of_this_machine_is_in_the_graphs(made: Made) -> None:
    for file in ("image_encoder.onnx", "metadata_encoder.onnx"):
        content = made.exported.bundle.read(file)
        assert b"site-packages" not in content
        assert str(Path(bundles.__file__).parents[2]).encode() not in content
        assert onnx.load_from_string(content).opset_import[0].version >= 18


@pytest.mark.parametrize(("precision", "share", "cosine"), [("fp16", 0.6, 0.9999), ("int8", 0.75, 0.9)])
def test_variants_are_smaller_and_their_drift_is_measured(
    made: Made, precision: Any, share: float, cosine: float
) -> None:
    graph = made.exported.bundle.read("image_encoder.onnx")
    variant = image_variant(graph, precision, made.images)
    found = drift(graph, variant, made.images)
    assert found.images == 24
    assert cosine < found.lowest_cosine <= found.mean_cosine < 1
    assert found.size_bytes < share * len(graph)


def test_half_precision_gives_the_answers_of_single(tmp_path: Path) -> None:
    bundle = default_bundle()
    files = {file: bundle.read(file) for file in bundle.manifest.files}
    files["image_encoder.onnx"] = image_variant(files["image_encoder.onnx"], "fp16", np.zeros((0, 1, 1, 1), np.float32))
    half = write_bundle(tmp_path / "half", replace(bundle.manifest, files={}), files)
    single, halved = (
        read_paths([STUDY], Reader(model=load_model(one, device="cpu", threads=1)), threads=1).series
        for one in (bundle, half)
    )
    assert [(one.contrast, one.flagged) for one in single] == [(one.contrast, one.flagged) for one in halved]
    assert len({one.contrast for one in single}) > 3
    for one, other in zip(single, halved, strict=True):
        assert one.p_value is not None
        # Ranks lie a step apart where clean series are rare; the steps are small where an alarm is near.
        assert one.p_value == pytest.approx(other.p_value, abs=0.003 if one.p_value <= 0.05 else 0.03)
    probabilities, same = (
        [stack.contrast.probability for one in series for stack in one.stacks if stack.contrast is not None]
        for series in (single, halved)
    )
    assert probabilities == pytest.approx(same, abs=0.01)
    assert probabilities != same  # it was another tower


def test_fp32_does_not_drift(made: Made) -> None:
    assert made.exported.drift.lowest_cosine == pytest.approx(1.0, abs=1e-6)


def test_without_images_nothing_is_exported(made: Made, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="give at least one"):
        export(made.trained, tmp_path / "b", ABOUT, captions=made.captions, images=made.images[:0])
    with pytest.raises(RefusedError, match="needs images"):
        image_variant(b"", "int8", made.images[:0])


def test_a_graph_that_disagrees_is_not_exported(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right, bundle = bundles.run_onnx, made.exported.bundle
    graphs = {True: bundle.read("image_encoder.onnx"), False: bundle.read("metadata_encoder.onnx")}
    monkeypatch.setattr(bundles, "to_onnx", lambda graph, _: graphs[isinstance(graph, ImageGraph)])
    monkeypatch.setattr(bundles, "run_onnx", lambda graph, inputs: right(graph, inputs) + 0.01)
    with pytest.raises(RefusedError, match=r"differ by 0\.01"):
        export(made.trained, tmp_path / "b", ABOUT, captions=made.captions, images=made.images)
    assert not (tmp_path / "b").exists()


def rows(captions: list[Caption], spec: GridSpec) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(label_grid(captions, spec))["rows"]
    return found


T1 = Caption(contrast="T1", EchoTime_ms=10.0, RepetitionTime_ms=500.0, plane="axial", SeriesDescription="T1 ax")


def test_a_grid_has_one_row_a_protocol_and_equal_contrasts() -> None:
    captions = [
        *[T1] * 6,
        replace(T1, EchoTime_ms=9.5, plane="sagittal"),  # the same bins: the same row
        *[replace(T1, RepetitionTime_ms=30.0)] * 3,
        replace(T1, contrast="T2", EchoTime_ms=90.0),
        replace(T1, contrast=None),
    ]
    found = rows(captions, GridSpec())
    assert [(row["contrast"], row["caption"].get("RepetitionTime_ms"), row["weight"]) for row in found] == [
        ("T1", 500.0, 0.7), ("T1", 30.0, 0.3), ("T2", 500.0, 1.0),
    ]  # fmt: skip
    assert found[0]["caption"] == {"contrast": "T1", "EchoTime_ms": 10.0, "RepetitionTime_ms": 500.0}


def test_a_grid_is_cut_to_the_commonest_and_may_keep_whole_captions() -> None:
    captions = [*[T1] * 2, replace(T1, RepetitionTime_ms=30.0)]
    (row,) = rows(captions, GridSpec(rows=1, complete=True))
    assert row["caption"] == {
        "plane": "axial", "contrast": "T1", "EchoTime_ms": 10.0, "RepetitionTime_ms": 500.0
    }  # fmt: skip
    assert row["weight"] == 1.0


def test_captions_without_a_contrast_make_no_grid() -> None:
    with pytest.raises(RefusedError, match="no caption names a contrast"):
        label_grid([Caption(plane="axial")])
