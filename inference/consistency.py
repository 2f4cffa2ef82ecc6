"""Does the image agree with its header? Evidence per field, what it is worth, and the sentences it makes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from jaxtyping import Float32

from inference import labels
from inference.calibration import Calibration, FieldScore, Level, StackRecord
from inference.captions import Caption, Value, caption
from inference.claims import Claim
from inference.contrast import holds, infer
from inference.grid import mean_embedding
from inference.image_findings import Doubt, image_findings
from inference.judged import JUDGED, variant
from inference.model import Model
from inference.reading import Contrast, Estimate, Finding
from inference.reasons import ABSTAINED, Reason
from inference.stacks import Stack
from inference.technique import technique

Group = Literal["spin-echo", "gradient-echo", "epi", "derived"]

# Without calibration there is no p-value: a finding then needs odds of 99 to 1 and is an `info`.
_UNCALIBRATED_NATS: Final = math.log(99)
_FIELDS: Final = {field.name: field for field in JUDGED}

# The group of a claim whose header does not say what kind of echo it is.
_DERIVED: Final = frozenset({labels.ADC, labels.DERIVED_MAP, labels.PHASE})
_ECHO_PLANAR: Final = frozenset({labels.DIFFUSION, labels.PERFUSION})
_GRADIENT_ECHO: Final = frozenset({labels.T2_STAR, labels.SUSCEPTIBILITY, labels.TOF, labels.FLOW_ENCODED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What the image says against one field of the header."""

    field: str  # of inference.captions
    claimed: Value | None
    evidence_nats: float  # log odds against the claim (inference.counterfactual)
    score: float  # the same in [0, 1]: 0.5 is undecided, higher is more suspicious
    p_value: float | None  # conformal; None without calibration
    surprise_nats: float | None  # -ln p, continued where p ends (inference.calibration)
    calibration_class: str
    calibration_group: str
    compared_with: Level | None  # class, group or all: whose clean series the p-value is about


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What the image of one stack says, and what it says about the header."""

    status: Literal["read", "abstained"]
    reason: Reason | None  # None exactly if read
    contrast: Contrast | None
    estimates: Mapping[str, Estimate]
    evidence: tuple[Evidence, ...]  # in the order of inference.judged
    findings: tuple[Finding, ...]  # the most surprising first
    score: float  # in [0, 1], of the image alone
    p_value: float | None  # G of the largest surprise; None without calibration
    record: StackRecord  # for `calibration.fit`, if the series is a clean one


def judge(
    embeddings: Float32[np.ndarray, "n d"], *, model: Model, stack: Stack, claim: Claim, alarm_rate: float
) -> Judgement:
    """Judge one stack by the embeddings of its chosen slices.

    `claim` is what the stack's header claims. The image makes findings where the stack's p-value is at most
    `alarm_rate`; also where no contrast is likely enough to be answered, for it may still be clear that it is not the
    claimed one. ValueError for no slice.
    """
    image = mean_embedding(embeddings)
    distance = None if model.gate is None else model.gate.distance(image)
    if distance is not None and model.gate_distance is not None and distance > model.gate_distance:
        return _out_of_domain(distance)
    shown = infer(embeddings, model.grid)
    sure = shown.contrast.probability >= model.bundle.manifest.minimum_probability
    header = _use_left_aside(_silence_counted(claimed_caption(stack, claim)), stack, claim)
    against = _granted(model.counterfactuals.log_odds(image, header), header, shown.estimates)
    family = group(stack, claim)
    scores = tuple(_field_score(field, nats, header, claim.label, family) for field, nats in against.items())
    evidence = tuple(_evidence(score, header.get(score.field), model.calibration) for score in scores)
    score, p_value = _worth(evidence, model.calibration, distance)
    doubts = _doubts(evidence, p_value, alarm_rate)
    return Judgement(
        status="read" if sure else "abstained",
        reason=None if sure else _reason("low-confidence"),
        contrast=shown.contrast if sure else None,
        estimates=shown.estimates if sure else {},
        evidence=evidence,
        findings=image_findings(doubts, shown=shown if sure else None, header=stack.header, claim=claim),
        score=score,
        p_value=p_value,
        record=StackRecord(scores=scores, gate_distance=distance),
    )


def claimed_caption(stack: Stack, claim: Claim) -> Caption:
    """The caption of a stack's header with what it claims; UNKNOWN claims nothing."""
    return caption(
        stack.header,
        plane=stack.plane,
        contrast=None if claim.label == labels.UNKNOWN else claim.label,
        post_contrast=claim.post_contrast,
        fat_suppressed=claim.fat_suppressed,
    )


def _silence_counted(header: Caption) -> Caption:
    """A T1 series whose header names no agent claims that none was given: the Contrast/Bolus Module is required where
    one was (PS3.3 A.4.3). In other contrasts an agent hardly shows, and silence says nothing.
    """
    silent = header.post_contrast is None and header.contrast == labels.T1
    return replace(header, post_contrast=False) if silent else header


def _use_left_aside(header: Caption, stack: Stack, claim: Claim) -> Caption:
    """A scanner's PERFUSION of an original image says what it is for, not what it looks like: control, label and bolus
    images are T2*, T2 or proton density by their readout. A description is an operator's, and is held to its word.
    """
    by_scanner = claim.basis[:1] in (("ImageType",), ("AcquisitionContrast",))
    raw = claim.label == labels.PERFUSION and by_scanner and stack.header.image_type[:1] == ("ORIGINAL",)
    return replace(header, contrast=None) if raw else header


def group(stack: Stack, claim: Claim) -> Group:
    """The family of sequences a small class borrows from: by what is claimed of a map or a phase, else by the echo."""
    if stack.kind in ("phase", "derived") or claim.label in _DERIVED:
        return "derived"
    sequence = technique(stack.header)
    if sequence.echo_planar or (not sequence.known and claim.label in _ECHO_PLANAR):
        return "epi"
    if sequence.plain_gradient_echo or (not sequence.known and claim.label in _GRADIENT_ECHO):
        return "gradient-echo"
    return "spin-echo"


def _granted(against: Mapping[str, float], header: Caption, estimates: Mapping[str, Estimate]) -> dict[str, float]:
    """The evidence, of which none speaks against a number that the reading itself holds possible.

    The values of a contrast come in heaps, and a header's may lie between two of them: likely neither by the grid nor
    beside its other fields, and yet inside the interval that is quoted for the image.
    """
    possible = {field for field, estimate in estimates.items() if holds(estimate, header.get(field))}
    return {field: min(nats, 0.0) if field in possible else nats for field, nats in against.items()}


def _field_score(field: str, nats: float, header: Caption, label: str, family: Group) -> FieldScore:
    suffix = variant(field, header.get(field))
    suffix = f"/{suffix}" if suffix else ""
    return FieldScore(
        field=field,
        evidence_nats=nats,
        calibration_class=f"{label}{suffix}",
        calibration_group=f"{family}{suffix}",
    )


def _evidence(score: FieldScore, claimed: Value | None, calibration: Calibration | None) -> Evidence:
    verdict = None if calibration is None else calibration.verdict(score)
    return Evidence(
        field=score.field,
        claimed=claimed,
        evidence_nats=score.evidence_nats,
        score=_squashed(score.evidence_nats),
        p_value=None if verdict is None else verdict.p_value,
        surprise_nats=None if verdict is None else verdict.surprise_nats,
        calibration_class=score.calibration_class,
        calibration_group=score.calibration_group,
        compared_with=None if verdict is None else verdict.level,
    )


def _worth(
    evidence: Sequence[Evidence], calibration: Calibration | None, distance: float | None
) -> tuple[float, float | None]:
    """Score and p-value of a stack: of its largest surprise, or without calibration of its largest score."""
    if calibration is None:
        return max((found.score for found in evidence), default=0.0), None
    surprise = max(map(_surprise, evidence), default=0.0)
    return calibration.score(surprise, distance), calibration.p_value(surprise, distance)


def _doubts(evidence: Sequence[Evidence], p_value: float | None, alarm_rate: float) -> list[Doubt]:
    """The fields to speak of, the most surprising first; none below the alarm."""
    if p_value is None:
        ordered = sorted(evidence, key=lambda entry: -entry.evidence_nats)
        found = [entry for entry in ordered if entry.evidence_nats >= _UNCALIBRATED_NATS]
    elif p_value <= alarm_rate:
        ordered = sorted(evidence, key=lambda entry: -_surprise(entry))
        found = [entry for entry in ordered if math.exp(-_surprise(entry)) <= alarm_rate] or ordered[:1]
    else:
        found = []
    return [
        Doubt(
            field=_FIELDS[entry.field],
            claimed=entry.claimed,
            p_value=entry.p_value,
            severity="info" if p_value is None else "warning",
        )
        for entry in found
    ]


def _surprise(entry: Evidence) -> float:
    return 0.0 if entry.surprise_nats is None else entry.surprise_nats


def _squashed(nats: float) -> float:
    """Log odds to (0, 1), strictly rising far beyond where a probability would round to 1."""
    return 0.5 * (1 + nats / (1 + abs(nats)))


def _reason(code: Literal["out-of-domain", "low-confidence"]) -> Reason:
    return Reason(code=code, message=ABSTAINED[code])


def _out_of_domain(distance: float) -> Judgement:
    """Nothing is said of what the model does not know, nor of its header."""
    return Judgement(
        status="abstained",
        reason=_reason("out-of-domain"),
        contrast=None,
        estimates={},
        evidence=(),
        findings=(),
        score=0.0,
        p_value=None,
        record=StackRecord(scores=(), gate_distance=distance),
    )
