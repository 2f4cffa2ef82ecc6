"""What a header claims about its image: contrast, contrast agent, fat suppression.

Contrast is looked for in this order, and the first that says something is the claim:

1. Image Type (0008,0008) or Frame Type (0008,9007) and Complex Image Component (0008,9208), where they name a product
   (ADC, FA and other maps, phase). They come first because scanners write DIFFUSION as Acquisition Contrast of an ADC
   map;
2. Acquisition Contrast (0008,9209), unless it says UNKNOWN;
3. the other words of Image Type: DIFFUSION, SWI, ASL, PERFUSION, TOF, FLUID_ATTENUATED, …, and the flags of Enhanced
   MR;
4. Series Description (0008,103E), then Protocol Name (0018,1030) except GE's, which names the whole examination;
5. the timing.
"""

from dataclasses import dataclass
from typing import Final

from inference import labels
from inference.claims_parameters import ParameterClaim, inversion_time_ms, parameter_claim
from inference.claims_wording import DescriptionClaim, description_claim
from inference.header import FrameHeader
from inference.technique import is_vendor

__all__ = [
    "Claim", "DescriptionClaim", "ParameterClaim", "claim", "description_claim", "inversion_time_ms", "parameter_claim",
]  # fmt: skip

# Words of Image Type that name a product of the acquisition, not an acquisition.
_PRODUCTS: Final = {
    "ADC": labels.ADC, "DADC": labels.ADC, "ADC_UNSPECIFIED": labels.ADC, "ADC MAP": labels.ADC,
    "EADC": labels.DERIVED_MAP, "FA": labels.DERIVED_MAP, "FA_MAP": labels.DERIVED_MAP, "COLFA": labels.DERIVED_MAP,
    "CBF": labels.DERIVED_MAP, "RCBF": labels.DERIVED_MAP, "RELCBF": labels.DERIVED_MAP, "CBV": labels.DERIVED_MAP,
    "RCBV": labels.DERIVED_MAP, "RELCBV": labels.DERIVED_MAP, "MTT": labels.DERIVED_MAP, "RELMTT": labels.DERIVED_MAP,
    "TTP": labels.DERIVED_MAP, "TMAX": labels.DERIVED_MAP, "T1 MAP": labels.DERIVED_MAP, "T1_MAP": labels.DERIVED_MAP,
    "T2 MAP": labels.DERIVED_MAP, "T2_MAP": labels.DERIVED_MAP, "T2 STAR MAP": labels.DERIVED_MAP,
    "T2_STAR_MAP": labels.DERIVED_MAP, "R2 MAP": labels.DERIVED_MAP, "R2_STAR MAP": labels.DERIVED_MAP,
    "METABOLITE_MAP": labels.DERIVED_MAP, "TEMPERATURE": labels.DERIVED_MAP,
    "P": labels.PHASE, "PHASE": labels.PHASE, "PHASE MAP": labels.PHASE, "PHASE_MAP": labels.PHASE,
    "VELOCITY": labels.FLOW_ENCODED, "VELOCITY MAP": labels.FLOW_ENCODED, "VELOCITY_MAP": labels.FLOW_ENCODED,
}  # fmt: skip

# Other words of Image Type, among them the third value of Enhanced MR (PS3.3 C.8.13.3.1.1).
_ACQUISITIONS: Final = {
    "SWI": labels.SUSCEPTIBILITY, "SW_M": labels.SUSCEPTIBILITY, "SW_M_FFE": labels.SUSCEPTIBILITY,
    "TRACEW": labels.DIFFUSION, "TRACE": labels.DIFFUSION, "DIFFUSION": labels.DIFFUSION, "DWI": labels.DIFFUSION,
    "CALC_BVALUE": labels.DIFFUSION, "TENSOR_B0": labels.DIFFUSION,
    "ASL": labels.PERFUSION, "PERFUSION": labels.PERFUSION, "PERFUSION_ASL": labels.PERFUSION,
    "TOF": labels.TOF, "FLOW_ENCODED": labels.FLOW_ENCODED, "FMRI": labels.T2_STAR, "T2_STAR": labels.T2_STAR,
    "FLUID_ATTENUATED": labels.FLUID_ATTENUATED, "STIR": labels.STIR, "PROTON_DENSITY": labels.PROTON_DENSITY,
    "T1": labels.T1, "T2": labels.T2,
}  # fmt: skip

# What people enter as Contrast/Bolus Agent (0018,0010) when none was given, and what anonymisers leave there.
_NO_AGENT: Final = frozenset(
    {"none", "no", "n", "0", "no contrast", "kein", "keine", "ohne", "nativ", "sans", "sin", "senza", "utan"}
)
_MEANINGLESS: Final = frozenset(
    {"", "-", "n/a", "na", "unknown", "anonymized", "anonymised", "removed", "yes/no", "null", "?"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What one header claims; None where it claims nothing, `label` then is UNKNOWN."""

    label: str  # of inference.labels
    post_contrast: bool | None
    fat_suppressed: bool | None
    basis: tuple[str, ...]  # DICOM keywords behind label, agent and fat suppression


def claim(header: FrameHeader) -> Claim:
    """What the header says its image is, in the order that the module's text gives."""
    label, basis = _contrast(header)
    post_contrast, agent_basis = _post_contrast(header)
    fat_suppressed, fat_basis = _fat_suppressed(header, label)
    return Claim(
        label=label,
        post_contrast=post_contrast,
        fat_suppressed=fat_suppressed,
        basis=tuple(dict.fromkeys((*basis, *agent_basis, *fat_basis))),
    )


def product_claim(header: FrameHeader) -> str | None:
    """ADC, DERIVED_MAP, PHASE or FLOW_ENCODED if Image Type or the complex component names one."""
    found = {_PRODUCTS[value] for value in header.image_type if value in _PRODUCTS}
    if header.complex_image_component == "PHASE":
        found.add(labels.PHASE)
    return next(
        (label for label in (labels.FLOW_ENCODED, labels.ADC, labels.DERIVED_MAP, labels.PHASE) if label in found), None
    )


def acquisition_claim(header: FrameHeader) -> str | None:
    """The contrast that Image Type or a flag of Enhanced MR names, products left aside."""
    for value in header.image_type:
        if value in _ACQUISITIONS:
            return _ACQUISITIONS[value]
    if header.arterial_spin_labeling_contrast not in (None, "NONE", "NO"):
        return labels.PERFUSION
    if header.time_of_flight_contrast == "YES" or "VASCTOF_GEMS" in header.scan_options:
        return labels.TOF
    return labels.FLOW_ENCODED if header.phase_contrast == "YES" else None


def agent_claim(agent: str | None) -> bool | None:
    """True for the name of an agent, False for a word that denies one, None for nothing or what anonymisers leave."""
    word = (agent or "").strip().casefold()
    if word in _MEANINGLESS:
        return None
    return word not in _NO_AGENT and description_claim(agent).post_contrast is not False


def wordings(header: FrameHeader) -> tuple[tuple[str, DescriptionClaim], ...]:
    """The texts an operator wrote, each with its keyword, the one that counts first."""
    texts = [("SeriesDescription", header.series_description)]
    if not is_vendor(header, "ge medical") and header.protocol_name != header.series_description:
        texts.append(("ProtocolName", header.protocol_name))
    return tuple((keyword, description_claim(text)) for keyword, text in texts)


def _contrast(header: FrameHeader) -> tuple[str, tuple[str, ...]]:
    product = product_claim(header)
    if product is not None:
        return product, ("ImageType",)
    if header.acquisition_contrast in labels.CONTRASTS:
        return str(header.acquisition_contrast), ("AcquisitionContrast",)
    acquisition = acquisition_claim(header)
    if acquisition is None:
        return _described(header)
    # A description that names a map of this acquisition says more: vendors leave ADC maps unmarked.
    for keyword, text in wordings(header):
        if text.label in (labels.ADC, labels.DERIVED_MAP) and header.image_type[:1] == ("DERIVED",):
            return text.label, (keyword, "ImageType")
    return acquisition, ("ImageType",)


def _described(header: FrameHeader) -> tuple[str, tuple[str, ...]]:
    texts = wordings(header)
    for keyword, text in texts:
        if text.label is not None:
            return text.label, (keyword,)
    timing = parameter_claim(header)
    for keyword, text in texts:
        if timing.label in text.allowed:  # "PD+T2": the echo time says which of the two
            return str(timing.label), (keyword, *timing.basis)
    if timing.label is not None:
        return timing.label, timing.basis
    return labels.UNKNOWN, ()


def _post_contrast(header: FrameHeader) -> tuple[bool | None, tuple[str, ...]]:
    recorded = agent_claim(header.contrast_bolus_agent)
    if recorded is not None:
        return recorded, ("ContrastBolusAgent",)
    for keyword, text in wordings(header):
        if text.post_contrast is not None:
            return text.post_contrast, (keyword,)
    return None, ()


def _fat_suppressed(header: FrameHeader, label: str) -> tuple[bool | None, tuple[str, ...]]:
    suppression = header.spectrally_selected_suppression
    if "FS" in header.scan_options or suppression in ("FAT", "FAT_AND_WATER"):
        return True, ("ScanOptions" if "FS" in header.scan_options else "SpectrallySelectedSuppression",)
    if label == labels.STIR:
        return True, ()
    for keyword, text in wordings(header):
        if text.fat_suppressed is not None:
            return text.fat_suppressed, (keyword,)
    return (False, ("SpectrallySelectedSuppression",)) if suppression == "NONE" else (None, ())
