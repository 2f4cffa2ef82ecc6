"""Inversion recovery without an inversion time, and an inversion time without inversion recovery.

An MPRAGE has an inversion time and often no IR: Sequence Variant MP, or for GE and Philips a plain GR with a
preparation. Arterial spin labelling (EP, or SE as a volume) writes its labelling delay there. So only spin echoes
that label no spins are held to it.
"""

from collections.abc import Iterator
from typing import Final

from inference import labels
from inference.claims import inversion_time_ms
from inference.reading import Finding
from inference.rules.units import inversion_time_unit, repetition_time_unit
from inference.rules.view import StackView

_SPECTRAL_TI_MS: Final = 80.0  # delays of spectral inversion (SPAIR, SPECIAL) stay below this


def inversion_time_missing(view: StackView) -> Iterator[Finding]:
    """IR in Scanning Sequence, or Inversion Recovery (0018,9009) YES, without Inversion Time (0018,0082)."""
    header = view.header
    named = "IR" in header.scanning_sequence or header.inversion_recovery == "YES"
    if not named or header.inversion_time_ms or view.is_map or header.image_type[:1] == ("DERIVED",):
        return  # MP2RAGE's combined image has two inversion times, so none
    reason = f"{view.states('ScanningSequence')}, an inversion recovery"
    if view.enhanced:
        reason = "InversionRecovery (0018,9009) is YES"
    yield view.finding(
        "inversion-time-missing",
        "InversionTime",
        f"{view.name('InversionTime')} has no value; {reason}",
        expected="a time in ms",
    )


def inversion_time_unexpected(view: StackView) -> Iterator[Finding]:
    """A spin echo with an inversion time of STIR or FLAIR that names no inversion recovery."""
    ti, sequence = inversion_time_ms(view.header), view.technique
    if ti is None or not sequence.plain_spin_echo or sequence.inversion or sequence.prepared or view.is_map:
        return
    if any(inversion_time_unit(view)) or view.claim.label == labels.PERFUSION:
        return
    yield view.finding(
        "inversion-time-unexpected",
        "InversionTime",
        f"{view.states('InversionTime')} and {view.states('ScanningSequence')}; a spin echo with an inversion time is "
        "an inversion recovery (SE\\IR)",
        expected="IR in ScanningSequence (0018,0020), or no inversion time",
        severity="info" if ti < _SPECTRAL_TI_MS else None,
    )


def inversion_exceeds_repetition(view: StackView) -> Iterator[Finding]:
    """TI >= TR in a spin echo; a gradient echo's TR may be its echo spacing, a gated one's the heartbeat."""
    ti, tr, sequence = inversion_time_ms(view.header), view.header.repetition_time_ms, view.technique
    if ti is None or tr is None or not 0 < tr <= ti or not sequence.plain_spin_echo or view.is_map:
        return
    if view.is_gated or view.claim.label == labels.PERFUSION:
        return
    if any(inversion_time_unit(view)) or any(repetition_time_unit(view)):
        return
    yield view.finding(
        "inversion-exceeds-repetition",
        "InversionTime",
        f"{view.states('InversionTime')} and {view.states('RepetitionTime')}; an inversion lies within the "
        "repetition of a spin echo",
        expected=f"less than {view.recorded('RepetitionTime')} ms",
    )
