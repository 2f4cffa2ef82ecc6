"""Ellipse phantoms of a head whose signal follows closed formulas.

Small on purpose: enough contrast mechanisms that a model must look at them, few enough that a person can check each.
The simulator (`training.simulate`) is the one that looks like real scanners.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

Tissue = Literal["scalp", "bone", "csf", "grey", "white", "lesion"]


@dataclass(frozen=True, kw_only=True)
class Properties:
    """Of one tissue at 1.5 T: proton density relative to water, relaxation times, diffusion."""

    density: float
    t1_ms: float
    t2_ms: float
    t2_star_ms: float
    adc_um2_ms: float


# Round numbers within the ranges of Stanisz 2005, Bojorquez 2017 and Le Bihan 2001.
TISSUES: Final[Mapping[Tissue, Properties]] = {
    "scalp": Properties(density=0.95, t1_ms=280, t2_ms=90, t2_star_ms=35, adc_um2_ms=0.05),
    "bone": Properties(density=0.05, t1_ms=250, t2_ms=1, t2_star_ms=1, adc_um2_ms=0.1),
    "csf": Properties(density=1.0, t1_ms=4000, t2_ms=1800, t2_star_ms=900, adc_um2_ms=3.0),
    "grey": Properties(density=0.82, t1_ms=1100, t2_ms=95, t2_star_ms=60, adc_um2_ms=0.85),
    "white": Properties(density=0.7, t1_ms=700, t2_ms=75, t2_star_ms=50, adc_um2_ms=0.7),
    "lesion": Properties(density=0.9, t1_ms=1500, t2_ms=180, t2_star_ms=110, adc_um2_ms=1.4),
}


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """What the signal depends on."""

    kind: Literal["spin-echo", "inversion", "spoiled", "diffusion", "adc-map"]
    echo_time_ms: float
    repetition_time_ms: float
    inversion_time_ms: float | None = None
    flip_angle_deg: float = 90.0
    b_value_s_mm2: float | None = None


def signal(tissue: Properties, acquisition: Acquisition) -> float:
    """The signal of a tissue, relative to fully relaxed water (Bernstein, Handbook of MRI Pulse Sequences, 2004).

    spin-echo    density (1 - exp(-TR/T1)) exp(-TE/T2)
    inversion    density |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2)
    spoiled      density sin a (1 - E1) / (1 - cos a E1) exp(-TE/T2*), E1 = exp(-TR/T1)
    diffusion    spin-echo times exp(-b ADC)
    adc-map      ADC itself, in um2/ms over 3
    """
    echo, repetition = acquisition.echo_time_ms, acquisition.repetition_time_ms
    if acquisition.kind == "adc-map":
        return tissue.adc_um2_ms / 3.0 if tissue.t2_ms > 10 else 0.0
    recovered = np.exp(-repetition / tissue.t1_ms)
    if acquisition.kind == "spoiled":
        angle = np.radians(acquisition.flip_angle_deg)
        steady = np.sin(angle) * (1 - recovered) / (1 - np.cos(angle) * recovered)
        return float(tissue.density * steady * np.exp(-echo / tissue.t2_star_ms))
    decayed = tissue.density * np.exp(-echo / tissue.t2_ms)
    if acquisition.kind == "inversion":
        inverted = 1 - 2 * np.exp(-(acquisition.inversion_time_ms or 0.0) / tissue.t1_ms) + recovered
        return float(decayed * abs(inverted))
    weighted = decayed * (1 - recovered)
    if acquisition.kind == "diffusion":
        weighted *= np.exp(-(acquisition.b_value_s_mm2 or 0.0) * tissue.adc_um2_ms * 1e-3)
    return float(weighted)


@dataclass(frozen=True, kw_only=True)
class Ellipsoid:
    """A tissue inside an ellipsoid, in a frame where the head reaches from -1 to 1; x to L, y to P, z to S."""

    tissue: Tissue
    centre: tuple[float, float, float]
    radius: tuple[float, float, float]


def head(random: np.random.Generator) -> list[Ellipsoid]:
    """One person: layers from outside in, later ones on top; the numbers vary by a tenth."""

    def near(*values: float) -> tuple[float, float, float]:
        x, y, z = (float(value * random.uniform(0.9, 1.1)) for value in values)
        return x, y, z

    x, y, z = near(0.72, 0.9, 0.86)
    nested: list[tuple[Tissue, float]] = [
        ("scalp", 1.0),
        ("bone", 0.92),
        ("csf", 0.85),
        ("grey", 0.82),
        ("white", 0.68),
    ]
    parts = [
        Ellipsoid(tissue=tissue, centre=(0.0, 0.0, 0.0), radius=(x * share, y * share, z * share))
        for tissue, share in nested
    ]
    for side in (-1.0, 1.0):
        parts.append(Ellipsoid(tissue="csf", centre=near(side * 0.14, -0.05, 0.05), radius=near(0.07, 0.3, 0.15)))
        parts.append(Ellipsoid(tissue="grey", centre=near(side * 0.28, 0.0, 0.0), radius=near(0.09, 0.2, 0.12)))
    # the face: fat and muscle in front and below, so that the three planes look unlike each other
    parts.append(Ellipsoid(tissue="scalp", centre=near(0.01, -0.6, -0.75), radius=near(0.35, 0.3, 0.25)))
    parts.append(Ellipsoid(tissue="grey", centre=near(0.01, 0.35, -0.8), radius=near(0.16, 0.16, 0.3)))
    for _ in range(int(random.integers(0, 4))):
        place = random.uniform(-0.35, 0.35, 3)
        size = float(random.uniform(0.04, 0.12))
        parts.append(
            Ellipsoid(
                tissue="lesion", centre=(float(place[0]), float(place[1]), float(place[2])), radius=(size, size, size)
            )
        )
    return parts


Plane = Literal["axial", "sagittal", "coronal"]
# columns and rows of a slice and its normal, as axes of L, P, S with their sign; as scanners orient their images
AXES: Final[Mapping[Plane, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]]] = {
    "axial": ((0, 1), (1, 1), (2, 1)),
    "sagittal": ((1, 1), (2, -1), (0, -1)),
    "coronal": ((0, 1), (2, -1), (1, 1)),
}


def slices(
    parts: list[Ellipsoid],
    acquisition: Acquisition,
    plane: Plane,
    *,
    count: int,
    size_px: int,
    random: np.random.Generator,
) -> npt.NDArray[np.float32]:
    """(count, size, size): signal with a coil's smooth sensitivity and Rician noise (Gudbjartsson 1995), at least 0."""
    values = {tissue: signal(_varied(found, random), acquisition) for tissue, found in TISSUES.items()}
    columns, rows, normal = AXES[plane]
    line = (np.arange(size_px) + 0.5) / size_px * 2.2 - 1.1
    coordinates: list[npt.NDArray[np.float64]] = [np.zeros(1)] * 3
    coordinates[columns[0]] = columns[1] * line[None, None, :]
    coordinates[rows[0]] = rows[1] * line[None, :, None]
    coordinates[normal[0]] = normal[1] * np.linspace(-0.7, 0.7, count)[:, None, None]
    image = np.zeros((count, size_px, size_px))
    for part in parts:
        distance = sum(((coordinates[axis] - part.centre[axis]) / part.radius[axis]) ** 2 for axis in range(3))
        image[np.asarray(distance) < 1] = values[part.tissue]
    slope = random.uniform(-0.25, 0.25, 3)
    image *= 1 + sum(slope[axis] * coordinates[axis] for axis in range(3))
    sigma = float(random.uniform(0.005, 0.02)) * max(values.values())
    noisy = np.hypot(image + random.normal(0, sigma, image.shape), random.normal(0, sigma, image.shape))
    return noisy.astype(np.float32)


def _varied(tissue: Properties, random: np.random.Generator) -> Properties:
    """People differ: every property by up to a tenth."""
    factors = random.uniform(0.9, 1.1, 5)
    return Properties(
        density=tissue.density * factors[0],
        t1_ms=tissue.t1_ms * factors[1],
        t2_ms=tissue.t2_ms * factors[2],
        t2_star_ms=tissue.t2_star_ms * factors[3],
        adc_um2_ms=tissue.adc_um2_ms * factors[4],
    )
