"""Gradient echo families: T1 volumes, in and out of phase, T2*, susceptibility, angiography, phase, balanced."""

from dataclasses import replace

from inference import labels as names
from training.simulate.physics.scan import Physics, Sampling
from training.simulate.protocols.draw import (
    EVERYWHERE,
    HEAD,
    JOINTS,
    SPINE,
    TRUNK,
    Draw,
    Protocol,
    Recipe,
    slices_2d,
    volume_3d,
)

# Water and fat are opposed at 1 / (2 x 3.4 ppm) and in phase at twice that.
_OPPOSED_MS_T = 1.5 * 2.3


def mprage(d: Draw) -> Recipe:
    """Inversion-prepared 3D gradient echo (ADNI and vendors' defaults)."""
    spacing = d.between(6.2, 9.5, 1)
    physics = Physics(
        kind="prepared",
        field_t=d.field_t,
        te_ms=d.between(2.0, min(4.3, spacing - 1.5), 2),
        tr_ms=d.usual(1700, 2530),
        ti_ms=d.usual(800, 1100),
        flip_deg=d.usual(7, 14),
        echo_spacing_ms=spacing,
        echoes=d.whole(128, 200),
        agent=d.agent,
        inflow=0.4,
        fat="water-excitation" if d.chance(0.12) else "none",
    )
    return Recipe(physics=physics, sampling=volume_3d(d))


def t1_spgr_3d(d: Draw) -> Recipe:
    """Spoiled 3D gradient echo without preparation."""
    physics = Physics(
        kind="spoiled",
        field_t=d.field_t,
        te_ms=d.between(2.0, 6.0, 2),
        tr_ms=d.usual(8, 28, 1),
        flip_deg=d.between(15, 35),
        agent=d.agent,
        inflow=0.4,
    )
    return Recipe(physics=physics, sampling=volume_3d(d))


def t1_fl2d(d: Draw) -> Recipe:
    """Spoiled 2D gradient echo with a long TR, T1; in heads some are the magnitude of a field map."""
    if d.region == "head" and d.chance(0.25):
        return _field_map(d)
    physics = Physics(
        kind="spoiled",
        field_t=d.field_t,
        te_ms=d.usual(2.3, 5.0, 2),
        tr_ms=d.usual(150, 400),
        flip_deg=d.between(60, 90),
        agent=d.agent,
        inflow=0.5,
    )
    return Recipe(physics=physics, sampling=slices_2d(d))


def _field_map(d: Draw) -> Recipe:
    """The magnitude beside a field map: coarse voxels, a repetition time and an echo that no T1 protocol would have."""
    volumetric = d.chance(0.2)
    tr_ms = d.between(12, 40, 1) if volumetric else float(round(d.logarithmic(60, 1300)))
    physics = Physics(
        kind="spoiled",
        field_t=d.field_t,
        te_ms=d.usual(3.5, 8.0, 2),
        tr_ms=tr_ms,
        flip_deg=d.between(8, 25) if tr_ms < 300 else d.between(30, 75),  # GE and Philips, and Siemens
        inflow=0.3,
    )
    return Recipe(physics=physics, sampling=_field_map_voxels(d))


def _field_map_voxels(d: Draw) -> Sampling:
    voxel = d.between(2, 3.5, 1)
    return Sampling(voxel_mm=(voxel, voxel), thickness_mm=d.between(2, 4, 1), snr=d.logarithmic(25, 80))


def vibe(d: Draw) -> Recipe:
    """Fat-suppressed 3D gradient echo: VIBE, LAVA, THRIVE."""
    tr = d.between(3.2, 7.0, 2)
    physics = Physics(
        kind="spoiled",
        field_t=d.field_t,
        te_ms=d.between(1.1, min(2.6, tr - 1.5), 2),
        tr_ms=tr,
        flip_deg=d.between(9, 15),
        fat="dixon-water" if d.chance(0.4) else "saturation",
        agent=d.agent,
        inflow=0.1,
    )
    return Recipe(physics=physics, sampling=volume_3d(d))


def _at_phase(d: Draw, multiple: float) -> Recipe:
    te = round(_OPPOSED_MS_T / d.field_t * multiple, 2)
    physics = Physics(
        kind="spoiled",
        field_t=d.field_t,
        te_ms=te,
        tr_ms=d.between(100, 250),
        flip_deg=d.between(60, 80),
        inflow=0.3,
        agent=d.agent,
    )
    return Recipe(physics=physics, sampling=slices_2d(d))


def in_phase(d: Draw) -> Recipe:
    """T1 gradient echo with fat and water in phase."""
    return _at_phase(d, 2.0)


def opposed_phase(d: Draw) -> Recipe:
    """T1 gradient echo with fat and water opposed: black rims."""
    return _at_phase(d, 1.0)


def t2_star(d: Draw) -> Recipe:
    """2D gradient echo, T2*."""
    te = d.by_field(d.usual(18, 32, 1), d.usual(15, 25, 1))
    physics = Physics(
        kind="spoiled",
        field_t=d.field_t,
        te_ms=te,
        tr_ms=d.usual(400, 1000),
        flip_deg=d.usual(15, 25),
        inflow=0.2,
    )
    return Recipe(physics=physics, sampling=slices_2d(d))


def medic(d: Draw) -> Recipe:
    """Combined echoes of a spine or joint, T2*."""
    physics = Physics(
        kind="spoiled",
        field_t=d.field_t,
        te_ms=d.usual(13, 22, 1),
        tr_ms=d.usual(400, 900),
        flip_deg=d.between(20, 35),
        inflow=0.4,
        fat="water-excitation" if d.chance(0.3) else "none",
    )
    return Recipe(physics=physics, sampling=slices_2d(d))


def swi(d: Draw) -> Recipe:
    """Susceptibility-weighted: magnitude times phase mask."""
    te = d.by_field(d.usual(35, 45, 1), d.usual(18, 25, 1))
    physics = Physics(
        kind="spoiled",
        field_t=d.field_t,
        te_ms=te,
        tr_ms=round(te + d.usual(6, 14)),
        flip_deg=d.between(10, 20),
        inflow=0.3,
        output="swi",
    )
    return Recipe(physics=physics, sampling=replace(volume_3d(d), thickness_mm=d.between(1.2, 3.0, 1)))


def phase(d: Draw) -> Recipe:
    """Phase of a gradient echo, as a field map or a susceptibility-weighted scan writes it."""
    te = d.between(2.5, 12, 2) if d.chance(0.6) else d.by_field(40.0, 20.0)
    physics = Physics(
        kind="spoiled",
        field_t=d.field_t,
        te_ms=te,
        tr_ms=d.between(400, 800) if te < 13 else round(te + 9.0),
        flip_deg=d.between(15, 70),
        output="phase",
    )
    field_map = _field_map_voxels(d)
    return Recipe(physics=physics, sampling=field_map if te < 13 else replace(volume_3d(d), thickness_mm=2.0))


def tof(d: Draw) -> Recipe:
    """Time of flight: fresh blood is bright, the rest is saturated, fat opposes water, transfer pulses darken brain."""
    opposed = _OPPOSED_MS_T / d.field_t
    te = opposed * (3.0 if opposed * 3.0 < 8.0 else 1.0) * d.between(0.94, 1.06, 2)
    physics = Physics(
        kind="spoiled",
        field_t=d.field_t,
        te_ms=round(max(te, 2.5), 2),
        tr_ms=d.between(20, 30),
        flip_deg=d.between(16, 25),
        inflow=d.between(0.7, 1.0, 2),
        transfer=d.one_of(0.0, 1.0, 1.6),
        fat="water-excitation" if d.chance(0.15) else "none",
    )
    return Recipe(physics=physics, sampling=replace(volume_3d(d, coarser=0.8), thickness_mm=d.between(0.6, 1.2, 1)))


def tof_mip(d: Draw) -> Recipe:
    """Maximum intensity projections of time of flight."""
    recipe = tof(d)
    return replace(recipe, physics=replace(recipe.physics, output="mip", fat="none"))


def velocity(d: Draw) -> Recipe:
    """Phase contrast: velocity as phase, noise where there is no signal."""
    physics = Physics(
        kind="spoiled",
        field_t=d.field_t,
        te_ms=d.between(4, 9, 2),
        tr_ms=d.between(20, 60),
        flip_deg=d.between(10, 20),
        inflow=0.7,
        output="velocity",
    )
    return Recipe(physics=physics, sampling=replace(slices_2d(d), snr=d.logarithmic(15, 50)))


def balanced(d: Draw) -> Recipe:
    """Balanced steady state (TrueFISP, FIESTA, bFFE): a contrast of its own."""
    tr = d.between(3.2, 6.5, 2)
    physics = Physics(
        kind="balanced",
        field_t=d.field_t,
        te_ms=round(tr / 2, 2),
        tr_ms=tr,
        flip_deg=d.between(40, 70),
        inflow=0.3,
    )
    return Recipe(physics=physics, sampling=slices_2d(d, coarser=1.2))


def localizer(d: Draw) -> Recipe:
    """Three quick slices to plan from."""
    physics = Physics(
        kind="spoiled",
        field_t=d.field_t,
        te_ms=d.between(1.4, 5.0, 2),
        tr_ms=d.between(6, 25, 1),
        flip_deg=d.between(8, 40),
        inflow=0.5,
    )
    voxel = d.between(1.0, 2.2, 2)
    return Recipe(
        physics=physics,
        sampling=Sampling(voxel_mm=(voxel * 1.4, voxel), thickness_mm=d.between(5, 10, 1), snr=d.logarithmic(10, 40)),
    )


GRADIENT_ECHO = (
    Protocol(
        name="t1-mprage",
        technique="mprage",
        contrast=names.T1,
        group="gradient-echo",
        draw=mprage,
        agent_share=0.3,
        weight=3.0,
    ),
    Protocol(
        name="t1-spgr-3d",
        technique="spgr3d",
        contrast=names.T1,
        group="gradient-echo",
        draw=t1_spgr_3d,
        agent_share=0.3,
        weight=1.0,
    ),
    Protocol(
        name="t1-fl2d",
        technique="fl2d",
        contrast=names.T1,
        group="gradient-echo",
        draw=t1_fl2d,
        regions=(*HEAD, *TRUNK, "lumbar-spine"),
        agent_share=0.3,
        weight=1.0,
    ),
    Protocol(
        name="t1-vibe",
        technique="vibe",
        contrast=names.T1,
        group="gradient-echo",
        draw=vibe,
        regions=(*TRUNK, *HEAD),
        agent_share=0.6,
        weight=1.6,
    ),
    Protocol(
        name="t1-in-phase",
        technique="fl2d",
        contrast=names.T1,
        group="gradient-echo",
        draw=in_phase,
        regions=("abdomen", "pelvis", "prostate", "lumbar-spine"),
        weight=0.6,
    ),
    Protocol(
        name="t1-opposed-phase",
        technique="fl2d",
        contrast=names.T1,
        group="gradient-echo",
        draw=opposed_phase,
        regions=("abdomen", "pelvis", "prostate", "lumbar-spine"),
        weight=0.6,
    ),
    Protocol(
        name="t2star-gre", technique="gre", contrast=names.T2_STAR, group="gradient-echo", draw=t2_star, weight=1.4
    ),
    Protocol(
        name="t2star-medic",
        technique="gre",
        contrast=names.T2_STAR,
        group="gradient-echo",
        draw=medic,
        regions=(*SPINE, *JOINTS),
        weight=1.0,
    ),
    Protocol(name="swi", technique="swi", contrast=names.SUSCEPTIBILITY, group="gradient-echo", draw=swi, weight=1.3),
    Protocol(name="phase", technique="phase", contrast=names.PHASE, group="gradient-echo", draw=phase, weight=0.7),
    Protocol(name="tof", technique="tof", contrast=names.TOF, group="gradient-echo", draw=tof, weight=0.5),
    Protocol(name="tof-mip", technique="tof-mip", contrast=names.TOF, group="gradient-echo", draw=tof_mip, weight=0.15),
    Protocol(
        name="velocity",
        technique="velocity",
        contrast=names.FLOW_ENCODED,
        group="gradient-echo",
        draw=velocity,
        regions=(*HEAD, "neck", "abdomen"),
        weight=0.4,
        vendors=("philips", "ge"),
    ),
    Protocol(
        name="balanced",
        technique="balanced",
        contrast=None,
        group="gradient-echo",
        draw=balanced,
        regions=(*HEAD, *TRUNK),
        weight=0.6,
    ),
    Protocol(
        name="localizer",
        technique="localizer",
        contrast=None,
        group="gradient-echo",
        draw=localizer,
        regions=EVERYWHERE,
        weight=0.6,
    ),
)
