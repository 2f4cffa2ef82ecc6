"""A simulated series as classic DICOM: MR Image Storage, one data set a slice (PS3.3 A.4 and C.8.3.1)."""

from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from inference import __version__
from training.simulate.dicom import vendors
from training.simulate.dicom.headers import acquisition, uid
from training.simulate.physics.scan import PARAMETER_MAPS
from training.simulate.scanner.render import View
from training.simulate.series import SimulatedSeries

# What vendors' reconstructions usually store as the largest value.
_STORED_MAXIMUM: Final = {"siemens": 500, "ge": 5000, "philips": 2500, "canon": 8000, "uih": 3000, "hitachi": 2500}
_RAS_TO_LPS: Final = np.array([-1.0, -1.0, 1.0])
_PAIRED: Final = ("knee", "shoulder", "hip", "limb", "extremity")
Stored = npt.NDArray[np.uint16]


def stored_values(series: SimulatedSeries) -> tuple[Stored, dict[str, str]]:
    """Pixels as the vendor would store them (slices, rows, columns), and the rescaling if there is one."""
    volume = series.volume.cpu().numpy()
    output = series.scan.physics.output
    if output == "adc":
        return _rounded(volume * 1000.0), {}  # in 1e-6 mm2/s
    if output in ("phase", "velocity"):
        rescale = {"RescaleIntercept": "-4096", "RescaleSlope": "2", "RescaleType": "US"}
        return _rounded((volume / np.pi + 1.0) * 2047.5), rescale
    if output in PARAMETER_MAPS:
        return _rounded(volume * 1000.0), {}
    top = float(np.quantile(volume, 0.999)) or 1.0
    return _rounded(volume / top * _STORED_MAXIMUM[vendors.family(series.scan.vendor)]), {}


def _rounded(values: npt.NDArray[np.floating]) -> Stored:
    return np.clip(np.rint(values), 0, 32767).astype(np.uint16)


def patient_and_study(study: str) -> Dataset:
    """Patient and General Study (PS3.3 C.7.1.1, C.7.2.1); the patient says that there is none."""
    dataset = Dataset()
    dataset.PatientName = "SIMULATED^MRCLIP"
    dataset.PatientID = f"SIM-{uid(study)[-8:]}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "O"
    dataset.StudyInstanceUID = uid("study", study)
    dataset.StudyID = "1"
    dataset.StudyDate, dataset.StudyTime = "20240102", "101500"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "MR simulated"
    return dataset


def series_and_equipment(dataset: Dataset, series: SimulatedSeries, study: str, number: int) -> None:
    """General Series, Frame of Reference and General Equipment (PS3.3 C.7.3.1, C.7.4.1, C.7.5.1)."""
    dataset.Modality = "MR"
    dataset.SeriesInstanceUID = uid("series", study, number, series.seed)
    dataset.SeriesNumber = number
    dataset.SeriesDescription = dataset.ProtocolName = series.scan.description
    dataset.PatientPosition = "HFS"
    dataset.FrameOfReferenceUID = uid("frame of reference", study)
    dataset.PositionReferenceIndicator = ""
    dataset.DeviceSerialNumber = "00000"
    dataset.SoftwareVersions = f"mrclip simulator {__version__}"
    time = f"10{15 + number % 45:02d}00"
    dataset.AcquisitionDate = dataset.ContentDate = dataset.StudyDate
    dataset.AcquisitionTime = dataset.ContentTime = time


def decimal(values: npt.NDArray[np.float64]) -> list[str]:
    """Decimal Strings of at most 16 characters."""
    return [f"{value:.6f}".rstrip("0").rstrip(".") if abs(value) >= 5e-7 else "0" for value in values.tolist()]


def plane_of(view: View, shape: tuple[int, int], index: int) -> dict[str, list[str]]:
    """Image Plane (PS3.3 C.7.6.2) in patient coordinates: x to the left, y to the back, z to the head."""
    right, down, normal = (np.asarray(v) * _RAS_TO_LPS for v in (view.right, view.down, view.normal))
    spacing = (view.fov_mm[0] / shape[0], view.fov_mm[1] / shape[1])
    corner = np.asarray(view.centre_mm) * _RAS_TO_LPS + view.offsets_mm[index] * normal
    corner = corner - right * (view.fov_mm[1] - spacing[1]) / 2 - down * (view.fov_mm[0] - spacing[0]) / 2
    return {
        "ImagePositionPatient": decimal(corner),
        "ImageOrientationPatient": decimal(np.concatenate([right, down])),
        "PixelSpacing": [f"{s:.6g}" for s in spacing],
    }


def _classic(series: SimulatedSeries, study: str, number: int) -> Dataset:
    """What the images of one classic series share."""
    dataset = patient_and_study(study)
    series_and_equipment(dataset, series, study, number)
    dataset.update(acquisition(series.scan))
    if series.scan.region in _PAIRED:
        dataset.Laterality = "L"
    dataset.NumberOfAverages = 1
    dataset.EchoNumbers = 1
    dataset.ImagedNucleus = "1H"
    dataset.ImagingFrequency = round(42.577 * series.scan.physics.field_t, 3)
    dataset.SliceThickness = f"{series.view.thickness_mm:.6g}"
    offsets = series.view.offsets_mm
    if len(offsets) > 1:
        dataset.SpacingBetweenSlices = f"{offsets[1] - offsets[0]:.6g}"
    return dataset


def pixels(dataset: Dataset, stored: Stored) -> None:
    """Image Pixel and VOI LUT (PS3.3 C.7.6.3, C.11.2) of one slice, or of all frames."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    bits = 12 if int(stored.max()) < 4096 else 16
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = stored.astype("<u2").tobytes()


def window(stored: Stored) -> tuple[str, str]:
    """Window Center and Width that show the slice."""
    low, high = np.quantile(stored, [0.01, 0.99])
    return f"{(low + high) / 2:.0f}", f"{max(high - low, 1):.0f}"


def file_meta(dataset: Dataset) -> None:
    """File Meta Information of an uncompressed data set (PS3.10 7.1)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(uid("implementation"))
    dataset.file_meta = meta


def datasets(series: SimulatedSeries, *, study: str, number: int) -> list[Dataset]:
    """The instances of one series in slice order, uncompressed, with file meta information."""
    volume, rescale = stored_values(series)
    instances: list[Dataset] = []
    for index, stored in enumerate(volume):
        dataset = _classic(series, study, number)
        dataset.SOPClassUID = MRImageStorage
        dataset.SOPInstanceUID = uid("instance", study, number, series.seed, index)
        dataset.InstanceNumber = index + 1
        dataset.AcquisitionNumber = 1
        geometry = plane_of(series.view, (stored.shape[0], stored.shape[1]), index)
        for keyword, value in (*geometry.items(), *rescale.items()):
            setattr(dataset, keyword, value)
        dataset.SliceLocation = f"{series.view.offsets_mm[index]:.6g}"
        pixels(dataset, stored)
        dataset.WindowCenter, dataset.WindowWidth = window(stored)
        file_meta(dataset)
        instances.append(dataset)
    return instances
