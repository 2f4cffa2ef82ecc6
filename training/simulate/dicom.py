"""A simulated series as DICOM: MR Image Storage, one file a slice (PS3.3 A.4 and C.8.3.1)."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from inference import __version__
from training.simulate import vendors
from training.simulate.scan import Scan
from training.simulate.series import SimulatedSeries

# Largest stored value that vendors' reconstructions usually reach.
_STORED_MAXIMUM: Final = {"siemens": 800, "ge": 6000, "philips": 2800, "canon": 8000, "uih": 3000, "hitachi": 2500}
_RAS_TO_LPS: Final = np.array([-1.0, -1.0, 1.0])


def uid(*words: object) -> str:
    """A UID that follows from words alone, so that a series made twice is the same."""
    return str(generate_uid(entropy_srcs=["mrclip.simulate", *(str(word) for word in words)]))


def stored_values(series: SimulatedSeries) -> np.ndarray:
    """Pixels as the vendor's reconstruction would store them, uint16 (slices, rows, columns)."""
    volume = series.volume.cpu().numpy()
    if series.scan.physics.output == "adc":
        return np.clip(np.rint(volume * 1000.0), 0, 4095).astype(np.uint16)  # in 1e-6 mm2/s
    top = float(np.quantile(volume, 0.999)) or 1.0
    scaled = volume / top * _STORED_MAXIMUM[vendors.family(series.scan.vendor)]
    return np.clip(np.rint(scaled), 0, 4095 if vendors.family(series.scan.vendor) == "siemens" else 32767).astype(np.uint16)


def _patient(study: str) -> Dataset:
    dataset = Dataset()
    dataset.PatientName = "SIMULATED^MRCLIP"
    dataset.PatientID = f"SIM-{uid(study)[-8:]}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "O"
    dataset.StudyInstanceUID = uid("study", study)
    dataset.StudyID = "1"
    dataset.StudyDate = "20240102"
    dataset.StudyTime = "101500"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "MR simulated"
    return dataset


def _series(series: SimulatedSeries, study: str, number: int) -> Dataset:
    dataset = _patient(study)
    dataset.Modality = "MR"
    dataset.SeriesInstanceUID = uid("series", study, number, series.seed)
    dataset.SeriesNumber = number
    dataset.SeriesDescription = series.scan.description
    dataset.ProtocolName = series.scan.description
    dataset.BodyPartExamined = _BODY_PART.get(series.scan.region, "")
    dataset.PatientPosition = "HFS"
    dataset.FrameOfReferenceUID = uid("frame of reference", study)
    dataset.PositionReferenceIndicator = ""
    dataset.InstitutionName = ""
    dataset.DeviceSerialNumber = "00000"
    dataset.SoftwareVersions = f"mrclip simulator {__version__}"
    dataset.AcquisitionDate, dataset.AcquisitionTime = dataset.StudyDate, f"10{15 + number:02d}00"
    dataset.ContentDate, dataset.ContentTime = dataset.StudyDate, f"10{15 + number:02d}00"
    for keyword, value in {**vendors.header(series.scan), **series.scan.header}.items():
        setattr(dataset, keyword, value)
    if series.scan.physics.agent:
        dataset.ContrastBolusAgent = "Gadobutrol"
    dataset.NumberOfAverages = 1
    dataset.ImagedNucleus = "1H"
    dataset.ImagingFrequency = round(42.577 * series.scan.physics.field_t, 3)
    return dataset


_BODY_PART: Final = {"head": "HEAD"}


def _pixels(dataset: Dataset, plane: np.ndarray) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = plane.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    if int(plane.max()) < 4096:
        dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.PixelRepresentation = 0
    low, high = np.quantile(plane, [0.01, 0.99])
    dataset.WindowCenter, dataset.WindowWidth = float(round((low + high) / 2)), float(max(round(high - low), 1))
    dataset.PixelData = plane.astype("<u2").tobytes()


def _direction(vector: Sequence[float]) -> np.ndarray:
    return np.asarray(vector) * _RAS_TO_LPS


def _decimal(values: np.ndarray) -> list[str]:
    return [f"{value:.6f}".rstrip("0").rstrip(".")[:16] for value in values]


def _geometry(dataset: Dataset, series: SimulatedSeries, index: int) -> None:
    """Image Plane (PS3.3 C.7.6.2) in patient coordinates: x to the left, y to the back, z to the head."""
    view, shape = series.view, series.volume.shape[1:]
    right, down, normal = (_direction(v) for v in (view.right, view.down, view.normal))
    spacing = (view.fov_mm[0] / shape[0], view.fov_mm[1] / shape[1])
    corner = _direction(view.centre_mm) + view.offsets_mm[index] * normal
    corner = corner - right * (view.fov_mm[1] - spacing[1]) / 2 - down * (view.fov_mm[0] - spacing[0]) / 2
    dataset.ImageOrientationPatient = _decimal(np.concatenate([right, down]))
    dataset.ImagePositionPatient = _decimal(corner)
    dataset.PixelSpacing = [f"{s:.6g}" for s in spacing]
    dataset.SliceThickness = f"{view.thickness_mm:.6g}"
    dataset.SliceLocation = f"{view.offsets_mm[index]:.6g}"
    if len(view.offsets_mm) > 1:
        dataset.SpacingBetweenSlices = f"{view.offsets_mm[1] - view.offsets_mm[0]:.6g}"


def _diffusion(dataset: Dataset, scan: Scan) -> None:
    """The b-value where each vendor keeps it, and where the standard has it."""
    if scan.technique != "dwi" or scan.physics.output != "magnitude":
        return
    b = scan.physics.b_s_mm2
    maker = vendors.family(scan.vendor)
    if maker == "siemens":
        dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", int(b))
        dataset.SequenceName = f"*ep_b{int(b)}t" if b else "*ep_b0"
    elif maker == "ge":
        dataset.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x39, "IS", [int(b), 8, 0, 0])
    else:
        dataset.DiffusionBValue = b


def datasets(series: SimulatedSeries, *, study: str, number: int) -> list[Dataset]:
    """The instances of one series in slice order, uncompressed, with file meta information."""
    stored = stored_values(series)
    instances = []
    for index, plane in enumerate(stored):
        dataset = _series(series, study, number)
        dataset.SOPClassUID = MRImageStorage
        dataset.SOPInstanceUID = uid("instance", study, number, series.seed, index)
        dataset.InstanceNumber = index + 1
        dataset.AcquisitionNumber = 1
        _geometry(dataset, series, index)
        _diffusion(dataset, series.scan)
        _pixels(dataset, plane)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.ImplementationClassUID = uid("implementation")
        instances.append(dataset)
    return instances
