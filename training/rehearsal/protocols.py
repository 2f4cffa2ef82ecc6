"""Protocols of the rehearsal: what is drawn, and what its header says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from inference import labels
from training.rehearsal.phantoms import Acquisition


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A name, its contrast, and the ranges its times are drawn from."""

    name: str  # becomes the description
    contrast: str  # of inference.labels
    kind: str
    echo_time_ms: tuple[float, float]
    repetition_time_ms: tuple[float, float]
    inversion_time_ms: tuple[float, float] | None = None
    flip_angle_deg: float = 90.0
    b_value_s_mm2: float | None = None
    header: Mapping[str, Any]  # DICOM attributes by keyword

    def draw(self, random: np.random.Generator) -> Acquisition:
        """One acquisition, its times uniform in their ranges."""
        inversion = self.inversion_time_ms
        return Acquisition(
            kind=self.kind,  # pyright: ignore[reportArgumentType] - the table below names only kinds
            echo_time_ms=round(float(random.uniform(*self.echo_time_ms)), 1),
            repetition_time_ms=round(float(random.uniform(*self.repetition_time_ms))),
            inversion_time_ms=None if inversion is None else round(float(random.uniform(*inversion))),
            flip_angle_deg=self.flip_angle_deg,
            b_value_s_mm2=self.b_value_s_mm2,
        )


_SPIN: Final = {"ScanningSequence": "SE", "SequenceVariant": "SK", "MRAcquisitionType": "2D"}
_INVERSION: Final = {"ScanningSequence": ["SE", "IR"], "SequenceVariant": "SK", "MRAcquisitionType": "2D"}
_GRADIENT: Final = {"ScanningSequence": "GR", "SequenceVariant": "SP", "MRAcquisitionType": "2D"}
_ECHO_PLANAR: Final = {"ScanningSequence": ["SE", "EP"], "SequenceVariant": "SK", "MRAcquisitionType": "2D"}

PROTOCOLS: Final = (
    Protocol(
        name="T1 SE",
        contrast=labels.T1,
        kind="spin-echo",
        echo_time_ms=(8, 15),
        repetition_time_ms=(420, 600),
        header=_SPIN,
    ),
    Protocol(
        name="T2 TSE",
        contrast=labels.T2,
        kind="spin-echo",
        echo_time_ms=(85, 118),
        repetition_time_ms=(3600, 5200),
        header=_SPIN,
    ),
    Protocol(
        name="PD TSE",
        contrast=labels.PROTON_DENSITY,
        kind="spin-echo",
        echo_time_ms=(10, 18),
        repetition_time_ms=(2600, 3400),
        header=_SPIN,
    ),
    Protocol(
        name="T2 FLAIR",
        contrast=labels.FLUID_ATTENUATED,
        kind="inversion",
        echo_time_ms=(95, 125),
        repetition_time_ms=(8600, 9800),
        inversion_time_ms=(2300, 2500),
        header=_INVERSION,
    ),
    Protocol(
        name="STIR",
        contrast=labels.STIR,
        kind="inversion",
        echo_time_ms=(40, 60),
        repetition_time_ms=(4200, 5000),
        inversion_time_ms=(175, 195),
        header={**_INVERSION, "ScanOptions": "FS"},
    ),
    Protocol(
        name="T2* GRE",
        contrast=labels.T2_STAR,
        kind="spoiled",
        echo_time_ms=(22, 38),
        repetition_time_ms=(600, 900),
        flip_angle_deg=20,
        header=_GRADIENT,
    ),
    Protocol(
        name="DWI b1000",
        contrast=labels.DIFFUSION,
        kind="diffusion",
        echo_time_ms=(72, 88),
        repetition_time_ms=(4600, 5900),
        b_value_s_mm2=1000.0,
        header={**_ECHO_PLANAR, "ImageType": ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"]},
    ),
    Protocol(
        name="ADC",
        contrast=labels.ADC,
        kind="adc-map",
        echo_time_ms=(72, 88),
        repetition_time_ms=(4600, 5900),
        header={**_ECHO_PLANAR, "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]},
    ),
)
