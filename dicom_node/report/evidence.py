"""What a report takes over from the images it is about: who and which study, and which instances.

Headers in the wild are too long, of the wrong type or in a character set of their own; a report must hold valid
values in UTF-8. So each attribute is read, decoded, checked and copied, or left empty: never repaired, never cut,
because half a patient's identifier is another patient's.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import PersonName, validate_value

from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid

UTF_8: Final = "ISO_IR 192"

# Type 2 in the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1): there, if need be empty.
_REQUIRED: Final = {
    "PatientName": "PN",
    "PatientID": "LO",
    "PatientBirthDate": "DA",
    "PatientSex": "CS",
    "StudyDate": "DA",
    "StudyTime": "TM",
    "StudyID": "SH",
    "AccessionNumber": "SH",
    "ReferringPhysicianName": "PN",
}
# Type 3: there only with a value.
_OPTIONAL: Final = {"IssuerOfPatientID": "LO", "StudyDescription": "LO", "TimezoneOffsetFromUTC": "SH"}

_ISO_IR_58: Final = "\x1b$)A"  # pydicom 3 leaves this escape sequence of simplified Chinese in the text
_TIME: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_OFFSET: Final = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceInstance:
    """One instance a report refers to."""

    sop_instance_uid: SopInstanceUid
    sop_class_uid: UID
    frames: int = 1  # Number of Frames (0028,0008)


def subject(dataset: Dataset) -> Dataset:
    """Patient and study attributes of an image, valid and in UTF-8, for a report about it."""
    copy = Dataset()
    copy.SpecificCharacterSet = UTF_8
    for keyword, vr in _REQUIRED.items():
        setattr(copy, keyword, _valid(dataset, keyword, vr))
    for keyword, vr in _OPTIONAL.items():
        if value := _valid(dataset, keyword, vr):
            setattr(copy, keyword, value)
    return copy


def first(evidence: Iterable[Dataset]) -> Dataset:
    """The instance that stands for all of them, whatever order they come in."""
    return min(evidence, key=lambda item: str(item.SOPInstanceUID))


def series_number(dataset: Dataset) -> int | None:
    """Series Number (0020,0011) where it is a number from 1, else None."""
    return _number(dataset, "SeriesNumber")


def sources(evidence: Iterable[Dataset]) -> dict[SopInstanceUid, SourceInstance]:
    """What a report needs to know of each instance, by SOP Instance UID in its order as text."""
    found = [
        SourceInstance(
            sop_instance_uid=SopInstanceUid(str(item.SOPInstanceUID)),
            sop_class_uid=UID(str(item.SOPClassUID)),
            frames=_number(item, "NumberOfFrames") or 1,
        )
        for item in evidence
    ]
    return {source.sop_instance_uid: source for source in sorted(found, key=lambda source: source.sop_instance_uid)}


def references(
    study: StudyInstanceUid, series: SeriesInstanceUid, instances: Iterable[SourceInstance]
) -> Sequence[Dataset]:
    """Items of a hierarchical SOP instance reference (PS3.3 C.17.2.1) to instances of one series."""
    study_item, series_item = Dataset(), Dataset()
    series_item.SeriesInstanceUID = series
    series_item.ReferencedSOPSequence = [_reference(instance) for instance in instances]
    study_item.StudyInstanceUID = study
    study_item.ReferencedSeriesSequence = [series_item]
    return [study_item]


def _reference(instance: SourceInstance) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = instance.sop_class_uid
    item.ReferencedSOPInstanceUID = instance.sop_instance_uid
    return item


def _number(dataset: Dataset, keyword: str) -> int | None:
    try:
        number = int(str(dataset.get(keyword)))
    except (ValueError, NotImplementedError):  # what pydicom raises for bytes that are no value of their type
        return None
    return number if number > 0 else None


def _valid(dataset: Dataset, keyword: str, vr: str) -> str:
    """The value as text, or an empty text where there is none that its value representation allows."""
    try:
        value = dataset.get(keyword)
        if not isinstance(value, str | PersonName):
            return ""
        text = str(value).replace(_ISO_IR_58, "").strip(" \0")
        validate_value(vr, text, config.RAISE)
        if vr == "DA" and text:
            datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007 - a date has no zone; this asks whether it exists
    except (ValueError, NotImplementedError):
        return ""
    return text if _allowed(keyword, vr, text) else ""


def _allowed(keyword: str, vr: str, text: str) -> bool:
    """What pydicom's validators leave open: characters, ranges of time, defined terms."""
    if any(character in "\\\N{REPLACEMENT CHARACTER}" or unicodedata.category(character) == "Cc" for character in text):
        return False
    if vr == "DA":
        return not text.startswith("0")  # the year 1 is what some de-identifiers write for no date at all
    if vr == "TM":
        return not text or _TIME.fullmatch(text) is not None
    if vr == "PN":
        return all(group.count("^") <= 4 for group in text.split("="))
    if keyword == "PatientSex":
        return text in ("", "M", "F", "O")
    if keyword == "TimezoneOffsetFromUTC":
        return _OFFSET.fullmatch(text) is not None
    return True
