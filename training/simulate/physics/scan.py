"""The values that a simulated series is made of: physics, view, labels and what the scanner calls it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal["spin-echo", "inversion", "spoiled", "prepared", "balanced", "gradient-epi", "spin-epi"]
FatMethod = Literal["none", "saturation", "water-excitation", "dixon-water", "inversion"]
Output = Literal[
    "magnitude", "phase", "velocity", "swi", "mip", "adc", "anisotropy", "t1-map", "t2-map", "perfusion", "fat-fraction"
]  # fmt: skip
PARAMETER_MAPS: Final = ("anisotropy", "t1-map", "t2-map", "perfusion", "fat-fraction")
Group = Literal["spin-echo", "gradient-echo", "epi", "derived"]
Plane = Literal["axial", "sagittal", "coronal"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Physics:
    """What happens to the magnetisation. Times are those of the physics; headers may count them otherwise."""

    kind: Kind
    field_t: float
    te_ms: float  # effective
    tr_ms: float  # excitation to excitation; inversion to inversion for `prepared`
    flip_deg: float = 90.0
    ti_ms: float | None = None  # inversion to excitation, or to the middle of the train for `prepared`
    train_ms: float = 0.0  # length of a turbo spin echo train
    echoes: int = 1  # in a train
    echo_spacing_ms: float = 0.0
    b_s_mm2: float = 0.0
    directional: bool = False  # one diffusion direction rather than a trace
    fat: FatMethod = "none"
    transfer: float = 0.0  # how much magnetisation transfer the multi-slice scan has, [0, 1]
    agent: bool = False  # gadolinium on board
    inflow: float = 0.0  # how much fresh blood a slice gets, [0, 1]
    output: Output = "magnitude"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """Voxels as acquired and as reconstructed."""

    voxel_mm: tuple[float, float]  # along phase encoding, along readout
    thickness_mm: float
    gap_mm: float = 0.0
    zero_fill: float = 1.0  # reconstructed over acquired matrix
    volumetric: bool = False  # a 3D acquisition
    snr: float = 40.0  # of the mean tissue signal
    coils: int = 1  # 1: Rician noise; more: noncentral chi
    partial_fourier: float = 1.0
    blur_ms: float = 0.0  # T2 decay along phase encoding, as the length of the readout in ms


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """What the pixels show, by construction."""

    contrast: str | None  # of inference.labels; None where there is no label (balanced, cine, localizers)
    post_contrast: bool
    fat_suppressed: bool
    group: Group


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """One series before there are pixels: the protocol with every parameter drawn."""

    protocol: str  # name of the family, e.g. "t2-tse"
    technique: str  # how vendors' headers are told to write it, e.g. "tse"
    vendor: str
    model: str
    region: str
    plane: Plane
    physics: Physics
    sampling: Sampling
    labels: Labels
    description: str = ""
    header: Mapping[str, object] = field(default_factory=dict)  # DICOM keyword -> value, series level
