"""Slices to what an encoder takes in: values one can check by hand, and what holds for any slices."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_factory import object_pixels
from inference.pixels import PixelError, PixelSpec, is_noise, prepare, standardise, unit_images
from inference.pixels_noise import local_evenness, neighbour_relation

EXACT = PixelSpec(size_px=4, low_percentile=0.0, high_percentile=100.0)


def slices(*images: Any) -> list[npt.NDArray[np.float32]]:
    return [np.asarray(image, np.float32) for image in images]


def brain(seed: int = 0, rows: int = 64, columns: int = 64) -> npt.NDArray[np.float32]:
    return object_pixels(rows, columns, seed=seed).astype(np.float32)


def test_golden() -> None:
    """Scaled over both slices together, padded at the sides with zero, standardised, repeated over three channels."""
    spec = PixelSpec(size_px=4, channels=3, low_percentile=0.0, high_percentile=100.0, mean=0.5, std=0.25)
    first = np.repeat([[10.0, 50.0]], 4, axis=0)
    second = np.repeat([[10.0, 20.0]], 4, axis=0)
    batch = prepare(slices(first, second), spec)
    assert batch.shape == (2, 3, 4, 4)
    assert batch.dtype == np.float32
    for channel in range(3):
        np.testing.assert_allclose(batch[0, channel], np.repeat([[-2.0, -2.0, 2.0, -2.0]], 4, axis=0), atol=1e-6)
        np.testing.assert_allclose(batch[1, channel], np.repeat([[-2.0, -2.0, -1.0, -2.0]], 4, axis=0), atol=1e-6)


def test_prepare_is_its_two_halves() -> None:
    spec = PixelSpec(size_px=32, channels=3, mean=0.3, std=0.2)
    images = [brain(seed) for seed in range(3)]
    np.testing.assert_array_equal(prepare(images, spec), standardise(unit_images(images, spec), spec))


def test_percentiles_clip() -> None:
    image = np.tile(np.arange(100.0), (100, 1))
    image[0, 0] = 1e6  # a spike does not darken the rest
    unit = unit_images(slices(image), PixelSpec(size_px=100, low_percentile=1.0, high_percentile=99.0))
    assert unit[0, 50, 0] == 0
    assert unit[0, 50, 99] == 1
    assert unit[0, 50, 50] == pytest.approx(0.5, abs=0.02)


def test_brightness_stays_comparable_between_slices() -> None:
    bright, dark = brain(1), brain(1) * 0.5
    unit = unit_images([bright, dark], PixelSpec(size_px=64))
    assert unit[1].mean() == pytest.approx(unit[0].mean() / 2, rel=0.05)


def test_the_aspect_follows_the_spacing() -> None:
    """Rows 2 mm apart and columns 1 mm apart make 10 x 20 pixels a square."""
    image = np.ones((10, 20))
    image[0, 0] = 0
    spec = PixelSpec(size_px=40, low_percentile=0.0, high_percentile=100.0)
    unit = unit_images(slices(image), spec, pixel_spacing_mm=(2.0, 1.0))
    assert (unit[0, 20] > 0.9).all()
    assert (unit[0, :, 20] > 0.9).all()
    flat = unit_images(slices(image), spec)
    assert (flat[0, :10] == 0).all()
    assert (flat[0, 30:] == 0).all()
    assert (flat[0, 12:28, 20] > 0.9).all()


@pytest.mark.parametrize("spacing", [(0.0, 0.0), (-1.0, 1.0), (1.0, 0.0), (1e308, 1e308), (1.0, 1e308), None])
def test_a_spacing_that_is_none_is_square(spacing: tuple[float, float] | None) -> None:
    image = brain()
    spec = PixelSpec(size_px=32)
    np.testing.assert_array_equal(unit_images([image], spec, pixel_spacing_mm=spacing), unit_images([image], spec))


def test_slices_of_different_sizes() -> None:
    assert unit_images([brain(0, 64, 64), brain(1, 32, 48)], PixelSpec(size_px=40)).shape == (2, 40, 40)


def test_a_few_bright_pixels_are_an_image() -> None:
    image = np.zeros((64, 64), np.float32)
    image[20:22, 20:24] = 100
    assert unit_images([image], PixelSpec(size_px=64)).max() > 0.9


def code(images: list[npt.NDArray[np.float32]], spec: PixelSpec = EXACT) -> str:
    with pytest.raises(PixelError) as error:
        prepare(images, spec)
    return error.value.reason.code


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([], "no-pixels"),
        (slices(np.zeros((0, 5))), "no-pixels"),
        (slices(np.full((8, 8), 7.0)), "constant"),
        (slices(np.full((8, 8), 7.0), np.full((8, 8), 7.0)), "constant"),
        (slices(np.array([[1.0, np.nan], [2, 3]])), "not-finite"),
        (slices(np.array([[1.0, np.inf], [2, 3]])), "not-finite"),
    ],
)
def test_refusals(images: list[npt.NDArray[np.float32]], expected: str) -> None:
    assert code(images) == expected


RANDOM = np.random.default_rng(7)
NOISE = {
    "gaussian": lambda shape: RANDOM.normal(100, 10, shape),
    "rayleigh": lambda shape: np.hypot(RANDOM.normal(size=shape), RANDOM.normal(size=shape)),
    "rician": lambda shape: np.hypot(3 + RANDOM.normal(size=shape), RANDOM.normal(size=shape)),
    "uniform": lambda shape: RANDOM.integers(0, 4096, shape),
    "scrambled": lambda shape: RANDOM.permutation(brain(3, *shape).ravel()).reshape(shape),
}


@pytest.mark.parametrize("kind", NOISE)
@pytest.mark.parametrize("shape", [(64, 64), (128, 96), (240, 240)])
def test_noise_is_refused(kind: str, shape: tuple[int, int]) -> None:
    images = slices(*(NOISE[kind](shape) for _ in range(4)))
    assert code(images, PixelSpec(size_px=64)) == "noise"


@pytest.mark.parametrize("sigma", [0.0, 30.0, 150.0, 300.0])
def test_a_noisy_image_is_still_an_image(sigma: float) -> None:
    images = [brain(seed) + RANDOM.normal(0, sigma, (64, 64)).astype(np.float32) for seed in range(4)]
    assert prepare(images, PixelSpec(size_px=64)).shape == (4, 1, 64, 64)


def test_a_phase_map_with_noise_around_a_phantom_is_an_image() -> None:
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    inside = x**2 + y**2 < 0.4
    images = slices(*(np.where(inside, 2048 + 200 * x, RANDOM.integers(0, 4096, (64, 64))) for _ in range(4)))
    relation, evenness = neighbour_relation(images), local_evenness(images)
    assert relation == pytest.approx(1, abs=0.2)
    assert evenness == pytest.approx(0, abs=0.01)
    assert not is_noise(images)


def test_one_slice_of_noise_among_images_is_let_through() -> None:
    images = [brain(0), brain(1), *slices(NOISE["rayleigh"]((64, 64)))]
    assert prepare(images, PixelSpec(size_px=64)).shape[0] == 3


def test_what_cannot_be_judged_is_no_noise() -> None:
    for images in ([], slices(np.zeros((64, 64))), slices(np.eye(8))):
        assert neighbour_relation(images) is None
        assert local_evenness(images) is None
        assert not is_noise(images)


def test_a_ramp_is_as_smooth_as_can_be() -> None:
    ramp = slices(np.tile(np.arange(64.0), (64, 1)))
    assert neighbour_relation(ramp) == pytest.approx(16, rel=0.01)
    assert local_evenness(ramp) == pytest.approx(1)
    assert not is_noise(ramp)


@pytest.mark.parametrize(
    "values",
    [
        {"size_px": 0}, {"size_px": 5000}, {"channels": 2}, {"low_percentile": 99.5}, {"high_percentile": 101.0},
        {"std": 0.0}, {"std": float("nan")}, {"mean": float("inf")},
    ],
)  # fmt: skip
def test_a_spec_that_makes_no_sense(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        PixelSpec(**({"size_px": 64} | values))


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(16, 80), st.integers(16, 80)),
    count=st.integers(1, 4),
    size=st.integers(1, 96),
    spacing=st.tuples(st.floats(0.1, 5), st.floats(0.1, 5)),
)
def test_any_slices_fill_the_batch(shape: tuple[int, int], count: int, size: int, spacing: tuple[float, float]) -> None:
    images = [brain(seed, *shape) for seed in range(count)]
    unit = unit_images(images, PixelSpec(size_px=size), pixel_spacing_mm=spacing)
    assert unit.shape == (count, size, size)
    assert unit.min() >= 0
    assert unit.max() <= 1


@settings(deadline=None, max_examples=25)
@given(gain=st.floats(0.01, 100), offset=st.floats(-1000, 1000))
def test_gain_and_offset_do_not_matter(gain: float, offset: float) -> None:
    """Vendors scale their images as they like."""
    spec = PixelSpec(size_px=48)
    image = brain()
    changed = (image * gain + offset).astype(np.float32)
    np.testing.assert_allclose(unit_images([changed], spec), unit_images([image], spec), atol=2e-3)


def test_the_input_is_left_as_it_was() -> None:
    image = brain()
    before = image.copy()
    prepare([image], PixelSpec(size_px=32))
    np.testing.assert_array_equal(image, before)
