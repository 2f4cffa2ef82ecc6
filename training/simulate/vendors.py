"""How each vendor's header writes a sequence: the same physics, in the vendor's own meaning of the attributes.

What was learnt from published scanner output: Siemens' RepetitionTime of an MPRAGE is inversion to inversion, GE's and Philips' is
echo to echo; Siemens writes the refocusing angle of a turbo spin echo as FlipAngle, GE and Philips the excitation; inversion is `IR` in
ScanningSequence for Siemens and GE, for Philips `IR` replaces `SE`; Philips leaves InversionTime out of older headers; GE's TI of a BRAVO is the
preparation time.
"""

from collections.abc import Mapping
from typing import Final

from training.simulate.scan import Physics, Scan

MODELS: Final[dict[str, tuple[tuple[str, float], ...]]] = {
    "SIEMENS": (("Avanto", 1.5), ("Aera", 1.5), ("Skyra", 3.0), ("Verio", 3.0), ("TrioTim", 3.0), ("Prisma_fit", 3.0)),
    "Siemens Healthineers": (("MAGNETOM Vida", 3.0), ("MAGNETOM Sola", 1.5), ("MAGNETOM Free.Max", 0.55), ("MAGNETOM Terra", 7.0)),
    "GE MEDICAL SYSTEMS": (("SIGNA HDxt", 1.5), ("Optima MR450w", 1.5), ("DISCOVERY MR750", 3.0), ("SIGNA Architect", 3.0)),
    "Philips Medical Systems": (("Achieva", 1.5), ("Ingenia", 1.5), ("Achieva", 3.0), ("Ingenia", 3.0)),
    "Philips": (("Ingenia Elition X", 3.0), ("Ingenia Ambition X", 1.5)),
    "CANON_MEC": (("Vantage Titan", 1.5), ("Galan 3T", 3.0)),
    "UIH": (("uMR 770", 3.0), ("uMR 570", 1.5)),
    "Hitachi Medical Corporation": (("ECHELON Smart", 1.5), ("OASIS", 1.2)),
}  # fmt: skip


def family(vendor: str) -> str:
    """siemens, ge, philips, canon, uih or hitachi."""
    words = vendor.lower()
    for name in ("siemens", "philips", "uih", "hitachi"):
        if name in words:
            return name
    return "canon" if "canon" in words or "toshiba" in words else "ge"


# (technique) -> (ScanningSequence, SequenceVariant); None in a slot where the vendor writes NONE.
_SIEMENS: Final = {
    "mprage": (["GR", "IR"], ["SK", "SP", "MP"]),
    "se": (["SE"], ["SP"]),
    "tse": (["SE"], ["SK", "SP"]),
    "flair": (["SE", "IR"], ["SK", "SP", "MP"]),
    "dwi": (["EP"], ["SK", "SP"]),
}
_GE: Final = {
    "mprage": (["GR"], ["SS", "SP", "SK"]),
    "se": (["SE"], ["NONE"]),
    "tse": (["SE"], ["SK"]),
    "flair": (["SE", "IR"], ["SK"]),
    "dwi": (["EP", "SE"], ["NONE"]),
}
_PHILIPS: Final = {
    "mprage": (["GR"], ["MP"]),
    "se": (["SE"], ["SS"]),
    "tse": (["SE"], ["SK"]),
    "flair": (["IR"], ["SK"]),
    "dwi": (["SE"], ["SK"]),
}
SEQUENCES: Final[Mapping[str, Mapping[str, tuple[list[str], list[str]]]]] = {
    "siemens": _SIEMENS,
    "ge": _GE,
    "philips": _PHILIPS,
}


def _image_type(scan: Scan, maker: str) -> list[str]:
    derived = scan.physics.output in ("adc", "anisotropy", "t1-map", "t2-map", "perfusion")
    if maker == "siemens":
        if scan.technique == "dwi":
            kind = "ADC" if scan.physics.output == "adc" else "TRACEW"
            return ["DERIVED", "PRIMARY", "DIFFUSION", kind, "ND", "NORM"]
        return ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"]
    if maker == "philips":
        if scan.physics.output == "adc":
            return ["DERIVED", "PRIMARY", "ADC", "ADC", "UNSPECIFIED"]
        word = {"mprage": "FFE", "flair": "IR"}.get(scan.technique, "SE")
        return ["ORIGINAL", "PRIMARY", f"M_{word}", "M", word]
    if derived:
        return ["DERIVED", "SECONDARY", "ADC"]
    return ["ORIGINAL", "PRIMARY", "OTHER"]


def _timing(scan: Scan, maker: str) -> dict[str, object]:
    p: Physics = scan.physics
    timing: dict[str, object] = {
        "EchoTime": p.te_ms, "RepetitionTime": p.tr_ms, "FlipAngle": p.flip_deg, "EchoTrainLength": p.echoes,
    }  # fmt: skip
    if p.kind == "prepared":
        timing["EchoTrainLength"] = 1 if maker != "philips" else p.echoes
        if maker in ("ge", "philips"):
            timing["RepetitionTime"] = p.echo_spacing_ms
    if p.kind in ("spin-echo", "inversion") and p.echoes > 1 and maker != "siemens":
        timing["FlipAngle"] = 90.0
    if p.ti_ms is not None:
        timing["InversionTime"] = p.ti_ms
        if p.kind == "prepared" and maker == "ge":
            timing["InversionTime"] = round(max(p.ti_ms - 0.5 * p.echoes * p.echo_spacing_ms, 300.0))
        if p.kind == "prepared" and maker == "philips":
            del timing["InversionTime"]
    return timing


def _scan_options(scan: Scan, maker: str) -> list[str]:
    options = {"siemens": ["IR"] if scan.physics.ti_ms is not None else [],
               "ge": ["FAST_GEMS", "EDR_GEMS"] if scan.physics.echoes > 1 else ["EDR_GEMS"],
               "philips": []}[maker]  # fmt: skip
    return options + (["FS"] if scan.physics.fat == "saturation" else [])


def header(scan: Scan) -> dict[str, object]:
    """Series-level attributes (keyword -> value) as this vendor writes them."""
    maker = family(scan.vendor)
    sequence, variant = SEQUENCES[maker][scan.technique]
    return {
        "Manufacturer": scan.vendor,
        "ManufacturerModelName": scan.model,
        "MagneticFieldStrength": scan.physics.field_t,
        "ImageType": _image_type(scan, maker),
        "ScanningSequence": sequence,
        "SequenceVariant": variant,
        "ScanOptions": _scan_options(scan, maker),
        "MRAcquisitionType": "3D" if scan.sampling.volumetric else "2D",
        **_timing(scan, maker),
    }
