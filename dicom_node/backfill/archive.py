"""What a back-fill asks of an archive, whatever it speaks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, Protocol

from dicom_node.errors import NodeError
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid

_LONGEST: Final = 12  # characters of a number as text (PS3.5 6.2, IS)


class ArchiveError(NodeError):
    """The archive does not give what it should. `retry` says whether asking again can help."""

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteSeries:
    """A series of the archive."""

    study_instance_uid: StudyInstanceUid
    series_instance_uid: SeriesInstanceUid
    instances: int | None  # Number of Series Related Instances (0020,1209), where the archive says it


class Archive(Protocol):
    """Raises ArchiveError wherever it does not answer as it should."""

    def series(self, day: date) -> Iterator[RemoteSeries]:
        """The MR series of studies of that day: StudyDate (0008,0020)."""
        ...

    def instances(self, series: RemoteSeries) -> list[SopInstanceUid]:
        """The instances of a series."""
        ...

    def fetch(self, series: RemoteSeries, instance: SopInstanceUid) -> bytes:
        """One instance as a Part 10 file, in the transfer syntax in which the archive keeps it."""
        ...


def whole_number(said: object) -> int | None:
    """A count as an archive says it, in whatever form; None for what is none."""
    if isinstance(said, bytes):
        said = said.decode("ascii", "replace")
    if isinstance(said, str):
        text = said.strip(" \0").removeprefix("+")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST else None
    if isinstance(said, bool) or not isinstance(said, (int, float)):
        return None
    return int(said) if said >= 0 and float(said).is_integer() else None
