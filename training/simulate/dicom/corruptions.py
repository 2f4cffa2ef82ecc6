"""Header corruptions by name and grade: what goes wrong in archives, done on purpose to the headers of a series.

Each takes the data sets of one series (classic or Enhanced), some of them another series to borrow from, and returns
changed copies, or None where it has nothing to change. Pixels are never touched. The kinds are those reported of real
archives: units off by a thousand, another series' parameters or description, lost inversion, agents that were not given
or not written down, maps that pass for originals; beside them harmless changes, on which an alarm would be a false one.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from pydicom.dataset import Dataset

from training.simulate.dicom import changes
from training.simulate.dicom.access import TIMING
from training.simulate.dicom.changes import Borrow, Change, Edit

# harmless: must not alarm. subtle: pixels hardly show it, counts neither way. clear: should be found. gross: must be.
Grade = Literal["harmless", "subtle", "clear", "gross"]
Series = Sequence[Dataset]


@dataclass(frozen=True, kw_only=True, slots=True)
class Corruption:
    """One way in which a header goes wrong. `alone` changes a series by itself, `borrow` from another one."""

    name: str
    grade: Grade
    attributes: tuple[str, ...]  # DICOM keywords that become wrong
    alone: Change | None = None
    borrow: Borrow | None = None

    def apply(self, series: Series, rng: np.random.Generator, other: Series | None = None) -> list[Dataset] | None:
        """Changed copies of `series`, None where nothing could be changed; ValueError if `other` is missing."""
        if self.alone is not None:
            return _edited(series, self.alone(rng))
        if self.borrow is None:
            raise ValueError(f"corruption {self.name!r} changes nothing")
        if not other:
            raise ValueError(f"corruption {self.name!r} needs another series to borrow from")
        return _edited(series, self.borrow(other[len(other) // 2]))


def _edited(series: Series, edit: Edit) -> list[Dataset] | None:
    copies = [deepcopy(dataset) for dataset in series]
    for dataset in copies:
        edit(dataset)
    return copies if copies != list(series) else None


_UNINFORMATIVE: Final = ("Series", "WIP", "scan 3", "unnamed", "HEAD", "KNEE")
_TIMES: Final = ("EchoTime", "RepetitionTime", "InversionTime")
_ALL: Final = (*TIMING, "ScanningSequence", "SequenceVariant", "ScanOptions", "ImageType", "SeriesDescription")

CORRUPTIONS: Final = (
    # units
    Corruption(name="te-in-seconds", grade="gross", attributes=("EchoTime",), alone=changes.scaled(0.001, "EchoTime")),
    Corruption(
        name="tr-in-seconds",
        grade="gross",
        attributes=("RepetitionTime",),
        alone=changes.scaled(0.001, "RepetitionTime"),
    ),
    Corruption(
        name="ti-in-seconds", grade="gross", attributes=("InversionTime",), alone=changes.scaled(0.001, "InversionTime")
    ),
    Corruption(name="times-in-seconds", grade="gross", attributes=_TIMES, alone=changes.scaled(0.001, *_TIMES)),
    Corruption(
        name="te-in-microseconds", grade="gross", attributes=("EchoTime",), alone=changes.scaled(1000.0, "EchoTime")
    ),
    Corruption(
        name="tr-in-microseconds",
        grade="gross",
        attributes=("RepetitionTime",),
        alone=changes.scaled(1000.0, "RepetitionTime"),
    ),
    # another series' parameters, description, header
    Corruption(name="swap-te", grade="clear", attributes=("EchoTime",), borrow=changes.borrowed("EchoTime")),
    Corruption(
        name="swap-tr", grade="clear", attributes=("RepetitionTime",), borrow=changes.borrowed("RepetitionTime")
    ),
    Corruption(name="swap-ti", grade="clear", attributes=("InversionTime",), borrow=changes.borrowed("InversionTime")),
    Corruption(name="swap-flip-angle", grade="subtle", attributes=("FlipAngle",), borrow=changes.borrowed("FlipAngle")),
    Corruption(name="swap-parameters", grade="clear", attributes=TIMING, borrow=changes.borrowed(*TIMING)),
    Corruption(
        name="swap-description", grade="clear", attributes=("SeriesDescription",), borrow=changes.borrowed_description
    ),
    Corruption(name="swap-header", grade="clear", attributes=_ALL, borrow=changes.borrowed_header),
    # inversion
    Corruption(name="drop-ti", grade="clear", attributes=("InversionTime",), alone=changes.dropped("InversionTime")),
    Corruption(
        name="drop-inversion",
        grade="clear",
        attributes=("InversionTime", "ScanningSequence"),
        alone=changes.always(changes.without_inversion),
    ),
    # contrast agent, fat suppression
    Corruption(
        name="add-agent",
        grade="clear",
        attributes=("ContrastBolusAgent", "SeriesDescription"),
        alone=changes.always(changes.with_agent),
    ),
    Corruption(
        name="remove-agent",
        grade="clear",
        attributes=("ContrastBolusAgent", "SeriesDescription"),
        alone=changes.always(changes.without_agent),
    ),
    Corruption(
        name="claim-fat-suppression",
        grade="clear",
        attributes=("SeriesDescription",),
        alone=changes.always(changes.claiming_fat_suppression),
    ),
    # derived and original
    Corruption(
        name="derived-as-original",
        grade="clear",
        attributes=("ImageType",),
        alone=changes.always(changes.as_original),
    ),
    Corruption(
        name="original-as-adc",
        grade="clear",
        attributes=("ImageType",),
        alone=changes.always(changes.as_adc),
    ),
    # sequence
    Corruption(
        name="se-for-gr",
        grade="clear",
        attributes=("ScanningSequence",),
        alone=changes.swapped_words("ScanningSequence", "SE", "GR"),
    ),
    Corruption(
        name="other-plane", grade="clear", attributes=("SeriesDescription",), alone=changes.always(changes.other_plane)
    ),
    # graded numbers
    Corruption(
        name="te-by-a-third",
        grade="subtle",
        attributes=("EchoTime",),
        alone=changes.scaled_between(1.2, 1.4, "EchoTime"),
    ),
    Corruption(
        name="te-by-two", grade="subtle", attributes=("EchoTime",), alone=changes.scaled_between(1.8, 2.4, "EchoTime")
    ),
    Corruption(
        name="te-by-five", grade="clear", attributes=("EchoTime",), alone=changes.scaled_between(4.0, 6.0, "EchoTime")
    ),
    Corruption(
        name="tr-by-two",
        grade="subtle",
        attributes=("RepetitionTime",),
        alone=changes.scaled_between(1.8, 2.4, "RepetitionTime"),
    ),
    Corruption(
        name="tr-by-five",
        grade="clear",
        attributes=("RepetitionTime",),
        alone=changes.scaled_between(4.0, 6.0, "RepetitionTime"),
    ),
    # harmless
    Corruption(
        name="te-by-a-twentieth",
        grade="harmless",
        attributes=("EchoTime",),
        alone=changes.scaled_between(1.01, 1.05, "EchoTime"),
    ),
    Corruption(
        name="tr-by-a-twentieth",
        grade="harmless",
        attributes=("RepetitionTime",),
        alone=changes.scaled_between(1.01, 1.05, "RepetitionTime"),
    ),
    Corruption(name="rounded-times", grade="harmless", attributes=TIMING, alone=changes.always(changes.rounded_times)),
    Corruption(
        name="uninformative-description",
        grade="harmless",
        attributes=("SeriesDescription",),
        alone=changes.described(*_UNINFORMATIVE),
    ),
    Corruption(
        name="anonymised", grade="harmless", attributes=("SeriesDescription",), alone=changes.always(changes.anonymised)
    ),
)


def by_name(name: str) -> Corruption:
    """The corruption of that name; KeyError names those there are."""
    for corruption in CORRUPTIONS:
        if corruption.name == name:
            return corruption
    raise KeyError(f"no corruption is called {name!r}; there are {', '.join(c.name for c in CORRUPTIONS)}")
