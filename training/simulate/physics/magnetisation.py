"""What every tissue sends in a given sequence: one table per acquisition, looked up voxel by voxel."""

import math
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from training.simulate.people.anatomy import level_deviations
from training.simulate.physics import signal
from training.simulate.physics.scan import Physics
from training.simulate.physics.tissues import FACTS, Tissue, TissueParameters

# Relaxivity of gadolinium chelates in plasma in 1/(mM s), little changed from 1.5 to 3 T (Rohrer 2005).
_R1, _R2 = 4.5, 5.2
_INVERSION_EFFICIENCY: Final = 0.97  # of adiabatic pulses in the body
# Columns of a table: signals, share that is not air, shift of the field, change of water along the fibres.
WATER, FAT, BODY, LOCAL_PPM, BY_DIRECTION = range(5)
_PULSING: Final = 0.3  # share of the fluid in a slice that is new at each excitation
# A vessel across the field shifts it by chi / 6, along it by chi / 3 (Haacke 2004); cells in between.
_LOCAL_SHIFT: Final = 0.28
# Cerebral blood flow in ml/100 g/min, and a guess for what lies round the brain.
_PERFUSION: Final = {
    Tissue.GREY_MATTER: 62.0, Tissue.DEEP_GREY: 55.0, Tissue.PALLIDUM: 35.0, Tissue.WHITE_MATTER: 22.0,
    Tissue.ARTERY: 150.0, Tissue.VEIN: 60.0, Tissue.MENINGES: 40.0, Tissue.MUCOSA: 40.0,
    Tissue.ENHANCING_TUMOUR: 85.0, Tissue.TUMOUR: 30.0,
    Tissue.OEDEMA: 14.0, Tissue.INFARCT: 4.0, Tissue.MUSCLE: 6.0, Tissue.GLAND: 50.0, Tissue.SKIN: 8.0,
}  # fmt: skip


def _evolve(p: Physics, t1: Tensor, t2: Tensor, r2_prime: Tensor) -> Tensor:
    """Transverse signal per unit of proton density, signed."""
    star = signal.t2_star(t2, r2_prime)
    inversion = None if p.ti_ms is None else signal.Inversion(ti_ms=p.ti_ms, efficiency=_INVERSION_EFFICIENCY)
    if p.kind == "prepared":
        if inversion is None:
            raise ValueError("a prepared gradient echo has no inversion time")
        cycle = signal.Cycle(length_ms=p.tr_ms, inversion=inversion, echoes=p.echoes, echo_spacing_ms=p.echo_spacing_ms)
        return signal.prepared_gradient_echo(t1, star, te_ms=p.te_ms, flip_deg=p.flip_deg, cycle=cycle)
    if p.kind == "balanced":
        return signal.balanced_gradient_echo(t1, t2, tr_ms=p.tr_ms, te_ms=p.te_ms, flip_deg=p.flip_deg)
    if p.kind in ("spoiled", "gradient-epi"):
        recovered = signal.spoiled_gradient_echo(t1, star, tr_ms=p.tr_ms, te_ms=p.te_ms, flip_deg=p.flip_deg)
        if inversion is None:
            return recovered
        return recovered * (1.0 - 1.9 * torch.exp(-inversion.ti_ms / t1))  # background suppression of spin labelling
    if inversion is None:
        return signal.spin_echo(t1, t2, tr_ms=p.tr_ms, te_ms=p.te_ms, train_ms=p.train_ms)
    return signal.inverted_spin_echo(t1, t2, tr_ms=p.tr_ms, te_ms=p.te_ms, inversion=inversion, train_ms=p.train_ms)


def _flowing(p: Physics, still: Tensor, t2: Tensor) -> Tensor:
    """Blood is not still: spin echoes lose it, gradient echoes see fresh spins (BKZ 15.3)."""
    moved = still.clone()
    for vessel, share in ((Tissue.ARTERY, 1.0), (Tissue.VEIN, 0.6)):
        if p.kind in ("spin-echo", "inversion", "spin-epi"):
            moved[vessel] = still[vessel] * (1.0 - 0.9 * share * min(p.te_ms / 12.0, 1.0))
        elif p.inflow > 0:
            fresh = math.sin(math.radians(p.flip_deg)) * torch.exp(-p.te_ms / t2[vessel])
            moved[vessel] = still[vessel] + p.inflow * share * (fresh - still[vessel])
    if p.kind == "gradient-epi":  # fluid that pulses has not seen the pulses before
        fresh = math.sin(math.radians(p.flip_deg)) * torch.exp(-p.te_ms / t2[Tissue.CSF])
        moved[Tissue.CSF] = still[Tissue.CSF] + _PULSING * (fresh - still[Tissue.CSF])
    return moved


def tissue_signals(p: Physics, tissue: TissueParameters) -> tuple[Tensor, Tensor]:
    """Signal of water and of fat in every tissue, each (tissues,): density, relaxation, diffusion, transfer, flow."""
    t1, t2 = tissue.t1_ms, tissue.t2_ms
    if p.agent:
        t1 = signal.shortened(t1, relaxivity_per_mm_s=_R1, concentration_mm=tissue.gadolinium_mm)
        t2 = signal.shortened(t2, relaxivity_per_mm_s=_R2, concentration_mm=tissue.gadolinium_mm)
    water = _flowing(p, _evolve(p, t1, t2, tissue.r2_prime_hz), t2)
    water = water * (1.0 - p.transfer * tissue.transfer) * tissue.proton_density * (1.0 - tissue.fat_fraction)
    fat_t2 = tissue.t2_ms[Tissue.FAT].expand_as(t2)
    if p.echoes <= 1 and p.kind in ("spin-echo", "inversion"):
        fat_t2 = fat_t2 * 0.7  # J-coupling is not refocused by single echoes (Henkelman 1992, JMRI 2:533)
    fat = _evolve(p, tissue.t1_ms[Tissue.FAT].expand_as(t1), fat_t2, tissue.r2_prime_hz)
    fat = fat * tissue.proton_density * tissue.fat_fraction
    if p.b_s_mm2 > 0:
        water = water * signal.diffusion(tissue.adc_um2_ms, b_s_mm2=p.b_s_mm2)
        fat = fat * math.exp(-p.b_s_mm2 * 3e-5)
    return water, fat


def signal_table(p: Physics, tissue: TissueParameters) -> Tensor:
    """The columns above for every code of an anatomy, (tissues x levels, 4), or 5 for one diffusion direction."""
    water, fat = tissue_signals(p, tissue)
    up = tissue.texture
    richer = replace(
        tissue,
        t1_ms=tissue.t1_ms * (1 + 0.6 * up * (1 - 0.85 * tissue.fat_fraction)),  # fat has one T1 everywhere
        t2_ms=tissue.t2_ms * (1 + up),
        proton_density=tissue.proton_density * (1 + 0.5 * up),
        gadolinium_mm=tissue.gadolinium_mm * (1 + 2 * up),
        adc_um2_ms=tissue.adc_um2_ms * (1 + up),
    )
    water_up, fat_up = tissue_signals(p, richer)
    columns = [(water, water_up - water), (fat, fat_up - fat), *_body_and_shift(water, p)]
    if p.b_s_mm2 > 0 and p.directional:
        along = replace(tissue, adc_um2_ms=tissue.adc_um2_ms * (1 - 0.5 * tissue.anisotropy))
        columns.append((tissue_signals(p, along)[0] - water, torch.zeros_like(water)))
    return _by_level(columns)


def _by_level(columns: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Every column at every level of texture, linear in it; rows in the order of an anatomy's codes."""
    levels = level_deviations().to(columns[0][0].device)
    return torch.stack(
        [(mean[:, None] + slope[:, None] * levels).flatten() for mean, slope in columns], dim=1
    ).contiguous()


def _body_and_shift(like: Tensor, p: Physics) -> list[tuple[Tensor, Tensor]]:
    """What is not air, and the field inside vessels and iron; of a velocity scan the velocity in units of VENC."""
    body = torch.ones_like(like)
    body[Tissue.AIR] = 0.0
    shift = torch.tensor([_LOCAL_SHIFT * FACTS[tissue].susceptibility_ppm for tissue in Tissue]).to(like)
    for large in (Tissue.AIR, Tissue.LUNG, Tissue.CORTICAL_BONE, Tissue.FAT):
        shift[large] = 0.0  # their shift is in the field map
    if p.output == "velocity":
        shift = torch.zeros_like(like)
        shift[Tissue.ARTERY], shift[Tissue.VEIN], shift[Tissue.CSF] = 0.7, -0.4, 0.03
    none = torch.zeros_like(like)
    return [(body, none), (shift, none)]


def parameter_table(p: Physics, tissue: TissueParameters) -> Tensor:
    """A table whose water column is the parameter that a quantitative map shows, scaled to about one."""
    soft = (tissue.proton_density * torch.exp(-12.0 / tissue.t2_ms)) > 0.3  # what a fit can see at all
    if p.output == "t1-map":
        values = tissue.t1_ms / 1500.0
    elif p.output == "t2-map":
        values = tissue.t2_ms.clamp(max=600.0) / 100.0
    elif p.output == "anisotropy":
        values = tissue.anisotropy
    elif p.output == "fat-fraction":
        values = tissue.fat_fraction
        soft = torch.ones_like(soft)
    elif p.output == "perfusion":
        values = torch.tensor([_PERFUSION.get(t, 0.0) / 60.0 for t in Tissue], device=soft.device)
    else:
        raise ValueError(f"output {p.output!r} is no parameter map")
    values = values * soft
    columns = [(values, values * tissue.texture), (torch.zeros_like(values),) * 2, *_body_and_shift(values, p)]
    if p.output == "anisotropy":
        columns.append((0.45 * values, torch.zeros_like(values)))
    return _by_level(columns)
