"""Which series go to the node, when, and where a series goes once its contrast is known. Pure: no Orthanc, no clock."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final

# The node's reports say so themselves, and what goes with them (pictures, key objects) has a description that begins
# like theirs; a series of these is never sent to it, whatever the rules say.
REPORT_MODALITY: Final = "SR"
REPORT_DESCRIPTION: Final = "MR contrast check"
REPORT_MANUFACTURER: Final = "mrclip"
_NEVER: Final = frozenset({"SR", "KO", "PR", "DOC", "SEG", "RTSTRUCT"})


@dataclass(frozen=True, kw_only=True)
class Hours:
    """A part of the day, local time; it may go over midnight."""

    first: time
    last: time  # not itself

    def holds(self, moment: time) -> bool:
        """Whether `moment` is in it; from a time to itself is the whole day."""
        if self.first < self.last:
            return self.first <= moment < self.last
        return moment >= self.first or moment < self.last


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Which series the node gets."""

    modalities: tuple[str, ...] = ("MR",)
    description: re.Pattern[str] | None = None  # found in Series Description (0008,103E)
    not_description: re.Pattern[str] | None = None
    origin_aets: tuple[str, ...] = ()  # who sent it to Orthanc; empty: anybody
    not_origin_aets: tuple[str, ...] = ()
    hours: tuple[Hours, ...] = ()  # when to send; empty: always
    unless_read: bool = True  # not if the node has every instance already


@dataclass(frozen=True, kw_only=True)
class Series:
    """A series as Orthanc knows it."""

    orthanc_id: str
    uid: str
    modality: str
    description: str
    manufacturer: str
    origin_aet: str
    instances: int
    stable: bool

    @property
    def is_report(self) -> bool:
        """Whether it holds reports of the node's."""
        return (
            self.modality == REPORT_MODALITY
            and self.description == REPORT_DESCRIPTION
            and self.manufacturer == REPORT_MANUFACTURER
        )

    @property
    def is_ours(self) -> bool:
        """Whether the node made it: reports, and what goes with them."""
        return self.description.startswith(REPORT_DESCRIPTION) and self.manufacturer == REPORT_MANUFACTURER


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the node read in a series, as far as Orthanc is told."""

    contrast: str | None
    post_contrast: bool | None  # None: unknown, or its stacks differ
    flagged: bool
    score: float
    reader_digest: str
    report_uid: str


@dataclass(frozen=True, kw_only=True)
class Route:
    """A modality that gets series of which all of this is true."""

    to: str  # a name in DicomModalities
    contrasts: tuple[str, ...] = ()  # empty: any
    post_contrast: bool | None = None
    flagged: bool | None = None

    def fits(self, result: Result) -> bool:
        """Whether the series with this result goes there."""
        return (
            (not self.contrasts or result.contrast in self.contrasts)
            and self.post_contrast in (None, result.post_contrast)
            and self.flagged in (None, result.flagged)
        )


def unwanted(series: Series, rules: Rules) -> str | None:
    """Why the node does not get a series; None if it does."""
    if series.is_ours or series.modality in _NEVER:
        return "it holds no images to read"
    if series.modality not in rules.modalities:
        return f"modality {series.modality or 'unknown'} is not among the rules'"
    if rules.description is not None and not rules.description.search(series.description):
        return "its description is not one of the rules'"
    if rules.not_description is not None and rules.not_description.search(series.description):
        return "its description is one that the rules leave out"
    if rules.origin_aets and series.origin_aet not in rules.origin_aets:
        return f"it came from {series.origin_aet or 'no AE'}"
    if series.origin_aet in rules.not_origin_aets:
        return f"it came from {series.origin_aet}"
    return None


def seconds_to_wait(now: datetime, rules: Rules) -> float:
    """How long to wait until the hours of the rules have come; 0 within them."""
    if not rules.hours or any(hours.holds(now.time()) for hours in rules.hours):
        return 0.0
    firsts = [hours.first for hours in rules.hours]
    today = [now.replace(hour=first.hour, minute=first.minute, second=0, microsecond=0) for first in firsts]
    return min((start - now) % timedelta(days=1) for start in today).total_seconds()


def destinations(result: Result, routes: tuple[Route, ...]) -> tuple[str, ...]:
    """Where a series goes, each place once, in the order of the routes."""
    return tuple(dict.fromkeys(route.to for route in routes if route.fits(result)))
