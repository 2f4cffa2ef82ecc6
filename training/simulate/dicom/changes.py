"""Changes of headers, the building blocks of `corruptions`.

A change draws what it needs once for a series and returns an edit that is done to each of its images, in place. A
borrowed change gets an image of another series instead. An edit that finds nothing to change changes nothing.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from pydicom.dataset import Dataset

from inference.claims import claim
from inference.header import frame_headers
from training.simulate.dicom.access import (
    TIMING,
    copy_acquisition,
    delete,
    numbers,
    rename,
    set_numbers,
    set_words,
    words,
)
from training.simulate.dicom.descriptions import AGENT

Edit = Callable[[Dataset], None]
Change = Callable[[np.random.Generator], Edit]
Borrow = Callable[[Dataset], Edit]

_TURNED: Final = {
    "tra": "sag", "sag": "cor", "cor": "tra", "Ax": "Sag", "Sag": "Cor", "Cor": "Ax", "ax": "sag",
    "axial": "sagittal", "sagittal": "coronal", "coronal": "axial",
}  # fmt: skip
_ADC_WORDS: Final = {"_ADC": "", " ADC map": "", "ADC": "DWI"}


def always(edit: Edit) -> Change:
    """A change that draws nothing."""
    return lambda rng: edit


def description(dataset: Dataset) -> str:
    """Series Description (0008,103E), empty where there is none."""
    return str(dataset.get("SeriesDescription", ""))


def scaled(factor: float, *keywords: str) -> Change:
    """Numbers times a factor."""

    def edit(dataset: Dataset) -> None:
        for keyword in keywords:
            set_numbers(dataset, keyword, [value * factor for value in numbers(dataset, keyword)])

    return always(edit)


def scaled_between(low: float, high: float, keyword: str) -> Change:
    """A number times one factor for the whole series, uniform in the logarithm; up or down."""

    def draw(rng: np.random.Generator) -> Edit:
        factor = float(np.exp(rng.uniform(np.log(low), np.log(high)) * rng.choice([-1, 1])))
        return scaled(factor, keyword)(rng)

    return draw


def dropped(*keywords: str) -> Change:
    """Attributes taken away."""

    def edit(dataset: Dataset) -> None:
        for keyword in keywords:
            delete(dataset, keyword)

    return always(edit)


def without_inversion(dataset: Dataset) -> None:
    """Neither an inversion time nor a word of an inversion."""
    delete(dataset, "InversionTime")
    for keyword in ("ScanningSequence", "ScanOptions"):
        before = words(dataset, keyword)
        if "IR" in before:
            set_words(dataset, keyword, [w for w in before if w != "IR"] or (["SE"] if before == ["IR"] else []))
    if words(dataset, "InversionRecovery"):
        set_words(dataset, "InversionRecovery", "NO")


def with_agent(dataset: Dataset) -> None:
    """An agent that was not given."""
    if words(dataset, "ContrastBolusAgent") or "ContrastBolusAgentSequence" in dataset:
        return
    dataset.ContrastBolusAgent = "Gadoterate"
    rename(dataset, f"{description(dataset)} post KM".strip())


def without_agent(dataset: Dataset) -> None:
    """An agent that was given and is written nowhere."""
    if not words(dataset, "ContrastBolusAgent") and "ContrastBolusAgentSequence" not in dataset:
        return
    delete(dataset, "ContrastBolusAgent")
    delete(dataset, "ContrastBolusAgentSequence")
    text = description(dataset)
    for word in AGENT:
        text = text.replace(f"_{word}", "").replace(f" {word}", "")
    rename(dataset, text)


def swapped_words(keyword: str, one: str, two: str) -> Change:
    """A defined term for its opposite, e.g. SE for GR."""

    def edit(dataset: Dataset) -> None:
        before = words(dataset, keyword)
        set_words(dataset, keyword, [{one: two, two: one}.get(word, word) for word in before])

    return always(edit)


def as_original(dataset: Dataset) -> None:
    """A map that passes for an image of the acquisition."""
    if words(dataset, "ImageType")[:1] == ["ORIGINAL"]:
        return
    set_words(dataset, "ImageType", ["ORIGINAL", "PRIMARY", "M", "ND"])
    text = description(dataset)
    for word, other in _ADC_WORDS.items():
        text = text.replace(word, other)
    rename(dataset, text)


def as_adc(dataset: Dataset) -> None:
    """An image of the acquisition that passes for an ADC map."""
    if words(dataset, "ImageType")[:1] != ["DERIVED"]:
        set_words(dataset, "ImageType", ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"])


def described(*texts: str) -> Change:
    """One of these descriptions."""

    def draw(rng: np.random.Generator) -> Edit:
        text = str(rng.choice(texts))
        return lambda dataset: rename(dataset, text)

    return draw


def claiming_fat_suppression(dataset: Dataset) -> None:
    """The description says that fat is suppressed where nothing else of the header does.

    It may be true all the same: of a Dixon water image many scanners write nothing.
    """
    water = "WATER" in (*words(dataset, "ImageType"), *words(dataset, "SpectrallySelectedExcitation"))
    if not (water or claim(frame_headers(dataset)[0]).fat_suppressed):
        rename(dataset, f"{description(dataset)} fat sat".strip())


def other_plane(dataset: Dataset) -> None:
    """The description names another plane than the geometry."""
    text = description(dataset)
    joint = "_" if "_" in text else " "
    turned = joint.join(_TURNED.get(part, part) for part in text.split(joint))
    if turned != text:
        rename(dataset, turned)


def borrowed(*keywords: str) -> Borrow:
    """Numbers of another series in place of one's own; one of them must differ by a fifth at least."""

    def borrow(source: Dataset) -> Edit:
        theirs = {keyword: numbers(source, keyword)[:1] for keyword in keywords}

        def edit(dataset: Dataset) -> None:
            if not any(_differ(numbers(dataset, keyword)[:1], value) for keyword, value in theirs.items()):
                return
            for keyword, value in theirs.items():
                if value:
                    set_numbers(dataset, keyword, value)
                else:
                    delete(dataset, keyword)

        return edit

    return borrow


def _differ(one: list[float], two: list[float]) -> bool:
    if not one or not two:
        return one != two
    return abs(one[0] - two[0]) > 0.2 * max(abs(one[0]), abs(two[0]))


def borrowed_description(source: Dataset) -> Edit:
    """The description of another series, where it has one that is not one's own."""
    text = description(source)

    def edit(dataset: Dataset) -> None:
        if text not in ("", description(dataset)):
            rename(dataset, text)

    return edit


def borrowed_header(source: Dataset) -> Edit:
    """The whole acquisition header of another series of the same kind of object; geometry stays."""
    return lambda dataset: copy_acquisition(source, dataset)


def rounded_times(dataset: Dataset) -> None:
    """Times rounded to whole milliseconds, as some exporters do."""
    for keyword in TIMING:
        rounded = [float(round(value)) if value > 8 else value for value in numbers(dataset, keyword)]
        set_numbers(dataset, keyword, rounded)


def anonymised(dataset: Dataset) -> None:
    """What anonymisers leave: no description, no station."""
    rename(dataset, "")
    for keyword in ("SoftwareVersions", "DeviceSerialNumber", "StationName", "InstitutionName"):
        delete(dataset, keyword)
