"""What a protocol knows before it chooses its parameters, and how it says what it chose."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from training.simulate.physics.scan import PARAMETER_MAPS, Group, Labels, Physics, Plane, Sampling

HEAD: Final = ("head",)
SPINE: Final = ("neck", "lumbar-spine", "cord")
JOINTS: Final = ("knee", "shoulder", "hip", "limb", "extremity")
TRUNK: Final = ("abdomen", "pelvis", "prostate", "breast")
EVERYWHERE: Final = (*HEAD, *SPINE, *JOINTS, *TRUNK)


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """Scanner, region and plane are given; the generator decides the rest."""

    rng: np.random.Generator
    vendor: str
    model: str
    field_t: float
    region: str
    plane: Plane
    agent: bool = False
    stretch: float = 1.0  # how far beyond usual ranges this protocol may go

    def usual(self, low: float, high: float, digits: int = 0) -> float:
        """A value of a usual range, or of a wider one where the protocol is one that no vendor's tree has."""
        return self.between(low / self.stretch, high * self.stretch, digits)

    def between(self, low: float, high: float, digits: int = 0) -> float:
        """Uniform, rounded as a protocol editor would."""
        return round(float(self.rng.uniform(low, high)), digits)

    def logarithmic(self, low: float, high: float) -> float:
        """Uniform in the logarithm."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        """True with probability `share`."""
        return bool(self.rng.random() < share)

    def one_of(self, *options: float) -> float:
        """One of the options, all equally likely."""
        return float(self.rng.choice(options))

    def by_field(self, at_1_5_t: float, at_3_t: float) -> float:
        """A value that protocols change with the field: one of the two, the nearer field's."""
        return at_1_5_t if self.field_t < 2.2 else at_3_t

    @property
    def high_field(self) -> bool:
        """3 T and above."""
        return self.field_t >= 2.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What a protocol chose: physics, voxels, and header values that differ from the physics."""

    physics: Physics
    sampling: Sampling
    header: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """A family of sequences, as a protocol tree has it."""

    name: str
    technique: str  # how vendors' headers are told to write it
    contrast: str | None  # of inference.labels; None where there is no label
    group: Group
    draw: Callable[[Draw], Recipe]
    regions: tuple[str, ...] = HEAD
    agent_share: float = 0.0
    weight: float = 1.0
    vendors: tuple[str, ...] = ()  # families of vendors that have it; empty: all

    def labels(self, physics: Physics) -> Labels:
        """What the pixels show: fat is suppressed where a method for it was on and the pixels still show signal."""
        suppressed = physics.fat != "none" and physics.output not in PARAMETER_MAPS
        return Labels(contrast=self.contrast, post_contrast=physics.agent, fat_suppressed=suppressed, group=self.group)


def null_ms(t1_ms: float, tr_ms: float) -> float:
    """The inversion time at which T1 gives no signal: T1 ln(2 / (1 + exp(-TR/T1))) (BKZ 14.2)."""
    return t1_ms * math.log(2.0 / (1.0 + math.exp(-tr_ms / t1_ms)))


_PLANE_VOXEL_MM: Final = {
    "head": (0.45, 1.0), "neck": (0.5, 0.9), "lumbar-spine": (0.6, 1.0), "knee": (0.3, 0.6), "shoulder": (0.35, 0.65),
    "hip": (0.4, 0.8), "limb": (0.6, 1.1), "extremity": (0.25, 0.5), "abdomen": (0.9, 1.6), "pelvis": (0.5, 1.0),
    "prostate": (0.3, 0.8), "cord": (0.3, 0.8),
    "breast": (0.6, 1.1),
}  # fmt: skip
_THICKNESS_MM: Final = {
    "head": (3.0, 6.0), "neck": (2.5, 4.0), "lumbar-spine": (3.0, 5.0), "knee": (2.5, 4.0), "shoulder": (2.5, 4.0),
    "hip": (3.0, 5.0), "limb": (4.0, 7.0), "extremity": (2.0, 3.0), "abdomen": (4.0, 8.0), "pelvis": (3.0, 6.0),
    "prostate": (2.5, 5.0), "cord": (2.0, 5.0),
    "breast": (2.0, 4.0),
}  # fmt: skip


def slices_2d(d: Draw, *, coarser: float = 1.0, blur_ms: float = 0.0) -> Sampling:
    """Voxels of a clinical two-dimensional scan of the region."""
    voxel = round(d.between(*_PLANE_VOXEL_MM[d.region], 2) * coarser, 3)
    return Sampling(
        voxel_mm=(round(voxel * d.between(1.0, 1.5, 2), 3), voxel),
        thickness_mm=d.between(*_THICKNESS_MM[d.region], 1),
        gap_mm=d.one_of(0.0, 0.3, 0.5, 1.0, 1.5),
        zero_fill=d.one_of(1.0, 1.0, 1.5, 2.0),
        snr=d.logarithmic(14, 110) * min(1.3, (d.field_t / 2.0) ** 0.5),
        coils=int(d.one_of(1, 1, 4, 8)),
        blur_ms=blur_ms,
    )


def volume_3d(d: Draw, *, coarser: float = 1.0, blur_ms: float = 0.0) -> Sampling:
    """Voxels of a 3D scan: nearly isotropic in the head and in joints, slabs of 2 to 4 mm in the trunk."""
    trunk = d.region in TRUNK
    voxel = (
        d.between(1.0, 1.6, 2) if trunk else d.between(0.75, 1.1, 2) if d.region == "head" else d.between(0.5, 0.8, 2)
    )
    return Sampling(
        voxel_mm=(round(voxel * coarser * d.between(1.0, 1.25, 2), 3), round(voxel * coarser, 3)),
        thickness_mm=d.between(2.0, 4.0, 1) if trunk else d.between(0.8, 1.5, 1),
        zero_fill=d.one_of(1.0, 1.0, 1.5, 2.0),
        volumetric=True,
        snr=d.logarithmic(13, 70) * min(1.3, (d.field_t / 2.0) ** 0.5),
        coils=int(d.one_of(1, 4, 8)),
        blur_ms=blur_ms,
    )


def echo_planar(d: Draw, low_mm: float, high_mm: float) -> Sampling:
    """Voxels of a single-shot echo-planar scan; larger outside the head."""
    scale = {"head": 1.0, "abdomen": 1.6, "breast": 1.2, "pelvis": 1.2, "prostate": 1.2}.get(d.region, 1.0)
    voxel = round(d.between(low_mm, high_mm, 1) * scale, 2)
    return Sampling(
        voxel_mm=(round(voxel * d.one_of(1.0, 1.0, 1.1, 1.2), 2), voxel),
        thickness_mm=d.between(2.5, 5.5, 1),
        gap_mm=d.one_of(0.0, 0.3, 1.0),
        zero_fill=d.one_of(1.0, 1.0, 1.0, 2.0),
        snr=d.logarithmic(25, 140),
        coils=int(d.one_of(1, 4)),
        partial_fourier=d.one_of(1.0, 0.75),
        blur_ms=d.between(5, 30),
    )
