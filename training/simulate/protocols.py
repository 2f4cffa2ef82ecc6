"""Protocols: families of sequences with the joint ranges that vendors and sites use, and what each one shows.

Ranges follow the vendors' default protocol trees and public scanner dumps; each family draws every parameter at once, so
that a header is consistent by construction.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from inference import labels as names
from training.simulate.scan import Group, Labels, Physics, Plane, Sampling, Scan


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """What is known before a protocol chooses its parameters."""

    rng: np.random.Generator
    vendor: str
    model: str
    field_t: float
    region: str
    plane: Plane
    agent: bool

    def between(self, low: float, high: float, digits: int = 0) -> float:
        """Uniform, rounded as a protocol editor would."""
        return round(float(self.rng.uniform(low, high)), digits)

    def chance(self, share: float) -> bool:
        """True with probability `share`."""
        return bool(self.rng.random() < share)


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """A family of sequences."""

    name: str
    technique: str
    contrast: str | None
    group: Group
    draw: Callable[[Draw], tuple[Physics, Sampling]]
    regions: tuple[str, ...] = ("head",)
    agent_share: float = 0.0
    weight: float = 1.0


def _clinical_2d(d: Draw, *, low: float = 0.5, high: float = 0.95) -> Sampling:
    body = d.region in ("abdomen", "pelvis", "breast")
    voxel = d.between(low, high, 2) * (1.3 if body else 1.0)
    return Sampling(
        voxel_mm=(round(voxel * d.between(1.0, 1.4, 2), 3), voxel),
        thickness_mm=d.between(3.0, 6.0, 1) if d.region in ("head", "abdomen") else d.between(2.5, 4.0, 1),
        gap_mm=float(d.rng.choice([0.0, 0.3, 0.5, 1.0, 1.5])),
        zero_fill=float(d.rng.choice([1.0, 1.0, 1.5, 2.0])),
        snr=float(np.exp(d.rng.uniform(np.log(14), np.log(60)))),
        coils=int(d.rng.choice([1, 1, 4, 8])),
    )


def _volume_3d(d: Draw) -> Sampling:
    voxel = d.between(0.8, 1.1, 2)
    return Sampling(
        voxel_mm=(voxel, voxel), thickness_mm=d.between(0.8, 1.4, 1), volumetric=True,
        zero_fill=float(d.rng.choice([1.0, 1.0, 2.0])), snr=float(np.exp(d.rng.uniform(np.log(14), np.log(50)))),
        coils=int(d.rng.choice([1, 4])),
    )  # fmt: skip


def _epi(d: Draw, low: float, high: float) -> Sampling:
    voxel = d.between(low, high, 1)
    return Sampling(
        voxel_mm=(voxel, voxel), thickness_mm=d.between(2.5, 5.0, 1), gap_mm=float(d.rng.choice([0.0, 0.3, 1.0])),
        zero_fill=float(d.rng.choice([1.0, 1.0, 1.0, 2.0])), snr=float(np.exp(d.rng.uniform(np.log(20), np.log(90)))),
        coils=int(d.rng.choice([1, 4])), partial_fourier=float(d.rng.choice([1.0, 0.75])), blur_ms=d.between(15, 40),
    )  # fmt: skip


def mprage(d: Draw) -> tuple[Physics, Sampling]:
    """Inversion-prepared 3D gradient echo; ADNI and vendor defaults."""
    spacing = d.between(6.5, 9.0, 1)
    physics = Physics(
        kind="prepared", field_t=d.field_t, te_ms=d.between(2.2, 4.2, 2), tr_ms=d.between(1600, 2500),
        ti_ms=d.between(800, 1100), flip_deg=d.between(7, 12), echo_spacing_ms=spacing,
        echoes=int(d.rng.integers(150, 200)), agent=d.agent, inflow=0.5,
    )  # fmt: skip
    return physics, _volume_3d(d)


def t1_spin_echo(d: Draw) -> tuple[Physics, Sampling]:
    """T1 spin echo or short turbo spin echo."""
    turbo = d.chance(0.5)
    physics = Physics(
        kind="spin-echo", field_t=d.field_t, te_ms=d.between(8, 15, 1), tr_ms=d.between(400, 750),
        train_ms=40.0 if turbo else 0.0, echoes=3 if turbo else 1, transfer=0.5, agent=d.agent,
        flip_deg=90.0,
    )  # fmt: skip
    return physics, _clinical_2d(d)


def t2_tse(d: Draw) -> tuple[Physics, Sampling]:
    """T2 turbo spin echo."""
    physics = Physics(
        kind="spin-echo", field_t=d.field_t, te_ms=d.between(80, 125), tr_ms=d.between(3000, 7500), train_ms=180.0,
        echoes=int(d.rng.integers(9, 25)), transfer=d.between(0.5, 1.0, 2), flip_deg=150.0,
    )  # fmt: skip
    return physics, replace(_clinical_2d(d), blur_ms=d.between(20, 80))


def flair(d: Draw) -> tuple[Physics, Sampling]:
    """T2 FLAIR: TI nulls fluid for the TR, TI = T1 ln(2 / (1 + exp(-TR/T1))) (BKZ 14.2)."""
    tr = d.between(7500, 11000)
    null = 4300.0 * np.log(2.0 / (1.0 + np.exp(-(tr - 200.0) / 4300.0)))
    physics = Physics(
        kind="inversion", field_t=d.field_t, te_ms=d.between(85, 140), tr_ms=tr, ti_ms=round(float(null), -1),
        train_ms=200.0, echoes=int(d.rng.integers(14, 25)), transfer=d.between(0.4, 0.9, 2), flip_deg=150.0,
        fat="saturation" if d.chance(0.4) else "none",
    )  # fmt: skip
    return physics, replace(_clinical_2d(d, low=0.7, high=1.0), blur_ms=d.between(20, 60))


def dwi(d: Draw) -> tuple[Physics, Sampling]:
    """Diffusion-weighted spin-echo EPI, trace."""
    physics = Physics(
        kind="spin-epi", field_t=d.field_t, te_ms=d.between(60, 105), tr_ms=d.between(3000, 9000),
        b_s_mm2=float(d.rng.choice([800.0, 1000.0])), fat="saturation",
    )  # fmt: skip
    return physics, _epi(d, 1.4, 2.4)


PROTOCOLS: Final = (
    Protocol(name="t1-mprage", technique="mprage", contrast=names.T1, group="gradient-echo", draw=mprage, agent_share=0.2),
    Protocol(name="t1-se", technique="se", contrast=names.T1, group="spin-echo", draw=t1_spin_echo, agent_share=0.4),
    Protocol(name="t2-tse", technique="tse", contrast=names.T2, group="spin-echo", draw=t2_tse),
    Protocol(name="t2-flair", technique="flair", contrast=names.FLUID_ATTENUATED, group="spin-echo", draw=flair),
    Protocol(name="dwi", technique="dwi", contrast=names.DIFFUSION, group="epi", draw=dwi),
)


def by_name(name: str) -> Protocol:
    """The family of that name."""
    for protocol in PROTOCOLS:
        if protocol.name == name:
            return protocol
    raise KeyError(f"no protocol is called {name!r}; there are {', '.join(p.name for p in PROTOCOLS)}")


def labels_of(protocol: Protocol, physics: Physics) -> Labels:
    """What the pixels show: fat is suppressed where a method for it was on."""
    return Labels(
        contrast=protocol.contrast, post_contrast=physics.agent, fat_suppressed=physics.fat != "none", group=protocol.group
    )


def scan(protocol: Protocol, draw: Draw) -> Scan:
    """Draw every parameter of one series of this family."""
    physics, sampling = protocol.draw(draw)
    return Scan(
        protocol=protocol.name, technique=protocol.technique, vendor=draw.vendor, model=draw.model, region=draw.region,
        plane=draw.plane, physics=physics, sampling=sampling, labels=labels_of(protocol, physics),
    )  # fmt: skip
