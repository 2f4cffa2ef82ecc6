"""The UIDs of a report, each from what it stands for: the same report is the same object, made once or ten times.

Name-based UUIDs (RFC 9562 version 5) under the root 2.25 (PS3.5 B.2): no registered root, no state, no clock.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID, uuid5

from inference.identifiers import SeriesInstanceUid, SopInstanceUid

_NAMESPACE: Final = UUID("7f0f6d0c-3c5e-4d8a-9a53-5be0e0f2c1d7")


def report_uid(series: SeriesInstanceUid, instances: Iterable[SopInstanceUid], reader_digest: str) -> SopInstanceUid:
    """SOP Instance UID of the report that this reader writes about these instances, in whatever order they came."""
    return SopInstanceUid(_uid("report", series, reader_digest, *sorted(instances)))


def report_series_uid(series: SeriesInstanceUid) -> SeriesInstanceUid:
    """Series Instance UID of the reports about a series: all revisions share it."""
    return SeriesInstanceUid(_uid("report series", series))


def companion_uid(report: SopInstanceUid, kind: str, number: int) -> SopInstanceUid:
    """SOP Instance UID of the `number`th object of a kind that goes with a report."""
    return SopInstanceUid(_uid(kind, report, str(number)))


def companion_series_uid(series: SeriesInstanceUid, kind: str) -> SeriesInstanceUid:
    """Series Instance UID of the objects of a kind that go with the reports about a series."""
    return SeriesInstanceUid(_uid(f"{kind} series", series))


def device_uid(reader_digest: str) -> str:
    """Device UID (0018,1002) of a reader; a model trained again is another device (IHE AIR 6.5.3.1)."""
    return _uid("device", reader_digest)


def tracking_uid(series: SeriesInstanceUid, stack_index: int) -> str:
    """Tracking Unique Identifier (112040, DCM) of a stack, the same in every revision of the report."""
    return _uid("stack", series, str(stack_index))


def _uid(kind: str, *parts: str) -> str:
    return f"2.25.{uuid5(_NAMESPACE, chr(0).join((kind, *parts))).int}"


IMPLEMENTATION_CLASS_UID: Final = _uid("implementation class")
