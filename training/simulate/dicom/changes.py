"""Changes of headers, the building blocks of `corruptions`: each changes data sets in place and says whether it did."""

from collections.abc import Callable
from typing import Final

import numpy as np
from pydicom.dataset import Dataset

from training.simulate.dicom.access import (
    TIMING,
    copy_acquisition,
    delete,
    numbers,
    rename,
    set_flag_words,
    set_numbers,
    set_words,
    words,
)

# Changes a series by itself, or borrows from an image of another one.
Change = Callable[[list[Dataset], np.random.Generator], bool]
Borrow = Callable[[list[Dataset], Dataset], bool]


def scaled(factor: float, *keywords: str) -> Change:
    def change(series: list[Dataset], rng: np.random.Generator) -> bool:
        changed = [
            set_numbers(dataset, k, [v * factor for v in numbers(dataset, k)]) for dataset in series for k in keywords
        ]
        return any(changed)

    return change


def scaled_between(low: float, high: float, keyword: str) -> Change:
    """One factor for the whole series, uniform in the logarithm; up or down."""

    def change(series: list[Dataset], rng: np.random.Generator) -> bool:
        factor = float(np.exp(rng.uniform(np.log(low), np.log(high)) * rng.choice([-1, 1])))
        return scaled(factor, keyword)(series, rng)

    return change


def dropped(*keywords: str) -> Change:
    def change(series: list[Dataset], rng: np.random.Generator) -> bool:
        deleted = [delete(dataset, keyword) for dataset in series for keyword in keywords]
        return any(deleted)

    return change


def without_inversion(series: list[Dataset], rng: np.random.Generator) -> bool:

    changed = False
    for dataset in series:
        changed |= delete(dataset, "InversionTime")
        for keyword in ("ScanningSequence", "ScanOptions"):
            before = words(dataset, keyword)
            changed |= set_words(
                dataset, keyword, [w for w in before if w != "IR"] or (["SE"] if before == ["IR"] else [])
            )
        changed |= set_flag_words(dataset, "InversionRecovery", "NO")
    return changed


def with_agent(series: list[Dataset], rng: np.random.Generator) -> bool:

    for dataset in series:
        if words(dataset, "ContrastBolusAgent"):
            return False
        dataset.ContrastBolusAgent = "Gadoterate"
        rename(dataset, f"{dataset.get('SeriesDescription', '')} post KM".strip())
    return True


def without_agent(series: list[Dataset], rng: np.random.Generator) -> bool:

    changed = False
    for dataset in series:
        changed |= delete(dataset, "ContrastBolusAgent") | delete(dataset, "ContrastBolusAgentSequence")
        if changed:
            rename(dataset, _plain_name(str(dataset.get("SeriesDescription", ""))))
    return changed


_AGENT_WORDS: Final = ("post KM", "+C", "GD", "post contrast", "apres injection", "con contraste", "con mdc", "mit KM")


def _plain_name(text: str) -> str:
    for word in _AGENT_WORDS:
        text = text.replace(f"_{word}", "").replace(f" {word}", "")
    return text


def swapped_words(keyword: str, one: str, two: str) -> Change:
    """A defined term for its opposite, e.g. SE for GR."""

    def change(series: list[Dataset], rng: np.random.Generator) -> bool:
        changed = False
        for dataset in series:
            before = words(dataset, keyword)
            after = [{one: two, two: one}.get(word, word) for word in before]
            changed |= after != before and set_words(dataset, keyword, after)
        return changed

    return change


def image_type(*values: str) -> Change:
    def change(series: list[Dataset], rng: np.random.Generator) -> bool:
        changed = False
        for dataset in series:
            before = words(dataset, "ImageType")
            changed |= before[:1] != list(values[:1]) and set_words(dataset, "ImageType", list(values))
            if changed and values[-1] != "ADC":
                rename(
                    dataset,
                    str(dataset.get("SeriesDescription", ""))
                    .replace("_ADC", "")
                    .replace(" ADC map", "")
                    .replace("ADC", "DWI"),
                )
        return changed

    return change


def described(*texts: str) -> Change:
    def change(series: list[Dataset], rng: np.random.Generator) -> bool:
        text = str(rng.choice(texts))
        for dataset in series:
            rename(dataset, text)
        return True

    return change


def extra_word(word: str) -> Change:
    def change(series: list[Dataset], rng: np.random.Generator) -> bool:
        for dataset in series:
            rename(dataset, f"{dataset.get('SeriesDescription', '')} {word}".strip())
        return True

    return change


def other_plane(series: list[Dataset], rng: np.random.Generator) -> bool:
    """The description names another plane than the geometry."""

    turned = {
        "tra": "sag",
        "sag": "cor",
        "cor": "tra",
        "Ax": "Sag",
        "Sag": "Cor",
        "Cor": "Ax",
        "ax": "sag",
        "axial": "sagittal",
        "sagittal": "coronal",
        "coronal": "axial",
    }
    changed = False
    for dataset in series:
        text = str(dataset.get("SeriesDescription", ""))
        joint = "_" if "_" in text else " "
        after = joint.join(turned.get(part, part) for part in text.split(joint))
        changed |= after != text
        rename(dataset, after)
    return changed


def borrowed(*keywords: str) -> Borrow:
    """Numbers of another series in place of one's own; something must differ by a fifth at least."""

    def change(series: list[Dataset], source: Dataset) -> bool:
        theirs = {k: numbers(source, k)[:1] for k in keywords}
        mine = {k: numbers(series[0], k)[:1] for k in keywords}
        if not any(_differ(mine[k], theirs[k]) for k in keywords):
            return False
        for dataset in series:
            for keyword, value in theirs.items():
                if value:
                    set_numbers(dataset, keyword, value)
                else:
                    delete(dataset, keyword)
        return True

    return change


def _differ(one: list[float], two: list[float]) -> bool:
    if not one or not two:
        return one != two
    return abs(one[0] - two[0]) > 0.2 * max(abs(one[0]), abs(two[0]))


def borrow_description(series: list[Dataset], source: Dataset) -> bool:
    text = str(source.get("SeriesDescription", ""))
    if not text or text == str(series[0].get("SeriesDescription", "")):
        return False
    for dataset in series:
        rename(dataset, text)
    return True


def borrow_all(series: list[Dataset], source: Dataset) -> bool:
    copied = [copy_acquisition(source, dataset) for dataset in series]
    return all(copied)


def rounded_times(series: list[Dataset], rng: np.random.Generator) -> bool:
    """Times rounded to whole milliseconds, as some exporters do."""

    changed = False
    for dataset in series:
        for keyword in TIMING:
            rounded = [float(round(v)) if v > 20 else v for v in numbers(dataset, keyword)]
            changed |= set_numbers(dataset, keyword, rounded)
    return changed


def anonymised(series: list[Dataset], rng: np.random.Generator) -> bool:

    for dataset in series:
        rename(dataset, "")
        for keyword in ("SoftwareVersions", "DeviceSerialNumber", "StationName", "InstitutionName"):
            delete(dataset, keyword)
    return True
