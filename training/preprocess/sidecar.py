"""A BIDS / dcm2niix sidecar as the header it was made from: the one place where its seconds become milliseconds."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from inference.header import FrameHeader
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from training.errors import VolumeError


def read_sidecar(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; VolumeError where there is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise VolumeError("missing-sidecar", f"there is no {path.name}") from error
    except (OSError, ValueError) as error:
        raise VolumeError("broken-sidecar", f"{path.name} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise VolumeError("broken-sidecar", f"{path.name} is not a JSON object")
    return document


def header(sidecar: dict[str, Any], *, identity: str) -> FrameHeader:
    """The acquisition header of a sidecar, in DICOM units; `identity` makes its UIDs, which a sidecar lacks.

    VolumeError where it is of another modality or a number is none.
    """
    modality = _text(sidecar, "Modality")
    if modality not in (None, "MR"):
        raise VolumeError("not-mr", f"Modality is {modality!r}; must be 'MR' or absent")
    uid = f"2.25.{int.from_bytes(hashlib.sha256(identity.encode()).digest()[:12], 'big')}"
    number = _Numbers(sidecar)
    return FrameHeader(
        study_instance_uid=StudyInstanceUid(uid),
        series_instance_uid=SeriesInstanceUid(uid),
        sop_instance_uid=SopInstanceUid(uid),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        modality=modality,
        image_type=_values(sidecar, "ImageType"),
        manufacturer=_text(sidecar, "Manufacturer"),
        manufacturer_model_name=_text(sidecar, "ManufacturersModelName"),
        magnetic_field_strength_t=number("MagneticFieldStrength"),
        series_description=_text(sidecar, "SeriesDescription"),
        protocol_name=_text(sidecar, "ProtocolName"),
        body_part_examined=_text(sidecar, "BodyPartExamined"),
        scanning_sequence=_values(sidecar, "ScanningSequence"),
        sequence_variant=_values(sidecar, "SequenceVariant"),
        scan_options=_values(sidecar, "ScanOptions"),
        mr_acquisition_type=_text(sidecar, "MRAcquisitionType"),
        sequence_name=_text(sidecar, "SequenceName") or _text(sidecar, "PulseSequenceName"),
        contrast_bolus_agent=_text(sidecar, "ContrastBolusIngredient") or _text(sidecar, "ContrastBolusAgent"),
        echo_time_ms=number("EchoTime", scale=1000.0),
        repetition_time_ms=number("RepetitionTime", scale=1000.0),
        inversion_time_ms=number("InversionTime", scale=1000.0),
        flip_angle_deg=number("FlipAngle"),
        echo_train_length=None if (length := number("EchoTrainLength")) is None else int(length),
        b_value_s_mm2=number("DiffusionBValue"),
        slice_thickness_mm=number("SliceThickness"),
        spacing_between_slices_mm=number("SpacingBetweenSlices"),
    )


def patient_id(sidecar: dict[str, Any]) -> str | None:
    """PatientID, which dcm2niix writes where it is told not to anonymise (`-ba n`)."""
    return str(sidecar.get("PatientID") or "").strip() or None


class _Numbers:
    def __init__(self, sidecar: dict[str, Any]) -> None:
        self._sidecar = sidecar

    def __call__(self, key: str, *, scale: float = 1.0) -> float | None:
        value = self._sidecar.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise VolumeError("broken-sidecar", f"{key} is {value!r}; must be a number")
        if not (math.isfinite(value) and value >= 0):  # JSON as Python reads it has NaN and Infinity
            raise VolumeError("broken-sidecar", f"{key} is {value!r}; must be finite and >= 0")
        return round(value * scale, 6)  # 0.0985 s is 98.5 ms, not 98.50000000000001


def _text(sidecar: dict[str, Any], key: str) -> str | None:
    value = sidecar.get(key)
    return value.strip() or None if isinstance(value, str) else None


def _values(sidecar: dict[str, Any], key: str) -> tuple[str, ...]:
    """A multi-valued attribute: a list, or one word with the values joined by "_" as dcm2niix writes it."""
    value = sidecar.get(key)
    if isinstance(value, list):
        return tuple(str(entry) for entry in value)
    return tuple(part for part in str(value).split("_") if part) if value else ()
