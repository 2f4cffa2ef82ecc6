"""Echo-planar families and what is computed from them: BOLD, perfusion, diffusion, ADC, anisotropy, other maps."""

from dataclasses import replace

from inference import labels as names
from training.simulate.physics.scan import Output, Physics, Sampling
from training.simulate.protocols.draw import HEAD, Draw, Protocol, Recipe, echo_planar, slices_2d

_DIFFUSION_REGIONS = (*HEAD, "abdomen", "pelvis", "prostate", "breast", "neck", "lumbar-spine", "cord")


def bold(d: Draw) -> Recipe:
    """Gradient-echo EPI of functional MRI, T2*."""
    physics = Physics(
        kind="gradient-epi",
        field_t=d.field_t,
        te_ms=d.by_field(d.usual(35, 60), d.usual(24, 45)),
        tr_ms=d.usual(500, 4000),  # with pauses between the volumes it may be far longer
        flip_deg=d.between(40, 90),
        fat="saturation",
        inflow=0.3,
        transfer=0.4,
    )
    voxel = d.one_of(2.0, 2.4, 2.7, 3.0, 3.25, 3.4, 3.5, 3.75)
    return Recipe(physics=physics, sampling=replace(echo_planar(d, 2.0, 4.0), voxel_mm=(voxel, voxel)))


def bolus(d: Draw) -> Recipe:
    """Gradient-echo EPI while a bolus passes (DSC)."""
    physics = Physics(
        kind="gradient-epi",
        field_t=d.field_t,
        te_ms=d.by_field(d.between(38, 50), d.between(25, 38)),
        tr_ms=d.between(1200, 2200),
        flip_deg=d.between(60, 90),
        fat="saturation",
        agent=True,
        inflow=0.3,
    )
    return Recipe(physics=physics, sampling=echo_planar(d, 1.7, 2.6))


def spin_labelling(d: Draw) -> Recipe:
    """Control and label images of arterial spin labelling: short echo, sometimes with background suppression."""
    physics = Physics(
        kind="gradient-epi",
        field_t=d.field_t,
        te_ms=d.usual(10, 20, 1),
        tr_ms=d.usual(2500, 5000),
        flip_deg=90.0,
        ti_ms=d.between(1400, 3000) if d.chance(0.5) else None,
        fat="saturation",
        inflow=0.3,
    )
    return Recipe(physics=physics, sampling=replace(echo_planar(d, 2.8, 4.0), zero_fill=1.0))


def spin_labelling_3d(d: Draw) -> Recipe:
    """The same as a volume (GRASE, or a stack of spirals), its background all but suppressed by inversions."""
    physics = Physics(
        kind="inversion",
        field_t=d.field_t,
        te_ms=d.usual(10, 40, 1),
        tr_ms=d.usual(3800, 5500),
        ti_ms=d.between(1300, 2600),
        echoes=d.whole(20, 40),
        train_ms=d.between(200, 450),
        fat="saturation",
        inflow=0.2,
    )
    sampling = replace(echo_planar(d, 1.7, 4.0), volumetric=True, gap_mm=0.0, blur_ms=d.between(10, 60))
    return Recipe(physics=physics, sampling=replace(sampling, snr=d.logarithmic(12, 60)))


def perfusion_weighted(d: Draw) -> Recipe:
    """Control minus label: noisy, grey matter brightest."""
    recipe = spin_labelling_3d(d) if d.chance(0.4) else spin_labelling(d)
    physics = replace(recipe.physics, output="perfusion", ti_ms=None)
    return replace(recipe, physics=physics, sampling=replace(recipe.sampling, snr=d.logarithmic(3, 15)))


def blood_flow(d: Draw) -> Recipe:
    """A map of cerebral blood flow."""
    return perfusion_weighted(d)


def _spin_epi(d: Draw, b_s_mm2: float, *, directional: bool = False, output: Output = "magnitude") -> Recipe:
    physics = Physics(
        kind="spin-epi",
        field_t=d.field_t,
        te_ms=d.usual(30 if b_s_mm2 == 0 and d.chance(0.3) else 50, 105),  # short where it is for a field map
        tr_ms=round(d.logarithmic(1800, 14000)),
        b_s_mm2=b_s_mm2,
        directional=directional,
        fat="saturation",
        output=output,
    )
    sampling = echo_planar(d, 1.4, 3.2)
    if (
        b_s_mm2 > 0
    ):  # a trace averages three directions and more; what a high b-value loses, averages bring back in part
        sampling = replace(sampling, snr=(1.2 if directional else 1.6) * (b_s_mm2 / 700.0) ** 0.5 * sampling.snr)
    return Recipe(physics=physics, sampling=sampling)


def _b(d: Draw) -> float:
    return (
        d.one_of(700, 800, 1000, 1000, 1200, 1500, 2000)
        if d.region == "head"
        else d.one_of(400, 500, 600, 800, 800, 1000, 1400)
    )


def b_zero(d: Draw) -> Recipe:
    """The image of a diffusion series without weighting."""
    return _spin_epi(d, 0.0)


def trace(d: Draw) -> Recipe:
    """Diffusion-weighted, averaged over directions."""
    return _spin_epi(d, _b(d))


def tensor(d: Draw) -> Recipe:
    """Diffusion-weighted along one direction."""
    return _spin_epi(d, d.one_of(700, 800, 1000, 1000, 1500, 2000, 2500), directional=True)


def adc(d: Draw) -> Recipe:
    """Apparent diffusion coefficient."""
    b = d.one_of(800, 1000, 1000, 1200, 1500, 2000, 2500) if d.region == "head" else _b(d)
    return _spin_epi(d, b, output="adc")


def anisotropy(d: Draw) -> Recipe:
    """Fractional anisotropy."""
    recipe = _spin_epi(d, 1000.0, output="anisotropy")
    return replace(
        recipe, sampling=replace(recipe.sampling, snr=d.logarithmic(8, 30), partial_fourier=1.0, blur_ms=0.0)
    )


def _relaxation(d: Draw, output: Output) -> Recipe:
    physics = Physics(
        kind="spin-echo",
        field_t=d.field_t,
        te_ms=d.between(10, 80),
        tr_ms=d.between(1500, 5000),
        output=output,
        fat="none",
    )
    sampling = replace(slices_2d(d, coarser=1.6), snr=d.logarithmic(12, 40), partial_fourier=1.0)
    return Recipe(physics=physics, sampling=sampling)


def t1_map(d: Draw) -> Recipe:
    """T1 in ms."""
    return _relaxation(d, "t1-map")


def t2_map(d: Draw) -> Recipe:
    """T2 in ms."""
    return _relaxation(d, "t2-map")


def fat_fraction(d: Draw) -> Recipe:
    """Proton density fat fraction."""
    physics = Physics(
        kind="spoiled",
        field_t=d.field_t,
        te_ms=1.3,
        tr_ms=d.between(6, 12, 1),
        flip_deg=d.between(3, 6),
        output="fat-fraction",
    )
    sampling: Sampling = replace(slices_2d(d, coarser=1.3), snr=d.logarithmic(12, 40), volumetric=True)
    return Recipe(physics=physics, sampling=sampling)


ECHO_PLANAR = (
    Protocol(name="bold", technique="bold", contrast=names.T2_STAR, group="epi", draw=bold, weight=2.2),
    Protocol(name="bolus", technique="bolus", contrast=names.PERFUSION, group="epi", draw=bolus, weight=0.08),
    Protocol(name="asl", technique="asl", contrast=names.PERFUSION, group="epi", draw=spin_labelling, weight=0.4),
    Protocol(
        name="asl-3d",
        technique="asl-3d",
        contrast=names.PERFUSION,
        group="epi",
        draw=spin_labelling_3d,
        weight=0.4,
    ),
    Protocol(
        name="asl-weighted",
        technique="asl-weighted",
        contrast=names.PERFUSION,
        group="derived",
        draw=perfusion_weighted,
        weight=0.4,
    ),
    Protocol(
        name="cbf-map", technique="cbf-map", contrast=names.DERIVED_MAP, group="derived", draw=blood_flow, weight=0.12
    ),
    Protocol(
        name="dwi-b0",
        technique="dwi",
        contrast=names.DIFFUSION,
        group="epi",
        draw=b_zero,
        regions=_DIFFUSION_REGIONS,
        weight=1.0,
    ),
    Protocol(
        name="dwi-trace",
        technique="dwi",
        contrast=names.DIFFUSION,
        group="epi",
        draw=trace,
        regions=_DIFFUSION_REGIONS,
        weight=1.8,
    ),
    Protocol(name="dwi-direction", technique="dwi", contrast=names.DIFFUSION, group="epi", draw=tensor, weight=1.2),
    Protocol(
        name="adc",
        technique="adc",
        contrast=names.ADC,
        group="derived",
        draw=adc,
        regions=_DIFFUSION_REGIONS,
        weight=1.6,
    ),
    Protocol(name="fa-map", technique="fa", contrast=names.DERIVED_MAP, group="derived", draw=anisotropy, weight=0.4),
    Protocol(
        name="t1-map",
        technique="t1-map",
        contrast=names.DERIVED_MAP,
        group="derived",
        draw=t1_map,
        regions=(*HEAD, "knee", "abdomen"),
        weight=0.3,
    ),
    Protocol(
        name="t2-map",
        technique="t2-map",
        contrast=names.DERIVED_MAP,
        group="derived",
        draw=t2_map,
        regions=(*HEAD, "knee", "hip"),
        weight=0.3,
    ),
    Protocol(
        name="fat-fraction",
        technique="fat-fraction",
        contrast=names.DERIVED_MAP,
        group="derived",
        draw=fat_fraction,
        regions=("abdomen", "pelvis", "limb"),
        weight=0.3,
    ),
)
