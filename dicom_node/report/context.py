"""What a report says beyond its reading, and what goes with it. Free of highdicom, so that anybody may import it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from inference.identifiers import SopInstanceUid
from inference.reading import ModelIdentity, SeriesReading


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportContext:
    """The reader, its rules and model, the time of the reading, and the report that this one replaces."""

    reader_digest: str  # SHA-256 in hexadecimal: bundle, site calibration, rules, alarm rate
    rules_version: str
    model: ModelIdentity | None  # None: rules only
    created_at: datetime  # with its zone, in which it is written unless the images of the study name another
    predecessor_sop_instance_uid: SopInstanceUid | None = None

    def __post_init__(self) -> None:
        if self.created_at.tzinfo is None:
            raise ValueError("created_at has no time zone")


@dataclass(frozen=True, kw_only=True, slots=True)
class Companions:
    """What is made beside a report, for viewers that cannot show one."""

    secondary_capture: bool = False  # pictures of what it says
    key_objects: bool = False  # the images that speak for an alarm, marked

    def any_for(self, reading: SeriesReading) -> bool:
        """Whether there is anything to be made for a series."""
        return self.secondary_capture or (self.key_objects and reading.flagged)


NO_COMPANIONS: Final = Companions()
