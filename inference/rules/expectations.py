"""What timing a named contrast excludes. Ranges are wide: a dark T2 or a heavy proton density is still one.

Each function answers None where the contrast is possible, else what would be expected and whether it is excluded (the
physics or the pulse sequence cannot give it) or only seldom seen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from inference import labels
from inference.claims import inversion_time_ms
from inference.claims_parameters import FLAIR_TE_MS, FLUID_TI_MS
from inference.rules.view import StackView
from inference.technique import is_vendor

_DIFFUSION_B_S_MM2: Final = 100.0


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a contrast is excluded or unlikely."""

    expected: str
    excluded: bool


@dataclass(frozen=True, slots=True)
class Timing:
    """What the functions below look at; times that are missing are None and never speak against a contrast."""

    view: StackView
    te: float | None
    tr: float | None
    ti: float | None
    longest_te: float | None  # of the sister stacks too: a first echo may be short
    shortest_te: float | None
    diffusion: bool  # some image of the series has a diffusion weighting

    def te_from(self, low: float) -> bool:
        """Echo time known and at least `low`."""
        return self.te is not None and self.te >= low

    def te_below(self, high: float) -> bool:
        """Echo time known and below `high`."""
        return self.te is not None and 0 < self.te < high

    def tr_from(self, low: float) -> bool:
        """Repetition time known and at least `low`."""
        return self.tr is not None and self.tr >= low

    def tr_below(self, high: float) -> bool:
        """Repetition time known and below `high`."""
        return self.tr is not None and 0 < self.tr < high

    def ti_from(self, low: float) -> bool:
        """Inversion time known and at least `low`."""
        return self.ti is not None and self.ti >= low


def doubt(view: StackView, label: str) -> Doubt | None:
    """Why the header of this stack does not make an image of contrast `label`; None if it may."""
    judge = _JUDGES.get(label)
    timing = _timing(view)
    if judge is None:
        return None
    b = view.header.b_value_s_mm2
    if label in _NOT_DIFFUSION and b is not None and b >= _DIFFUSION_B_S_MM2 and view.technique.echo_planar:
        return Doubt("no diffusion weighting", excluded=True)
    return judge(timing)


def _timing(view: StackView) -> Timing:
    header = view.header
    echoes = [te for stack in view.stacks if stack.kind == view.stack.kind and (te := stack.header.echo_time_ms)]
    return Timing(
        view=view,
        te=header.echo_time_ms,
        tr=header.repetition_time_ms,
        ti=inversion_time_ms(header),
        longest_te=max(echoes, default=header.echo_time_ms),
        shortest_te=min(echoes, default=header.echo_time_ms),
        diffusion="DIFFUSION" in header.image_type
        or any((stack.header.b_value_s_mm2 or 0) > 0 for stack in view.stacks),
    )


def _t1(timing: Timing) -> Doubt | None:
    sequence = timing.view.technique
    if sequence.plain_spin_echo:
        expected = "EchoTime below 40 ms and RepetitionTime below 1500 ms"
        if timing.te_from(60) and (timing.tr_from(1500) or timing.ti_from(FLUID_TI_MS)):
            return Doubt(expected, excluded=True)
        long = timing.tr_from(3000) and not sequence.inversion and timing.ti is None
        return Doubt(expected, excluded=False) if timing.te_from(50) or long else None
    first_echo = timing.shortest_te is not None and timing.shortest_te < 15
    if sequence.plain_gradient_echo and timing.te_from(15) and not first_echo:
        return Doubt("EchoTime below 15 ms", excluded=timing.te_from(25) and not sequence.prepared)
    return _no_plain_echo_planar(timing)


def _no_plain_echo_planar(timing: Timing) -> Doubt | None:
    sequence = timing.view.technique
    if sequence.echo_planar and not sequence.spin_echo and not sequence.inversion and timing.ti is None:
        return Doubt("an image without gradient-echo echo-planar readout", excluded=False)
    return None


def _t2(timing: Timing) -> Doubt | None:
    sequence = timing.view.technique
    if sequence.plain_spin_echo:
        first_echo = timing.longest_te is not None and timing.longest_te >= 50
        if timing.te_below(30) and not first_echo:
            return Doubt("EchoTime of 60 ms or more", excluded=True)
        if sequence.inversion and timing.ti_from(FLUID_TI_MS) and timing.te_from(FLAIR_TE_MS):
            return Doubt("no fluid-nulling inversion time", excluded=False)
        slow = timing.view.header.mr_acquisition_type == "2D" and not sequence.single_shot
        return Doubt("RepetitionTime of 1500 ms or more", excluded=False) if slow and timing.tr_below(500) else None
    # Balanced echoes have a T2 of their own, the more after a T2 preparation; SS with SP is GE's spoiled echo.
    balanced = sequence.steady_state and "SP" not in timing.view.header.sequence_variant
    prepared = sequence.prepared and not balanced
    if sequence.plain_gradient_echo and timing.te_below(8) and (prepared or not sequence.steady_state):
        return Doubt("a spin echo with EchoTime of 60 ms or more", excluded=prepared)
    return _no_plain_echo_planar(timing)


def _proton_density(timing: Timing) -> Doubt | None:
    if not timing.view.technique.plain_spin_echo:
        return _no_plain_echo_planar(timing)
    expected = "EchoTime below 60 ms and RepetitionTime of 1000 ms or more"
    last_echo = timing.shortest_te is not None and timing.shortest_te < 50
    if timing.te_from(70) and not last_echo:
        return Doubt(expected, excluded=timing.te_from(80))
    return Doubt(expected, excluded=False) if timing.te_below(45) and timing.tr_below(700) else None


def _t2_star(timing: Timing) -> Doubt | None:
    if timing.te_from(90) and timing.view.technique.gradient_echo:
        return Doubt("a gradient echo with EchoTime of 10 to 80 ms", excluded=False)
    return _gradient(timing, "a gradient echo with EchoTime of 10 to 80 ms", shortest_te_ms=5.0)


def _susceptibility(timing: Timing) -> Doubt | None:
    return _gradient(timing, "a gradient echo with a late EchoTime", shortest_te_ms=5.0)


def _gradient(timing: Timing, expected: str, *, shortest_te_ms: float) -> Doubt | None:
    sequence = timing.view.technique
    if sequence.plain_spin_echo:
        return Doubt(expected, excluded=True)
    late_echo = timing.longest_te is not None and timing.longest_te >= 2 * shortest_te_ms
    if sequence.plain_gradient_echo and timing.te_below(shortest_te_ms) and not late_echo:
        volume = timing.view.header.mr_acquisition_type != "2D"  # slices are prepared for dark blood too
        return Doubt(expected, excluded=sequence.prepared and volume)
    return None


def _fluid_attenuated(timing: Timing) -> Doubt | None:
    sequence, expected = timing.view.technique, "an inversion recovery with InversionTime of 1400 ms or more"
    if sequence.plain_gradient_echo:
        return Doubt(expected, excluded=True)
    if not sequence.plain_spin_echo or timing.ti is None:
        return _no_plain_echo_planar(timing)  # a spin echo without inversion time: the rule description-inversion
    if timing.ti < 1000:
        return Doubt(expected, excluded=timing.te_from(FLAIR_TE_MS))
    return Doubt("EchoTime of 60 ms or more", excluded=False) if timing.te_below(FLAIR_TE_MS) else None


def _stir(timing: Timing) -> Doubt | None:
    sequence, expected = timing.view.technique, "an inversion recovery with InversionTime of 80 to 350 ms"
    if sequence.plain_gradient_echo and not sequence.inversion and timing.ti is None:
        return Doubt(expected, excluded=True)
    # Of a black-blood STIR of the heart the recorded time may be that which blood needs.
    long = sequence.plain_spin_echo and timing.ti_from(450) and not timing.view.is_gated
    return Doubt(expected, excluded=True) if long else _no_plain_echo_planar(timing)


def _diffusion(timing: Timing) -> Doubt | None:
    sequence, header = timing.view.technique, timing.view.header
    if (header.b_value_s_mm2 or 0) >= 800 and timing.te_below(30):
        return Doubt("EchoTime of 40 ms or more, which the diffusion gradients need", excluded=False)
    if timing.diffusion or sequence.echo_planar:
        return None
    expected = "an echo-planar image or a b-value"
    balanced = sequence.steady_state and not sequence.prepared and "SP" not in header.sequence_variant
    if sequence.plain_gradient_echo and not balanced:  # diffusion-weighted PSIF and DESS are
        return Doubt(expected, excluded=True)
    # Philips writes its echo-planar diffusion as a plain SE and, in old releases, no b-value.
    if sequence.plain_spin_echo and not is_vendor(header, "philips"):
        return Doubt(expected, excluded=False)
    return None


def _perfusion(timing: Timing) -> Doubt | None:
    sequence, header = timing.view.technique, timing.view.header
    # Three-dimensional spin labelling is a turbo spin echo (GRASE, spirals) after inversions, as FLAIR is.
    slices = sequence.plain_spin_echo and header.mr_acquisition_type == "2D"
    volume = sequence.plain_gradient_echo and sequence.prepared and header.mr_acquisition_type == "3D"
    return Doubt("an echo-planar image or a dynamic gradient echo", excluded=False) if slices or volume else None


def _tof(timing: Timing) -> Doubt | None:
    sequence = timing.view.technique
    if sequence.plain_spin_echo or sequence.echo_planar:
        return Doubt("a gradient echo", excluded=True)
    unlike = timing.te_from(12) or timing.tr_below(10) or sequence.prepared
    if sequence.plain_gradient_echo and unlike:
        return Doubt("a gradient echo with EchoTime below 10 ms and RepetitionTime of 15 ms or more", excluded=False)
    return None


_JUDGES: Final[Mapping[str, Callable[[Timing], Doubt | None]]] = {
    labels.T1: _t1,
    labels.T2: _t2,
    labels.PROTON_DENSITY: _proton_density,
    labels.T2_STAR: _t2_star,
    labels.SUSCEPTIBILITY: _susceptibility,
    labels.FLUID_ATTENUATED: _fluid_attenuated,
    labels.STIR: _stir,
    labels.DIFFUSION: _diffusion,
    labels.PERFUSION: _perfusion,
    labels.TOF: _tof,
}
_NOT_DIFFUSION: Final = frozenset(_JUDGES) - {labels.DIFFUSION}
