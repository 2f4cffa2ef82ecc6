"""What no magnet does: negative times, echoes after the next excitation, flip angles of the other kind of echo."""

from collections.abc import Iterator
from typing import Final

from inference.reading import Finding
from inference.rules.units import unit_findings
from inference.rules.view import StackView

# Attribute: lowest and highest value that exists. Zero is written for "none" by several vendors.
_LIMITS: Final = {
    "EchoTime": (0.0, float("inf")),
    "RepetitionTime": (0.0, float("inf")),
    "InversionTime": (0.0, float("inf")),
    "FlipAngle": (0.0, 360.0),
    "MagneticFieldStrength": (0.001, float("inf")),  # too large a field is a matter of units
}
_ECHO_SHIFTED: Final = 3.0  # echoes of echo-shifted sequences (PSIF, PRESTO) are named up to this many TR
_SLICE_FLIP_DEG: Final = (30.0, 50.0)  # below: error, warning. T1 spin echoes go down to 60 degrees at 3 T
_VOLUME_FLIP_DEG: Final = 20.0  # variable refocusing trains (SPACE, CUBE, VISTA) name low angles
_LARGEST_EXCITATION_DEG: Final = 110.0


def impossible_value(view: StackView) -> Iterator[Finding]:
    """Negative times, flip angles beyond a turn, fields of nothing."""
    recorded = {
        "EchoTime": view.header.echo_time_ms,
        "RepetitionTime": view.header.repetition_time_ms,
        "InversionTime": view.header.inversion_time_ms,
        "FlipAngle": view.header.flip_angle_deg,
        "MagneticFieldStrength": view.header.magnetic_field_strength_t,
    }
    for keyword, value in recorded.items():
        low, high = _LIMITS[keyword]
        if value is not None and not low <= value <= high:
            rule = f"must be {low:g} to {high:g}" if high < float("inf") else f"must be at least {low:g}"
            # A field strength of 0 is what several exporters write for "not known".
            severity = "info" if keyword == "MagneticFieldStrength" and value == 0 else None
            message = f"{view.states(keyword)}; it {rule}"
            yield view.finding(
                "impossible-value", keyword, message, expected=rule.removeprefix("must be "), severity=severity
            )


def echo_exceeds_repetition(view: StackView) -> Iterator[Finding]:
    """TE >= TR, which only sequences with shifted echoes have (SSFP echoes, PSIF, T2-FFE, PRESTO)."""
    te, tr = view.header.echo_time_ms, view.header.repetition_time_ms
    if te is None or tr is None or not 0 < tr <= te or view.is_map or unit_findings(view):
        return
    sequence = view.technique
    if sequence.steady_state and te < _ECHO_SHIFTED * tr:
        return
    # Philips writes the echo-shifted PRESTO as a plain 3D gradient echo.
    volume = view.header.mr_acquisition_type == "3D" and not sequence.plain_spin_echo
    known = sequence.known and not (volume and te < _ECHO_SHIFTED * tr)
    yield view.finding(
        "echo-exceeds-repetition" if known else "echo-near-repetition",
        "EchoTime",
        f"{view.states('EchoTime')} and {view.states('RepetitionTime')}; an echo must come before the next excitation",
        expected=f"less than {view.recorded('RepetitionTime')} ms",
    )


def spin_echo_flip_angle(view: StackView) -> Iterator[Finding]:
    """A spin echo excites with 60 to 110 degrees; Siemens writes the refocusing angle, 120 to 180."""
    flip, sequence = view.header.flip_angle_deg, view.technique
    if flip is None or flip <= 0 or not sequence.plain_spin_echo or view.is_map:
        return
    volume = view.header.mr_acquisition_type != "2D"  # absent: it may be one
    error, warning = (0.0, _VOLUME_FLIP_DEG) if volume else _SLICE_FLIP_DEG
    if flip >= warning:
        return
    yield view.finding(
        "spin-echo-flip-angle" if flip < error else "spin-echo-low-flip-angle",
        "FlipAngle",
        f"{view.states('FlipAngle')}; a {'3D ' if volume else ''}spin echo excites with about 90 degrees, or names its "
        f"refocusing angle of up to 180; {view.states('ScanningSequence')}",
        expected=f"{warning:g} to 180 degrees",
    )


def gradient_echo_flip_angle(view: StackView) -> Iterator[Finding]:
    """Gradient echoes excite with at most 90 degrees; 120 and more refocuses."""
    flip, sequence = view.header.flip_angle_deg, view.technique
    if flip is None or not _LARGEST_EXCITATION_DEG < flip <= 360 or not sequence.plain_gradient_echo:
        return
    if sequence.prepared or view.is_map or "relaxometry" in view.wording.concepts:
        return
    yield view.finding(
        "gradient-echo-flip-angle",
        "FlipAngle",
        f"{view.states('FlipAngle')}; a gradient echo excites with at most 90 degrees; "
        f"{view.states('ScanningSequence')}",
        expected="1 to 90 degrees",
    )
