"""What the image says against a header, as sentences a technologist can act on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from inference.captions import NUMERIC_FIELDS, Value
from inference.claims import Claim
from inference.contrast import Shown, holds
from inference.header import FrameHeader
from inference.judged import JudgedField
from inference.reading import Finding, Severity
from inference.rules.view import ATTRIBUTES, is_enhanced, own_keyword, recorded, tag

# Where a header may state these claims, the most telling first; `Claim.basis` says which of them it was.
_SOURCES: Final = {
    "post_contrast": ("ContrastBolusAgent", "SeriesDescription", "ProtocolName"),
    "fat_suppressed": ("ScanOptions", "SpectrallySelectedSuppression", "SeriesDescription", "ProtocolName"),
}

_TIMING: Final = frozenset({
    "EchoTime", "RepetitionTime", "InversionTime", "FlipAngle", "DiffusionBValue", "ScanningSequence",
    "SequenceVariant",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """One field that the image contradicts."""

    field: JudgedField
    claimed: Value | None
    p_value: float | None
    severity: Severity


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sight:
    """What the image looks like instead."""

    looks: str  # continues "The image ..."
    expected: str | None


def image_findings(
    doubts: Sequence[Doubt], *, shown: Shown | None, header: FrameHeader, claim: Claim
) -> tuple[Finding, ...]:
    """The findings for the doubts about one header, in their order; codes are `image-` and the field in words.

    Of an image that shows no contrast for sure (`shown` is None) it is said what it does not fit, not what it is.

    One wrong field makes the others fit worse too. So where the image says what it expects instead of some, only those
    are spoken of; else the first doubt alone.
    """
    sights = [(doubt, _sight(doubt, shown)) for doubt in doubts]
    telling = [(doubt, sight) for doubt, sight in sights if sight.expected is not None]
    return tuple(_finding(doubt, sight, header, claim) for doubt, sight in telling or sights[:1])


def _finding(doubt: Doubt, sight: _Sight, header: FrameHeader, claim: Claim) -> Finding:
    stated = _keyword(doubt.field, header, claim)
    if doubt.field.name == "contrast" and stated in _TIMING:
        return _of_timing(doubt, sight, header, claim)
    keyword, value = own_keyword(header, stated), _recorded(stated, doubt, header)
    return Finding(
        code=_code(doubt),
        source="image",
        attribute=keyword,
        tag=tag(keyword),
        recorded=value,
        expected=sight.expected,
        p_value=doubt.p_value,
        severity=doubt.severity,
        message=f"The image {sight.looks}; {keyword} {tag(keyword)} {_says(doubt, value)}",
        suggestion=f"Check {keyword}"
        + (" against the protocol" if sight.expected is None else f": expected {sight.expected}"),
    )


def _of_timing(doubt: Doubt, sight: _Sight, header: FrameHeader, claim: Claim) -> Finding:
    """The contrast where no words and timing alone claim it: a contrast is no value that an echo time could have."""
    values = {name: recorded(header, name) for name in claim.basis if name in _TIMING}
    stated = [name for name, value in values.items() if value is not None] or [claim.basis[0]]
    keywords = [own_keyword(header, name) for name in stated]
    timing = [
        f"{keyword} {tag(keyword)} is {values[name]}{ATTRIBUTES[name].unit}"
        for keyword, name in zip(keywords, stated, strict=True)
    ]
    return Finding(
        code=_code(doubt),
        source="image",
        attribute=keywords[0],
        tag=tag(keywords[0]),
        recorded=values[stated[0]],
        expected=None if sight.expected is None else f"the timing of {sight.expected}",
        p_value=doubt.p_value,
        severity=doubt.severity,
        message=f"The image {sight.looks}; {_listed(timing)}, the timing of {doubt.claimed}",
        suggestion=f"Check {_listed(keywords)} against the protocol",
    )


def _code(doubt: Doubt) -> str:
    return f"image-{doubt.field.words.replace(' ', '-')}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _sight(doubt: Doubt, shown: Shown | None) -> _Sight:
    vague = _Sight(looks=f"fits the {doubt.field.words} of its header worse than other images do", expected=None)
    if shown is None:
        return vague
    field, claimed, contrast = doubt.field, doubt.claimed, shown.contrast
    label = f"{contrast.label} ({contrast.probability:.2f})"
    if field.name == "contrast" and contrast.label != claimed:
        return _Sight(looks=f"looks like {label}", expected=contrast.label)
    if field.name in NUMERIC_FIELDS:
        estimate = shown.estimates.get(field.name)
        if estimate is None and claimed is not None:
            return _Sight(looks=f"looks like {label} without {field.words}", expected=f"no {field.words}")
        if estimate is not None and not field.agree(claimed, estimate.value) and not holds(estimate, claimed):
            span = f"{estimate.low:g} to {estimate.high:g} {field.unit}"
            return _Sight(
                looks=f"looks like {label} with {field.words} {span}",
                expected=f"{field.words} about {estimate.value:g} {field.unit} ({span})",
            )
    answer = {"post_contrast": contrast.post_contrast, "fat_suppressed": contrast.fat_suppressed}.get(field.name)
    if answer is not None and answer.value != claimed:
        expected = _with(answer.value, field)
        return _Sight(looks=f"looks like {contrast.label} {expected} ({answer.probability:.2f})", expected=expected)
    return vague


def _says(doubt: Doubt, value: str | None) -> str:
    """What the attribute says, continuing its name."""
    field, claimed = doubt.field, doubt.claimed
    if claimed is None or value is None:
        return "is absent" if not isinstance(claimed, bool) else f"is absent, which claims {_with(claimed, field)}"
    if isinstance(claimed, bool):
        return f"is {value!r}, which claims {_with(claimed, field)}"
    if field.name == "contrast":
        return f"is {value!r}, which claims {claimed}"
    return f"is {value} {field.unit}".rstrip()


def _keyword(field: JudgedField, header: FrameHeader, claim: Claim) -> str:
    """The attribute that states the claim, by its classic keyword; of the contrast the first of the claim's basis."""
    if field.name == "contrast":
        return claim.basis[0] if claim.basis else field.keyword
    if field.name == "fat_suppressed" and not set(claim.basis) & set(_SOURCES[field.name]) and is_enhanced(header):
        return "SpectrallySelectedSuppression"  # Enhanced MR has no Scan Options
    return next((keyword for keyword in _SOURCES.get(field.name, ()) if keyword in claim.basis), field.keyword)


def _recorded(keyword: str, doubt: Doubt, header: FrameHeader) -> str | None:
    """The attribute's value as text; the plane itself instead of the six cosines that say it."""
    if doubt.field.name == "plane":
        return None if doubt.claimed is None else str(doubt.claimed)
    return recorded(header, keyword)


def _with(value: bool, field: JudgedField) -> str:
    return f"{'with' if value else 'without'} {field.words}"
