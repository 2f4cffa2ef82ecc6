"""Images that are no series of a patient: test objects, people in pieces, and what no scanner makes of anything.

An encoder that has never been shown such images puts them among those of people, where no gate can tell them. Nothing
here has a label; all of it is drawn from one generator, so that the same caches give the same images.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image, ImageDraw, ImageFont

from training.simulated_cache import CachedSlices

_DRAWN_SHARE: Final = 1 / 2  # of the number of test objects
_LETTERS: Final = np.array(list("ABCDEFGHIKLMNOPRSTUVWZabcdefghiklmnoprstuvwz0123456789.:/-+%"))

Grey = Float64[np.ndarray, "s s"]  # in [0, 1]


def strange_images(objects: CachedSlices, cache: CachedSlices) -> UInt8[np.ndarray, "n s s"]:
    """Test objects, as many slices of people cut into tiles and put together wrongly, and half as many drawn ones."""
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(cache.images), size=min(len(cache.images), len(objects.images)), replace=False)
    scrambled = np.stack([_scrambled(cache.images[index], rng) for index in chosen])
    drawn = drawn_images(max(1, round(_DRAWN_SHARE * len(objects.images))), objects.images.shape[-1], rng)
    return np.concatenate([objects.images, scrambled, drawn])


def drawn_images(count: int, size_px: int, rng: np.random.Generator) -> UInt8[np.ndarray, "n s s"]:
    """Noise, bands, flat shapes, dots and pages of text, a few of them under each other's noise."""
    images = np.zeros((count, size_px, size_px), np.uint8)
    for number in range(count):
        image = _KINDS[int(rng.integers(len(_KINDS)))](size_px, rng)
        if rng.random() < 0.4:
            image = np.abs(image + rng.uniform(0.01, 0.25) * rng.standard_normal(image.shape))
        images[number] = (np.clip(image, 0, 1) * 255).round()
    return images


def _noise(size: int, rng: np.random.Generator) -> Grey:
    """Noise of any colour, signed or as a magnitude, sometimes inside a disc as a masked reconstruction leaves it."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :]) + 1 / size
    spectrum = np.fft.fft2(rng.standard_normal((size, size))) * frequency ** -rng.uniform(0.0, 2.5)
    field = np.fft.ifft2(spectrum).real
    field = np.abs(field) if rng.random() < 0.5 else field
    low, high = np.percentile(field, (0.5, 99.5))
    image = np.clip((field - low) / (high - low), 0, 1)
    if rng.random() < 0.3:
        y, x = _coordinates(size)
        image = np.where(np.hypot(x, y) < rng.uniform(0.3, 0.95), image, 0.0)
    return image


def _bands(size: int, rng: np.random.Generator) -> Grey:
    """Ramps, stripes, checks and rings."""
    y, x = _coordinates(size)
    angle = rng.uniform(0, np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    turns = np.exp(rng.uniform(np.log(0.3), np.log(20)))
    wave = np.sin(np.pi * turns * (along if rng.random() < 0.7 else np.hypot(x, y)))
    if rng.random() < 0.4:
        wave = wave * np.sin(np.pi * turns * across)
    return ((wave > 0).astype(np.float64) if rng.random() < 0.4 else (wave + 1) / 2) * rng.uniform(0.5, 1.0)


def _shapes(size: int, rng: np.random.Generator) -> Grey:
    """Flat ellipses, boxes and polygons over each other."""
    picture = Image.new("L", (size, size), int(rng.choice([0, 0, 40, 128, 230])))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 15))):
        grey = int(rng.integers(256))
        corners = np.sort(rng.uniform(0, size, (2, 2)), axis=0).ravel().tolist()
        kind = rng.integers(3)
        if kind == 0:
            pen.ellipse(corners, fill=grey)
        elif kind == 1:
            pen.rectangle(corners, fill=grey)
        else:
            pen.polygon(rng.uniform(0, size, 2 * int(rng.integers(3, 8))).tolist(), fill=grey)
    return np.asarray(picture) / 255.0


def _dots(size: int, rng: np.random.Generator) -> Grey:
    """A lattice of dots or rods, as test objects for resolution and geometry have it."""
    y, x = _coordinates(size)
    pitch, radius, angle = rng.uniform(0.08, 0.5), rng.uniform(0.15, 0.45), rng.uniform(0, np.pi / 2)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    offset = np.hypot(*(np.remainder(one / pitch, 1) - 0.5 for one in (along, across)))
    dots = (offset < radius).astype(np.float64)
    inside = np.hypot(x, y) < rng.uniform(0.5, 1.4)
    return np.where(inside, dots if rng.random() < 0.5 else 1 - dots, 0.0) * rng.uniform(0.4, 1.0)


def _page(size: int, rng: np.random.Generator) -> Grey:
    """Lines of text, a table or a curve with its axes, dark on light or light on dark."""
    picture = Image.new("L", (size, size), 0)
    pen = ImageDraw.Draw(picture)
    top = int(rng.integers(0, size // 3))
    if rng.random() < 0.4:
        left, bottom = int(rng.integers(4, size // 5)), size - int(rng.integers(4, size // 5))
        pen.line([left, top, left, bottom, size - 4, bottom], fill=200)
        steps = np.cumsum(rng.standard_normal(40))
        heights = top + (bottom - top) * (steps - steps.min()) / (np.ptp(steps) + 1e-9)
        pen.line(list(zip(np.linspace(left, size - 4, 40).tolist(), heights.tolist(), strict=True)), fill=255)
    else:
        height = int(rng.integers(7, 22))
        for row in range(top, size - 4, round(height * rng.uniform(1.0, 1.6))):
            text = "".join(rng.choice(_LETTERS, int(rng.integers(3, 30))).tolist())
            pen.text((int(rng.integers(0, 12)), row), text, fill=255, font=ImageFont.load_default(height))
    image = np.asarray(picture) / 255.0
    return 1 - image if rng.random() < 0.4 else image


_KINDS: Final[tuple[Callable[[int, np.random.Generator], Grey], ...]] = (_noise, _bands, _shapes, _dots, _page)


def _coordinates(size: int) -> tuple[Grey, Grey]:
    """Rows and columns, from -1 to 1."""
    side = np.linspace(-1, 1, size)
    return np.broadcast_to(side[:, None], (size, size)), np.broadcast_to(side[None, :], (size, size))


def _scrambled(image: UInt8[np.ndarray, "s s"], rng: np.random.Generator) -> UInt8[np.ndarray, "s s"]:
    """The tiles of an image in another order, each in one of eight positions."""
    tiles = int(rng.choice([2, 4, 8, 16]))
    side = image.shape[0] // tiles
    places = [
        (slice(y, y + side), slice(x, x + side))
        for y in range(0, tiles * side, side)
        for x in range(0, tiles * side, side)
    ]
    mixed = np.zeros_like(image)
    for target, source in zip(places, rng.permutation(len(places)), strict=True):
        tile = np.rot90(image[places[source]], int(rng.integers(4)))
        mixed[target] = tile.T if rng.random() < 0.5 else tile
    return mixed
