"""People with one series of every protocol, as DICOM."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from training.rehearsal.phantoms import AXES, Acquisition, Plane, head, slices
from training.rehearsal.protocols import PROTOCOLS, Protocol

PLANES: Final[tuple[Plane, ...]] = ("axial", "sagittal", "coronal")
_SLICES, _SIZE_PX, _FIELD_OF_VIEW_MM = 12, 64, 240.0


@dataclass(frozen=True, kw_only=True)
class Series:
    """A written series and the contrast it was drawn with."""

    series_instance_uid: str
    contrast: str


def write_study(folder: Path, person: int, *, seed: int) -> list[Series]:
    """Write every protocol of one person below `folder`; the same person and seed give the same bytes."""
    return [
        _write_series(folder / f"person-{person}" / f"{number:02d}", protocol, person, number, seed)
        for number, protocol in enumerate(PROTOCOLS)
    ]


def _write_series(folder: Path, protocol: Protocol, person: int, number: int, seed: int) -> Series:
    anatomy = head(np.random.default_rng([seed, person]))
    random = np.random.default_rng([seed, person, number])
    plane = PLANES[int(random.integers(len(PLANES)))]
    acquisition = protocol.draw(random)
    images = slices(anatomy, acquisition, plane, count=_SLICES, size_px=_SIZE_PX, random=random)
    stored = np.round(images / images.max() * float(random.uniform(500, 4000))).astype(np.uint16)
    folder.mkdir(parents=True, exist_ok=True)
    for index, dataset in enumerate(_datasets(protocol, acquisition, plane, (seed, person, number))):
        dataset.PixelData = stored[index].tobytes()
        dcmwrite(folder / f"{index:03d}.dcm", dataset, enforce_file_format=True)
    return Series(series_instance_uid=_uid(seed, person, number), contrast=protocol.contrast)


def _datasets(
    protocol: Protocol, acquisition: Acquisition, plane: Plane, key: tuple[int, int, int]
) -> Iterator[Dataset]:
    seed, person, number = key
    spacing_mm = 1.4 * _FIELD_OF_VIEW_MM / 2.2 / _SLICES
    for index in range(_SLICES):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.Modality = MRImageStorage, "MR"
        dataset.SOPInstanceUID = _uid(seed, person, number, index)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _uid(seed, person), _uid(seed, person, number)
        dataset.PatientID, dataset.PatientName = f"phantom-{seed}-{person}", ""
        dataset.Manufacturer, dataset.ManufacturerModelName = "mrclip", "ellipses"
        dataset.MagneticFieldStrength, dataset.SeriesDescription = 1.5, protocol.name
        dataset.SeriesNumber, dataset.InstanceNumber = number + 1, index + 1
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
        dataset.EchoTime, dataset.RepetitionTime = acquisition.echo_time_ms, acquisition.repetition_time_ms
        if acquisition.inversion_time_ms is not None:
            dataset.InversionTime = acquisition.inversion_time_ms
        if acquisition.b_value_s_mm2 is not None:
            dataset.DiffusionBValue = acquisition.b_value_s_mm2
        dataset.FlipAngle = acquisition.flip_angle_deg
        for keyword, value in protocol.header.items():
            setattr(dataset, keyword, value)
        _place(dataset, plane, depth_mm=spacing_mm * (index - (_SLICES - 1) / 2))
        dataset.SpacingBetweenSlices = dataset.SliceThickness = round(spacing_mm, 3)
        dataset.Rows = dataset.Columns = _SIZE_PX
        dataset.PixelSpacing = [_FIELD_OF_VIEW_MM / _SIZE_PX] * 2
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        yield dataset


def _place(dataset: Dataset, plane: Plane, *, depth_mm: float) -> None:
    """Orientation and position (PS3.3 C.7.6.2.1.1) of a slice `depth_mm` along the normal from the middle."""
    directions = np.zeros((3, 3))
    for direction, (axis, sign) in zip(directions, AXES[plane], strict=True):
        direction[axis] = sign
    columns, rows, normal = directions
    corner = depth_mm * normal - _FIELD_OF_VIEW_MM / 2 * (columns + rows)
    dataset.ImageOrientationPatient = [*columns.tolist(), *rows.tolist()]
    dataset.ImagePositionPatient = [round(float(part), 3) for part in corner]


def _uid(*parts: int) -> str:
    digest = hashlib.sha256(f"mrclip rehearsal {parts}".encode()).digest()[:15]
    return f"2.25.{int.from_bytes(digest, 'big')}"
