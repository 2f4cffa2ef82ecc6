"""Synthetic DICOM for every test: sane MR headers, UIDs derived from a seed, pixels that look like an object.

image = mr_image(EchoTime=98, SeriesDescription="t2_tse_tra")     # one classic MR image
image = mr_image(EchoTime=None)                                   # None leaves the attribute out
images = series(24, EchoTime=lambda index: 10 + 70 * (index % 2)) # a callable gets the index
image = enhanced_mr(6, per_frame=[{"EffectiveEchoTime": 10 * k} for k in range(6)])
path = write(image, tmp_path / "1.dcm");  paths = write_series(images, tmp_path)
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
    generate_uid,
)

IMPLEMENTATION_UID = UID("1.2.826.0.1.3680043.8.498.1")

# Where Enhanced MR keeps what `enhanced_mr` is told as flat keywords (PS3.3 A.36, C.8.13.5).
FUNCTIONAL_GROUP: Mapping[str, str] = {
    "EffectiveEchoTime": "MREchoSequence",
    "RepetitionTime": "MRTimingAndRelatedParametersSequence",
    "FlipAngle": "MRTimingAndRelatedParametersSequence",
    "EchoTrainLength": "MRTimingAndRelatedParametersSequence",
    "InversionRecovery": "MRModifierSequence",
    "InversionTimes": "MRModifierSequence",
    "DiffusionBValue": "MRDiffusionSequence",
    "DiffusionDirectionality": "MRDiffusionSequence",
    "NumberOfAverages": "MRAveragesSequence",
    "FrameType": "MRImageFrameTypeSequence",
    "ComplexImageComponent": "MRImageFrameTypeSequence",
    "AcquisitionContrast": "MRImageFrameTypeSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "NominalCardiacTriggerDelayTime": "CardiacSynchronizationSequence",
}


def uid(*parts: object) -> UID:
    """The same UID for the same parts, always."""
    return generate_uid(entropy_srcs=[str(part) for part in parts])


def object_pixels(rows: int = 64, columns: int = 64, *, seed: int = 0, largest: int = 1000) -> npt.NDArray[np.uint16]:
    """A bright ellipse with smaller ellipses inside and a little noise: uint16 (rows, columns) in [0, largest]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    image = np.where((x / 0.75) ** 2 + (y / 0.85) ** 2 < 1, 0.5, 0.0)
    for _ in range(6):
        cx, cy = random.uniform(-0.4, 0.4, 2)
        rx, ry = random.uniform(0.1, 0.3, 2)
        image[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = random.uniform(0.2, 0.9)
    image += random.uniform(0, 0.03, image.shape)
    return np.round(np.clip(image, 0, 1) * largest).astype(np.uint16)


def mr_image(*, seed: object = 0, index: int = 0, pixels: npt.NDArray[Any] | None = None, **attributes: Any) -> Dataset:
    """One classic MR image, an axial T1 spin echo unless `attributes` (keyword=value) say otherwise.

    `seed` names study and series, `index` the image and its slice position (5 mm apart). `pixels` is (rows, columns)
    of any 8- or 16-bit integer type. `transfer_syntax` may be among the attributes (uncompressed ones only).
    """
    dataset = _base(MRImageStorage, seed, index)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "SK", ""
    dataset.MRAcquisitionType, dataset.SequenceName = "2D", "*se2d1"
    dataset.EchoTime, dataset.RepetitionTime, dataset.FlipAngle = 12, 500, 90
    dataset.EchoTrainLength, dataset.EchoNumbers, dataset.NumberOfAverages = 1, 1, 1
    dataset.SliceThickness, dataset.SpacingBetweenSlices, dataset.PixelSpacing = 4, 5, [1, 1]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [-32, -32, 5 * index]
    dataset.AcquisitionNumber = 1
    _set_pixels(dataset, object_pixels(seed=index) if pixels is None else pixels)
    return _with(dataset, attributes)


def series(count: int, *, seed: object = 0, **attributes: Any) -> list[Dataset]:
    """`count` images of one series, one slice each; a callable attribute is called with the index of the image."""
    return [mr_image(seed=seed, index=index, **_at(attributes, index)) for index in range(count)]


def enhanced_mr(
    frames: int = 4,
    *,
    seed: object = 0,
    shared: Mapping[str, Any] | None = None,
    per_frame: Sequence[Mapping[str, Any]] | None = None,
    pixels: npt.NDArray[Any] | None = None,
    **attributes: Any,
) -> Dataset:
    """One Enhanced MR image; `shared` and `per_frame` are flat keywords that `FUNCTIONAL_GROUP` puts in their place.

    `pixels` is (frames, rows, columns). Keywords go to the top level.
    """
    dataset = _base(EnhancedMRImageStorage, seed, 0)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "T1", "NONE"]
    dataset.EchoPulseSequence, dataset.PulseSequenceName, dataset.MRAcquisitionType = "SPIN", "*se2d1", "2D"
    dataset.NumberOfFrames = frames
    defaults = {
        "EffectiveEchoTime": 12, "RepetitionTime": 500, "FlipAngle": 90, "PixelSpacing": [1, 1], "SliceThickness": 4,
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "FrameType": ["ORIGINAL", "PRIMARY", "T1", "NONE"],
        "ComplexImageComponent": "MAGNITUDE", "AcquisitionContrast": "T1",
    }  # fmt: skip
    dataset.SharedFunctionalGroupsSequence = [functional_groups({**defaults, **(shared or {})})]
    own = per_frame if per_frame is not None else [{}] * frames
    dataset.PerFrameFunctionalGroupsSequence = [
        functional_groups({"ImagePositionPatient": [-32, -32, 5 * index], **own[index]}) for index in range(frames)
    ]
    _set_pixels(dataset, np.stack([object_pixels(seed=index) for index in range(frames)]) if pixels is None else pixels)
    return _with(dataset, attributes)


def legacy_enhanced_mr(images: Sequence[Dataset], *, seed: object = "legacy") -> Dataset:
    """Classic images as one Legacy Converted Enhanced MR image (PS3.3 A.70): what has no functional group of its
    own stays in the unassigned converted attributes of its frame."""
    dataset = _base(LegacyConvertedEnhancedMRImageStorage, seed, 0)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "OTHER", "NONE"]
    dataset.NumberOfFrames = len(images)
    dataset.SharedFunctionalGroupsSequence = [Dataset()]
    groups: list[Dataset] = []
    for image in images:
        group = functional_groups(
            {key: image[key].value for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")}
            | {"FrameType": image.ImageType}
        )
        unassigned = Dataset()
        for keyword in (
            "ScanningSequence",
            "SequenceVariant",
            "EchoTime",
            "RepetitionTime",
            "FlipAngle",
            "InversionTime",
        ):
            if keyword in image:
                setattr(unassigned, keyword, image[keyword].value)
        group.UnassignedPerFrameConvertedAttributesSequence = [unassigned]
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    _set_pixels(dataset, np.stack([image.pixel_array for image in images]))
    return dataset


def functional_groups(flat: Mapping[str, Any]) -> Dataset:
    """One item of a functional groups sequence from flat keywords."""
    item = Dataset()
    for keyword, value in flat.items():
        if value is None:
            continue
        name = FUNCTIONAL_GROUP[keyword]
        if name not in item:
            setattr(item, name, DicomSequence([Dataset()]))
        setattr(item[name].value[0], keyword, value)
    return item


def write(dataset: Dataset, path: Path) -> Path:
    """Write a Part 10 file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, dataset, enforce_file_format=True)
    return path


def write_series(datasets: Sequence[Dataset], folder: Path) -> list[Path]:
    """Write `0000.dcm`, `0001.dcm`, … into `folder`."""
    return [write(dataset, folder / f"{index:04d}.dcm") for index, dataset in enumerate(datasets)]


def _base(sop_class: UID, seed: object, index: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = uid("instance", seed, sop_class, index)
    dataset.StudyInstanceUID = uid("study", seed)
    dataset.SeriesInstanceUID = uid("series", seed)
    dataset.FrameOfReferenceUID = uid("frame of reference", seed)
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber, dataset.StudyID = "20240131", "120000", "", "1"
    dataset.ReferringPhysicianName, dataset.PatientName, dataset.PatientID = "", "TEST^PHANTOM", "TEST"
    dataset.PatientBirthDate, dataset.PatientSex = "", "O"
    dataset.Modality, dataset.Manufacturer, dataset.ManufacturerModelName = "MR", "SIEMENS", "Prisma"
    dataset.DeviceSerialNumber, dataset.StationName, dataset.SoftwareVersions = "12345", "MR1", "syngo MR E11"
    dataset.MagneticFieldStrength = 3
    dataset.SeriesDescription, dataset.ProtocolName, dataset.BodyPartExamined = "t1_se_tra", "t1_se_tra", "BRAIN"
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.PatientPosition = 1, index + 1, "HFS"
    _name_file(dataset, ExplicitVRLittleEndian)
    return dataset


def _name_file(dataset: Dataset, transfer_syntax: UID) -> None:
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", "")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "")
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    dataset.file_meta.ImplementationClassUID = IMPLEMENTATION_UID


def _set_pixels(dataset: Dataset, pixels: npt.NDArray[Any]) -> None:
    bits = pixels.dtype.itemsize * 8
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    if pixels.dtype == np.uint16 and pixels.max(initial=0) < 4096:
        dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OW" if bits == 16 else "OB"


def _with(dataset: Dataset, attributes: Mapping[str, Any]) -> Dataset:
    rest = dict(attributes)
    transfer_syntax = rest.pop("transfer_syntax", None)
    for keyword, value in rest.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)
    if transfer_syntax is not None and not UID(transfer_syntax).is_little_endian and dataset.BitsAllocated == 16:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    _name_file(dataset, UID(transfer_syntax or ExplicitVRLittleEndian))
    return dataset


def _at(attributes: Mapping[str, Any], index: int) -> dict[str, Any]:
    def value(given: Any | Callable[[int], Any]) -> Any:
        return given(index) if callable(given) else given

    return {keyword: value(given) for keyword, given in attributes.items()}
