"""The values that leave `inference`, and their JSON (schema mrclip.reading/1)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from inference.labels import MIXED
from inference.reasons import Reason, Refused
from inference.stacks import Plane

SCHEMA: Final = "mrclip.reading/1"

Status = Literal["read", "abstained", "unsupported"]
Severity = Literal["info", "warning", "error"]
Source = Literal["rules", "image"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One contradiction, as a sentence a technologist can act on."""

    code: str
    source: Source
    attribute: str  # DICOM keyword
    tag: str  # "(0018,0081)"
    recorded: str | None
    expected: str | None
    p_value: float | None = None
    severity: Severity
    message: str
    suggestion: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A label with the probability that belongs to it."""

    label: str
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Yes or no, with the probability of the stated value."""

    value: bool
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """What the image shows."""

    label: str
    probability: float
    alternatives: tuple[Choice, ...]
    post_contrast: Answer | None
    fat_suppressed: Answer | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A value estimated from the image, with the interval that holds it with probability `coverage`."""

    value: float
    low: float
    high: float
    coverage: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Inconsistency:
    """How strongly header and image, or header and itself, contradict each other."""

    score: float  # [0, 1], continuous, higher is more suspicious; always there
    p_value: float | None  # conformal; None without calibration
    flagged: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedImage:
    """One image that was shown to the model; frames count from 1."""

    sop_instance_uid: SopInstanceUid
    frame: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class StackReading:
    """What we say about one stack."""

    index: int
    status: Status
    reason: Reason | None
    selector: Mapping[str, float | str]
    slices: int
    plane: Plane | None
    oblique_deg: float | None
    images: tuple[EncodedImage, ...]
    contrast: Contrast | None
    estimates: Mapping[str, Estimate]
    header: Mapping[str, float | str | None]  # what the file says, in DICOM units, never repaired
    inconsistency: Inconsistency
    findings: tuple[Finding, ...]
    # For reports, not in the JSON: a frame that stands for the stack where nothing was encoded, and the contrast that
    # the header claims by everything it says (inference.claims), None where it claims none.
    example: EncodedImage | None = None
    claimed_contrast: str | None = None

    def __post_init__(self) -> None:
        if (self.status == "read") != (self.reason is None):
            raise ValueError(f"stack {self.index}: status {self.status} with reason {self.reason}")
        if self.status != "read" and (self.contrast is not None or self.estimates):
            raise ValueError(f"stack {self.index}: status {self.status} cannot carry a contrast or estimates")


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesReading:
    """What we say about one series."""

    study_instance_uid: StudyInstanceUid
    series_instance_uid: SeriesInstanceUid
    modality: str | None
    instances: int
    p_value: float | None
    stacks: tuple[StackReading, ...]

    @property
    def contrast(self) -> str | None:
        """The common label of the stacks that were read, MIXED where they differ, None where there is none."""
        labels = {stack.contrast.label for stack in self.stacks if stack.contrast is not None}
        return MIXED if len(labels) > 1 else next(iter(labels), None)

    @property
    def score(self) -> float:
        """The largest inconsistency score of its stacks."""
        return max((stack.inconsistency.score for stack in self.stacks), default=0.0)

    @property
    def flagged(self) -> bool:
        """True if any stack asks for a person."""
        return any(stack.inconsistency.flagged for stack in self.stacks)

    def to_json(self) -> dict[str, Any]:
        """One entry of `series` in mrclip.reading/1."""
        return {
            "study_instance_uid": self.study_instance_uid,
            "series_instance_uid": self.series_instance_uid,
            "modality": self.modality,
            "instances": self.instances,
            "contrast": self.contrast,
            "score": self.score,
            "p_value": self.p_value,
            "flagged": self.flagged,
            "stacks": [_stack_json(stack) for stack in self.stacks],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelIdentity:
    """Which bundle answered, and on what its alarms are calibrated."""

    name: str
    version: str
    sha256: str
    calibration: str  # bundle, site, or none


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Everything that one call of `read` says."""

    model: ModelIdentity | None
    alarm_rate: float
    series: tuple[SeriesReading, ...]
    refused: tuple[Refused, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """The document of schema mrclip.reading/1; every key is always present."""
        return {
            "schema": SCHEMA,
            "model": None if self.model is None else asdict(self.model),
            "alarm_rate": self.alarm_rate,
            "series": [series.to_json() for series in self.series],
            "refused": [asdict(refused) for refused in self.refused],
        }


_NOT_IN_JSON: Final = frozenset({"example", "claimed_contrast"})


def _stack_json(stack: StackReading) -> dict[str, Any]:
    document = {name: getattr(stack, name) for name in StackReading.__slots__ if name not in _NOT_IN_JSON}
    for name in ("reason", "contrast", "inconsistency"):
        document[name] = None if document[name] is None else asdict(document[name])
    for name in ("images", "findings"):
        document[name] = [asdict(value) for value in document[name]]
    document["selector"], document["header"] = dict(stack.selector), dict(stack.header)
    document["estimates"] = {name: asdict(value) for name, value in stack.estimates.items()}
    return document
