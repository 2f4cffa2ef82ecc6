"""Tissue signals and the noise-free picture of a slab: what each voxel sends before the receiver hears it."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import embedding, grid_sample

from training.simulate import signal
from training.simulate.anatomy import Anatomy
from training.simulate.scan import Physics
from training.simulate.tissues import Tissue, TissueParameters

# Relaxivity of a macrocyclic or linear agent in plasma, 1/(mM s): about 4.5 and 5.2, little changed from 1.5 to 3 T
# (Rohrer 2005, Invest Radiol 40:715).
_R1, _R2 = 4.5, 5.2


@dataclass(frozen=True, kw_only=True)
class View:
    """Where the slices lie. Directions are unit vectors in RAS; rows run along `down`, columns along `right`."""

    centre_mm: tuple[float, float, float]
    right: tuple[float, float, float]
    down: tuple[float, float, float]
    normal: tuple[float, float, float]
    fov_mm: tuple[float, float]  # along down, along right
    offsets_mm: tuple[float, ...]  # of the slices along the normal
    thickness_mm: float


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Signals on the sampling grid, float32 (n, h, w): water (signed), fat (before its phase), and the field shift."""

    water: Tensor
    fat: Tensor
    field_ppm: Tensor
    dephasing_ppm: Tensor  # spread of the field across the slice
    body: Tensor  # share of the voxel that is not air


def _relaxation(physics: Physics, tissue: TissueParameters) -> tuple[Tensor, Tensor]:
    t1, t2 = tissue.t1_ms, tissue.t2_ms
    if physics.agent:
        t1 = signal.shortened(t1, relaxivity_per_mm_s=_R1, concentration_mm=tissue.gadolinium_mm)
        t2 = signal.shortened(t2, relaxivity_per_mm_s=_R2, concentration_mm=tissue.gadolinium_mm)
    return t1, t2


def _evolve(physics: Physics, t1: Tensor, t2: Tensor, r2_prime: Tensor) -> Tensor:
    """Transverse signal per unit of proton density, signed."""
    p = physics
    star = signal.t2_star(t2, r2_prime)
    if p.kind == "spin-echo":
        return signal.spin_echo(t1, t2, tr_ms=p.tr_ms, te_ms=p.te_ms, train_ms=p.train_ms)
    if p.kind == "spin-epi":
        long = signal.spin_echo(t1, t2, tr_ms=p.tr_ms, te_ms=p.te_ms)
        return long if p.ti_ms is None else signal.inverted_spin_echo(t1, t2, tr_ms=p.tr_ms, te_ms=p.te_ms, ti_ms=p.ti_ms)
    if p.kind == "inversion":
        assert p.ti_ms is not None
        return signal.inverted_spin_echo(
            t1, t2, tr_ms=p.tr_ms, te_ms=p.te_ms, ti_ms=p.ti_ms, train_ms=p.train_ms, efficiency=0.97
        )
    if p.kind == "prepared":
        assert p.ti_ms is not None
        return signal.prepared_gradient_echo(
            t1, star, cycle_ms=p.tr_ms, ti_ms=p.ti_ms, te_ms=p.te_ms, flip_deg=p.flip_deg,
            echo_spacing_ms=p.echo_spacing_ms, echoes=p.echoes,
        )  # fmt: skip
    if p.kind == "balanced":
        return signal.balanced_gradient_echo(t1, t2, tr_ms=p.tr_ms, te_ms=p.te_ms, flip_deg=p.flip_deg)
    return signal.spoiled_gradient_echo(t1, star, tr_ms=p.tr_ms, te_ms=p.te_ms, flip_deg=p.flip_deg)


def _flowing(physics: Physics, still: Tensor, tissue: TissueParameters) -> Tensor:
    """Blood is not still: spin echoes lose it, gradient echoes see fresh spins (BKZ 15.3)."""
    vessels = (Tissue.ARTERY, Tissue.VEIN)
    moved = still.clone()
    for vessel, share in zip(vessels, (1.0, 0.7), strict=True):
        if physics.kind in ("spin-echo", "inversion", "spin-epi"):
            moved[vessel] = still[vessel] * (1.0 - 0.85 * share * min(physics.te_ms / 12.0, 1.0))
        elif physics.inflow > 0:
            fresh = math.sin(math.radians(physics.flip_deg)) * torch.exp(-physics.te_ms / tissue.t2_ms[vessel])
            moved[vessel] = still[vessel] + physics.inflow * share * (fresh - still[vessel])
    return moved


def tissue_signals(physics: Physics, tissue: TissueParameters) -> tuple[Tensor, Tensor]:
    """Signal of water and of fat in every tissue, each (tissues,): proton density, relaxation, diffusion, flow."""
    t1, t2 = _relaxation(physics, tissue)
    water = _flowing(physics, _evolve(physics, t1, t2, tissue.r2_prime_hz), tissue)
    water = water * (1.0 - physics.transfer * tissue.transfer) * tissue.proton_density * (1.0 - tissue.fat_fraction)
    fat_t1, fat_t2 = t1[Tissue.FAT].expand_as(t1), t2[Tissue.FAT].expand_as(t2)
    if physics.kind == "spin-echo" and physics.echoes <= 1:
        fat_t2 = fat_t2 * 0.5  # J-coupling is not refocused by single echoes (Henkelman 1992, JMRI 2:533)
    fat = _evolve(physics, fat_t1, fat_t2, tissue.r2_prime_hz) * tissue.proton_density * tissue.fat_fraction
    if physics.b_s_mm2 > 0:
        water = water * signal.diffusion(tissue.adc_um2_ms, b_s_mm2=physics.b_s_mm2)
        fat = fat * math.exp(-physics.b_s_mm2 * 3e-5)
    return water, fat


def signal_table(physics: Physics, tissue: TissueParameters) -> Tensor:
    """Columns (tissues, 5): water, its change with texture and with direction, fat, its change with texture."""
    water, fat = tissue_signals(physics, tissue)
    up = tissue.texture
    richer = replace(
        tissue,
        t1_ms=tissue.t1_ms * (1 + up),
        t2_ms=tissue.t2_ms * (1 + up),
        proton_density=tissue.proton_density * (1 + 0.4 * up),
        gadolinium_mm=tissue.gadolinium_mm * (1 + 2 * up),
        adc_um2_ms=tissue.adc_um2_ms * (1 + up),
    )
    water_up, fat_up = tissue_signals(physics, richer)
    turned = torch.zeros_like(water)
    if physics.b_s_mm2 > 0 and physics.directional:
        along = replace(tissue, adc_um2_ms=tissue.adc_um2_ms * (1 - 0.6 * tissue.anisotropy))
        turned = tissue_signals(physics, along)[0] - water
    return torch.stack([water, water_up - water, turned, fat, fat_up - fat], dim=1)


def grid_points(view: View, shape: tuple[int, int], offsets_mm: Tensor, device: torch.device) -> tuple[Tensor, ...]:
    """Coordinates in mm of (slices..., h, w) points as three tensors; `offsets_mm` has any leading shape."""
    h, w = shape
    rows = ((torch.arange(h, device=device) + 0.5) / h - 0.5) * view.fov_mm[0]
    columns = ((torch.arange(w, device=device) + 0.5) / w - 0.5) * view.fov_mm[1]
    out = offsets_mm.to(device)[..., None, None]
    return tuple(
        view.centre_mm[a] + out * view.normal[a] + rows[:, None] * view.down[a] + columns * view.right[a] for a in range(3)
    )


def _indices(anatomy: Anatomy, points: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Flat voxel index and texture index of points; points outside fall on voxel 0, which is air."""
    nx, ny, nz = anatomy.tissue.shape
    x, y, z = ((p * (1.0 / anatomy.spacing_mm)).floor_().int() for p in points)
    inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny) & (z >= 0) & (z < nz)
    flat = torch.where(inside, (x * ny + y) * nz + z, 0)
    m = anatomy.texture.shape[-1] - 1
    return flat, ((x & m) * (m + 1) + (y & m)) * (m + 1) + (z & m)


def sample(
    anatomy: Anatomy, view: View, table: Tensor, shape: tuple[int, int], *, sub_slices: int, jitter: Tensor
) -> Picture:
    """Average the signals over each slice: `sub_slices` planes an interval, moved by `jitter` (3,) in voxels."""
    device = anatomy.tissue.device
    depth = ((torch.arange(sub_slices) + 0.5) / sub_slices - 0.5) * view.thickness_mm
    offsets = torch.tensor(view.offsets_mm)[:, None] + depth
    points = grid_points(view, shape, offsets, device)
    points = tuple(p + float(j) * anatomy.spacing_mm for p, j in zip(points, jitter, strict=True))
    flat, texel = _indices(anatomy, points)
    tissue = anatomy.tissue.flatten()[flat].int()
    columns = embedding(tissue, table)  # (n, k, h, w, 5)
    fine, fibre = anatomy.texture[0].flatten()[texel], anatomy.texture[2].flatten()[texel]
    water = columns[..., 0] + fine * columns[..., 1] + fibre * columns[..., 2]
    fat = columns[..., 3] + fine * columns[..., 4]
    field = torch.stack([_field(anatomy, grid_points(view, shape, offsets[:, i], device)) for i in (0, -1)])
    return Picture(
        water=water.mean(1),
        fat=fat.mean(1),
        field_ppm=field.mean(0),
        dephasing_ppm=(field[1] - field[0]) * sub_slices / max(sub_slices - 1, 1),
        body=(tissue > 0).float().mean(1),
    )


def _field(anatomy: Anatomy, points: tuple[Tensor, ...]) -> Tensor:
    """Field shift in ppm at points (n, h, w), linear between the grid points of `field_ppm`."""
    sizes = [s * anatomy.spacing_mm for s in anatomy.tissue.shape]
    scaled = [2.0 * p / s - 1.0 for p, s in zip(points, sizes, strict=True)]
    grid = torch.stack(scaled[::-1], dim=-1)[None]  # the last axis of the volume comes first
    volume = anatomy.field_ppm[None, None]
    return grid_sample(volume, grid, align_corners=False, padding_mode="border")[0, 0]
