"""A reading as a DICOM Structured Report: Comprehensive 3D SR, TID 1500, one TID 1501 group per stack.

A report is a function of its arguments alone. UIDs come from `uids`, every date and time from the context, so that a
report made twice is the same bytes.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Final

import highdicom.sr as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID, Comprehensive3DSRStorage, MRImageStorage

from dicom_node.report import codes as concepts
from dicom_node.report import uids
from dicom_node.report.context import ReportContext
from dicom_node.report.evidence import references, series_number, sources, subject
from dicom_node.report.groups import group
from dicom_node.report.validate import problems
from inference import __version__
from inference.identifiers import SopInstanceUid
from inference.reading import SeriesReading

SERIES_DESCRIPTION: Final = "MR contrast check"
SERIES_NUMBER_BASE: Final = 90_000  # the report on series 7 is series 90007, behind the images in every list
MANUFACTURER: Final = "mrclip"

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
    _describe(report, min(evidence, key=lambda item: str(item.SOPInstanceUID)), context)
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


def _describe(report: Dataset, image: Dataset, context: ReportContext) -> None:
    """Patient and study as `image` has them; times, equipment and file meta information as the context has them."""
    report.update(subject(image))
    report.SeriesNumber = SERIES_NUMBER_BASE + min(series_number(image) or 0, 9_999)
    created = _local(context.created_at, report.get("TimezoneOffsetFromUTC"))
    report.InstanceCreationDate = report.ContentDate = created.strftime("%Y%m%d")
    report.InstanceCreationTime = report.ContentTime = created.strftime("%H%M%S.%f")
    report.ContributingEquipmentSequence = [_equipment(context, created)]
    # Both belong to the writer of the file, which is this program and not the library it uses.
    report.file_meta.ImplementationClassUID = UID(uids.IMPLEMENTATION_CLASS_UID)
    report.file_meta.ImplementationVersionName = f"MRCLIP_{__version__}"[:16]


def _equipment(context: ReportContext, created: datetime) -> Dataset:
    """IHE AI Results 6.5.3.1: which algorithm contributed, under a Device UID of its own.

    The profile's own purpose code is a placeholder ("Newcode1"), so the nearest of CID 7005 stands here.
    """
    model = context.model
    item = Dataset()
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = (model.name if model else "rules")[:64]
    item.SoftwareVersions = [(model.version if model else context.rules_version)[:64], __version__]
    item.DeviceSerialNumber = context.reader_digest
    item.DeviceUID = uids.device_uid(context.reader_digest)
    item.ContributionDateTime = created.strftime("%Y%m%d%H%M%S.%f%z")
    item.ContributionDescription = "Contrast read from the pixels and compared with the header"
    item.PurposeOfReferenceCodeSequence = [hd.CodedConcept.from_code(codes.DCM.ProcessingEquipment)]
    return item


def _content(
    groups: Sequence[hd.MeasurementsAndQualitativeEvaluations], context: ReportContext
) -> hd.MeasurementReport:
    device = hd.DeviceObserverIdentifyingAttributes(
        uid=uids.device_uid(context.reader_digest),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=context.model.name if context.model else "rules",
        serial_number=context.reader_digest,
    )
    observer = hd.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    return hd.MeasurementReport(
        observation_context=hd.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.LN.MRIUnspecifiedBodyRegion,
        imaging_measurements=groups,
    )


def _local(moment: datetime, offset: str | None) -> datetime:
    """`moment` in the zone that Timezone Offset From UTC (0008,0201) gives to every date and time of a data set."""
    if offset is None:
        return moment
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return moment.astimezone(timezone(timedelta(minutes=-minutes if offset.startswith("-") else minutes)))
