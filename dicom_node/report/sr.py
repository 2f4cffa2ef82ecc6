"""A reading as a DICOM Structured Report: Comprehensive 3D SR, TID 1500, one TID 1501 group per stack.

A report is a function of its arguments alone. UIDs come from `uids`, every date and time from the context, so that a
report made twice is the same bytes.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Final

import highdicom.sr as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, Comprehensive3DSRStorage, MRImageStorage

from dicom_node.report import codes as concepts
from dicom_node.report import uids
from dicom_node.report.context import ReportContext
from dicom_node.report.evidence import first, references, sources
from dicom_node.report.groups import group
from dicom_node.report.imprint import MANUFACTURER, imprint, observer
from dicom_node.report.validate import problems
from inference import __version__
from inference.identifiers import SopInstanceUid
from inference.reading import SeriesReading

SERIES_DESCRIPTION: Final = "MR contrast check"
SERIES_NUMBER_BASE: Final = 90_000  # the report on series 7 is series 90007, behind the images in every list

# What highdicom copies from the first instance; `_describe` sets it.
_SUBJECT: Final = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex",
    "AccessionNumber", "StudyID", "StudyDate", "StudyTime",
)  # fmt: skip


def build(reading: SeriesReading, evidence: Sequence[Dataset], *, context: ReportContext) -> Dataset:
    """The report on one series, ready to save as a Part 10 file (Explicit VR Little Endian).

    `evidence` holds the instances of the series, without pixels; all are named as evidence, those that were shown to
    the model (or one of an unread stack) as sources of its group. ValueError where there is nothing to report on, an
    image that was read is not among the evidence, or the report fails the checks of `validate`.
    """
    if not reading.stacks or not evidence:
        raise ValueError(f"series {reading.series_instance_uid} has no stack or no instance to report on")
    instances = sources(evidence)
    groups = [group(stack, reading.series_instance_uid, sources=instances, context=context) for stack in reading.stacks]
    report = _document(reading, list(instances), _content(groups, context), context)
    imprint(report, first(evidence), context, number_base=SERIES_NUMBER_BASE)
    report.CurrentRequestedProcedureEvidenceSequence = references(
        reading.study_instance_uid, reading.series_instance_uid, instances.values()
    )
    if found := problems(report):
        raise ValueError(f"the report on series {reading.series_instance_uid} is not sound: {'; '.join(found)}")
    return report


def encode(report: Dataset) -> bytes:
    """The report as the bytes of a Part 10 file."""
    buffer = BytesIO()
    report.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _document(
    reading: SeriesReading, instances: Sequence[SopInstanceUid], content: hd.MeasurementReport, context: ReportContext
) -> Dataset:
    uid = uids.report_uid(reading.series_instance_uid, instances, context.reader_digest)
    series_uid = uids.report_series_uid(reading.series_instance_uid)
    predecessor = context.predecessor_sop_instance_uid
    previous = (
        None
        if predecessor is None or predecessor == uid
        else [_instance(reading, series_uid, Comprehensive3DSRStorage, predecessor)]
    )
    return hd.Comprehensive3DSR(
        evidence=_stand_ins(reading, instances),
        content=content[0],
        series_instance_uid=series_uid,
        series_number=SERIES_NUMBER_BASE,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=__version__,
        device_serial_number=context.reader_digest,
        series_description=SERIES_DESCRIPTION,
        coding_schemes=[concepts.CODING_SCHEME],
        is_complete=True,  # PRELIMINARY and UNVERIFIED: nobody has signed it
        previous_versions=previous,
    )


def _stand_ins(reading: SeriesReading, instances: Sequence[SopInstanceUid]) -> list[Dataset]:
    """What highdicom needs to know of the instances and nothing that could be invalid or somebody's name.

    It looks the patient and study modules up by SOP class and fails for private ones; as these modules are the same
    in all image objects, and `build` writes the real references, each instance poses as an MR image.
    """
    items = [_instance(reading, reading.series_instance_uid, MRImageStorage, instance) for instance in instances]
    for keyword in _SUBJECT:
        setattr(items[0], keyword, None)
    return items


def _instance(reading: SeriesReading, series_uid: str, sop_class: UID, uid: str) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID, item.SeriesInstanceUID = reading.study_instance_uid, series_uid
    item.SOPClassUID, item.SOPInstanceUID = sop_class, uid
    return item


def _content(
    groups: Sequence[hd.MeasurementsAndQualitativeEvaluations], context: ReportContext
) -> hd.MeasurementReport:
    return hd.MeasurementReport(
        observation_context=hd.ObservationContext(observer_device_context=observer(context)),
        procedure_reported=codes.LN.MRIUnspecifiedBodyRegion,
        imaging_measurements=groups,
    )
