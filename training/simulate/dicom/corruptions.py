"""Header corruptions by name and grade: what goes wrong in archives, done on purpose to the headers of a series.

Each takes the data sets of one series (classic or Enhanced), some of them another series to borrow from, and returns changed
copies, or None where it has nothing to change. Pixels are never touched. The kinds are those reported of real archives:
units off by a thousand, another series' parameters or description, lost inversion, agents that were not given or not
written down, maps that pass for originals; beside them harmless changes, on which an alarm would be a false one.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Final, Literal

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
)  # fmt: skip

# harmless: must not alarm. subtle: pixels hardly show it, counts neither way. clear: should be found. gross: must be found.
Grade = Literal["harmless", "subtle", "clear", "gross"]
Series = Sequence[Dataset]
Change = Callable[[list[Dataset], np.random.Generator], bool]
Borrow = Callable[[list[Dataset], Dataset], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Corruption:
    """One way in which a header goes wrong. `alone` changes a series by itself, `borrow` from another one."""

    name: str
    grade: Grade
    attributes: tuple[str, ...]  # DICOM keywords that become wrong
    alone: Change | None = None
    borrow: Borrow | None = None

    def apply(self, series: Series, rng: np.random.Generator, other: Series | None = None) -> list[Dataset] | None:
        """Changed copies of `series`; None where nothing could be changed. ValueError if `other` is needed and missing."""
        copies = [deepcopy(dataset) for dataset in series]
        if self.alone is not None:
            return copies if self.alone(copies, rng) else None
        if self.borrow is None:
            raise ValueError(f"corruption {self.name!r} changes nothing")
        if not other:
            raise ValueError(f"corruption {self.name!r} needs another series to borrow from")
        return copies if self.borrow(copies, other[len(other) // 2]) else None


def in_seconds(series: Series, *keywords: str) -> list[Dataset]:
    """Copies of a series whose times are written in seconds."""
    copies = [deepcopy(dataset) for dataset in series]
    _scaled(0.001, *keywords)(copies, np.random.default_rng(0))
    return copies


def paste_header(series: Series, source: Dataset) -> list[Dataset]:
    """Copies of a series with the whole acquisition header and the description of another one."""
    copies = [deepcopy(dataset) for dataset in series]
    _borrow_all(copies, source)
    return copies


def _scaled(factor: float, *keywords: str) -> Change:
    def change(series: list[Dataset], rng: np.random.Generator) -> bool:
        del rng
        changed = [
            set_numbers(dataset, k, [v * factor for v in numbers(dataset, k)]) for dataset in series for k in keywords
        ]
        return any(changed)

    return change


def _scaled_between(low: float, high: float, keyword: str) -> Change:
    """One factor for the whole series, uniform in the logarithm; up or down."""

    def change(series: list[Dataset], rng: np.random.Generator) -> bool:
        factor = float(np.exp(rng.uniform(np.log(low), np.log(high)) * rng.choice([-1, 1])))
        return _scaled(factor, keyword)(series, rng)

    return change


def _dropped(*keywords: str) -> Change:
    def change(series: list[Dataset], rng: np.random.Generator) -> bool:
        del rng
        return any([delete(dataset, keyword) for dataset in series for keyword in keywords])

    return change


def _without_inversion(series: list[Dataset], rng: np.random.Generator) -> bool:
    del rng
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


def _with_agent(series: list[Dataset], rng: np.random.Generator) -> bool:
    del rng
    for dataset in series:
        if words(dataset, "ContrastBolusAgent"):
            return False
        dataset.ContrastBolusAgent = "Gadoterate"
        rename(dataset, f"{dataset.get('SeriesDescription', '')} post KM".strip())
    return True


def _without_agent(series: list[Dataset], rng: np.random.Generator) -> bool:
    del rng
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


def _swapped_words(keyword: str, one: str, two: str) -> Change:
    """A defined term for its opposite, e.g. SE for GR."""

    def change(series: list[Dataset], rng: np.random.Generator) -> bool:
        del rng
        changed = False
        for dataset in series:
            before = words(dataset, keyword)
            after = [{one: two, two: one}.get(word, word) for word in before]
            changed |= after != before and set_words(dataset, keyword, after)
        return changed

    return change


def _image_type(*values: str) -> Change:
    def change(series: list[Dataset], rng: np.random.Generator) -> bool:
        del rng
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


def _described(*texts: str) -> Change:
    def change(series: list[Dataset], rng: np.random.Generator) -> bool:
        text = str(rng.choice(texts))
        for dataset in series:
            rename(dataset, text)
        return True

    return change


def _extra_word(word: str) -> Change:
    def change(series: list[Dataset], rng: np.random.Generator) -> bool:
        del rng
        for dataset in series:
            rename(dataset, f"{dataset.get('SeriesDescription', '')} {word}".strip())
        return True

    return change


def _other_plane(series: list[Dataset], rng: np.random.Generator) -> bool:
    """The description names another plane than the geometry."""
    del rng
    turned = {"tra": "sag", "sag": "cor", "cor": "tra", "Ax": "Sag", "Sag": "Cor", "Cor": "Ax", "ax": "sag",
              "axial": "sagittal", "sagittal": "coronal", "coronal": "axial"}  # fmt: skip
    changed = False
    for dataset in series:
        text = str(dataset.get("SeriesDescription", ""))
        joint = "_" if "_" in text else " "
        after = joint.join(turned.get(part, part) for part in text.split(joint))
        changed |= after != text
        rename(dataset, after)
    return changed


def _borrowed(*keywords: str) -> Borrow:
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


def _borrow_description(series: list[Dataset], source: Dataset) -> bool:
    text = str(source.get("SeriesDescription", ""))
    if not text or text == str(series[0].get("SeriesDescription", "")):
        return False
    for dataset in series:
        rename(dataset, text)
    return True


def _borrow_all(series: list[Dataset], source: Dataset) -> bool:
    return all([copy_acquisition(source, dataset) for dataset in series])


def _rounded_times(series: list[Dataset], rng: np.random.Generator) -> bool:
    """Times rounded to whole milliseconds, as some exporters do."""
    del rng
    return any(
        [set_numbers(d, k, [float(round(v)) if v > 20 else v for v in numbers(d, k)]) for d in series for k in TIMING]
    )


def _anonymised(series: list[Dataset], rng: np.random.Generator) -> bool:
    del rng
    for dataset in series:
        rename(dataset, "")
        for keyword in ("SoftwareVersions", "DeviceSerialNumber", "StationName", "InstitutionName"):
            delete(dataset, keyword)
    return True


_UNINFORMATIVE: Final = ("Series", "WIP", "scan 3", "unnamed", "HEAD", "KNEE")
_TIMES: Final = ("EchoTime", "RepetitionTime", "InversionTime")
_ALL: Final = (*TIMING, "ScanningSequence", "SequenceVariant", "ScanOptions", "ImageType", "SeriesDescription")

CORRUPTIONS: Final = (
    # units
    Corruption(name="te-in-seconds", grade="gross", attributes=("EchoTime",), alone=_scaled(0.001, "EchoTime")),
    Corruption(name="tr-in-seconds", grade="gross", attributes=("RepetitionTime",), alone=_scaled(0.001, "RepetitionTime")),
    Corruption(name="ti-in-seconds", grade="gross", attributes=("InversionTime",), alone=_scaled(0.001, "InversionTime")),
    Corruption(name="times-in-seconds", grade="gross", attributes=_TIMES, alone=_scaled(0.001, *_TIMES)),
    Corruption(name="te-in-microseconds", grade="gross", attributes=("EchoTime",), alone=_scaled(1000.0, "EchoTime")),
    Corruption(name="tr-in-microseconds", grade="gross", attributes=("RepetitionTime",), alone=_scaled(1000.0, "RepetitionTime")),
    # another series' parameters, description, header
    Corruption(name="swap-te", grade="clear", attributes=("EchoTime",), borrow=_borrowed("EchoTime")),
    Corruption(name="swap-tr", grade="clear", attributes=("RepetitionTime",), borrow=_borrowed("RepetitionTime")),
    Corruption(name="swap-ti", grade="clear", attributes=("InversionTime",), borrow=_borrowed("InversionTime")),
    Corruption(name="swap-flip-angle", grade="subtle", attributes=("FlipAngle",), borrow=_borrowed("FlipAngle")),
    Corruption(name="swap-parameters", grade="clear", attributes=TIMING, borrow=_borrowed(*TIMING)),
    Corruption(name="swap-description", grade="clear", attributes=("SeriesDescription",), borrow=_borrow_description),
    Corruption(name="swap-header", grade="clear", attributes=_ALL, borrow=_borrow_all),
    # inversion
    Corruption(name="drop-ti", grade="clear", attributes=("InversionTime",), alone=_dropped("InversionTime")),
    Corruption(name="drop-inversion", grade="clear", attributes=("InversionTime", "ScanningSequence"), alone=_without_inversion),
    # contrast agent, fat suppression
    Corruption(name="add-agent", grade="clear", attributes=("ContrastBolusAgent", "SeriesDescription"), alone=_with_agent),
    Corruption(name="remove-agent", grade="clear", attributes=("ContrastBolusAgent", "SeriesDescription"), alone=_without_agent),
    Corruption(name="claim-fat-suppression", grade="clear", attributes=("SeriesDescription",), alone=_extra_word("fat sat")),
    # derived and original
    Corruption(name="derived-as-original", grade="clear", attributes=("ImageType",),
               alone=_image_type("ORIGINAL", "PRIMARY", "M", "ND")),
    Corruption(name="original-as-adc", grade="clear", attributes=("ImageType",), alone=_image_type("DERIVED", "PRIMARY", "DIFFUSION", "ADC")),
    # sequence
    Corruption(name="se-for-gr", grade="clear", attributes=("ScanningSequence",), alone=_swapped_words("ScanningSequence", "SE", "GR")),
    Corruption(name="other-plane", grade="clear", attributes=("SeriesDescription",), alone=_other_plane),
    # graded numbers
    Corruption(name="te-by-a-third", grade="subtle", attributes=("EchoTime",), alone=_scaled_between(1.2, 1.4, "EchoTime")),
    Corruption(name="te-by-two", grade="subtle", attributes=("EchoTime",), alone=_scaled_between(1.8, 2.4, "EchoTime")),
    Corruption(name="te-by-five", grade="clear", attributes=("EchoTime",), alone=_scaled_between(4.0, 6.0, "EchoTime")),
    Corruption(name="tr-by-two", grade="subtle", attributes=("RepetitionTime",), alone=_scaled_between(1.8, 2.4, "RepetitionTime")),
    Corruption(name="tr-by-five", grade="clear", attributes=("RepetitionTime",), alone=_scaled_between(4.0, 6.0, "RepetitionTime")),
    # harmless
    Corruption(name="te-by-a-twentieth", grade="harmless", attributes=("EchoTime",), alone=_scaled_between(1.01, 1.05, "EchoTime")),
    Corruption(name="tr-by-a-twentieth", grade="harmless", attributes=("RepetitionTime",),
               alone=_scaled_between(1.01, 1.05, "RepetitionTime")),
    Corruption(name="rounded-times", grade="harmless", attributes=TIMING, alone=_rounded_times),
    Corruption(name="uninformative-description", grade="harmless", attributes=("SeriesDescription",), alone=_described(*_UNINFORMATIVE)),
    Corruption(name="anonymised", grade="harmless", attributes=("SeriesDescription",), alone=_anonymised),
)  # fmt: skip


def by_name(name: str) -> Corruption:
    """The corruption of that name; KeyError names those there are."""
    for corruption in CORRUPTIONS:
        if corruption.name == name:
            return corruption
    raise KeyError(f"no corruption is called {name!r}; there are {', '.join(c.name for c in CORRUPTIONS)}")
