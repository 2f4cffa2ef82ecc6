"""What every object that we make says of itself: whose study it belongs to, when and by what it was made."""

from datetime import datetime, timedelta, timezone
from typing import Final

import highdicom.sr as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from dicom_node.report import uids
from dicom_node.report.context import ReportContext
from dicom_node.report.evidence import series_number, subject
from inference import __version__

MANUFACTURER: Final = "mrclip"
_MADE: Final = frozenset({"SR", "KO", "OT"})  # Modality (0008,0060) of what we make


def imprint(made: Dataset, image: Dataset, context: ReportContext, *, number_base: int) -> None:
    """Patient and study as `image` has them; times, equipment and file meta information as the context has them."""
    made.update(subject(image))
    made.SeriesNumber = number_base + min(series_number(image) or 0, 9_999)
    created = _local(context.created_at, made.get("TimezoneOffsetFromUTC"))
    made.InstanceCreationDate = made.ContentDate = created.strftime("%Y%m%d")
    made.InstanceCreationTime = made.ContentTime = created.strftime("%H%M%S.%f")
    made.ContributingEquipmentSequence = [_equipment(context, created)]
    # Both belong to the writer of the file, which is this program and not the library it uses.
    made.file_meta.ImplementationClassUID = UID(uids.IMPLEMENTATION_CLASS_UID)
    made.file_meta.ImplementationVersionName = f"MRCLIP_{__version__}"[:16]


def is_ours(modality: str | None, manufacturer: str | None) -> bool:
    """Whether a series is a report, or goes with one: by Modality (0008,0060) and Manufacturer (0008,0070)."""
    return modality in _MADE and manufacturer == MANUFACTURER


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


def observer(context: ReportContext) -> hd.ObserverContext:
    """The reader as the device that observed (TID 1002)."""
    device = hd.DeviceObserverIdentifyingAttributes(
        uid=uids.device_uid(context.reader_digest),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=context.model.name if context.model else "rules",
        serial_number=context.reader_digest,
    )
    return hd.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)


def _local(moment: datetime, offset: str | None) -> datetime:
    """`moment` in the zone that Timezone Offset From UTC (0008,0201) gives to every date and time of a data set."""
    if offset is None:
        return moment
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return moment.astimezone(timezone(timedelta(minutes=-minutes if offset.startswith("-") else minutes)))
