"""What goes with a report, by setting, for viewers that cannot show one: pictures of it, and marked images.

Both belong to exactly one report: their UIDs derive from its, their times are its time, made twice they are the same
bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import highdicom.ko
import highdicom.sc
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import UID

from dicom_node.report import uids
from dicom_node.report.context import Companions, ReportContext
from dicom_node.report.drawing import Picture, draw
from dicom_node.report.evidence import first
from dicom_node.report.imprint import MANUFACTURER, imprint, observer
from inference import __version__
from inference.identifiers import SopInstanceUid
from inference.reading import SeriesReading, StackReading

CAPTURES: Final = 8  # pictures of at most so many stacks, 3 MB each
CAPTURE_DESCRIPTION: Final = "MR contrast check, picture"
KEY_OBJECT_DESCRIPTION: Final = "MR contrast check, flagged"
CAPTURE_NUMBER_BASE: Final = 100_000  # behind the reports, which are 90,000 and more
KEY_OBJECT_NUMBER_BASE: Final = 110_000
QUALITY_ISSUE: Final = Code("113010", "DCM", "Quality Issue")  # CID 7010, Key Object Selection Document Title


def companions(
    reading: SeriesReading,
    evidence: Sequence[Dataset],
    *,
    pictures: Mapping[int, Sequence[Picture]],
    report: SopInstanceUid,
    context: ReportContext,
    wanted: Companions,
) -> Iterator[Dataset]:
    """What goes with `report` on `reading`: Secondary Captures of its stacks, then a Key Object Selection.

    `evidence` holds the instances of the series, without pixels; `pictures` the slices that were read, by stack.
    """
    if wanted.secondary_capture:
        for number, stack in enumerate(_shown(reading), start=1):
            pixels = draw(reading, stack, pictures.get(stack.index, ()), context)
            yield _capture(reading, pixels, number, evidence=evidence, report=report, context=context)
    if wanted.key_objects and reading.flagged:
        yield _key_objects(reading, evidence, report=report, context=context)


def _shown(reading: SeriesReading) -> list[StackReading]:
    """The stacks that get a picture, in their order; where there are too many, those to be checked first."""
    first_to_check = sorted(reading.stacks, key=lambda stack: (not stack.inconsistency.flagged, stack.index))
    return sorted(first_to_check[:CAPTURES], key=lambda stack: stack.index)


def _capture(
    reading: SeriesReading,
    pixels: Picture,
    number: int,
    *,
    evidence: Sequence[Dataset],
    report: SopInstanceUid,
    context: ReportContext,
) -> Dataset:
    made = highdicom.sc.SCImage(
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),  # highdicom wants one; a drawing has none, so it is emptied below
        study_instance_uid=reading.study_instance_uid,
        series_instance_uid=uids.companion_series_uid(reading.series_instance_uid, "capture"),
        series_number=CAPTURE_NUMBER_BASE,
        sop_instance_uid=uids.companion_uid(report, "capture", number),
        instance_number=number,
        manufacturer=MANUFACTURER,
        series_description=CAPTURE_DESCRIPTION,
        manufacturer_model_name=MANUFACTURER,
        software_versions=__version__,
        device_serial_number=context.reader_digest,
    )
    imprint(made, first(evidence), context, number_base=CAPTURE_NUMBER_BASE)
    empty: Any = made
    empty.PatientOrientation = empty.Laterality = None  # a drawing has neither
    made.BurnedInAnnotation = "NO"  # neither the patient nor a date is drawn
    made.ConversionType = "SYN"  # synthetic image
    made.DateOfSecondaryCapture, made.TimeOfSecondaryCapture = made.ContentDate, made.ContentTime
    return made


def _key_objects(
    reading: SeriesReading, evidence: Sequence[Dataset], *, report: SopInstanceUid, context: ReportContext
) -> Dataset:
    marked = _marked(reading, evidence)
    made = highdicom.ko.KeyObjectSelectionDocument(
        evidence=marked,
        content=highdicom.ko.KeyObjectSelection(
            document_title=QUALITY_ISSUE,
            referenced_objects=marked,
            observer_device_context=observer(context),
            description=_why(reading),
        ),
        series_instance_uid=uids.companion_series_uid(reading.series_instance_uid, "key objects"),
        series_number=KEY_OBJECT_NUMBER_BASE,
        sop_instance_uid=uids.companion_uid(report, "key objects", 1),
        instance_number=1,
        manufacturer=MANUFACTURER,
        series_description=KEY_OBJECT_DESCRIPTION,
        manufacturer_model_name=MANUFACTURER,
        software_versions=__version__,
        device_serial_number=context.reader_digest,
        specific_character_set="ISO_IR 192",
    )
    imprint(made, first(evidence), context, number_base=KEY_OBJECT_NUMBER_BASE)
    return made


def _marked(reading: SeriesReading, evidence: Sequence[Dataset]) -> list[Dataset]:
    """What highdicom needs to know of the images that speak for the flagged stacks, and nothing of the patient."""
    flagged = [stack for stack in reading.stacks if stack.inconsistency.flagged]
    images = [image for stack in flagged for image in (stack.images or ((stack.example,) if stack.example else ()))]
    wanted = {image.sop_instance_uid for image in images}
    chosen = [one for one in evidence if str(one.SOPInstanceUID) in wanted] or [first(evidence)]
    marked = [_stand_in(reading, one) for one in sorted(chosen, key=lambda one: str(one.SOPInstanceUID))]
    for keyword in _SUBJECT:
        setattr(marked[0], keyword, None)
    return marked


# What highdicom copies from the first instance; `imprint` sets it.
_SUBJECT: Final = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip


def _stand_in(reading: SeriesReading, instance: Dataset) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID, item.SeriesInstanceUID = reading.study_instance_uid, reading.series_instance_uid
    item.SOPClassUID, item.SOPInstanceUID = instance.SOPClassUID, instance.SOPInstanceUID
    # Spectra have rows too, and are none; highdicom goes by these.
    if "Image Storage" in UID(instance.SOPClassUID).name:
        item.Rows, item.Columns = 1, 1
    return item


def _why(reading: SeriesReading) -> str:
    """The findings of the flagged stacks in words, without control characters (PS3.5 6.2, UT)."""
    messages = [
        finding.message
        for stack in reading.stacks
        if stack.inconsistency.flagged
        for finding in stack.findings
        if finding.severity != "info"
    ]
    text = "; ".join(dict.fromkeys(messages)) or "The image is not what the header says"
    return "".join(character if character.isprintable() else " " for character in text)
