"""One contract for all backends: the same towers, run by ONNX Runtime and by TorchScript, against numpy."""

import dataclasses
import io
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from inference.bundle import Bundle, write_bundle
from inference.captions import TEMPLATE_FIELDS, Caption, text
from inference.encoder import Backend, BackendMissing, load_encoder
from inference.fields import CategoricalField, ContinuousField, FieldTable
from inference.manifest import BundleError, Manifest, MetadataSection
from inference.pixels import PixelSpec
from inference.tokens import Tokenizer

SIZE, DIM = 4, 3
RNG = np.random.default_rng(7)
IMAGE_WEIGHTS = RNG.normal(size=(SIZE * SIZE, DIM)).astype(np.float32)
FIELD_WEIGHTS = RNG.normal(size=(2 + 2 + 1, DIM)).astype(np.float32)  # continuous, mask, categorical
TABLE = FieldTable(
    continuous=(
        ContinuousField(name="EchoTime_ms", transform="log1p", low=0, high=300),
        ContinuousField(name="FlipAngle_deg", transform="linear", low=0, high=180),
    ),
    categorical=(CategoricalField(name="ScanningSequence", vocabulary=("SE", "GR")),),
)
MANIFEST = Manifest(
    name="toy",
    version="1",
    created="2026-01-02T03:04:05Z",
    image=PixelSpec(size_px=SIZE),
    metadata=MetadataSection(kind="fields"),
    embedding_dim=DIM,
    logit_scale=1.0,
    licence="Apache-2.0",
    training_data="none",
)
CAPTIONS = [
    Caption(EchoTime_ms=80.0, ScanningSequence="SE"),
    Caption(EchoTime_ms=8.0, FlipAngle_deg=30.0, ScanningSequence="GR"),
    Caption(),
    Caption(ScanningSequence="EP_SE"),
]


def onnx_tower(inputs: Sequence[tuple[str, int, list[Any]]], weights: npt.NDArray[Any], kind: int) -> bytes:
    """Inputs cast to `kind`, side by side, times the weights; not normalised, as a drifting tower would be."""
    nodes = [helper.make_node("Cast", [name], [f"{name}_cast"], to=kind) for name, _, _ in inputs]
    nodes.append(helper.make_node("Flatten", [f"{inputs[0][0]}_cast"], ["first"]))
    parts = ["first", *(f"{name}_cast" for name, _, _ in inputs[1:])]
    nodes.append(helper.make_node("Concat", parts, ["joined"], axis=1))
    nodes.append(helper.make_node("MatMul", ["joined", "weights"], ["embedding"]))
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info(name, type_, shape) for name, type_, shape in inputs],
        [helper.make_tensor_value_info("embedding", kind, ["n", DIM])],
        [numpy_helper.from_array(weights.astype(helper.tensor_dtype_to_np_dtype(kind)), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def onnx_files(kind: int = TensorProto.FLOAT) -> dict[str, bytes]:
    pixels = [("pixels", kind, ["n", 1, SIZE, SIZE])]
    fields: list[tuple[str, int, list[Any]]] = [
        ("continuous", kind, ["n", 2]),
        ("continuous_mask", TensorProto.BOOL, ["n", 2]),
        ("categorical", TensorProto.INT64, ["n", 1]),
    ]
    return {
        "image_encoder.onnx": onnx_tower(pixels, IMAGE_WEIGHTS, kind),
        "metadata_encoder.onnx": onnx_tower(fields, FIELD_WEIGHTS, kind),
    }


def torchscript_files(*, half: bool = False) -> dict[str, bytes]:
    import torch

    class Image(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = torch.nn.Parameter(torch.from_numpy(IMAGE_WEIGHTS))

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.flatten(1) @ self.weights

    class Fields(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = torch.nn.Parameter(torch.from_numpy(FIELD_WEIGHTS))

        def forward(
            self, continuous: torch.Tensor, continuous_mask: torch.Tensor, categorical: torch.Tensor
        ) -> torch.Tensor:
            joined = torch.cat(
                [continuous, continuous_mask.to(continuous.dtype), categorical.to(continuous.dtype)], dim=1
            )
            return joined @ self.weights

    files: dict[str, bytes] = {}
    for name, module in (("image_encoder.pt", Image()), ("metadata_encoder.pt", Fields())):
        stream = io.BytesIO()
        with warnings.catch_warnings():  # here the test exports; loading must be silent by itself
            warnings.simplefilter("ignore", FutureWarning)
            torch.jit.save(torch.jit.script(module.half() if half else module), stream)
        files[name] = stream.getvalue()
    return files


def bundle_of(folder: Path, files: dict[str, bytes], content: Manifest = MANIFEST) -> Bundle:
    return write_bundle(
        folder,
        content,
        {
            **onnx_files(),
            "fields.json": TABLE.to_json().encode(),
            "label_grid.json": b"{}",
            "MODEL_CARD.md": b"# Toy\n",
            **files,
        },
    )


def unit(rows: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


Make = Callable[[Path], Bundle]
BACKENDS: dict[str, tuple[Backend, Callable[[], dict[str, bytes]], float]] = {
    "onnx": ("onnx", onnx_files, 1e-6),
    "onnx-fp16": ("onnx", lambda: onnx_files(TensorProto.FLOAT16), 5e-3),
    "torchscript": ("torchscript", torchscript_files, 1e-6),
    "torchscript-fp16": ("torchscript", lambda: torchscript_files(half=True), 5e-3),
}


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_keeps_the_contract(name: str, tmp_path: Path) -> None:
    backend, files, tolerance = BACKENDS[name]
    encoder = load_encoder(bundle_of(tmp_path / "toy", files()), backend=backend, threads=1)
    assert encoder.dim == DIM
    assert encoder.caption_fields == {"EchoTime_ms", "FlipAngle_deg", "ScanningSequence"}

    pixels = RNG.normal(size=(70, 1, SIZE, SIZE)).astype(np.float32)  # more than one batch
    images = encoder.encode_images(pixels)
    np.testing.assert_allclose(images, unit(pixels.reshape(70, -1) @ IMAGE_WEIGHTS), atol=tolerance)

    arrays = TABLE.encode(CAPTIONS)
    joined = np.concatenate([arrays.continuous, arrays.continuous_mask, arrays.categorical], axis=1)[[0, 1, 3]]
    captions = encoder.encode_captions([CAPTIONS[index] for index in (0, 1, 3)] * 100)
    np.testing.assert_allclose(captions, np.tile(unit(joined @ FIELD_WEIGHTS), (100, 1)), atol=tolerance)

    for embeddings in (images, captions):
        assert embeddings.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    assert encoder.encode_images(pixels[:0]).shape == (0, DIM)
    assert encoder.encode_captions([]).shape == (0, DIM)


@pytest.mark.parametrize("backend", ["onnx", "torchscript"])
def test_an_embedding_that_is_zero_or_not_finite_is_refused(backend: Backend, tmp_path: Path) -> None:
    encoder = load_encoder(bundle_of(tmp_path / "toy", torchscript_files()), backend=backend, threads=1)
    with pytest.raises(BundleError, match="finite vectors that are not zero"):
        encoder.encode_images(np.zeros((1, 1, SIZE, SIZE), np.float32))
    with pytest.raises(BundleError, match="finite vectors that are not zero"):
        encoder.encode_images(np.full((1, 1, SIZE, SIZE), np.nan, np.float32))


@pytest.mark.parametrize("backend", ["onnx", "torchscript"])
def test_a_tower_of_another_width_is_refused(backend: Backend, tmp_path: Path) -> None:
    content = dataclasses.replace(MANIFEST, embedding_dim=DIM + 1)
    encoder = load_encoder(bundle_of(tmp_path / "toy", torchscript_files(), content), backend=backend, threads=1)
    with pytest.raises(BundleError, match=r"embedding: expected shape \(n, 4\), found \(2, 3\)"):
        encoder.encode_images(np.ones((2, 1, SIZE, SIZE), np.float32))


@pytest.mark.parametrize(("backend", "file"), [("onnx", "image_encoder.onnx"), ("torchscript", "image_encoder.pt")])
def test_a_file_that_is_no_tower_is_refused_by_name(backend: Backend, file: str, tmp_path: Path) -> None:
    encoder = load_encoder(bundle_of(tmp_path / "toy", {**torchscript_files(), file: b"junk"}), backend=backend)
    with pytest.raises(BundleError, match=rf"{file}: expected"):
        encoder.encode_images(np.ones((1, 1, SIZE, SIZE), np.float32))


def test_a_graph_with_other_inputs_is_refused(tmp_path: Path) -> None:
    files = onnx_files()
    encoder = load_encoder(bundle_of(tmp_path / "toy", {"image_encoder.onnx": files["metadata_encoder.onnx"]}))
    with pytest.raises(BundleError, match=r"image_encoder.onnx: expected inputs \('pixels',\), found inputs \('contin"):
        encoder.encode_images(np.ones((1, 1, SIZE, SIZE), np.float32))


def test_a_bundle_without_torchscript_files_says_which_is_missing(tmp_path: Path) -> None:
    encoder = load_encoder(bundle_of(tmp_path / "toy", {}), backend="torchscript")
    with pytest.raises(BundleError, match=r"image_encoder.pt: expected to be named in the manifest"):
        encoder.encode_images(np.ones((1, 1, SIZE, SIZE), np.float32))


@pytest.mark.parametrize(
    ("backend", "module", "extra"),
    [("torchscript", "torch", "training"), ("torchscript", "torch.jit", "training"), ("onnx", "onnxruntime", "cpu")],
)
def test_a_backend_that_is_not_installed_names_the_extra(
    backend: Backend, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_encoder(bundle_of(tmp_path / "toy", torchscript_files()), backend=backend)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendMissing, match=rf"mrclip\[{extra}\]"):
        encoder.encode_images(np.ones((1, 1, SIZE, SIZE), np.float32))


def test_a_field_table_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"fields.json: expected a usable table"):
        load_encoder(bundle_of(tmp_path / "toy", {"fields.json": b'{"continuous": []}'}))


def tokenizer_json(*, ends: bool = True) -> bytes:
    """Words of two captions, numbered from 3; 1 is the start token, 2 the end token."""
    from tokenizers import Tokenizer as Native
    from tokenizers import models, pre_tokenizers, processors

    words = sorted({word for caption in CAPTIONS for word in text(caption, "paper").split()})
    vocabulary = {"<pad>": 0, "<start>": 1, "<end>": 2, "<other>": 3, **{w: 4 + i for i, w in enumerate(words)}}
    native = Native(models.WordLevel(vocabulary, unk_token="<other>"))
    native.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if ends:
        native.post_processor = processors.TemplateProcessing(
            single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)]
        )
    return native.to_str().encode()


def test_texts_are_framed_padded_and_cut_with_the_end_kept() -> None:
    tokenizer = Tokenizer(tokenizer_json(), context_length=6)
    words = json.loads(tokenizer_json())["model"]["vocab"]
    a, brain, mri = words["A"], words["brain"], words["MRI,"]
    np.testing.assert_array_equal(
        tokenizer.encode(["A brain", "A brain MRI, A brain MRI, A", "unheard", ""]),
        [[1, a, brain, 2, 0, 0], [1, a, brain, mri, a, 2], [1, 3, 2, 0, 0, 0], [1, 2, 0, 0, 0, 0]],
    )


def test_a_tokenizer_that_frames_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="one start and one end token"):
        Tokenizer(tokenizer_json(ends=False), context_length=6)
    with pytest.raises(ValueError, match=r"tokenizer.json cannot be read"):
        Tokenizer(b"{}", context_length=6)


def test_a_text_bundle_embeds_the_sentences_of_its_template(tmp_path: Path) -> None:
    length = 40
    weights = RNG.normal(size=(length, DIM)).astype(np.float32)
    content = dataclasses.replace(
        MANIFEST, metadata=MetadataSection(kind="text", template="paper", context_length=length)
    )
    bundle = bundle_of(
        tmp_path / "toy",
        {
            "tokenizer.json": tokenizer_json(),
            "metadata_encoder.onnx": onnx_tower(
                [("tokens", TensorProto.INT64, ["n", length])], weights, TensorProto.FLOAT
            ),
        },
        content,
    )
    encoder = load_encoder(bundle, threads=1)
    assert encoder.caption_fields == TEMPLATE_FIELDS["paper"]
    tokens = Tokenizer(tokenizer_json(), context_length=length).encode([text(c, "paper") for c in CAPTIONS])
    np.testing.assert_allclose(encoder.encode_captions(CAPTIONS), unit(tokens @ weights), atol=1e-5)


def test_nothing_heavy_is_imported_before_the_first_image() -> None:
    code = (
        "import sys, inference.model, inference.consistency, inference.registry\n"
        "heavy = {'onnxruntime', 'torch', 'tokenizers', 'highdicom', 'scipy', 'pandas'} & set(sys.modules)\n"
        "print(*heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("", "")
