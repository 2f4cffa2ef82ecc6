"""The file of a report on its way out."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import dcmread  # pyright: ignore[reportUnknownVariableType] - pydicom leaves the type of a path open
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from dicom_node.deliver import DeliveryError
from inference.identifiers import SopInstanceUid, is_uid


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportFile:
    """A report as it lies in the spool."""

    sop_instance_uid: SopInstanceUid
    content: bytes
    dataset: Dataset


def read_report(path: Path) -> ReportFile:
    """The report at `path`; DeliveryError, not to be retried, where there is none."""
    try:
        content = path.read_bytes()
        dataset = dcmread(BytesIO(content))
    except OSError as error:
        raise DeliveryError(f"the report cannot be read: {error.strerror}", retry=False) from error
    except InvalidDicomError as error:
        raise DeliveryError("the report is not a DICOM file", retry=False) from error
    if not is_uid(dataset.get("SOPInstanceUID")) or not is_uid(dataset.get("SOPClassUID")):
        raise DeliveryError("SOPInstanceUID and SOPClassUID (0008,0018), (0008,0016) must be UIDs", retry=False)
    return ReportFile(sop_instance_uid=SopInstanceUid(str(dataset.SOPInstanceUID)), content=content, dataset=dataset)
