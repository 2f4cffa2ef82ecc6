"""The contrast labels mrclip speaks: Acquisition Contrast (0008,9209) terms where they exist, ours beside them."""

from typing import Final

T1: Final = "T1"
T2: Final = "T2"
PROTON_DENSITY: Final = "PROTON_DENSITY"
FLUID_ATTENUATED: Final = "FLUID_ATTENUATED"
STIR: Final = "STIR"
T2_STAR: Final = "T2_STAR"
DIFFUSION: Final = "DIFFUSION"
PERFUSION: Final = "PERFUSION"
TOF: Final = "TOF"
FLOW_ENCODED: Final = "FLOW_ENCODED"
SUSCEPTIBILITY: Final = "SUSCEPTIBILITY"
ADC: Final = "ADC"
DERIVED_MAP: Final = "DERIVED_MAP"
PHASE: Final = "PHASE"

# What a model may answer, in the order in which tables show it.
CONTRASTS: Final = (
    T1, T2, PROTON_DENSITY, FLUID_ATTENUATED, STIR, T2_STAR, DIFFUSION, PERFUSION, TOF, FLOW_ENCODED,
    SUSCEPTIBILITY, ADC, DERIVED_MAP, PHASE,
)  # fmt: skip

# Answers about a header or a whole series; they never come from a model.
UNKNOWN: Final = "UNKNOWN"
MIXED: Final = "MIXED"
