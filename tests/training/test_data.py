"""Augmentation and targets: what must change does, what must not does not."""

from dataclasses import replace

import pytest
import torch

from inference.captions import Caption
from training.data.augment import AugmentSpec, augment
from training.data.targets import distance, positives, targets

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
        {"blur_px": 2.0}, {"gamma": 0.4}, {"bias_field": 0.4}, {"noise": 0.1},
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
