"""What the default bundle is trained on: cached simulated slices and real slices, a share of each in every batch.

Both halves are balanced over what they show, so that neither head nor T1 rules. Real rows that name no echo time say
less, never something else: the label alone makes two samples positives.
"""

import csv
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional

from inference import labels
from inference.captions import Caption
from inference.pixels import PixelSpec, standardise
from training.data.augment import AugmentSpec, augment
from training.data.batches import mixed_seed
from training.errors import RefusedError
from training.simulated_cache import CachedSlices

# `label` of slices.csv -> what the pixels show.
SHOWN: Final = {
    "T1": labels.T1, "T1C": labels.T1, "T2": labels.T2, "FLAIR": labels.FLUID_ATTENUATED, "PD": labels.PROTON_DENSITY,
    "T2S": labels.T2_STAR, "DWI": labels.DIFFUSION, "T2-EPI": labels.DIFFUSION,
    "ADC": labels.ADC, "PHASE": labels.PHASE,
}  # fmt: skip
_PLANES: Final = {"tra": "axial", "sag": "sagittal", "cor": "coronal"}
_YES_NO: Final = {"yes": True, "no": False}
# Fat suppression shows in these; an agent only in T1; below b = 50 diffusion images are T2 images.
_FAT_SHOWS: Final = frozenset({labels.T1, labels.T2, labels.PROTON_DENSITY})
_DIFFUSION_SHOWS_S_MM2: Final = 50.0


STRANGE: Final = "strange"  # the kind of test objects and scrambled images, which claim nothing
_NOTHING: Final = Caption()


@dataclass(frozen=True, kw_only=True, slots=True)
class RealSlice:
    """One row of a folder of real slices."""

    image: UInt8[np.ndarray, "s s"]
    caption: Caption
    volume: str
    group: str  # patients are never split
    repository: str
    licence: str
    path: Path
    label: str  # as the table has it
    thing: str  # what was imaged, in the words of the table
    kept_from_training: bool  # another image of the same patient or volunteers is for evaluation alone


def shown(caption: Caption) -> str:
    """What two samples must share to be positives of each other: no more than pixels can tell."""
    agent = caption.contrast == labels.T1 and caption.post_contrast is True
    fat = caption.contrast in _FAT_SHOWS and caption.fat_suppressed is True
    b = caption.b_value_s_mm2 or 0.0
    weak = caption.contrast == labels.DIFFUSION and b < _DIFFUSION_SHOWS_S_MM2
    return f"{caption.contrast}|{agent}|{fat}|{weak}"


def read_real(folder: Path, size_px: int, *, tiers: Sequence[str] = ("A",)) -> list[RealSlice]:
    """The rows of `slices.csv` of `tiers` with a sure label; `kept_from_training` are for left-out folds alone."""
    table = folder / "slices.csv"
    if not table.is_file():
        raise RefusedError(f"{table}: no such file; REAL names a folder with slices.csv")
    with table.open(newline="", encoding="utf-8") as file:
        rows = [
            row for row in csv.DictReader(file)
            if row["tier"] in tiers and row["sure"] == "yes" and row["label"] in SHOWN
        ]  # fmt: skip
    return [_real(folder, row, size_px) for row in rows]


def _real(folder: Path, row: dict[str, str], size_px: int) -> RealSlice:
    caption = Caption(
        plane=_PLANES.get(row["plane"]),
        EchoTime_ms=_number(row["TE_ms"]),
        RepetitionTime_ms=_number(row["TR_ms"]),
        InversionTime_ms=_number(row["TI_ms"]),
        FlipAngle_deg=_number(row["FA_deg"]),
        ImageKind="magnitude",
        contrast=SHOWN[row["label"]],
        post_contrast=True if row["label"] == "T1C" else _YES_NO.get(row["post_contrast"]),
        fat_suppressed=_YES_NO.get(row["fat_suppressed"]),
    )
    return RealSlice(
        image=_square(folder / row["file"], size_px),
        caption=caption,
        volume=row["volume_id"],
        group=row["group"],
        repository=row["repo"],
        licence=row["licence"],
        path=folder / row["file"],
        label=row["label"],
        thing=row["object"],
        kept_from_training=row["leave_out_for_real_mr"] == "yes",
    )


def _number(text: str) -> float | None:
    return float(text) if text.strip() else None


def _square(path: Path, size_px: int) -> UInt8[np.ndarray, "s s"]:
    """The slice in the middle of a black square, its longer side at `size_px`, as the reader fits it."""
    with Image.open(path) as image:
        grey = image.convert("L")
        longer = max(grey.size)
        width, height = (max(1, round(size_px * side / longer)) for side in grey.size)
        resized = np.asarray(grey.resize((width, height), Image.Resampling.BICUBIC))
    square = np.zeros((size_px, size_px), np.uint8)
    top, left = (size_px - height) // 2, (size_px - width) // 2
    square[top : top + height, left : left + width] = resized
    return square


class Classes:
    """What an image can show: kinds (a family of sequences, with or without an agent), each of which shows one thing.

    Simulated slices know their kind, real ones only what they show.
    """

    def __init__(self, kinds: Mapping[str, str], *, really_shown: Collection[str] = ()) -> None:
        """`kinds`: kind -> what it shows (`shown`); `really_shown`: what there are real slices of."""
        self.kinds = sorted(kinds)
        self.shown = sorted(set(kinds.values()))
        self.shown_of_kind = torch.tensor([self.shown.index(kinds[kind]) for kind in self.kinds])
        rivals = {*really_shown, kinds.get(STRANGE)}
        self.rivals_of_real = torch.tensor([kinds[kind] in rivals for kind in self.kinds])


class Sample(NamedTuple):
    """The slices of one step, prepared, with what they show; `kind` is -1 for real slices."""

    images: Float32[Tensor, "n 1 s s"]
    captions: list[Caption]
    shown: Int[Tensor, " n"]
    kind: Int[Tensor, " n"]


@dataclass(frozen=True, kw_only=True)
class Share:
    """One part of every batch: a pool of slices and how many of them a batch holds."""

    images: UInt8[np.ndarray, "n s s"]
    captions: Sequence[Caption]
    kinds: Sequence[str | None]
    count: int
    augment: AugmentSpec

    @cached_property
    def _pools(self) -> list[list[int]]:
        """The slices of each kind; of each thing shown where kinds are unknown."""
        members = defaultdict[str, list[int]](list)
        for index, (caption, kind) in enumerate(zip(self.captions, self.kinds, strict=True)):
            members[kind or shown(caption)].append(index)
        return list(members.values())

    def draw(self, rng: np.random.Generator, generator: torch.Generator) -> tuple[Tensor, list[int]]:
        """`count` slices, first their kind by the square root of how often it is there, then which of them."""
        weights = np.sqrt([len(pool) for pool in self._pools])
        chosen = rng.choice(len(self._pools), size=self.count, p=weights / weights.sum())
        indices = [self._pools[one][int(rng.integers(len(self._pools[one])))] for one in chosen]
        images = torch.from_numpy(self.images[indices]).float()[:, None] / 255
        return rewindow(coarsen(augment(images, self.augment, generator), rng), rng), indices


class MixedSamples:
    """Samples of all shares; what a step holds follows from the seed and the step."""

    def __init__(self, shares: Sequence[Share], classes: Classes, *, pixels: PixelSpec, seed: int) -> None:
        self._shares, self._classes = [share for share in shares if share.count], classes
        self._pixels, self._seed = pixels, seed

    def step(self, number: int) -> Sample:
        """The samples of one step."""
        rng = np.random.default_rng([self._seed, number])
        generator = torch.Generator().manual_seed(mixed_seed(self._seed, number))
        images: list[Tensor] = []
        captions: list[Caption] = []
        kinds: list[int] = []
        for share in self._shares:
            drawn, indices = share.draw(rng, generator)
            images.append(drawn)
            captions.extend(share.captions[index] for index in indices)
            found = [share.kinds[index] for index in indices]
            kinds.extend(-1 if kind is None else self._classes.kinds.index(kind) for kind in found)
        standard = torch.from_numpy(standardise(torch.cat(images)[:, 0].numpy(), self._pixels))
        numbers = [self._classes.shown.index(shown(caption)) for caption in captions]
        return Sample(standard, _some_words_unknown(captions, rng), torch.tensor(numbers), torch.tensor(kinds))


def kind_of(protocol: str, caption: Caption) -> str:
    """The kind of a simulated slice: its family, and whether an agent can be seen."""
    agent = "+agent" if caption.contrast == labels.T1 and caption.post_contrast else ""
    return f"{protocol}{agent}"


def classes_of(cache: CachedSlices, real: Sequence[RealSlice] = ()) -> Classes:
    """The kinds that a cache holds, and the one that stands for whatever is no series of a patient."""
    pairs = zip(cache.protocols, cache.captions, strict=True)
    kinds = {f"{kind_of(protocol, caption)}|{shown(caption)}": shown(caption) for protocol, caption in pairs}
    return Classes({**kinds, STRANGE: shown(_NOTHING)}, really_shown={shown(one.caption) for one in real})


def _some_words_unknown(captions: Sequence[Caption], rng: np.random.Generator) -> list[Caption]:
    """A few sequences that no vocabulary knows, so that the token of such words is trained to say nothing."""
    unknown = rng.random(len(captions)) < 0.04
    return [
        replace(caption, ScanningSequence="?") if odd and caption.ScanningSequence else caption
        for caption, odd in zip(captions, unknown, strict=True)
    ]


def resized(images: UInt8[np.ndarray, "n s s"], size_px: int) -> UInt8[np.ndarray, "n t t"]:
    """Square images at the size of the model, as the reader resizes them."""
    if images.shape[-1] == size_px:
        return images
    size = (size_px, size_px)
    return np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BICUBIC)) for one in images])


def coarsen(images: Float32[Tensor, "n 1 s s"], rng: np.random.Generator) -> Tensor:
    """A third of the batch at a coarser matrix, up to three times: resolution does not tell a contrast."""
    chosen = torch.from_numpy(rng.random(len(images)) < 1 / 3)
    if not chosen.any():
        return images
    images = images.clone()
    size = images.shape[-1]
    coarse = int(size / rng.uniform(1.2, 3.0))
    small = functional.interpolate(images[chosen], size=(coarse, coarse), mode="area")
    images[chosen] = functional.interpolate(small, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)
    return images


def rewindow(images: Float32[Tensor, "n 1 s s"], rng: np.random.Generator) -> Tensor:
    """Brightness scaled by 0.6 to 1.5 and cut at white: where the brightest percentile lies is an accident."""
    factor = np.exp(rng.uniform(np.log(0.6), np.log(1.5), len(images))).astype(np.float32)
    return (images * torch.from_numpy(factor)[:, None, None, None]).clamp(0, 1)


def simulated_share(cache: CachedSlices, count: int, *, size_px: int, spec: AugmentSpec) -> Share:
    """The cached slices as a share, at the size of the model."""
    pairs = zip(cache.protocols, cache.captions, strict=True)
    kinds = [f"{kind_of(protocol, caption)}|{shown(caption)}" for protocol, caption in pairs]
    return Share(images=resized(cache.images, size_px), captions=cache.captions, kinds=kinds, count=count, augment=spec)


def real_share(slices: Sequence[RealSlice], count: int, classes: Classes, spec: AugmentSpec) -> Share:
    """Real slices as a share, those that show what no simulated slice shows left out; empty without any."""
    slices = [one for one in slices if shown(one.caption) in classes.shown]
    images = np.stack([one.image for one in slices]) if slices else np.zeros((0, 1, 1), np.uint8)
    captions = [one.caption for one in slices]
    return Share(
        images=images, captions=captions, kinds=[None] * len(slices), count=count if slices else 0, augment=spec
    )


def strange_share(images: UInt8[np.ndarray, "n s s"], count: int, *, size_px: int, spec: AugmentSpec) -> Share:
    """Strange images as a share."""
    known = [_NOTHING] * len(images)
    return Share(
        images=resized(images, size_px), captions=known, kinds=[STRANGE] * len(images), count=count, augment=spec
    )
