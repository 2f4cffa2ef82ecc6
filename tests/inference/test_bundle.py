"""Bundles: opened only if every digest holds, written whole or not at all."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.bundle import Bundle, default_bundle, open_bundle, write_bundle
from inference.manifest import MANIFEST, BundleError, Manifest, MetadataSection, manifest
from inference.pixels import PixelSpec

MANIFEST_VALUE = Manifest(
    name="toy",
    version="1.0",
    created="2026-01-02T03:04:05Z",
    image=PixelSpec(size_px=32, channels=1, low_percentile=0.5, high_percentile=99.5, mean=0.5, std=0.25),
    metadata=MetadataSection(kind="fields"),
    embedding_dim=8,
    logit_scale=14.0,
    licence="Apache-2.0",
    training_data="none",
)
PIXELS = dataclasses.asdict(MANIFEST_VALUE.image)
FILES = {
    "image_encoder.onnx": b"image",
    "metadata_encoder.onnx": b"metadata",
    "fields.json": b'{"continuous": [], "categorical": []}',
    "label_grid.json": b'{"rows": []}',
    "MODEL_CARD.md": b"# Toy\n",
}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "toy", MANIFEST_VALUE, FILES)


def test_a_bundle_comes_back_as_it_was_written(bundle: Bundle) -> None:
    again = open_bundle(bundle.folder)
    assert again == bundle
    assert {file: again.read(file) for file in again.manifest.files} == FILES
    assert dataclasses.replace(again.manifest, files={}) == MANIFEST_VALUE


def test_the_digest_is_that_of_the_manifest_which_holds_the_others(bundle: Bundle) -> None:
    document = (bundle.folder / MANIFEST).read_bytes()
    assert bundle.sha256 == hashlib.sha256(document).hexdigest()
    # printf image | sha256sum
    assert json.loads(document)["files"]["image_encoder.onnx"] == (
        "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d"
    )


def test_the_same_content_gives_the_same_digest(bundle: Bundle, tmp_path: Path) -> None:
    assert write_bundle(tmp_path / "again", MANIFEST_VALUE, dict(reversed(FILES.items()))).sha256 == bundle.sha256


def test_a_changed_file_is_refused_by_name_and_digests(bundle: Bundle) -> None:
    (bundle.folder / "label_grid.json").write_bytes(b"other")
    with pytest.raises(BundleError) as error:
        open_bundle(bundle.folder)
    assert error.value.file == "label_grid.json"
    assert error.value.expected == f"sha256 {hashlib.sha256(FILES['label_grid.json']).hexdigest()}"
    assert error.value.found == f"sha256 {hashlib.sha256(b'other').hexdigest()}"


def test_a_file_changed_after_opening_is_refused_when_read(bundle: Bundle) -> None:
    (bundle.folder / "label_grid.json").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"label_grid.json: expected sha256"):
        bundle.read("label_grid.json")


def test_a_missing_file_is_refused(bundle: Bundle) -> None:
    (bundle.folder / "label_grid.json").unlink()
    with pytest.raises(BundleError, match=r"label_grid.json: expected sha256 .*, found no such file"):
        open_bundle(bundle.folder)


def test_a_file_that_the_manifest_does_not_know_is_refused(bundle: Bundle) -> None:
    (bundle.folder / "extra.bin").write_bytes(b"")
    with pytest.raises(BundleError, match=r"extra.bin: expected to be named in the manifest"):
        open_bundle(bundle.folder)


def test_a_link_is_refused_even_to_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "card").write_bytes(FILES["MODEL_CARD.md"])
    (bundle.folder / "MODEL_CARD.md").unlink()
    (bundle.folder / "MODEL_CARD.md").symlink_to(tmp_path / "card")
    with pytest.raises(BundleError, match=r"MODEL_CARD.md: expected a plain file"):
        open_bundle(bundle.folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest.json: expected a file in .*, found No such file"):
        open_bundle(tmp_path / "nowhere")


def changed(**changes: Any) -> bytes:
    document = json.loads(dataclasses.replace(MANIFEST_VALUE, files={}).to_json())
    document.update(changes)
    return json.dumps({key: value for key, value in document.items() if value != "left out"}).encode()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"{", "expected JSON"),
        (b"[]", "expected a JSON object, found list"),
        (changed(schema="mrclip.bundle/2"), "schema: mrclip.bundle/1, found 'mrclip.bundle/2'"),
        (changed(schema="left out"), "schema: mrclip.bundle/1, found None"),
        (changed(colour="red"), "found 'colour'"),
        (changed(name="left out"), "name, found 'no such key'"),
        (changed(name="../toy"), "name: the form"),
        (changed(version="1/0"), "version: the form"),
        (changed(version=1), "values of its types"),
        (changed(embedding_dim=0), "embedding_dim: a positive number"),
        (changed(embedding_dim="8"), "embedding_dim: a positive number"),
        (changed(slices=0), "slices: a positive number"),
        (changed(logit_scale=0), "logit_scale: a positive number"),
        (changed(minimum_probability=1), "minimum_probability"),
        (changed(image={"size_px": 32}), "image: channels, high_percentile"),
        (changed(image={**PIXELS, "size_px": 0}), "image to hold values of its types"),
        (changed(image=None), "image to be a JSON object, found None"),
        (changed(metadata={"kind": "words"}), "metadata.kind: text or fields"),
        (changed(metadata={"kind": "text", "template": "extended"}), "metadata.context_length"),
        (changed(metadata={"kind": "text", "template": "own", "context_length": 98}), "metadata.template"),
        (changed(files={"../a": "0" * 64}), "files: names without separators"),
        (changed(files={"a/b": "0" * 64}), "files: names without separators"),
        (changed(files={".hidden": "0" * 64}), "files: names without separators"),
        (changed(files={"manifest.json": "0" * 64}), "files: names without separators"),
        (changed(files={"a": "0" * 63}), "files.a: 64 hexadecimal digits"),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused(document: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        manifest(document)


def test_a_manifest_without_a_required_file_is_refused(bundle: Bundle) -> None:
    kept = {file: digest for file, digest in bundle.manifest.files.items() if file != "fields.json"}
    (bundle.folder / MANIFEST).write_bytes(dataclasses.replace(bundle.manifest, files=kept).to_json())
    with pytest.raises(BundleError, match=r"fields.json: expected to be named in the manifest"):
        open_bundle(bundle.folder)


def test_writing_over_a_bundle_is_refused(bundle: Bundle) -> None:
    with pytest.raises(FileExistsError):
        write_bundle(bundle.folder, MANIFEST_VALUE, FILES)


@pytest.mark.parametrize("name", ["../escape", "a/b", "", ".", "manifest.json"])
def test_writing_a_name_that_is_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="separators"):
        write_bundle(tmp_path / "toy", MANIFEST_VALUE, {**FILES, name: b""})
    assert list(tmp_path.iterdir()) == []


def test_writing_without_a_required_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"fields.json: expected to be in a bundle with fields metadata"):
        write_bundle(tmp_path / "toy", MANIFEST_VALUE, {k: v for k, v in FILES.items() if k != "fields.json"})
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("inference.bundle.write_synced", full)
    with pytest.raises(OSError, match="No space"):
        write_bundle(tmp_path / "toy", MANIFEST_VALUE, FILES)
    assert list(tmp_path.iterdir()) == []


def test_json_and_arrays_are_read_with_the_file_named(tmp_path: Path) -> None:
    np.save(tmp_path / "half.npy", np.ones((2, 3), np.float16))
    np.save(tmp_path / "whole.npy", np.ones(2, np.int64))
    arrays = {"reference.npy": (tmp_path / "half.npy").read_bytes(), "whole.npy": (tmp_path / "whole.npy").read_bytes()}
    bundle = write_bundle(tmp_path / "toy", MANIFEST_VALUE, {**FILES, **arrays, "list.json": b"[]"})
    assert bundle.read_json("label_grid.json") == {"rows": []}
    assert bundle.read_array("reference.npy").dtype == np.float32
    with pytest.raises(BundleError, match=r"whole.npy: expected floating point values, found int64"):
        bundle.read_array("whole.npy")
    with pytest.raises(BundleError, match=r"MODEL_CARD.md: expected JSON"):
        bundle.read_json("MODEL_CARD.md")
    with pytest.raises(BundleError, match=r"list.json: expected a JSON object, found list"):
        bundle.read_json("list.json")
    with pytest.raises(BundleError, match=r"MODEL_CARD.md: expected a .npy array"):
        bundle.read_array("MODEL_CARD.md")
    with pytest.raises(BundleError, match=r"calibration.json: expected to be named"):
        bundle.read("calibration.json")


def test_a_package_without_a_bundle_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bundle: Bundle) -> None:
    monkeypatch.setattr("inference.bundle.DEFAULT_BUNDLE", tmp_path / "none")
    assert default_bundle() is None
    monkeypatch.setattr("inference.bundle.DEFAULT_BUNDLE", bundle.folder)
    assert default_bundle() == bundle
