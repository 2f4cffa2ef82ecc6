"""Coded concepts of the report: DICOM's where PS3.16 has one, ours (99MRCLIP) where it has none."""

from typing import Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.coding import Code

from inference import labels

SCHEME: Final = "99MRCLIP"

CODING_SCHEME: Final = CodingSchemeIdentificationItem(
    designator=SCHEME, name="mrclip contrast labels and checks", responsible_organization="mrclip"
)

# Names of what is evaluated and measured.
ACQUISITION_CONTRAST: Final = Code("ACQ_CONTRAST", SCHEME, "Acquisition contrast")
CLAIMED_CONTRAST: Final = Code("CLAIMED_CONTRAST", SCHEME, "Contrast claimed by the header")
AGREEMENT: Final = Code("AGREEMENT", SCHEME, "Agreement")
PROBABILITY: Final = Code("122157", "DCM", "Probability")
INCONSISTENCY: Final = Code("INCONSISTENCY", SCHEME, "Inconsistency score")
P_VALUE: Final = Code("P_VALUE", SCHEME, "p-value")
NO_UNITS: Final = Code("1", "UCUM", "no units")
COMMENT: Final = Code("121106", "DCM", "Comment")

# What AGREEMENT may be.
CONSISTENT: Final = Code("CONSISTENT", SCHEME, "Consistent")
INCONSISTENT: Final = Code("INCONSISTENT", SCHEME, "Inconsistent")
UNDETERMINED: Final = Code("UNDETERMINED", SCHEME, "Undetermined")

# CID 7180, Abstract Multi-dimensional Image Model Component Semantics.
_STANDARD: Final = {
    labels.T1: Code("110804", "DCM", "T1 Weighted MR Signal Intensity"),
    labels.T2: Code("110805", "DCM", "T2 Weighted MR Signal Intensity"),
    labels.PROTON_DENSITY: Code("110803", "DCM", "Proton Density Weighted MR Signal Intensity"),
    labels.T2_STAR: Code("110806", "DCM", "T2* Weighted MR Signal Intensity"),
    labels.TOF: Code("110802", "DCM", "Time Of Flight Angio MR Signal Intensity"),
    labels.DIFFUSION: Code("113043", "DCM", "Diffusion weighted"),
    labels.ADC: Code("113041", "DCM", "Apparent Diffusion Coefficient"),
}

_OURS: Final = {
    labels.FLUID_ATTENUATED: "Fluid attenuated",
    labels.STIR: "Short tau inversion recovery",
    labels.PERFUSION: "Perfusion",
    labels.FLOW_ENCODED: "Flow encoded",
    labels.SUSCEPTIBILITY: "Susceptibility weighted",
    labels.DERIVED_MAP: "Derived map",
    labels.PHASE: "Phase",
    labels.UNKNOWN: "Unknown",
    labels.MIXED: "Mixed",
}

CONTRAST: Final = _STANDARD | {label: Code(label, SCHEME, meaning) for label, meaning in _OURS.items()}
