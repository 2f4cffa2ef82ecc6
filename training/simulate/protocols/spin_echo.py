"""Spin echo families: T1, T2, proton density, FLAIR, STIR, single-shot and three-dimensional turbo spin echo.

Ranges are those of vendors' default protocol trees, of dcm2niix' and dcm-classifier's corpora of headers, and of public
scanner dumps (ADNI, OASIS, IXI, fastMRI); fluid and fat are nulled by the formula, as an operator would.
"""

from dataclasses import replace

from inference import labels as names
from training.simulate.physics.scan import FatMethod, Physics
from training.simulate.protocols.draw import (
    EVERYWHERE,
    HEAD,
    JOINTS,
    SPINE,
    TRUNK,
    Draw,
    Protocol,
    Recipe,
    null_ms,
    slices_2d,
    volume_3d,
)


def _turbo(d: Draw, *, te_ms: float, tr_ms: float, echoes: int, fat: FatMethod = "none") -> Physics:
    spacing = d.between(7, 12, 1)
    return Physics(
        kind="spin-echo",
        field_t=d.field_t,
        te_ms=te_ms,
        tr_ms=tr_ms,
        echoes=echoes,
        train_ms=spacing * echoes,
        echo_spacing_ms=spacing,
        flip_deg=d.one_of(120, 140, 150, 160, 180),
        fat=fat,
        transfer=d.between(0.4, 1.0, 2),
        agent=d.agent,
    )


def _fat_method(d: Draw) -> FatMethod:
    return "dixon-water" if d.chance(0.2) else "saturation"


def t1_se(d: Draw) -> Recipe:
    """Conventional spin echo, T1."""
    physics = Physics(
        kind="spin-echo",
        field_t=d.field_t,
        te_ms=d.between(8, 18, 1),
        tr_ms=d.usual(380, 750),
        flip_deg=d.one_of(90, 90, 70),
        transfer=d.between(0.2, 0.7, 2),
        agent=d.agent,
    )
    return Recipe(physics=physics, sampling=slices_2d(d))


def t1_tse(d: Draw) -> Recipe:
    """Turbo spin echo with a short train, T1."""
    physics = _turbo(d, te_ms=d.between(7, 16, 1), tr_ms=d.usual(430, 820), echoes=d.whole(2, 5))
    return Recipe(physics=physics, sampling=slices_2d(d))


def t1_tse_fs(d: Draw) -> Recipe:
    """Turbo spin echo, T1, fat suppressed; mostly after contrast agent."""
    physics = _turbo(d, te_ms=d.between(7, 16, 1), tr_ms=d.usual(450, 850), echoes=d.whole(2, 5), fat=_fat_method(d))
    return Recipe(physics=physics, sampling=slices_2d(d))


def t1_flair(d: Draw) -> Recipe:
    """T1-weighted inversion recovery turbo spin echo: fluid and grey matter dark."""
    tr = d.usual(1800, 2800)
    physics = replace(
        _turbo(d, te_ms=d.between(8, 25, 1), tr_ms=tr, echoes=d.whole(5, 9)),
        kind="inversion",
        ti_ms=round(null_ms(4300, tr) * d.between(0.92, 1.05, 2)),
    )
    return Recipe(physics=physics, sampling=slices_2d(d))


def t2_tse(d: Draw) -> Recipe:
    """Turbo spin echo, T2."""
    physics = _turbo(d, te_ms=d.usual(75, 128), tr_ms=d.usual(2600, 8500), echoes=d.whole(8, 26))
    return Recipe(physics=physics, sampling=slices_2d(d, blur_ms=d.between(0, 30)))


def t2_tse_fs(d: Draw) -> Recipe:
    """Turbo spin echo, T2, fat suppressed."""
    physics = _turbo(d, te_ms=d.usual(66, 110), tr_ms=d.usual(2600, 7000), echoes=d.whole(7, 20), fat=_fat_method(d))
    return Recipe(physics=physics, sampling=slices_2d(d, blur_ms=d.between(0, 30)))


def pd_tse(d: Draw) -> Recipe:
    """Turbo spin echo, proton density."""
    physics = _turbo(d, te_ms=d.usual(10, 34), tr_ms=d.usual(2000, 4500), echoes=d.whole(4, 9))
    return Recipe(physics=physics, sampling=slices_2d(d))


def pd_tse_fs(d: Draw) -> Recipe:
    """Turbo spin echo, proton density, fat suppressed: the work horse of joints."""
    physics = _turbo(d, te_ms=d.usual(14, 35), tr_ms=d.usual(2000, 4500), echoes=d.whole(4, 9), fat=_fat_method(d))
    return Recipe(physics=physics, sampling=slices_2d(d))


def _echo(d: Draw, te_ms: float) -> Recipe:
    physics = Physics(
        kind="spin-echo",
        field_t=d.field_t,
        te_ms=te_ms,
        tr_ms=d.usual(1800, 3200),
        flip_deg=90.0,
        transfer=d.between(0.1, 0.6, 2),
    )
    return Recipe(physics=physics, sampling=slices_2d(d, coarser=1.2))


def early_echo(d: Draw) -> Recipe:
    """The first of several spin echoes, proton density: of a dual echo, or of a train that T2 is fitted to."""
    return _echo(d, d.between(6, 22, 1))


def late_echo(d: Draw) -> Recipe:
    """A late one of several spin echoes, T2."""
    return _echo(d, d.usual(70, 110, 1))


def t2_space(d: Draw) -> Recipe:
    """Three-dimensional turbo spin echo with variable flips: the nominal TE is several times the effective one."""
    te = d.usual(85, 130)
    physics = _turbo(
        d, te_ms=te, tr_ms=d.usual(2000, 3500), echoes=d.whole(60, 200), fat="saturation" if d.chance(0.2) else "none"
    )
    physics = replace(physics, train_ms=600.0, transfer=0.5, flip_deg=d.one_of(90, 120))
    nominal = te * d.between(1.1, 3.6, 2)
    return Recipe(physics=physics, sampling=volume_3d(d, blur_ms=d.between(0, 30)), header={"EchoTime": round(nominal)})


def _single_shot(d: Draw, fat: FatMethod) -> Recipe:
    echoes = d.whole(70, 220)
    physics = Physics(
        kind="spin-echo",
        field_t=d.field_t,
        te_ms=d.between(65, 180),
        tr_ms=8000.0,
        echoes=echoes,
        echo_spacing_ms=4.5,
        flip_deg=d.one_of(120, 150, 180),
        fat=fat,
        transfer=d.between(0.2, 0.6, 2),
        agent=d.agent,
    )
    sampling = slices_2d(d, coarser=1.3, blur_ms=d.between(60, 160))
    return Recipe(
        physics=physics,
        sampling=replace(sampling, partial_fourier=d.one_of(0.6, 0.7, 1.0)),
        header={"RepetitionTime": d.between(600, 1800)},
    )


def haste(d: Draw) -> Recipe:
    """Single-shot turbo spin echo; RepetitionTime is the time from one slice to the next."""
    return _single_shot(d, "none")


def haste_fs(d: Draw) -> Recipe:
    """Single-shot turbo spin echo, fat suppressed."""
    return _single_shot(d, "saturation")


def flair(d: Draw) -> Recipe:
    """T2 FLAIR: the inversion time nulls fluid."""
    tr = d.usual(6300, 11000)
    echoes = d.whole(12, 27)
    physics = _turbo(d, te_ms=d.usual(85, 140), tr_ms=tr, echoes=echoes, fat="saturation" if d.chance(0.5) else "none")
    ti = null_ms(4300, tr - physics.train_ms) * d.between(0.97, 1.05, 2)
    physics = replace(physics, kind="inversion", ti_ms=round(ti), agent=d.agent)
    return Recipe(physics=physics, sampling=slices_2d(d, blur_ms=d.between(0, 30)))


def flair_3d(d: Draw) -> Recipe:
    """Three-dimensional FLAIR with variable flips; the long train leaves less time to recover."""
    te = d.usual(88, 135)
    longest_ms = d.usual(8000, 8000)  # the shortest stays: the train needs its time
    tr = d.between(4800, longest_ms)
    physics = _turbo(d, te_ms=te, tr_ms=tr, echoes=d.whole(130, 260), fat="saturation" if d.chance(0.5) else "none")
    physics = replace(
        physics,
        kind="inversion",
        train_ms=900.0,
        ti_ms=round(null_ms(4300, tr - 900.0) * d.between(0.97, 1.04, 2)),
        flip_deg=d.one_of(90, 120),
        agent=d.agent,
    )
    nominal = te * d.between(1.0, 3.6, 2)
    return Recipe(physics=physics, sampling=volume_3d(d, blur_ms=d.between(0, 30)), header={"EchoTime": round(nominal)})


def stir(d: Draw) -> Recipe:
    """Short-TI inversion recovery: fat is null."""
    tr = d.usual(2800, 7000)
    physics = _turbo(d, te_ms=d.between(15, 85), tr_ms=tr, echoes=d.whole(6, 16))
    ti = null_ms(d.by_field(260, 310), tr) * d.between(0.86, 1.06, 2)
    physics = replace(physics, kind="inversion", ti_ms=round(ti, -1) if d.chance(0.7) else round(ti), fat="inversion")
    return Recipe(physics=physics, sampling=slices_2d(d, coarser=1.1, blur_ms=d.between(0, 25)))


SPIN_ECHO = (
    Protocol(
        name="t1-se",
        technique="se",
        contrast=names.T1,
        group="spin-echo",
        draw=t1_se,
        regions=(*HEAD, *SPINE, *JOINTS),
        agent_share=0.35,
        weight=1.3,
    ),
    Protocol(
        name="t1-tse",
        technique="tse",
        contrast=names.T1,
        group="spin-echo",
        draw=t1_tse,
        regions=EVERYWHERE,
        agent_share=0.25,
        weight=1.6,
    ),
    Protocol(
        name="t1-tse-fs",
        technique="tse",
        contrast=names.T1,
        group="spin-echo",
        draw=t1_tse_fs,
        regions=EVERYWHERE,
        agent_share=0.75,
        weight=0.8,
    ),
    Protocol(
        name="t1-flair",
        technique="t1flair",
        contrast=names.T1,
        group="spin-echo",
        draw=t1_flair,
        regions=(*HEAD, *SPINE),
        agent_share=0.2,
        weight=0.5,
    ),
    Protocol(
        name="t2-tse",
        technique="tse",
        contrast=names.T2,
        group="spin-echo",
        draw=t2_tse,
        regions=EVERYWHERE,
        weight=2.2,
    ),
    Protocol(
        name="t2-tse-fs",
        technique="tse",
        contrast=names.T2,
        group="spin-echo",
        draw=t2_tse_fs,
        regions=EVERYWHERE,
        weight=1.3,
    ),
    Protocol(
        name="pd-tse",
        technique="tse",
        contrast=names.PROTON_DENSITY,
        group="spin-echo",
        draw=pd_tse,
        regions=(*JOINTS, *HEAD),
        weight=1.3,
    ),
    Protocol(
        name="pd-tse-fs",
        technique="tse",
        contrast=names.PROTON_DENSITY,
        group="spin-echo",
        draw=pd_tse_fs,
        regions=JOINTS,
        weight=1.5,
    ),
    Protocol(
        name="pd-se",
        technique="se",
        contrast=names.PROTON_DENSITY,
        group="spin-echo",
        draw=early_echo,
        regions=(*JOINTS, *HEAD),
        weight=0.6,
    ),
    Protocol(
        name="t2-se",
        technique="se",
        contrast=names.T2,
        group="spin-echo",
        draw=late_echo,
        regions=(*JOINTS, *HEAD),
        weight=0.5,
    ),
    Protocol(
        name="t2-space",
        technique="space",
        contrast=names.T2,
        group="spin-echo",
        draw=t2_space,
        regions=(*HEAD, *SPINE, "knee", "pelvis", "prostate"),
        weight=0.6,
    ),
    Protocol(
        name="t2-haste",
        technique="haste",
        contrast=names.T2,
        group="spin-echo",
        draw=haste,
        regions=(*TRUNK, *HEAD),
        weight=0.7,
    ),
    Protocol(
        name="t2-haste-fs",
        technique="haste",
        contrast=names.T2,
        group="spin-echo",
        draw=haste_fs,
        regions=("abdomen", "pelvis", "prostate"),
        weight=0.4,
    ),
    Protocol(
        name="t2-flair",
        technique="flair",
        contrast=names.FLUID_ATTENUATED,
        group="spin-echo",
        draw=flair,
        agent_share=0.15,
        weight=2.4,
    ),
    Protocol(
        name="t2-flair-3d",
        technique="flair3d",
        contrast=names.FLUID_ATTENUATED,
        group="spin-echo",
        draw=flair_3d,
        agent_share=0.15,
        weight=1.0,
    ),
    Protocol(
        name="stir", technique="stir", contrast=names.STIR, group="spin-echo", draw=stir, regions=EVERYWHERE, weight=1.5
    ),
)
