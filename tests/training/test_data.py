"""Augmentation and targets: what must change does, what must not does not."""

from dataclasses import replace

import pytest
import torch

from inference.captions import Caption
from inference.fields import FIRST, OTHER
from training.data.augment import AugmentSpec, augment
from training.data.dropout import DropoutSpec, drop_fields
from training.data.targets import distance, positives, targets
from training.models.inputs import field_table

T2 = Caption(plane="axial", ScanningSequence="SE", EchoTime_ms=90.0, RepetitionTime_ms=4000.0, FlipAngle_deg=90.0)


def pictures(count: int = 4) -> torch.Tensor:
    image = torch.zeros(count, 1, 32, 32)
    image[:, :, 8:20, 10:26] = 0.8
    image[:, :, 10:14, 12:16] = 0.3
    return image


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_default_changes_nothing() -> None:
    assert torch.equal(augment(pictures(), AugmentSpec(), generator()), pictures())


@pytest.mark.parametrize(
    "change",
    [
        {"rotate_deg": 20.0}, {"translate": 0.2}, {"scale_low": 0.7, "scale_high": 0.8}, {"flip": 1.0},
        {"blur_px": 2.0}, {"gamma": 0.4}, {"bias_field": 0.4}, {"noise": 0.1}, {"close_up": 1.0, "close_up_most": 3.0},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_every_change_is_random_by_seed_and_stays_in_range(change: dict[str, float]) -> None:
    spec = AugmentSpec(**change)  # type: ignore[arg-type]
    once, again = (augment(pictures(), spec, generator(3)) for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.equal(once, pictures())
    assert once.min() >= 0
    assert once.max() <= 1
    if "flip" not in change:
        assert not torch.equal(once, augment(pictures(), spec, generator(4)))
        assert not torch.equal(once[0], once[1])  # every image has its own


def test_a_flip_is_a_flip_and_quarter_turns_are_exact() -> None:
    flipped = augment(pictures(), AugmentSpec(flip=1.0), generator())
    torch.testing.assert_close(flipped, pictures().flip(-1), atol=1e-5, rtol=0)
    turned = augment(pictures(16), AugmentSpec(quarter_turns=True), generator())
    expected = [torch.rot90(pictures()[0, 0], turns) for turns in range(4)]
    found = {next(k for k in range(4) if torch.allclose(image[0], expected[k], atol=1e-4)) for image in turned}
    assert found == {0, 1, 2, 3}


def test_a_close_up_shows_a_part_with_its_own_white() -> None:
    spec = AugmentSpec(close_up=1.0, close_up_most=4.0)
    parts = augment(0.5 * pictures(64), spec, generator())
    whole = (pictures()[0] > 0.5).float().mean()
    shares = (parts > 0.5).float().mean(dim=(1, 2, 3))
    assert shares.max() > 3 * whole  # of nothing but the bright rectangle
    assert parts[shares > 0].amax(dim=(1, 2, 3)).min() > 0.9  # 0.4 before
    few = augment(pictures(400), replace(spec, close_up=0.25), generator())
    untouched = sum(torch.equal(one, pictures()[0]) for one in few)
    assert 0.68 < untouched / 400 < 0.82


def test_a_close_up_cannot_be_smaller_than_the_image() -> None:
    with pytest.raises(ValueError, match=r"close_up_most is 0\.5"):
        AugmentSpec(close_up_most=0.5)


def test_a_blur_keeps_the_sum() -> None:
    blurred = augment(pictures(), AugmentSpec(blur_px=1.0), generator())
    torch.testing.assert_close(blurred.sum(dim=(1, 2, 3)), pictures().sum(dim=(1, 2, 3)), rtol=1e-4, atol=0)


def test_distance_by_hand() -> None:
    captions = [
        T2,
        replace(T2, EchoTime_ms=100.0),
        replace(T2, EchoTime_ms=10.0, plane="sagittal"),
        replace(T2, InversionTime_ms=2500.0),
    ]
    found = distance(targets(captions, torch.tensor([0, 0, 1, 2])))
    # log1p scale from 0 to 400 ms: (ln 101 - ln 91) / ln 401 = 0.0174; (ln 91 - ln 11) / ln 401 = 0.3525
    assert found[0].tolist() == pytest.approx([0.0, 0.0174, 1.3525, 1.0], abs=1e-4)
    torch.testing.assert_close(found, found.T)


def test_positives_share_a_label() -> None:
    found = positives(targets([T2, T2, T2], torch.tensor([5, 7, 5])))
    assert found.tolist() == [[True, False, True], [False, True, False], [True, False, True]]


FULL = replace(
    T2, SeriesDescription="t2 tse", contrast="T2", post_contrast=False, fat_suppressed=True, Manufacturer="GE",
    InversionTime_ms=100.0, b_value_s_mm2=0.0, ImageKind="magnitude", MagneticFieldStrength_t=3.0,
)  # fmt: skip


def test_fields_are_left_out_as_often_as_asked_and_each_on_its_own() -> None:
    dropped = drop_fields([FULL] * 4000, DropoutSpec(field=0.25, description=0.5), seed=1)
    gone = {
        field: sum(caption.get(field) is None for caption in dropped) / 4000
        for field in ("EchoTime_ms", "contrast", "plane", "SeriesDescription")
    }
    assert gone == {
        "EchoTime_ms": pytest.approx(0.25, abs=0.03), "contrast": pytest.approx(0.25, abs=0.03),
        "plane": pytest.approx(0.25, abs=0.03), "SeriesDescription": pytest.approx(0.5, abs=0.03),
    }  # fmt: skip
    both = sum(caption.EchoTime_ms is None and caption.contrast is None for caption in dropped) / 4000
    assert both == pytest.approx(0.0625, abs=0.02)
    kept = {
        field for caption in dropped for field in ("EchoTime_ms", "contrast") if caption.get(field) == FULL.get(field)
    }
    assert kept == {"EchoTime_ms", "contrast"}


def test_left_out_fields_depend_on_the_seed_alone() -> None:
    spec = DropoutSpec(field=0.5)
    assert drop_fields([FULL] * 9, spec, seed=1) == drop_fields([FULL] * 9, spec, seed=1)
    assert drop_fields([FULL] * 9, spec, seed=1) != drop_fields([FULL] * 9, spec, seed=2)
    assert drop_fields([FULL], DropoutSpec(), seed=1) == [FULL]


def test_a_caption_may_keep_nothing_but_the_answer() -> None:
    (bare,) = drop_fields([FULL], DropoutSpec(only_contrast=1.0), seed=0)
    assert bare == Caption(contrast="T2", post_contrast=False, fat_suppressed=True)


def test_a_vocabulary_holds_frequent_values_and_lists_that_are_known() -> None:
    captions = [replace(FULL, Manufacturer=name) for name in ("GE", "GE", "GE", "Siemens", "Siemens", "Hyperfine")]
    table = field_table(captions, ("EchoTime_ms", "Manufacturer", "plane", "fat_suppressed"), min_count=2)
    assert [field.name for field in table.continuous] == ["EchoTime_ms"]
    words = {field.name: field.vocabulary for field in table.categorical}
    assert words == {
        "Manufacturer": ("GE", "Siemens"), "plane": ("axial", "sagittal", "coronal"), "fat_suppressed": ("YES", "NO")
    }  # fmt: skip
    codes = table.encode(captions).categorical[:, 0].tolist()
    assert codes == [FIRST, FIRST, FIRST, FIRST + 1, FIRST + 1, OTHER]
