"""b-values against words, physics and the rest of the header."""

from collections.abc import Iterator
from typing import Final

from inference import labels
from inference.reading import Finding
from inference.rules.view import StackView, joined, number

_TOLERANCE: Final = (0.1, 25.0)  # of a stated b-value, and s/mm2: scanners write what the gradients reach
_LARGEST_S_MM2: Final = 50_000.0
_WEIGHTED_S_MM2: Final = 100.0


def description_b_value(view: StackView) -> Iterator[Finding]:
    """The words name b-values and none of them is one of the series."""
    stated = next(((keyword, text.b_values_s_mm2) for keyword, text in view.texts if text.b_values_s_mm2), None)
    recorded = {stack.header.b_value_s_mm2 for stack in view.stacks}
    if stated is None or None in recorded or view.is_map:
        return
    keyword, values = stated
    known = sorted(b for b in recorded if b is not None)
    wanted = [value for value in values if value > 0] or [0]
    if any(_same(value, b) for value in wanted for b in known):
        return
    yield view.finding(
        "description-b-value",
        "DiffusionBValue",
        f"{view.states(keyword)}; {view.name('DiffusionBValue')} of this series is {joined(map(number, known))} s/mm2",
        expected=f"{joined(map(str, wanted))} s/mm2",
        suggestion=str(wanted[0]) if len(wanted) == 1 and len(known) == 1 else None,
    )


def b_value_implausible(view: StackView) -> Iterator[Finding]:
    """Negative, in ms/µm2 (1 for 1000 s/mm2) or beyond any gradient system."""
    b = view.header.b_value_s_mm2
    if b is not None and (b < 0 or 0 < b < 2 or b > _LARGEST_S_MM2):
        yield view.finding(
            "b-value-implausible",
            "DiffusionBValue",
            f"{view.states('DiffusionBValue')}; it is 0 or 2 to 50000 s/mm2",
            expected=f"about {number(b * 1000)} s/mm2" if 0 < b < 2 else "0 to 50000 s/mm2",
            suggestion=number(b * 1000) if 0 < b < 2 else None,
        )


def b_value_unexpected(view: StackView) -> Iterator[Finding]:
    """A diffusion weighting on an image that words, sequence and image type call something else."""
    b, label = view.header.b_value_s_mm2, view.wording.label
    weighted = b is not None and b >= _WEIGHTED_S_MM2
    if not weighted or label in (None, labels.DIFFUSION, labels.ADC, labels.DERIVED_MAP) or view.technique.echo_planar:
        return
    if view.claim.label != labels.DIFFUSION:
        yield view.finding(
            "b-value-unexpected",
            "DiffusionBValue",
            f"{view.states('DiffusionBValue')}; {view.states('SeriesDescription')}, which names {label}, and nothing "
            "else in the header is diffusion-weighted",
            expected="no b-value",
        )


def b_value_missing(view: StackView) -> Iterator[Finding]:
    """A diffusion series in which no image has a b-value; with some vendors it is in private elements only."""
    if view.claim.label == labels.DIFFUSION and all(stack.header.b_value_s_mm2 is None for stack in view.stacks):
        yield view.finding(
            "b-value-missing",
            "DiffusionBValue",
            f"{view.name('DiffusionBValue')} has no value in any image of this diffusion series",
            expected="a b-value in s/mm2",
        )


def _same(stated: float, recorded: float) -> bool:
    share, width = _TOLERANCE
    return abs(stated - recorded) <= max(share * stated, width)
