"""Which caption fields the pixels can contradict, and when two values of one are the same to the eye."""

from dataclasses import dataclass
from typing import Final

from inference.captions import NUMERIC_FIELDS, YES_NO_FIELDS, Value


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedField:
    """A caption field and the tolerance within which two values of it agree.

    Two numbers agree if they differ by at most `difference` or by at most the factor `ratio`: an echo time of 90 ms
    recorded as 100 ms cannot be seen, so it must not count.
    """

    name: str
    keyword: str  # of the attribute it comes from
    words: str  # what to call it in a sentence
    unit: str = ""
    ratio: float = 1.0
    difference: float = 0.0  # in the unit of the field's name
    absence_claims: bool = False  # a header without it says that there was none

    def agree(self, one: Value | None, other: Value | None) -> bool:
        """True if no image could tell the two values apart, or they mean the same."""
        if one is None or other is None:
            # Of an absent number only the smallest are the same to the eye: b = 0 is often not written at all.
            present = other if one is None else one
            return present is None or (self.name in NUMERIC_FIELDS and float(present) <= self.difference)
        if self.name in NUMERIC_FIELDS:
            low, high = sorted((float(one), float(other)))
            return high - low <= self.difference or high <= low * self.ratio
        if self.name == "ScanningSequence":
            return echo(str(one)) == echo(str(other))
        return one == other


def variant(field: str, claimed: Value | None) -> str:
    """The part of the calibration class that depends on what is claimed.

    Clean series that claim an agent score unlike those that claim none, and those with an inversion time unlike those
    without: each is compared with its like.
    """
    if field in YES_NO_FIELDS:
        return "YES" if claimed else "NO"
    return "absent" if claimed is None else ""


def echo(scanning_sequence: str) -> frozenset[str]:
    """The kind of echo in a joined Scanning Sequence: inversion is judged by its time, RM says nothing."""
    return frozenset(scanning_sequence.split("_")) - {"IR", "RM"}


JUDGED: Final = (
    JudgedField(name="contrast", keyword="SeriesDescription", words="contrast"),
    JudgedField(name="post_contrast", keyword="ContrastBolusAgent", words="contrast agent"),
    JudgedField(name="fat_suppressed", keyword="ScanOptions", words="fat suppression"),
    JudgedField(name="plane", keyword="ImageOrientationPatient", words="plane"),
    JudgedField(name="ImageKind", keyword="ImageType", words="kind of image"),
    JudgedField(name="ScanningSequence", keyword="ScanningSequence", words="sequence"),
    JudgedField(
        name="EchoTime_ms", keyword="EchoTime", words="echo time", unit="ms", ratio=1.5, difference=10.0
    ),
    JudgedField(
        name="RepetitionTime_ms", keyword="RepetitionTime", words="repetition time", unit="ms",
        ratio=2.0, difference=10.0,
    ),
    JudgedField(
        name="InversionTime_ms", keyword="InversionTime", words="inversion time", unit="ms",
        ratio=1.4, difference=30.0, absence_claims=True,
    ),
    JudgedField(
        name="b_value_s_mm2", keyword="DiffusionBValue", words="b-value", unit="s/mm2",
        ratio=1.5, difference=100.0, absence_claims=True,
    ),
)  # fmt: skip
