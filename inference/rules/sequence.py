"""Spin echo or gradient echo: Scanning Sequence against the vendor's own name, the timing and the words."""

from collections.abc import Iterator
from typing import Final

from inference.reading import Finding
from inference.rules.units import unit_findings
from inference.rules.view import StackView
from inference.technique import has_spoiled_timing, named_technique, philips_technique

_SPARED: Final = frozenset(
    {"sequence:EP", "contrast:DIFFUSION", "contrast:PERFUSION"}
)  # Siemens' XA writes GR for SE EPI
_NAMES: Final = {"SE": "spin echo", "GR": "gradient echo"}


def sequence_name(view: StackView) -> Iterator[Finding]:
    """Siemens', Canon's and UIH's sequence names and Philips' image type say which echo it is."""
    recorded = _recorded(view)
    if recorded is None:
        return
    for keyword, named in (
        ("SequenceName", named_technique(view.header)),
        ("ImageType", philips_technique(view.header)),
    ):
        echoes = named & {"SE", "GR"}
        if len(echoes) == 1 and recorded not in echoes and "EP" not in named and "IR" not in named:
            source = (
                view.states("ImageType")
                if keyword == "ImageType"
                else f"the sequence name is {view.header.sequence_name}"
            )
            expected = next(iter(echoes))
            yield view.finding(
                "sequence-name",
                "ScanningSequence",
                f"{view.states('ScanningSequence')}; {source}, a {_NAMES[expected]}",
                expected=f"{expected} among the values",
                suggestion=_suggestion(view, expected),
            )
            return


def sequence_timing(view: StackView) -> Iterator[Finding]:
    """Flip angle, echo and repetition time that together only the other kind of echo has."""
    te, tr, flip = view.header.echo_time_ms, view.header.repetition_time_ms, view.header.flip_angle_deg
    recorded = _recorded(view)
    if recorded is None or te is None or tr is None or flip is None or view.is_map or unit_findings(view):
        return
    refocused = recorded == "GR" and flip >= 120 and te >= 40 and tr >= 500
    spoiled = recorded == "SE" and has_spoiled_timing(view.header)
    if not refocused and not spoiled:
        return
    expected = "SE" if refocused else "GR"
    timing = ", ".join(view.states(keyword) for keyword in ("FlipAngle", "EchoTime", "RepetitionTime"))
    yield view.finding(
        "sequence-timing",
        "ScanningSequence",
        f"{view.states('ScanningSequence')}; {timing}: together the timing of a {_NAMES[expected]}",
        expected=f"{expected} among the values",
        suggestion=_suggestion(view, expected),
    )


def description_sequence(view: StackView) -> Iterator[Finding]:
    """TSE in the words and GR in the header, or the reverse."""
    recorded = "GR" if _is_gradient_echo_planar(view) else _recorded(view)
    if recorded is None or view.is_map or view.is_localizer:
        return
    for keyword, text in view.texts:
        words = {name.removeprefix("sequence:") for name in text.concepts if name in ("sequence:SE", "sequence:GR")}
        if len(words) == 1 and recorded not in words and not text.concepts & _SPARED:
            expected = next(iter(words))
            yield view.finding(
                "description-sequence",
                "ScanningSequence",
                f"{view.states('ScanningSequence')}; {view.states(keyword)}, which names a {_NAMES[expected]}",
                expected=f"{expected} among the values",
            )
            return


def _recorded(view: StackView) -> str | None:
    """SE or GR where the header commits itself to one of them; None for mixtures, echo planar and research mode."""
    sequence = view.technique
    if "RM" in view.header.scanning_sequence:
        return None
    return "SE" if sequence.plain_spin_echo else "GR" if sequence.plain_gradient_echo else None


def _is_gradient_echo_planar(view: StackView) -> bool:
    return view.technique.echo_planar and view.technique.gradient_echo and not view.technique.spin_echo


def _suggestion(view: StackView, expected: str) -> str | None:
    if view.enhanced:
        return {"SE": "SPIN", "GR": "GRADIENT"}[expected]
    other = {"SE": "GR", "GR": "SE"}[expected]
    return "\\".join(expected if value == other else value for value in view.header.scanning_sequence)
