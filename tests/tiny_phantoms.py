"""Phantoms whose contrast follows from a protocol by the signal equation of MR: truth for tests, pixels and headers.

image = phantom(protocol("T2"), seed=1)                     # uint16, as pixel data of a DICOM image
series = dicom(protocol("T1"), image=protocol("T2"))        # a T2 series under the header of a T1
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

import dicom_factory
from inference.captions import Caption

SIZE_PX = 48  # of the images the tiny bundle's tower takes in

# Six tissues: T1 and T2 in ms at 1.5 T, proton density, ADC in 1e-3 mm2/s (rounded textbook values).
TISSUES = ("white matter", "grey matter", "fluid", "fat", "muscle", "lesion")
T1_MS = np.array([780.0, 1100.0, 4000.0, 260.0, 900.0, 1000.0])
T1_ENHANCED_MS = np.array([780.0, 1100.0, 4000.0, 260.0, 900.0, 300.0])  # an agent shortens T1 of the lesion
T2_MS = np.array([75.0, 95.0, 2000.0, 70.0, 40.0, 120.0])
DENSITY = np.array([0.7, 0.82, 1.0, 0.9, 0.75, 0.85])
DENSITY_FAT_SUPPRESSED = np.array([0.7, 0.82, 1.0, 0.09, 0.75, 0.85])
ADC = np.array([0.8, 0.9, 3.0, 0.05, 1.4, 0.6])

# TE, TR, TI (ms), b (s/mm2) of each contrast: the lowest and the highest a protocol has. TI 0: no inversion.
PROTOCOLS: dict[str, tuple[tuple[float, float], ...]] = {
    "T1": ((8, 20), (400, 700), (0, 0), (0, 0)),
    "T2": ((80, 120), (3000, 6000), (0, 0), (0, 0)),
    "PROTON_DENSITY": ((10, 30), (2500, 4000), (0, 0), (0, 0)),
    "FLUID_ATTENUATED": ((90, 140), (8000, 10000), (2200, 2600), (0, 0)),
    "STIR": ((30, 60), (3000, 5000), (140, 180), (0, 0)),
    "DIFFUSION": ((60, 90), (5000, 9000), (0, 0), (800, 1200)),
}
WORDS = {
    "": "head",
    "T1": "t1 tse",
    "T2": "t2 tse",
    "PROTON_DENSITY": "pd tse",
    "FLUID_ATTENUATED": "t2 flair",
    "STIR": "stir",
    "DIFFUSION": "dwi",
}
SEQUENCES = {"FLUID_ATTENUATED": "SE_IR", "STIR": "SE_IR", "DIFFUSION": "EP_SE"}


def protocol(contrast: str, /, *, seed: int | None = None, **fields: Any) -> Caption:
    """A protocol of that contrast: the middle of its ranges, or drawn from them by `seed`; `fields` replace."""
    rng = None if seed is None else np.random.default_rng(seed)
    te, tr, ti, b = (
        (low + high) / 2 if rng is None else float(rng.uniform(low, high)) for low, high in PROTOCOLS[contrast]
    )
    caption = Caption(
        contrast=contrast,
        ScanningSequence=SEQUENCES.get(contrast, "SE"),
        EchoTime_ms=round(te, 1),
        RepetitionTime_ms=round(tr),
        InversionTime_ms=round(ti) or None,
        b_value_s_mm2=round(b) or None,
        post_contrast=False,
        fat_suppressed=contrast == "STIR",
    )
    return replace(caption, **fields)


def signals(caption: Caption) -> npt.NDArray[np.float64]:
    """The six tissues' signal: spin or inversion recovery (Bernstein 2004, section 14.2), decay, diffusion."""
    te, tr = caption.EchoTime_ms or 0.0, caption.RepetitionTime_ms or 0.0
    ti, b = caption.InversionTime_ms, caption.b_value_s_mm2 or 0.0
    t1 = T1_ENHANCED_MS if caption.post_contrast else T1_MS
    recovery = 1 - np.exp(-tr / t1) if ti is None else np.abs(1 - 2 * np.exp(-ti / t1) + np.exp(-tr / t1))
    density = DENSITY_FAT_SUPPRESSED if caption.fat_suppressed and ti is None else DENSITY
    return density * recovery * np.exp(-te / T2_MS) * np.exp(-b * ADC / 1000)


def phantom(caption: Caption, *, seed: int = 0, size_px: int = 128, snr: float = 40.0) -> npt.NDArray[np.uint16]:
    """A slice of two rows of three tissues in air, 0 to about 1000, with Gaussian noise (its magnitude taken)."""
    levels = signals(caption)
    image = np.zeros((size_px, size_px))
    for level, (rows, columns) in zip(levels, cells(size_px, inset=0.0), strict=True):
        image[rows, columns] = level / levels.max()
    image += np.random.default_rng(seed).normal(0, 1 / snr, image.shape)
    return np.rint(np.abs(image) * 1000).astype(np.uint16)


def strange(*, seed: int = 0, size_px: int = 128) -> npt.NDArray[np.uint16]:
    """An image that is no protocol's: tissues at levels that no signal equation gives."""
    levels = (0.1, 1.0, 0.1, 0.1, 1.0, 0.1)
    image = np.zeros((size_px, size_px))
    for level, (rows, columns) in zip(levels, cells(size_px, inset=0.0), strict=True):
        image[rows, columns] = level
    image += np.random.default_rng(seed).normal(0, 0.02, image.shape)
    return np.rint(np.abs(image) * 1000).astype(np.uint16)


def prepared(images: Sequence[npt.NDArray[np.uint16]]) -> npt.NDArray[np.float32]:
    """Images of `SIZE_PX` as the image tower takes them, without going through files."""
    return (np.stack(images)[:, None] / 1000).astype(np.float32)


def cells(size_px: int, *, inset: float) -> list[tuple[slice, slice]]:
    """Rows and columns of the six tissues, row by row; `inset` leaves out that share of a cell on every side."""
    top, left, height, width = 0.14, 0.08, 0.36, 0.28  # of the image
    cells: list[tuple[slice, slice]] = []
    for row, column in itertools.product(range(2), range(3)):
        y, x = top + row * height, left + column * width
        cells.append(
            (
                slice(round((y + inset * height) * size_px), round((y + (1 - inset) * height) * size_px)),
                slice(round((x + inset * width) * size_px), round((x + (1 - inset) * width) * size_px)),
            )
        )
    return cells


def dicom(header: Caption, *, image: Caption | None = None, slices: int = 6, seed: int = 0) -> list[Dataset]:
    """A classic MR series with that header; its pixels are of the protocol `image`, the header's own by default."""
    attributes: dict[str, Any] = {
        "SeriesDescription": header.SeriesDescription or WORDS[header.contrast or ""],
        "ScanningSequence": (header.ScanningSequence or "").split("_"),
        "SequenceName": None,
        "EchoTime": header.EchoTime_ms,
        "RepetitionTime": header.RepetitionTime_ms,
        "InversionTime": header.InversionTime_ms,
        "DiffusionBValue": header.b_value_s_mm2,
        "ScanOptions": "FS" if header.fat_suppressed else "",
        "ContrastBolusAgent": "Gadobutrol" if header.post_contrast else None,
    }
    present = {keyword: value for keyword, value in attributes.items() if value is not None}
    pixels = [phantom(image or header, seed=seed * slices + index) for index in range(slices)]
    return dicom_factory.series(slices, seed=("tiny", seed), pixels=lambda index: pixels[index], **present)


def clean_series(count: int, *, first_seed: int) -> list[Caption]:
    """Protocols of all contrasts in turn; some T1 with agent, some T2 with fat suppressed."""
    made: list[Caption] = []
    for index, contrast in enumerate(itertools.islice(itertools.cycle(PROTOCOLS), count)):
        odd = (index // len(PROTOCOLS)) % 2 == 1
        caption = protocol(contrast, seed=first_seed + index, post_contrast=contrast == "T1" and odd)
        made.append(replace(caption, fat_suppressed=True) if contrast == "T2" and odd else caption)
    return made
