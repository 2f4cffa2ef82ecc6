"""Seconds or microseconds where DICOM has milliseconds, gauss where it has tesla.

A time is only called a unit error where the recorded value cannot be and the converted one can; both directions are
looked for (conversion tools divide and multiply by 1000, now and then twice).
"""

from collections.abc import Iterator
from typing import Final

from inference import labels
from inference.claims import inversion_time_ms
from inference.reading import Finding
from inference.rules.view import StackView, decimal, number
from inference.technique import has_spoiled_timing, is_vendor

_SPIN_ECHO_TE_MS: Final = (3.0, 1200.0)  # echo spacing of 3D turbo spin echo; heavily T2-weighted MRCP
_GRADIENT_ECHO_TE_MS: Final = (0.5, 120.0)
_SHORTEST_ULTRASHORT_MS: Final = 0.008
_LONGEST_TE_MS: Final = 3000.0
_LONGEST_GRADIENT_TE_MS: Final = 300.0
_SHORTEST_SPIN_ECHO_TR_MS: Final = 20.0
_SHORTEST_GRADIENT_TR_MS: Final = 0.4
_LONGEST_TR_MS: Final = 100_000.0
_PLAUSIBLE_TR_MS: Final = (100.0, 30_000.0)
_SHORTEST_TI_MS: Final = 5.0
_LONGEST_TI_MS: Final = 15_000.0
_PLAUSIBLE_TI_MS: Final = (20.0, 6_000.0)
_FIELDS_T: Final = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.55, 0.6, 0.7, 1.0, 1.2, 1.5, 3.0, 4.7, 5.0, 7.0, 9.4, 11.7)
_LONGEST_VOLUME_TR_MS: Final = 3500.0
_LONGEST_SLICE_TR_MS: Final = 20_000.0
# What an ultrashort echo cannot show, and volumes whose TR is never that of a preparation.
_NEEDS_AN_ECHO: Final = (labels.SUSCEPTIBILITY, labels.T2_STAR, labels.PHASE)
_NEVER_PREPARED: Final = (labels.SUSCEPTIBILITY, labels.TOF)
_CODES: Final = {
    "EchoTime": "echo-time-unit", "RepetitionTime": "repetition-time-unit", "InversionTime": "inversion-time-unit",
}  # fmt: skip


def unit_findings(view: StackView) -> tuple[Finding, ...]:
    """All unit errors in times of one stack; other rules stay silent about the times these explain."""
    return (*echo_time_unit(view), *repetition_time_unit(view), *inversion_time_unit(view))


def echo_time_unit(view: StackView) -> Iterator[Finding]:
    """Echo Time (0018,0081) in seconds or microseconds."""
    te = view.header.echo_time_ms
    if te is None or te <= 0:
        return
    longest = _LONGEST_GRADIENT_TE_MS if view.technique.plain_gradient_echo else _LONGEST_TE_MS
    if te > longest:
        yield _too_long(view, "EchoTime", te, longest, _usual_te(view))
    elif view.technique.spin_echo or view.technique.echo_planar:
        if te < 1 and te * 1000 >= _SPIN_ECHO_TE_MS[0]:
            yield _times_1000(view, "EchoTime", te * 1000, _usual_te(view), "seconds")
    elif te < 0.1 and _GRADIENT_ECHO_TE_MS[0] <= te * 1000 <= _GRADIENT_ECHO_TE_MS[1]:
        yield from _short_gradient_echo(view, te)


def _short_gradient_echo(view: StackView, te: float) -> Iterator[Finding]:
    # Ultrashort and zero echo times (8 to 100 microseconds) are volumes with a short TR, or are named.
    if view.technique.ultrashort:
        return
    tr = view.header.repetition_time_ms
    volume = view.header.mr_acquisition_type == "3D" and (tr is None or 0.4 <= tr < 50)
    if te < _SHORTEST_ULTRASHORT_MS or not volume or view.claim.label in _NEEDS_AN_ECHO:
        yield _times_1000(view, "EchoTime", te * 1000, _usual_te(view), "seconds")
    else:
        yield view.finding(
            "echo-time-short",
            "EchoTime",
            f"{view.states('EchoTime')}; a gradient echo has 0.5 to 120 ms and no ultrashort sequence is named",
            expected=f"about {number(te * 1000)} ms",
            suggestion=decimal(te * 1000),
        )


def repetition_time_unit(view: StackView) -> Iterator[Finding]:
    """Repetition Time (0018,0080) in seconds or microseconds."""
    tr = view.header.repetition_time_ms
    if tr is None or tr <= 0:
        return
    if tr > _LONGEST_TR_MS:
        yield _too_long(view, "RepetitionTime", tr, _LONGEST_TR_MS, _usual_tr(view))
    elif _repetition_in_seconds(view, tr):
        yield _times_1000(view, "RepetitionTime", tr * 1000, _usual_tr(view), "seconds")
    elif _long_gradient_echo(view, tr):
        if view.header.mr_acquisition_type == "3D" and view.claim.label in _NEVER_PREPARED:
            yield _times_1000(view, "RepetitionTime", tr / 1000, _usual_tr(view), "microseconds")
            return
        yield view.finding(
            "repetition-time-long",
            "RepetitionTime",
            f"{view.states('RepetitionTime')}; this gradient echo repeats every 2 to 100 ms",
            expected=f"about {number(tr / 1000)} ms",
            suggestion=decimal(tr / 1000),
        )


def _repetition_in_seconds(view: StackView, tr: float) -> bool:
    sequence, header = view.technique, view.header
    if sequence.plain_spin_echo:
        short = tr < _SHORTEST_SPIN_ECHO_TR_MS and tr * 1000 >= _PLAUSIBLE_TR_MS[0]
        return short and not has_spoiled_timing(header)  # there it is the pulse sequence that is wrong
    if sequence.gradient_echo and tr < _SHORTEST_GRADIENT_TR_MS and not sequence.ultrashort:
        return True
    # Siemens' TR of an MPRAGE is that of the inversion, so TI lies within it; others, and slices of the heart (scouts
    # for TI, late enhancement), have the echo spacing.
    ti, slices = inversion_time_ms(header), header.mr_acquisition_type == "2D"
    inverted = is_vendor(header, "siemens") and sequence.prepared and not slices
    if inverted and ti is not None and tr < 20 < ti < tr * 1000:
        return True
    te = _milliseconds(view)
    possible = _PLAUSIBLE_TR_MS[0] <= tr * 1000 <= _PLAUSIBLE_TR_MS[1]
    return te is not None and possible and tr < _least_repetition(view, te)


def _least_repetition(view: StackView, te: float) -> float:
    """A repetition time below this one, with an echo at `te`, is taken for seconds; above it the echo may be wrong."""
    if view.technique.echo_planar:
        return min(te, 20)
    if view.technique.prepared:
        return min(te, 10)
    return min(te / 3, 2 if view.technique.steady_state else 20)


def _long_gradient_echo(view: StackView, tr: float) -> bool:
    if not view.technique.plain_gradient_echo:
        return False
    if view.header.mr_acquisition_type != "3D":
        return tr > _LONGEST_SLICE_TR_MS and not view.technique.prepared
    # Of an MPRAGE, GE, Philips and UIH write the echo spacing, others the time from inversion to inversion.
    spacing = any(is_vendor(view.header, vendor) for vendor in ("ge medical", "philips", "uih"))
    return tr > _LONGEST_VOLUME_TR_MS and (spacing or not view.technique.prepared)


def inversion_time_unit(view: StackView) -> Iterator[Finding]:
    """Inversion Time (0018,0082) in seconds or microseconds; 0 means that there is none."""
    ti = inversion_time_ms(view.header)
    if ti is None or ti < 0:
        return
    if ti > _LONGEST_TI_MS:
        yield _too_long(view, "InversionTime", ti, _LONGEST_TI_MS, "inversion times are 20 to 6000 ms")
    elif ti < _SHORTEST_TI_MS and ti * 1000 >= _PLAUSIBLE_TI_MS[0]:
        yield _times_1000(view, "InversionTime", ti * 1000, "inversion times are 20 to 6000 ms", "seconds")


def field_strength_unit(view: StackView) -> Iterator[Finding]:
    """Magnetic Field Strength (0018,0087) in gauss or millitesla."""
    field = view.header.magnetic_field_strength_t
    if field is None or field < 25:
        return
    units = [
        (unit, field / size) for unit, size in (("gauss", 10_000), ("millitesla", 1000)) if _is_field(field / size)
    ]
    expected = " or ".join(f"{number(tesla)} T ({unit})" for unit, tesla in units)
    yield view.finding(
        "field-strength-unit" if units else "impossible-value",
        "MagneticFieldStrength",
        f"{view.states('MagneticFieldStrength')}; scanners have 0.01 to 21 T"
        + (f"; {number(field)} reads like {' or '.join(unit for unit, _ in units)}" if units else ""),
        expected=expected or "0.01 to 21 T",
        suggestion=decimal(units[0][1]) if len(units) == 1 else None,
    )


def _is_field(tesla: float) -> bool:
    return any(abs(tesla - nominal) <= 0.03 * nominal for nominal in _FIELDS_T)


def _milliseconds(view: StackView) -> float | None:
    """The echo time, converted where it cannot be one, to hold a repetition time against."""
    # One that is only short may be ultrashort, and then TR is as short as it says.
    sure = (finding for finding in echo_time_unit(view) if finding.code == _CODES["EchoTime"])
    suggestion = next((finding.suggestion for finding in sure), None)
    return float(suggestion) if suggestion else view.header.echo_time_ms


def _too_long(view: StackView, keyword: str, value: float, longest: float, usual: str) -> Finding:
    if value / 1000 <= longest:
        return _times_1000(view, keyword, value / 1000, usual, "microseconds")
    return view.finding(
        "impossible-value", keyword, f"{view.states(keyword)}; {usual}", expected=f"up to {longest:g} ms"
    )


def _times_1000(view: StackView, keyword: str, value: float, usual: str, unit: str) -> Finding:
    return view.finding(
        _CODES[keyword],
        keyword,
        f"{view.states(keyword)}; {usual}; {view.recorded(keyword)} reads like {unit}",
        expected=f"about {number(value)} ms",
        suggestion=decimal(value),
    )


def _usual(view: StackView, beside: str, spin_echo: str, echo_planar: str, gradient_echo: str) -> str:
    """`a spin echo with RepetitionTime 4000 ms has 5 to 300 ms`."""
    recorded = view.recorded(beside)
    given = f" with {view.keyword(beside)} {recorded} ms" if recorded else ""
    if view.technique.echo_planar:
        return f"an echo-planar image{given} has {echo_planar}"
    return (
        f"a spin echo{given} has {spin_echo}"
        if view.technique.spin_echo
        else f"a gradient echo{given} has {gradient_echo}"
    )


def _usual_te(view: StackView) -> str:
    return _usual(view, "RepetitionTime", "5 to 300 ms", "10 to 150 ms", "0.5 to 120 ms")


def _usual_tr(view: StackView) -> str:
    return _usual(view, "EchoTime", "200 to 20000 ms", "50 to 20000 ms", "2 to 10000 ms")
