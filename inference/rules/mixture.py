"""Images of one stack that were not made alike."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Final

from inference.header import FrameHeader
from inference.reading import Finding, Severity
from inference.rules.view import ATTRIBUTES, StackView, text

_RELATIVE: Final = 0.2  # gated sequences follow the heartbeat within this
_MAJORITY: Final = 0.8
# What follows from the image itself or from the scanner that made it: the majority's value would falsify the others.
_OWN: Final = frozenset({
    "SOPClassUID", "Rows", "Columns", "PixelSpacing", "Manufacturer", "ManufacturerModelName", "MagneticFieldStrength",
})  # fmt: skip

Value = Callable[[FrameHeader], Hashable]


def mixed_equipment(view: StackView) -> Iterator[Finding]:
    """Two field strengths or two scanners in one stack."""
    yield from _mixed(
        view, "mixed-equipment", "MagneticFieldStrength", lambda header: _rounded(header.magnetic_field_strength_t, 1)
    )
    yield from _mixed(
        view, "mixed-equipment", "Manufacturer", lambda header: (header.manufacturer or "").casefold() or None
    )
    yield from _mixed(
        view,
        "mixed-equipment",
        "ManufacturerModelName",
        lambda header: (header.manufacturer_model_name or "").casefold() or None,
    )


def mixed_timing(view: StackView) -> Iterator[Finding]:
    """Repetition times more than 20 % apart, other flip angles, other pulse sequences."""
    if view.is_map or view.is_localizer:
        return
    if _spread([header.repetition_time_ms for header in view.stack.frames]) > _RELATIVE:
        yield from _mixed(view, "mixed-timing", "RepetitionTime", lambda header: _rounded(header.repetition_time_ms, 0))
    quantitative = any("relaxometry" in claim.concepts for _, claim in view.texts)
    if _spread([header.flip_angle_deg for header in view.stack.frames]) > _RELATIVE:
        severity: Severity | None = "info" if quantitative else None
        yield from _mixed(
            view, "mixed-timing", "FlipAngle", lambda header: _rounded(header.flip_angle_deg, 0), severity=severity
        )
    if _spread([header.echo_time_ms for header in view.stack.frames]) > _RELATIVE:
        yield from _mixed(view, "mixed-timing", "EchoTime", lambda header: _rounded(header.echo_time_ms, 0))
    yield from _mixed(
        view, "mixed-timing", "ScanningSequence", lambda header: frozenset(header.scanning_sequence) or None
    )


def mixed_geometry(view: StackView) -> Iterator[Finding]:
    """Matrices, pixel spacings or thicknesses that differ."""
    yield from _mixed(view, "mixed-geometry", "Rows", lambda header: header.rows_px)
    yield from _mixed(view, "mixed-geometry", "Columns", lambda header: header.columns_px)
    spacings = [header.pixel_spacing_mm for header in view.stack.frames]
    if max(_spread([spacing[axis] if spacing else None for spacing in spacings]) for axis in (0, 1)) > 0.01:
        yield from _mixed(view, "mixed-geometry", "PixelSpacing", lambda header: header.pixel_spacing_mm)
    if _spread([header.slice_thickness_mm for header in view.stack.frames]) > 0.05:
        yield from _mixed(view, "mixed-geometry", "SliceThickness", lambda header: header.slice_thickness_mm)


def mixed_objects(view: StackView) -> Iterator[Finding]:
    """Two SOP classes in one stack, or two descriptions in one series."""
    yield from _mixed(view, "mixed-objects", "SOPClassUID", lambda header: header.sop_class_uid)
    yield from _mixed(
        view, "mixed-objects", "SeriesDescription", lambda header: header.series_description, severity="info"
    )


def _mixed(
    view: StackView, code: str, keyword: str, value: Value, *, severity: Severity | None = None
) -> Iterator[Finding]:
    """One finding if `value` differs between the images of the stack; images without a value do not count."""
    if len(view.stack.frames) < 2:
        return
    groups: Counter[Hashable] = Counter()
    samples: dict[Hashable, Any] = {}
    for header in view.stack.frames:
        key = value(header)
        if key is not None:
            groups[key] += 1
            samples.setdefault(key, getattr(header, ATTRIBUTES[keyword].field))
    if len(groups) < 2:
        return
    (common, count), *others = groups.most_common()
    unit = ATTRIBUTES[keyword].unit
    seen = f"{text(samples[common])}{unit} in {count} images"
    rest = ", ".join(f"{text(samples[other])}{unit} in {number}" for other, number in others[:3])
    suggested = keyword not in _OWN and count >= _MAJORITY * groups.total()
    yield view.finding(
        code,
        keyword,
        f"{view.name(keyword)} is {seen} and {rest} of one stack",
        expected="one value in a stack",
        suggestion=text(samples[common]) if suggested else None,
        severity=severity,
    )


def _spread(values: list[float | None]) -> float:
    """(largest - smallest) / smallest of the positive values; 0 with fewer than two."""
    known = [value for value in values if value is not None and value > 0]
    return max(known) / min(known) - 1 if known else 0.0


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
