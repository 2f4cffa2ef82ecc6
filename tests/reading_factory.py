"""Readings for tests that need something to report or to show: sane by default, any field by keyword."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydicom.dataset import Dataset

from dicom_node.report.context import ReportContext
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from inference.reading import (
    Answer,
    Choice,
    Contrast,
    EncodedImage,
    Estimate,
    Finding,
    Inconsistency,
    ModelIdentity,
    SeriesReading,
    StackReading,
)
from inference.reasons import Reason

MODEL = ModelIdentity(name="mrclip-atto", version="2026.1", sha256="5e" * 32, calibration="bundle")


def finding(**fields: Any) -> Finding:
    """A rule's finding: an echo time in seconds."""
    values: dict[str, Any] = {
        "code": "echo-time-unit",
        "source": "rules",
        "attribute": "EchoTime",
        "tag": "(0018,0081)",
        "recorded": "0.098",
        "expected": "about 98 ms",
        "severity": "error",
        "message": "EchoTime (0018,0081) is 0.098 ms; a spin echo has 5 to 300 ms; 0.098 reads like seconds",
        "suggestion": "98.0",
    }
    return Finding(**{**values, **fields})


def contrast(label: str = "T2", probability: float = 0.97) -> Contrast:
    """A contrast with one alternative and both answers."""
    return Contrast(
        label=label,
        probability=probability,
        alternatives=(Choice(label="PROTON_DENSITY", probability=round(1 - probability, 6)),),
        post_contrast=Answer(value=False, probability=0.91),
        fat_suppressed=Answer(value=True, probability=0.88),
    )


def read_stack(shown: Sequence[Dataset] = (), **fields: Any) -> StackReading:
    """A stack that was read as T2, as its header says."""
    values: dict[str, Any] = {
        "index": 0,
        "status": "read",
        "reason": None,
        "selector": {"EchoTime_ms": 98.0},
        "slices": 24,
        "plane": "axial",
        "oblique_deg": 4.0,
        "images": tuple(EncodedImage(sop_instance_uid=SopInstanceUid(str(image.SOPInstanceUID))) for image in shown),
        "contrast": contrast(),
        "estimates": {"EchoTime_ms": Estimate(value=95.0, low=80.0, high=115.0, coverage=0.9)},
        "header": {
            "EchoTime_ms": 98.0,
            "RepetitionTime_ms": 4000.0,
            "InversionTime_ms": None,
            "FlipAngle_deg": 150.0,
            "b_value_s_mm2": None,
            "SeriesDescription_contrast": "T2",
        },
        "inconsistency": Inconsistency(score=0.02, p_value=0.6, flagged=False),
        "findings": (),
        "claimed_contrast": "T2",
    }
    return StackReading(**{**values, **fields})


def unread_stack(**fields: Any) -> StackReading:
    """A stack that no model was asked about."""
    values: dict[str, Any] = {
        "status": "abstained",
        "reason": Reason(code="no-model", message="no model bundle is active, so only the rules were run"),
        "images": (),
        "contrast": None,
        "estimates": {},
        "inconsistency": Inconsistency(score=0.0, p_value=None, flagged=False),
    }
    return read_stack(**{**values, **fields})


def series_reading(images: Sequence[Dataset], stacks: Sequence[StackReading] | None = None) -> SeriesReading:
    """The reading of the series of `images`, of one stack that was read unless `stacks` say otherwise."""
    first = images[0]
    return SeriesReading(
        study_instance_uid=StudyInstanceUid(str(first.StudyInstanceUID)),
        series_instance_uid=SeriesInstanceUid(str(first.SeriesInstanceUID)),
        modality="MR",
        instances=len(images),
        p_value=None,
        stacks=tuple(stacks if stacks is not None else [read_stack(images)]),
    )


def report_context(**fields: Any) -> ReportContext:
    """A reader with a model, on the second of January."""
    values: dict[str, Any] = {
        "reader_digest": "ab" * 32,
        "rules_version": "1",
        "model": MODEL,
        "created_at": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    }
    return ReportContext(**{**values, **fields})
