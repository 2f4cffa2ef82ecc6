"""What the timing claims: echo, repetition and inversion times of spin, gradient and echo-planar sequences.

The ranges are priors from rule sets in use (Flywheel's MR profile, NILS' physics tier, dcm-classifier's cut points):
T1 and T2 spin echoes part at TE 30 to 60 ms and TR 1000 to 2000 ms, STIR ends at TI 300 ms, T1-FLAIR and T2-FLAIR part
at TE 40 ms. Between the ranges the answer is None: a guess would be believed.
"""

from dataclasses import dataclass
from typing import Final

from inference import labels
from inference.header import FrameHeader
from inference.technique import Technique, technique

SHORT_TE_MS: Final = 35.0  # T1 and proton density end
LONG_TE_MS: Final = 60.0  # T2 begins
SHORT_TR_MS: Final = 1000.0  # T1 ends
SINGLE_SHOT_TR_MS: Final = 500.0  # Philips writes the time of one shot
LONG_TR_MS: Final = 1800.0  # T2 and proton density begin
STIR_TI_MS: Final = (50.0, 300.0)  # fat is null at 130 ms (0.5 T) to 260 ms (7 T)
STIR_TR_MS: Final = 1500.0  # below, tissue has not recovered before the next inversion
FLUID_TI_MS: Final = 1400.0  # fluid is null from here at any field and TR in use
FLAIR_TE_MS: Final = 40.0  # T1-FLAIR below, T2-FLAIR above
T2_STAR_TE_MS: Final = 12.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ParameterClaim:
    """The contrast that the timing allows; `label` only where there is one."""

    label: str | None = None
    allowed: frozenset[str] = frozenset()
    basis: tuple[str, ...] = ()  # DICOM keywords that were used


def parameter_claim(header: FrameHeader) -> ParameterClaim:
    """Read the weighting from timing and technique; nothing is claimed outside the ranges of this module."""
    sequence = technique(header)
    if header.b_value_s_mm2 is not None and header.b_value_s_mm2 > 0:
        return _claim(labels.DIFFUSION, basis=("DiffusionBValue",))
    if sequence.echo_planar:
        return _echo_planar(header, sequence)
    if sequence.plain_spin_echo:
        return _spin_echo(header, sequence)
    if sequence.plain_gradient_echo and not sequence.ultrashort:
        return _gradient_echo(header, sequence)
    return ParameterClaim()


def inversion_time_ms(header: FrameHeader) -> float | None:
    """Inversion Time (0018,0082) if it is one; GE and others write 0 where there is none."""
    return header.inversion_time_ms if header.inversion_time_ms and header.inversion_time_ms > 0 else None


def _claim(*allowed: str, basis: tuple[str, ...]) -> ParameterClaim:
    return ParameterClaim(label=allowed[0] if len(allowed) == 1 else None, allowed=frozenset(allowed), basis=basis)


def _spin_echo(header: FrameHeader, sequence: Technique) -> ParameterClaim:
    te, tr, ti = header.echo_time_ms, header.repetition_time_ms, inversion_time_ms(header)
    if te is None:
        return ParameterClaim()
    if ti is not None and ti >= STIR_TI_MS[0]:
        return _inversion_recovery(te, tr, ti)
    if sequence.inversion:
        return ParameterClaim()
    basis = ("EchoTime", "RepetitionTime", "ScanningSequence")
    if te >= LONG_TE_MS and (tr is None or tr >= SINGLE_SHOT_TR_MS):
        return _claim(labels.T2, basis=basis)
    if te <= SHORT_TE_MS and tr is not None and tr <= SHORT_TR_MS:
        return _claim(labels.T1, basis=basis)
    if te <= SHORT_TE_MS and tr is not None and tr >= LONG_TR_MS:
        return _claim(labels.PROTON_DENSITY, basis=basis)
    return ParameterClaim()


def _inversion_recovery(te: float, tr: float | None, ti: float) -> ParameterClaim:
    basis = ("InversionTime", "EchoTime", "ScanningSequence")
    if ti <= STIR_TI_MS[1]:
        return _claim(labels.STIR, basis=basis) if tr is None or tr >= STIR_TR_MS else ParameterClaim()
    if te < FLAIR_TE_MS:
        return _claim(labels.T1, basis=basis)
    if ti >= FLUID_TI_MS and te >= LONG_TE_MS:
        return _claim(labels.FLUID_ATTENUATED, basis=basis)
    return ParameterClaim()


def _gradient_echo(header: FrameHeader, sequence: Technique) -> ParameterClaim:
    te, tr, flip = header.echo_time_ms, header.repetition_time_ms, header.flip_angle_deg
    basis = ("EchoTime", "RepetitionTime", "FlipAngle", "ScanningSequence")
    if te is None or te <= 0:
        return ParameterClaim()
    if (sequence.prepared or sequence.inversion) and te < T2_STAR_TE_MS:
        return _claim(labels.T1, basis=("InversionTime", "EchoTime", "ScanningSequence", "SequenceVariant"))
    if sequence.steady_state and "SP" not in header.sequence_variant:
        return ParameterClaim()  # balanced SSFP has a contrast of its own
    if te >= T2_STAR_TE_MS:
        volume = header.mr_acquisition_type == "3D" and tr is not None and tr < 100
        return _claim(labels.T2_STAR, *([labels.SUSCEPTIBILITY] if volume else []), basis=basis)
    if tr is None or flip is None or te > 10:
        return ParameterClaim()
    if tr < 60 and flip >= 8:
        inflow = [labels.TOF] if tr >= 15 and 14 <= flip <= 35 and te > 2.4 else []
        susceptibility = (
            [labels.SUSCEPTIBILITY] if tr >= 15 and te >= 6 else []
        )  # Philips names the first of several echoes
        return _claim(labels.T1, *inflow, *susceptibility, basis=basis)
    return _claim(labels.T1, basis=basis) if tr >= 60 and flip >= 50 else ParameterClaim()


def _echo_planar(header: FrameHeader, sequence: Technique) -> ParameterClaim:
    basis = ("ScanningSequence", "EchoTime")
    te = header.echo_time_ms
    if sequence.inversion and inversion_time_ms(header) is not None and sequence.spin_echo:
        return ParameterClaim()
    if sequence.spin_echo and te is not None and te >= 40:
        return _claim(labels.T2, labels.DIFFUSION, basis=basis)
    if sequence.gradient_echo and te is not None and te >= 18:
        # Siemens' XA writes GR\EP for diffusion too; its echo comes later than any of a BOLD or bolus series.
        return _claim(labels.T2_STAR, *([labels.DIFFUSION] if te > 50 else []), basis=basis)
    return ParameterClaim()
