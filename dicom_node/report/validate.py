"""Checks of a report before it is sent: cheap, and only of what a receiver would refuse or could not open.

`dciodvfy` and `dsrdump` say far more, but only on a developer's machine; these run on every report.
"""

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import Comprehensive3DSRStorage

from inference.identifiers import is_uid

LARGEST_BYTES: Final = 16 * 1024 * 1024  # a report on 10,000 images has 1.3 MB

# Type 1 in the modules of the Comprehensive 3D SR IOD (PS3.3 A.35.13).
_WITH_VALUE: Final = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber",
    "InstanceNumber", "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions",
    "CompletionFlag", "VerificationFlag", "ContentDate", "ContentTime", "ValueType", "ConceptNameCodeSequence",
    "ContinuityOfContent", "ContentSequence", "CurrentRequestedProcedureEvidenceSequence",
)  # fmt: skip
# Type 2: there, if need be empty.
_PRESENT: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName", "ReferencedPerformedProcedureStepSequence",
    "PerformedProcedureCodeSequence",
)  # fmt: skip


def problems(report: Dataset, *, size_bytes: int | None = None) -> tuple[str, ...]:
    """What is wrong with a report, in words with attribute and rule and without a value of the patient; () if sound."""
    return (*_attributes(report), *_identity(report), *_content(report), *_size(size_bytes))


def _attributes(report: Dataset) -> Iterator[str]:
    for keyword in _WITH_VALUE:
        if keyword not in report or report[keyword].is_empty:
            yield f"{_named(keyword)} must have a value"
    for keyword in _PRESENT:
        if keyword not in report:
            yield f"{_named(keyword)} must be present, if need be empty"


def _identity(report: Dataset) -> Iterator[str]:
    if report.get("SOPClassUID") != Comprehensive3DSRStorage:
        yield "SOPClassUID (0008,0016) must be Comprehensive 3D SR Storage"
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        if not is_uid(report.get(keyword)):
            yield f"{_named(keyword)} must have the form of a UID (PS3.5 9.1)"


def _content(report: Dataset) -> Iterator[str]:
    templates = {item.get("TemplateIdentifier") for item in report.get("ContentTemplateSequence", ())}
    if templates != {"1500"}:
        yield "ContentTemplateSequence (0040,A504) must name TID 1500"
    items = list(_descendants(report))
    if not any(_template(item) == "1501" for item in items):
        yield "ContentSequence (0040,A730) must hold a measurement group (TID 1501)"
    evidence = {str(item.ReferencedSOPInstanceUID) for item in _evidence(report)}
    missing = {uid for item in items for uid in _referenced(item)} - evidence
    if missing:
        yield f"{len(missing)} referenced instances are not in CurrentRequestedProcedureEvidenceSequence (0040,A375)"


def _size(size_bytes: int | None) -> Iterator[str]:
    if size_bytes is not None and size_bytes > LARGEST_BYTES:
        yield f"the report has {size_bytes} bytes; must have at most {LARGEST_BYTES}"


def _descendants(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", ()):
        yield child
        yield from _descendants(child)


def _template(item: Dataset) -> str | None:
    return next((str(template.TemplateIdentifier) for template in item.get("ContentTemplateSequence", ())), None)


def _referenced(item: Dataset) -> Iterator[str]:
    for reference in item.get("ReferencedSOPSequence", ()):
        yield str(reference.ReferencedSOPInstanceUID)


def _evidence(report: Dataset) -> Iterator[Dataset]:
    for study in report.get("CurrentRequestedProcedureEvidenceSequence", ()):
        for series in study.ReferencedSeriesSequence:
            yield from series.ReferencedSOPSequence


def _named(keyword: str) -> str:
    return f"{keyword} {Tag(keyword)}"
