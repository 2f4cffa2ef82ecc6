"""Towers: shapes, parity of the tokenizer with open_clip's, and fields whose neighbours are near."""

import open_clip
import pytest
import timm
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from sklearn.datasets import load_sample_image
from torch.nn import functional

from inference.tokens import Tokenizer
from training.errors import RefusedError
from training.models.contrast import ContrastModel, Features
from training.models.fields import FieldTower
from training.models.image import build_image_tower
from training.models.pretrained import load_imagenet
from training.models.spec import ImageTowerSpec, MetadataTowerSpec
from training.models.text import VOCABULARY_SIZE, TextTower, clip_tokenizer

TINY_VIT = {"width": 32, "layers": 2, "head_width": 16, "patch_size": 16}
PAPER = (
    "A brain MRI, plane axial, Scanner (Manufacturer, Model, Field Strength): (GE, SIGNA_HDx, 3.0), Acquisition "
    "(Description, Sequence, Variant): (Ax T2 FLAIR, SE_IR, SK_SP), Imaging Parameters (Echo Time, Repetition Time, "
    "Inversion Time, Flip Angle): (0.10192, 5.36, NONE, 90)"
)
TEXTS = [PAPER, "", "t2_tse_tra 3mm it's  GRE*", "Sekunden µs Ärzte Schädel", "x " * 200, "a" * 300, "9.5e-3 <b>&#"]


@pytest.mark.parametrize(
    "spec",
    [
        ImageTowerSpec(name="convnext_atto", size_px=64),
        ImageTowerSpec(name="mobilenetv4_conv_small", size_px=64),
        ImageTowerSpec(name="vit_tiny_patch16_224", size_px=64, overrides={"img_size": 64}, channels=3),
        ImageTowerSpec(library="open_clip", name="ViT-B-16", size_px=48, overrides=TINY_VIT),
        ImageTowerSpec(library="open_clip", name="ViT-S-16", size_px=48, overrides=TINY_VIT, channels=3),
    ],
    ids=["timm-cnn", "timm-mobilenet", "timm-vit", "open_clip-grey", "open_clip-rgb"],
)
def test_image_towers_give_one_embedding_an_image(spec: ImageTowerSpec) -> None:
    tower = build_image_tower(spec, 24).eval()
    pixels = torch.randn(2, spec.channels, spec.size_px, spec.size_px)
    with torch.no_grad():
        embedding = tower(pixels)
    assert embedding.shape == (2, 24)
    assert not torch.allclose(embedding[0], embedding[1])


def test_open_clip_tower_is_open_clips() -> None:
    spec = ImageTowerSpec(library="open_clip", name="ViT-B-16", size_px=48, channels=3, overrides=TINY_VIT)
    ours = build_image_tower(spec, 24).state_dict()
    vision = CLIPVisionCfg(image_size=48, **TINY_VIT)
    theirs = CLIP(24, vision, CLIPTextCfg(width=16, heads=1, layers=1)).visual.state_dict()
    assert {name: value.shape for name, value in ours.items()} == {n: v.shape for n, v in theirs.items()}


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (ImageTowerSpec(name="no_such_net"), "no_such_net"),
        (ImageTowerSpec(library="open_clip", name="ViT-Z-99"), "ViT-Z-99"),
        (ImageTowerSpec(library="open_clip", name="RN50", channels=1), "RN50"),
    ],
)
def test_an_unknown_tower_is_refused_by_name(spec: ImageTowerSpec, word: str) -> None:
    with pytest.raises(RefusedError, match=word):
        build_image_tower(spec, 24)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("length", [77, 98])
def test_tokens_equal_open_clips(text: str, length: int) -> None:
    expected = open_clip.SimpleTokenizer()([text], context_length=length)[0].tolist()
    tokenizer = Tokenizer(clip_tokenizer().to_str().encode(), context_length=length)
    assert tokenizer.encode([text])[0].tolist() == expected


def test_text_tower_tells_texts_apart_up_to_the_last_word() -> None:
    tower = TextTower(MetadataTowerSpec(kind="text", width=32, heads=2, layers=1), 16).eval()
    assert clip_tokenizer().get_vocab_size() == VOCABULARY_SIZE
    tokenizer = Tokenizer(clip_tokenizer().to_str().encode(), context_length=98)
    tokens = torch.from_numpy(tokenizer.encode([PAPER, PAPER.replace("90)", "15)")]))
    with torch.no_grad():
        first, second = tower(tokens)
    assert not torch.allclose(first, second)


def field_tower() -> FieldTower:
    torch.manual_seed(0)
    return FieldTower(MetadataTowerSpec(width=64, heads=4, layers=2), 32, continuous=3, category_sizes=[4, 3]).eval()


def embed(tower: FieldTower, echo: float | None, category: int = 2) -> torch.Tensor:
    model = ContrastModel(torch.nn.Identity(), tower)
    value = torch.tensor([[0.0 if echo is None else echo, 0.5, 0.5]])
    mask = torch.tensor([[echo is not None, True, True]])
    with torch.no_grad():
        return model.encode_metadata((value, mask, torch.tensor([[category, 0]])))[0]


def test_near_values_are_near_before_any_training() -> None:
    tower = field_tower()
    at = embed(tower, 0.50)
    cosines = [float(at @ embed(tower, other)) for other in (0.50, 0.52, 0.60, 0.90)]
    assert cosines == sorted(cosines, reverse=True)
    assert cosines[1] > 0.9


def test_absent_is_a_value_of_its_own() -> None:
    tower = field_tower()
    assert not torch.allclose(embed(tower, None), embed(tower, 0.0))
    assert not torch.allclose(embed(tower, 0.5, category=0), embed(tower, 0.5, category=1))


def test_categories_do_not_share_codes() -> None:
    tower = field_tower()
    codes = (torch.tensor([[3, 2]]) + tower.offsets).tolist()
    assert codes == [[3, 6]]  # the second category begins after the four codes of the first


def test_logits_are_scale_times_cosine_plus_bias() -> None:
    model = ContrastModel(torch.nn.Identity(), torch.nn.Identity(), init_scale=10.0, init_bias=-3.0)
    unit = torch.eye(2)
    torch.testing.assert_close(model.logits(Features(unit, unit)), 10.0 * unit - 3.0)


def test_the_scale_stays_at_most_100() -> None:
    model = ContrastModel(torch.nn.Identity(), torch.nn.Identity(), init_scale=1000.0)
    model.clamp_scale()
    assert model.scale.item() == pytest.approx(100.0)


def test_weights_of_imagenet_see_a_palace_in_colour_and_the_same_in_grey() -> None:
    name = "tf_efficientnet_lite0"
    colour = timm.create_model(name, pretrained=False).eval()
    load_imagenet(colour, name)
    photograph = torch.from_numpy(load_sample_image("china.jpg").astype("float32")).permute(2, 0, 1)[
        None, :, :, 100:527
    ]
    pixels = functional.interpolate((photograph - 127) / 128, size=(224, 224), mode="area")
    grey = build_image_tower(ImageTowerSpec(name=name, start="imagenet", size_px=224), 24).eval()
    with torch.no_grad():
        assert colour(pixels).argmax().item() == 698  # palace
        mean = pixels.mean(dim=1, keepdim=True)
        features = colour.forward_head(colour.forward_features(mean.expand(-1, 3, -1, -1)), pre_logits=True)
        torch.testing.assert_close(grey.trunk(mean), features, rtol=1e-3, atol=1e-4)


def test_a_start_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(RefusedError, match="not 'convnext_atto'"):
        build_image_tower(ImageTowerSpec(name="convnext_atto", start="imagenet"), 24)
    with pytest.raises(RefusedError, match="open_clip"):
        build_image_tower(ImageTowerSpec(library="open_clip", name="ViT-B-16", start="imagenet"), 24)
