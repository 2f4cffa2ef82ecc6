"""What one stack looks like to a person: the values that templates show, each ready as text or as lengths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from jinja2 import BaseLoader, Environment, PackageLoader, StrictUndefined

from inference.reading import Finding, StackReading

_SCALE_WIDTH: Final = 120  # units of the drawn scales' view boxes

# Field of `header` and `estimates` -> what a person calls it, and its unit.
_FIELDS: Final = {
    "EchoTime_ms": ("Echo time", "ms"),
    "RepetitionTime_ms": ("Repetition time", "ms"),
    "InversionTime_ms": ("Inversion time", "ms"),
    "FlipAngle_deg": ("Flip angle", "°"),
    "b_value_s_mm2": ("b-value", "s/mm²"),
    "MagneticFieldStrength_t": ("Field strength", "T"),
}
_CLAIM: Final = "SeriesDescription_contrast"  # said in words, not in the table
_SEVERITIES: Final = ("error", "warning", "info")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One probability, as text and as the length of a bar in percent."""

    label: str
    percent: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Where interval, estimate and header lie on a scale from zero, in units of `_SCALE_WIDTH`."""

    low: float
    high: float
    estimate: float
    header: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One acquisition parameter: what the header says beside what the image looks like."""

    name: str
    unit: str
    header: str | None
    estimate: str | None
    interval: str | None
    scale: Scale | None
    outside: bool  # the header's value is not in the interval


@dataclass(frozen=True, kw_only=True, slots=True)
class StackView:
    """One stack as the template shows it."""

    stack: StackReading
    selector: Sequence[tuple[str, str]]  # names and values with their units
    pictures: Sequence[str]  # their URLs, in the order of the slices
    pictures_left_out: int
    montage: str | None  # URL of one picture of all slices, instead of `pictures`
    bars: Sequence[Bar]
    fields: Sequence[Field]
    findings: Sequence[Finding]
    claimant: str  # whose claim of a contrast is known: the whole header's, or its description's


def stack_view(
    stack: StackReading,
    *,
    pictures: Sequence[str] = (),
    pictures_left_out: int = 0,
    montage: str | None = None,
    claimant: str = "Header",
) -> StackView:
    """How `stack` is shown, with its pictures one by one or as a montage."""
    return StackView(
        stack=stack,
        selector=[(_FIELDS.get(key, (key, ""))[0], _with_unit(key, value)) for key, value in stack.selector.items()],
        pictures=pictures,
        pictures_left_out=pictures_left_out,
        montage=montage,
        bars=list(_bars(stack)),
        fields=list(_fields(stack)),
        findings=sorted(stack.findings, key=lambda finding: _SEVERITIES.index(finding.severity)),
        claimant=claimant,
    )


def templates(loader: BaseLoader | None = None) -> Environment:
    """The environment of our templates, everything escaped; `stack.html` shows a StackView called `item`."""
    environment = Environment(
        loader=loader or PackageLoader("dicom_node.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    # jinja2 leaves open what filters and globals may be.
    environment.filters["number"] = number  # pyright: ignore[reportUnknownMemberType]
    environment.globals["scale_width"] = _SCALE_WIDTH  # pyright: ignore[reportUnknownMemberType]
    return environment


def _bars(stack: StackReading) -> Iterator[Bar]:
    contrast = stack.contrast
    if contrast is None:
        return
    yield Bar(label=contrast.label, percent=100 * contrast.probability)
    for choice in contrast.alternatives:
        yield Bar(label=choice.label, percent=100 * choice.probability)


def _fields(stack: StackReading) -> Iterator[Field]:
    for key in dict.fromkeys([*stack.header, *stack.estimates]):
        recorded, estimate = stack.header.get(key), stack.estimates.get(key)
        if key == _CLAIM or (recorded is None and estimate is None):
            continue
        name, unit = _FIELDS.get(key, (key, ""))
        value = recorded if isinstance(recorded, int | float) else None
        yield Field(
            name=name,
            unit=unit,
            header=None if recorded is None else number(recorded),
            estimate=None if estimate is None else number(estimate.value),
            interval=None if estimate is None else f"{number(estimate.low)} to {number(estimate.high)}",
            scale=None if estimate is None else _scale(estimate.low, estimate.value, estimate.high, value),
            outside=estimate is not None and value is not None and not estimate.low <= value <= estimate.high,
        )


def _scale(low: float, value: float, high: float, header: float | None) -> Scale:
    largest = max(high, value, header or 0.0) or 1.0
    unit = (_SCALE_WIDTH - 6) / largest
    return Scale(
        low=3 + low * unit,
        high=3 + high * unit,
        estimate=3 + value * unit,
        header=None if header is None else 3 + header * unit,
    )


def _with_unit(key: str, value: float | str) -> str:
    return f"{number(value)} {_FIELDS.get(key, ('', ''))[1]}".rstrip()


def number(value: float | str) -> str:
    """A value with at least four digits and without a power of ten; text as it is."""
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
