"""Signal of the pulse sequences, per unit of receiver gain; every function broadcasts tensors, times in ms.

Sources: Bernstein, King, Zhou 2004, Handbook of MRI Pulse Sequences (BKZ); Ernst and Anderson 1966 (spoiled steady
state); Deichmann and Haase 1992, J Magn Reson 96:608 (magnetisation in a train of small flips); Hamilton 2011,
NMR Biomed 24:784 (fat spectrum); Stejskal and Tanner 1965 (diffusion).
"""

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

GYROMAGNETIC_HZ_PER_T: Final = 42.577e6

# Fat has six peaks; shift to water in ppm and share of the signal (Hamilton 2011).
FAT_PEAKS: Final = ((-3.80, 0.087), (-3.40, 0.693), (-2.60, 0.128), (-1.94, 0.004), (-0.39, 0.039), (0.60, 0.048))


def spin_echo(t1_ms: Tensor, t2_ms: Tensor, *, tr_ms: float, te_ms: float, train_ms: float = 0.0) -> Tensor:
    """90-180 spin echo, or turbo spin echo whose echo train of `train_ms` leaves no magnetisation (BKZ 16.4).

    (1 - exp(-(TR - train)/T1)) exp(-TE/T2), TE being the effective one.
    """
    recovery_ms = max(tr_ms - train_ms, 0.0)
    return (1.0 - torch.exp(-recovery_ms / t1_ms)) * torch.exp(-te_ms / t2_ms)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inversion:
    """An inversion pulse before the excitation; efficiency 1 turns all of the magnetisation."""

    ti_ms: float
    efficiency: float = 1.0


def inverted_spin_echo(
    t1_ms: Tensor, t2_ms: Tensor, *, tr_ms: float, te_ms: float, inversion: Inversion, train_ms: float = 0.0
) -> Tensor:
    """Inversion, TI, then a (turbo) spin echo; signed (BKZ 14.2).

    1 - (1 + e) exp(-TI/T1) + e exp(-(TR - train)/T1) with the inversion efficiency e.
    """
    ti_ms, efficiency = inversion.ti_ms, inversion.efficiency
    recovery_ms = max(tr_ms - train_ms, ti_ms)
    longitudinal = 1.0 - (1.0 + efficiency) * torch.exp(-ti_ms / t1_ms) + efficiency * torch.exp(-recovery_ms / t1_ms)
    return longitudinal * torch.exp(-te_ms / t2_ms)


def spoiled_gradient_echo(t1_ms: Tensor, t2_star_ms: Tensor, *, tr_ms: float, te_ms: float, flip_deg: float) -> Tensor:
    """Spoiled steady state: sin a (1 - E1) / (1 - cos a E1) exp(-TE/T2*) (Ernst and Anderson 1966)."""
    flip = math.radians(flip_deg)
    e1 = torch.exp(-tr_ms / t1_ms)
    return math.sin(flip) * (1.0 - e1) / (1.0 - math.cos(flip) * e1) * torch.exp(-te_ms / t2_star_ms)


def ernst_angle_deg(t1_ms: float, tr_ms: float) -> float:
    """The flip angle of most signal in the spoiled steady state: cos a = exp(-TR/T1)."""
    return math.degrees(math.acos(math.exp(-tr_ms / t1_ms)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Cycle:
    """One cycle of an MPRAGE: inversion, wait, a train of small flips, wait."""

    length_ms: float  # inversion to inversion: what Siemens calls RepetitionTime
    inversion: Inversion  # its TI is to the middle of the train
    echoes: int
    echo_spacing_ms: float


def prepared_gradient_echo(t1_ms: Tensor, t2_star_ms: Tensor, *, te_ms: float, flip_deg: float, cycle: Cycle) -> Tensor:
    """MPRAGE in its steady state; signed.

    In the train the magnetisation goes to M0* with the time constant T1* (Deichmann and Haase 1992).
    """
    flip = math.radians(flip_deg)
    train_ms = cycle.echoes * cycle.echo_spacing_ms
    before_ms = max(cycle.inversion.ti_ms - train_ms / 2.0, 0.0)
    after_ms = max(cycle.length_ms - before_ms - train_ms, 0.0)
    e1 = torch.exp(-cycle.echo_spacing_ms / t1_ms)
    driven = (1.0 - e1) / (1.0 - math.cos(flip) * e1)
    half = torch.pow(math.cos(flip) * e1, cycle.echoes / 2.0)
    e_before, e_after = torch.exp(-before_ms / t1_ms), torch.exp(-after_ms / t1_ms)
    # Each period takes m to a m + c; composed round the cycle they give the steady state before the inversion.
    slope, offset = -cycle.inversion.efficiency * e_before, 1.0 - e_before
    to_middle, at_middle = slope * half, (offset - driven) * half + driven
    to_end, at_end = to_middle * half, (at_middle - driven) * half + driven
    final = (at_end * e_after + 1.0 - e_after) / (1.0 - to_end * e_after)
    return math.sin(flip) * (to_middle * final + at_middle) * torch.exp(-te_ms / t2_star_ms)


def balanced_gradient_echo(t1_ms: Tensor, t2_ms: Tensor, *, tr_ms: float, te_ms: float, flip_deg: float) -> Tensor:
    """Balanced steady state on resonance: sin a (1 - E1) / (1 - (E1 - E2) cos a - E1 E2) exp(-TE/T2) (BKZ 14.1)."""
    flip = math.radians(flip_deg)
    e1, e2 = torch.exp(-tr_ms / t1_ms), torch.exp(-tr_ms / t2_ms)
    steady = (1.0 - e1) / (1.0 - (e1 - e2) * math.cos(flip) - e1 * e2)
    return math.sin(flip) * steady * torch.exp(-te_ms / t2_ms)


def diffusion(adc_um2_ms: Tensor, *, b_s_mm2: float) -> Tensor:
    """exp(-b D) (Stejskal and Tanner 1965); 1 um2/ms is 1e-3 mm2/s."""
    return torch.exp(-b_s_mm2 * 1e-3 * adc_um2_ms)


def shortened(time_ms: Tensor, *, relaxivity_per_mm_s: float, concentration_mm: Tensor) -> Tensor:
    """A relaxation time with contrast agent: 1/T' = 1/T + r C (Rohrer 2005, Invest Radiol 40:715)."""
    return 1000.0 / (1000.0 / time_ms + relaxivity_per_mm_s * concentration_mm)


def t2_star(t2_ms: Tensor, r2_prime_hz: Tensor) -> Tensor:
    """1/T2* = 1/T2 + R2'."""
    return 1000.0 / (1000.0 / t2_ms + r2_prime_hz)


def fat_phasor(field_t: float, te_ms: float) -> complex:
    """Sum of the fat peaks relative to water at the echo time of a gradient echo; 1 at TE 0."""
    hz_per_ppm = GYROMAGNETIC_HZ_PER_T * field_t * 1e-6
    total = 0.0 + 0.0j
    for shift_ppm, share in FAT_PEAKS:
        angle = 2.0 * math.pi * shift_ppm * hz_per_ppm * te_ms * 1e-3
        total += share * complex(math.cos(angle), math.sin(angle))
    return total / sum(share for _, share in FAT_PEAKS)
