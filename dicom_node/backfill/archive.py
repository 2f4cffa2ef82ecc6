"""What a back-fill asks of an archive, whatever it speaks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from dicom_node.errors import NodeError
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid


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
