"""How each vendor's header writes a sequence: the same physics, in the vendor's own meaning of the attributes.

Learnt from scanner output that was published: Siemens' RepetitionTime of an MPRAGE is inversion to inversion, the
others' is echo to echo; Siemens writes the refocusing angle of a turbo spin echo as FlipAngle, Philips and Canon the
excitation, GE either; inversion is `SE, IR` for Siemens and GE, `IR` alone for Philips; GE's TI of a BRAVO is the
preparation; Philips' MPRAGE has none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from training.simulate.physics.scan import PARAMETER_MAPS, Scan

MODELS: Final[dict[str, tuple[tuple[str, float], ...]]] = {
    "SIEMENS": (
        ("Avanto", 1.5),
        ("Aera", 1.5),
        ("Espree", 1.5),
        ("Skyra", 3.0),
        ("Verio", 3.0),
        ("TrioTim", 3.0),
        ("Prisma_fit", 3.0),
    ),
    "Siemens Healthineers": (
        ("MAGNETOM Vida", 3.0),
        ("MAGNETOM Lumina", 3.0),
        ("MAGNETOM Prisma Fit", 3.0),
        ("MAGNETOM Sola", 1.5),
        ("MAGNETOM Altea", 1.5),
        ("MAGNETOM Free.Max", 0.55),
        ("MAGNETOM Terra", 7.0),
    ),
    "GE MEDICAL SYSTEMS": (
        ("SIGNA HDxt", 1.5),
        ("SIGNA Artist", 1.5),
        ("Optima MR450w", 1.5),
        ("DISCOVERY MR750", 3.0),
        ("DISCOVERY MR750w", 3.0),
        ("SIGNA Architect", 3.0),
        ("SIGNA Premier", 3.0),
    ),
    "Philips Medical Systems": (
        ("Intera", 1.5),
        ("Achieva", 1.5),
        ("Ingenia", 1.5),
        ("Achieva", 3.0),
        ("Ingenia", 3.0),
    ),
    "Philips": (("Ingenia Elition X", 3.0), ("Ingenia Ambition X", 1.5), ("Achieva dStream", 3.0)),
    "CANON_MEC": (("Vantage Titan", 1.5), ("Orian", 1.5), ("Galan 3T", 3.0)),
    "UIH": (("uMR 770", 3.0), ("uMR 780", 3.0), ("uMR 570", 1.5)),
    "Hitachi Medical Corporation": (("ECHELON", 1.5), ("ECHELON Smart", 1.5), ("OASIS", 1.2)),
}


def family(vendor: str) -> str:
    """siemens, ge, philips, canon, uih or hitachi."""
    words = vendor.lower()
    for name in ("siemens", "philips", "uih", "hitachi"):
        if name in words:
            return name
    return "canon" if "canon" in words or "toshiba" in words else "ge"


@dataclass(frozen=True, kw_only=True, slots=True)
class Writing:
    """How a technique is written: Scanning Sequence, Sequence Variant, options, and the sequence's own name."""

    sequence: tuple[str, ...]
    variant: tuple[str, ...]
    options: tuple[str, ...] = ()
    name: str = ""  # Sequence Name (0018,0024); {etl} and {b} are filled in


def _w(sequence: str, variant: str, options: str = "", name: str = "") -> Writing:
    return Writing(
        sequence=tuple(sequence.split()), variant=tuple(variant.split()), options=tuple(options.split()), name=name
    )


_SIEMENS: Final = {
    "se": _w("SE", "SP", name="*se2d1"),
    "tse": _w("SE", "SK SP", name="*tse2d1_{etl}"),
    "haste": _w("SE", "SK SP OSP", "PFP", "*h2d1_{etl}"),
    "space": _w("SE", "SK SP", "PFP", "*spc3d1_ns"),
    "t1flair": _w("SE IR", "SK SP MP", "IR", "*tir2d1_{etl}"),
    "flair": _w("SE IR", "SK SP MP", "IR", "*tir2d1_{etl}"),
    "flair3d": _w("SE IR", "SK SP MP", "IR PFP", "*spcir3d1_ns"),
    "stir": _w("SE IR", "SK SP MP", "IR", "*tir2d1_{etl}"),
    "mprage": _w("GR IR", "SK SP MP", "IR", "*tfl3d1_ns"),
    "spgr3d": _w("GR", "SP OSP", "", "*fl3d1_ns"),
    "fl2d": _w("GR", "SP OSP", "", "*fl2d1"),
    "vibe": _w("GR", "SP", "PFP", "*fl3d1"),
    "gre": _w("GR", "SP", "", "*fl2d1"),
    "swi": _w("GR", "SP", "PFP", "*swi3d1r"),
    "phase": _w("GR", "SP", "", "*fm2d2r"),
    "tof": _w("GR", "SP", "TOF", "*fi3d1r"),
    "tof-mip": _w("GR", "SP", "TOF", "*fi3d1r"),
    "velocity": _w("GR", "SP", "", "*fl2d1r"),
    "balanced": _w("GR", "SK SS", "", "*tfi2d1"),
    "localizer": _w("GR", "SP OSP", "", "*fl2d1"),
    "bold": _w("EP", "SK", "", "*epfid2d1_64"),
    "bolus": _w("EP", "SK", "", "*epfid2d1_128"),
    "asl": _w("EP", "SK", "", "*epfid2d1_64"),
    "asl-3d": _w("SE", "SK SP", "", "*tgse3d1"),
    "dwi": _w("EP", "SK SP", "PFP", "*ep_b{b}"),
    "map": _w("SE", "SP", "", "*se2d1"),
}
_GE: Final = {
    "se": _w("SE", "NONE"),
    "tse": _w("SE", "SK", "FAST_GEMS EDR_GEMS"),
    "haste": _w("SE", "SK", "FAST_GEMS EDR_GEMS SS_GEMS"),
    "space": _w("SE", "SK", "FAST_GEMS EDR_GEMS"),
    "t1flair": _w("SE IR", "SK", "FAST_GEMS EDR_GEMS"),
    "flair": _w("SE IR", "SK", "FAST_GEMS EDR_GEMS"),
    "flair3d": _w("SE IR", "SK", "FAST_GEMS EDR_GEMS"),
    "stir": _w("SE IR", "SK", "FAST_GEMS EDR_GEMS"),
    "mprage": _w("GR", "SS SP", "FAST_GEMS EDR_GEMS"),
    "spgr3d": _w("GR", "SS SP", "FAST_GEMS EDR_GEMS"),
    "fl2d": _w("GR", "SS SP", "FAST_GEMS"),
    "vibe": _w("GR", "SS SP", "FAST_GEMS"),
    "gre": _w("GR", "SP", "EDR_GEMS"),
    "swi": _w("GR", "SS SP", "EDR_GEMS"),
    "phase": _w("GR", "SP"),
    "tof": _w("GR", "SS SP", "VASCTOF_GEMS EDR_GEMS"),
    "tof-mip": _w("GR", "SS SP", "VASCTOF_GEMS"),
    "velocity": _w("GR", "SS SP"),
    "balanced": _w("GR", "SS", "FAST_GEMS"),
    "localizer": _w("GR", "SP", "FAST_GEMS"),
    "bold": _w("EP GR", "SS", "EPI_GEMS PFF"),
    "bolus": _w("EP GR", "SS", "EPI_GEMS"),
    "asl": _w("EP GR", "SS", "EPI_GEMS"),
    "asl-3d": _w("SE", "NONE", "FAST_GEMS"),
    "dwi": _w("EP SE", "NONE", "EPI_GEMS"),
    "map": _w("SE", "NONE"),
}
_PHILIPS: Final = {
    "se": _w("SE", "SS", "OTHER"),
    "tse": _w("SE", "SK", "OTHER"),
    "haste": _w("SE", "SK", "PFP"),
    "space": _w("SE", "SK", "OTHER"),
    "t1flair": _w("IR", "SK"),
    "flair": _w("IR", "SK"),
    "flair3d": _w("IR", "SK"),
    "stir": _w("IR", "SK"),
    "mprage": _w("GR", "MP", "OTHER"),
    "spgr3d": _w("GR", "SP", "OTHER"),
    "fl2d": _w("GR", "SP", "OTHER"),
    "vibe": _w("GR", "SP", "OTHER"),
    "gre": _w("GR", "SP", "OTHER"),
    "swi": _w("GR", "SS", "FC"),
    "phase": _w("GR", "SS", "OTHER"),
    "tof": _w("GR", "SP", "FC"),
    "tof-mip": _w("GR", "SP", "FC"),
    "velocity": _w("GR", "SP", "OTHER"),
    "balanced": _w("GR", "SS", "OTHER"),
    "localizer": _w("GR", "SP", "OTHER"),
    "bold": _w("GR EP", "SK"),
    "bolus": _w("GR EP", "SK"),
    "asl": _w("GR EP", "SK"),
    "asl-3d": _w("SE", "SK"),
    "dwi": _w("SE EP", "SK"),
    "map": _w("SE", "SK"),
}
# What a map is computed from; its header keeps that sequence's.
_SOURCE: Final = {"adc": "dwi", "fa": "dwi", "asl-weighted": "asl", "cbf-map": "asl", "t1-map": "map", "t2-map": "map",
                  "fat-fraction": "gre"}  # fmt: skip
_NEUTRAL_NAMES: Final = {"canon": {"dwi": "SEEPI2D", "bold": "FEEPI2D"}, "uih": {"dwi": "epi_dwi", "bold": "epi_fid"}}


def _writing(technique: str, maker: str) -> Writing:
    technique = _SOURCE.get(technique, technique)
    if maker in ("siemens", "ge", "philips"):
        return {"siemens": _SIEMENS, "ge": _GE, "philips": _PHILIPS}[maker][technique]
    siemens = _SIEMENS[technique]
    echo = (
        ("SE", "EP")
        if technique == "dwi"
        else ("GR", "EP")
        if technique in ("bold", "bolus", "asl")
        else siemens.sequence
    )
    variant = ("SK",) if maker == "hitachi" and technique not in ("se", "balanced") else ("NONE",)
    if technique in ("balanced", "swi", "tof", "tof-mip") and maker != "hitachi":
        variant = ("SS",) if technique == "balanced" else ("SP",)
    return Writing(sequence=echo, variant=variant, name=_NEUTRAL_NAMES.get(maker, {}).get(technique, ""))


_SIEMENS_TYPES: Final = {
    "swi": ("ORIGINAL", "PRIMARY", "M", "SWI", "NORM"),
    "phase": ("ORIGINAL", "PRIMARY", "P", "ND"),
    "asl": ("ORIGINAL", "PRIMARY", "ASL", "NONE", "ND", "NORM"),
    "asl-3d": ("ORIGINAL", "PRIMARY", "ASL", "NONE", "ND", "NORM"),
    "asl-weighted": ("DERIVED", "PRIMARY", "ASL", "SUBTRACTION", "ND", "NORM"),
    "cbf-map": ("DERIVED", "PRIMARY", "ASL", "RELCBF", "ND", "NORM"),
    "tof-mip": ("DERIVED", "PRIMARY", "PROJECTION IMAGE", "MIP"),
    "localizer": ("ORIGINAL", "PRIMARY", "LOCALIZER", "M", "NORM"),
    "adc": ("DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND", "NORM"),
    "fa": ("DERIVED", "PRIMARY", "DIFFUSION", "FA", "ND", "NORM"),
    "t1-map": ("DERIVED", "PRIMARY", "M", "T1 MAP", "ND"),
    "t2-map": ("DERIVED", "PRIMARY", "M", "T2 MAP", "ND"),
    "fat-fraction": ("DERIVED", "PRIMARY", "M", "FAT_FRACTION"),
}
_PHILIPS_TYPES: Final = {
    "swi": ("ORIGINAL", "PRIMARY", "SW_M_FFE", "M", "FFE"),
    "phase": ("ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"),
    "velocity": ("ORIGINAL", "PRIMARY", "VELOCITY MAP", "V", "PCA"),
    "tof-mip": ("DERIVED", "SECONDARY", "PROJECTION IMAGE", "M", "FFE"),
    "adc": ("DERIVED", "PRIMARY", "ADC", "ADC", "UNSPECIFIED"),
    "fa": ("DERIVED", "PRIMARY", "FA", "FA", "UNSPECIFIED"),
    "cbf-map": ("DERIVED", "PRIMARY", "CBF", "CBF", "UNSPECIFIED"),
    "t1-map": ("DERIVED", "PRIMARY", "T1 MAP", "T1", "SE"),
    "t2-map": ("DERIVED", "PRIMARY", "T2 MAP", "T2", "SE"),
    "asl-weighted": ("DERIVED", "PRIMARY", "PERFUSION", "M", "FFE"),
    "fat-fraction": ("DERIVED", "PRIMARY", "FF", "FF", "FFE"),
}
_OTHER_TYPES: Final = {
    "velocity": ("DERIVED", "PRIMARY", "VELOCITY"),
    "phase": ("ORIGINAL", "PRIMARY", "P"),
    "localizer": ("ORIGINAL", "PRIMARY", "LOCALIZER"),
    "tof-mip": ("DERIVED", "SECONDARY", "PROJECTION IMAGE", "MIP"),
    "adc": ("DERIVED", "SECONDARY", "ADC"),
    "fa": ("DERIVED", "SECONDARY", "FA"),
    "cbf-map": ("DERIVED", "SECONDARY", "CBF"),
    "asl-weighted": ("DERIVED", "SECONDARY", "ASL"),
    "t1-map": ("DERIVED", "SECONDARY", "T1 MAP"),
    "t2-map": ("DERIVED", "SECONDARY", "T2 MAP"),
    "fat-fraction": ("DERIVED", "SECONDARY", "FAT_FRACTION"),
}


def image_type(scan: Scan) -> list[str]:
    """Image Type (0008,0008) as this vendor writes it."""
    maker = family(scan.vendor)
    if maker == "siemens":
        if scan.technique == "dwi":
            average = scan.physics.b_s_mm2 > 0 and not scan.physics.directional
            return [
                "DERIVED" if average else "ORIGINAL",
                "PRIMARY",
                "DIFFUSION",
                "TRACEW" if average else "NONE",
                "ND",
                "NORM",
            ]
        return list(_SIEMENS_TYPES.get(scan.technique, ("ORIGINAL", "PRIMARY", "M", "ND", "NORM")))
    if maker == "philips":
        if scan.technique in _PHILIPS_TYPES:
            return list(_PHILIPS_TYPES[scan.technique])
        inverted = scan.technique in ("flair", "flair3d", "stir", "t1flair")
        word = (
            "IR"
            if inverted
            else "SE"
            if scan.labels.group == "spin-echo" or scan.technique in ("dwi", "asl-3d")
            else "FFE"
        )
        return ["ORIGINAL", "PRIMARY", f"M_{word}", "M", word]
    if maker == "ge" and scan.technique in ("bold", "bolus"):
        return ["ORIGINAL", "PRIMARY", "EPI", "NONE"]
    return list(_OTHER_TYPES.get(scan.technique, ("ORIGINAL", "PRIMARY", "OTHER")))


def _timing(scan: Scan, maker: str) -> dict[str, object]:
    p = scan.physics
    timing: dict[str, object] = {
        "EchoTime": p.te_ms, "RepetitionTime": p.tr_ms, "FlipAngle": p.flip_deg, "EchoTrainLength": p.echoes,
    }  # fmt: skip
    if p.kind in ("gradient-epi", "spin-epi"):
        timing["EchoTrainLength"] = 1 if maker in ("siemens", "ge") and p.kind == "gradient-epi" else 64
    turbo = p.kind in ("spin-echo", "inversion") and p.echoes > 1
    if turbo and maker in ("philips", "canon", "hitachi"):
        timing["FlipAngle"] = 90.0
    if turbo and maker == "ge":
        timing["FlipAngle"] = 90.0 if p.flip_deg < 150 else 111.0 if p.flip_deg < 160 else p.flip_deg
    if (
        p.ti_ms is not None and p.kind != "gradient-epi"
    ):  # what suppresses the background of spin labelling is not written
        timing["InversionTime"] = p.ti_ms
    if p.kind == "prepared":
        timing |= _prepared_timing(scan, maker)
    return timing


def _prepared_timing(scan: Scan, maker: str) -> dict[str, object]:
    """An inversion-prepared volume: every vendor counts its times from elsewhere."""
    p = scan.physics
    timing: dict[str, object] = {"EchoTrainLength": 1}
    if maker in ("siemens", "hitachi"):
        return timing
    timing["RepetitionTime"] = p.echo_spacing_ms
    if maker == "ge":
        timing["InversionTime"] = float(max(round((p.ti_ms or 0.0) - 0.5 * p.echoes * p.echo_spacing_ms), 300))
    if maker == "philips":
        timing["InversionTime"] = None
        timing["EchoTrainLength"] = p.echoes
    return timing


def header(scan: Scan) -> dict[str, object]:
    """Series-level attributes (keyword -> value) as this vendor writes them; None where it writes nothing."""
    maker = family(scan.vendor)
    writing = _writing(scan.technique, maker)
    suppressed = scan.physics.fat == "saturation" and scan.physics.output not in PARAMETER_MAPS
    options = [*writing.options, *(["FS"] if suppressed else [])]
    name = writing.name.format(etl=scan.physics.echoes, b=f"{scan.physics.b_s_mm2:.0f}")
    if writing.name == "*ep_b{b}" and scan.physics.b_s_mm2 > 0:
        name += "#1" if scan.physics.directional else "t"
    return {
        "Manufacturer": scan.vendor,
        "ManufacturerModelName": scan.model,
        "MagneticFieldStrength": scan.physics.field_t,
        "ImageType": image_type(scan),
        "ScanningSequence": list(writing.sequence),
        "SequenceVariant": list(writing.variant),
        "ScanOptions": options,
        "SequenceName": name or None,
        "MRAcquisitionType": "3D" if scan.sampling.volumetric else "2D",
        "SeriesDescription": scan.description,
        **_timing(scan, maker),
        **scan.header,
    }


def acquisition_header(scan: Scan) -> Mapping[str, object]:
    """`header` without what is None."""
    return {keyword: value for keyword, value in header(scan).items() if value is not None}
