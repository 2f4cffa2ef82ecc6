"""Checkpoints that open_clip wrote become bundles that embed what open_clip embeds."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from click.testing import CliRunner
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from torchvision.transforms.functional import normalize

from inference.captions import Caption, text
from inference.encoder import load_encoder
from inference.model import load_model
from training.data.rows import write_rows
from training.errors import RefusedError
from training.export.about import About
from training.importer.architecture import image_head_width
from training.importer.command import command
from training.importer.run import import_checkpoint, load_foreign, typical_captions
from training.importer.weights import CLIP_MEAN, CLIP_STD

ABOUT = About(name="foreign", version="1", created="2026-01-02T03:04:05Z", licence="theirs", training_data="Unknown.")
CAPTIONS = [Caption(plane="axial", EchoTime_ms=101.92, Manufacturer="GE"), Caption(SeriesDescription="t2 " * 60)]


def theirs(context_length: int = 98, *, quick_gelu: bool = False, **image: int) -> CLIP:
    torch.manual_seed(0)
    vision = CLIPVisionCfg(**{"image_size": 64, "patch_size": 16, "width": 64, "layers": 2, **image})
    return CLIP(
        32, vision, CLIPTextCfg(context_length=context_length, width=64, heads=1, layers=2), quick_gelu=quick_gelu
    ).eval()


def saved(path: Path, model: CLIP, *, how: str) -> Path:
    state: dict[str, Any] = model.state_dict()
    if how == "distributed":
        state = {f"module.{name}": value for name, value in state.items()}
    torch.save(state if how == "bare" else {"epoch": 3, "name": "run", "state_dict": state}, path)
    return path


@pytest.mark.parametrize(("context_length", "how"), [(98, "distributed"), (77, "wrapped"), (98, "bare")])
@pytest.mark.parametrize("quick_gelu", [False, True])
def test_an_imported_model_embeds_what_open_clip_embeds(
    tmp_path: Path, context_length: int, how: str, quick_gelu: bool
) -> None:
    model = theirs(context_length, quick_gelu=quick_gelu)
    imported = load_foreign(saved(tmp_path / "a.pt", model, how=how), quick_gelu=quick_gelu)
    grey = torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    tokens = open_clip.SimpleTokenizer()([text(one, "paper") for one in CAPTIONS], context_length=context_length)
    with torch.no_grad():
        rgb = normalize(grey.expand(-1, 3, -1, -1), list(CLIP_MEAN), list(CLIP_STD))
        expected = model.encode_image(rgb, normalize=True), model.encode_text(tokens, normalize=True)
        built = imported.built
        found = built.model.encode_images(grey), built.model.encode_metadata(built.inputs.encode(CAPTIONS))
    torch.testing.assert_close(found[0], expected[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[1], expected[1], atol=1e-5, rtol=0)
    assert built.model.scale.item() == pytest.approx(model.logit_scale.exp().item())


def test_the_wide_heads_of_a_huge_tower_are_known(tmp_path: Path) -> None:
    model = theirs(width=1280, head_width=80, layers=1)  # as ViT-H-14: with heads of 64 the weights fit too
    imported = load_foreign(saved(tmp_path / "a.pt", model, how="bare"))
    grey = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        rgb = normalize(grey.expand(-1, 3, -1, -1), list(CLIP_MEAN), list(CLIP_STD))
        expected, found = model.encode_image(rgb, normalize=True), imported.built.model.encode_images(grey)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_heads_are_as_wide_as_open_clip_has_them() -> None:
    checked = 0
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        image, words = config["vision_cfg"], config["text_cfg"]
        if "timm_model_name" in image or isinstance(image["layers"], list) or words.get("vocab_size") != 49408:
            continue  # a network of timm, a ResNet, or another tokenizer: refused by what its weights are called
        assert image_head_width(image["width"]) == image.get("head_width", 64), name
        assert words["width"] // words["heads"] == 64, name
        checked += 1
    assert checked > 20


def test_it_becomes_a_bundle(tmp_path: Path) -> None:
    model = theirs()
    exported = import_checkpoint(saved(tmp_path / "a.pt", model, how="distributed"), tmp_path / "bundle", ABOUT)
    content = exported.bundle.manifest
    assert (content.image.size_px, content.image.channels, content.image.mean, content.image.std) == (64, 1, 0.0, 1.0)
    assert (content.metadata.kind, content.metadata.template, content.metadata.context_length) == ("text", "paper", 98)
    loaded = load_model(exported.bundle)
    assert {row.contrast for row in loaded.grid.rows} == {caption.contrast for caption in typical_captions()}
    assert "how they were trained is not known" in exported.bundle.read("MODEL_CARD.md").decode()
    tokens = open_clip.SimpleTokenizer()([text(one, "paper") for one in CAPTIONS], context_length=98)
    with torch.no_grad():
        expected = model.encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(load_encoder(exported.bundle).encode_captions(CAPTIONS), expected, atol=1e-5)


def change(state: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    return {key: value if key == name else found for key, found in state.items() if value is not None or key != name}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("visual.conv1.weight", None, "has no visual.conv1.weight"),  # a ResNet or a timm tower
        ("visual.conv1.weight", torch.zeros(64, 3, 16, 16, 16), "has 5 axes"),  # the published 3D model
        ("visual.conv1.weight", torch.zeros(64, 2, 16, 16), "takes 2 channels"),
        ("visual.positional_embedding", torch.zeros(18, 64), "17 patches"),
        ("token_embedding.weight", torch.zeros(1000, 64), "knows 1000 tokens"),
        ("token_embedding.weight", torch.zeros(49408, 100), "is 100 wide; must be a multiple of 64"),
        ("visual.conv1.weight", torch.zeros(1290, 3, 16, 16), "is 1290 wide; must be a multiple of 64"),
        ("visual.ln_post.weight", None, r"another architecture: image\.ln_post\.weight is in the model only"),
        ("ln_final.weight", torch.zeros(7), r"another architecture: metadata.transformer.ln_final.weight is \(7,\)"),
    ],
)
def test_another_architecture_is_refused_with_what_does_not_fit(
    tmp_path: Path, name: str, value: Any, words: str
) -> None:
    torch.save({"state_dict": change(theirs().state_dict(), name, value)}, tmp_path / "a.pt")
    with pytest.raises(RefusedError, match=rf"a\.pt: .*{words}"):
        load_foreign(tmp_path / "a.pt")


def test_captions_that_name_nothing_are_no_typical_protocols(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pt", theirs(), how="bare")
    write_rows(tmp_path / "train.csv", [])
    arguments = [str(path), str(tmp_path / "bundle"), "--captions", str(tmp_path / "train.csv")]
    with pytest.raises(RefusedError, match="no caption names a contrast"):
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert not (tmp_path / "bundle").exists()


class Innocent:
    """A class of this file, which a checkpoint must not be able to call."""


def test_what_is_no_plain_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": Innocent()}, tmp_path / "code.pt")
    (tmp_path / "text.pt").write_text("hello weights")
    torch.save([1, 2, 3], tmp_path / "list.pt")
    for name, words in (("code.pt", "more than weights"), ("text.pt", r"text\.pt"), ("list.pt", "no state_dict")):
        with pytest.raises(RefusedError, match=words):
            load_foreign(tmp_path / name)
