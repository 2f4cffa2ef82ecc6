"""What kind of image a frame is: magnitude, phase, real, imaginary or a computed map, and which part of a family."""

import re
from typing import Final, Literal

from inference.header import FrameHeader

Kind = Literal["magnitude", "phase", "real", "imaginary", "derived"]

# Values of Image Type (0008,0008) or Frame Type (0008,9007) after the second, by what they make of an image.
# Enhanced MR: PS3.3 C.8.13.3.1; the rest are what Siemens, Philips, GE, Canon and UIH write.
_MAPS: Final = {
    **dict.fromkeys(("ADC", "ADC_MAP", "ADCMAP", "AVERAGE_DC"), "ADC"),
    **dict.fromkeys(("EADC", "EXP_ADC", "EADC_MAP"), "EADC"),
    **dict.fromkeys(("FA", "FRACT_ANISO", "FRACTIONAL_ANISOTROPY", "FA_MAP", "COLFA"), "FA"),
    **dict.fromkeys(("RCBF", "RELCBF", "CBF", "REGIONAL_CBF"), "CBF"),
    **dict.fromkeys(("RCBV", "RELCBV", "CBV", "CBV_CORR"), "CBV"),
    **dict.fromkeys(("MTT", "RELMTT"), "MTT"),
    **dict.fromkeys(("FAT_FRACTION", "FF", "PDFF", "FATFRACTION"), "FAT_FRACTION"),
    **dict.fromkeys(("SUBTRACTION", "SUB"), "SUBTRACTION"),
    **{
        name: name
        for name in ["TTP", "TMAX", "PBP", "KTRANS", "KEP", "VE", "IAUGC", "TENSOR", "STD_DEVIATION", "QUANTITY"]
    },
}
# Siemens' "T2_STAR MAP", Philips' "T1 MAP"; a plain T1 in Image Type is a contrast (PS3.3 C.8.13.3.1.2), not a map.
_QUANTITY_MAP: Final = re.compile(r"([TR]1|[TR]2|[TR]2_?STAR|[TR]2\*|T1_?RHO|PD|MT|B1)_?MAP|R2_?STAR|R2\*")
_COMPLEX: Final[dict[str, Kind]] = {
    "MAGNITUDE": "magnitude",
    **dict.fromkeys(("P", "PHASE", "PHASE_MAP", "VELOCITY_MAP", "B0_MAP", "FIELD_MAP", "FIELDMAPHZ"), "phase"),
    **dict.fromkeys(("R", "REAL"), "real"),
    **dict.fromkeys(("I", "IMAGINARY"), "imaginary"),
}
_PHILIPS: Final = re.compile(r"([PRI])_[A-Z0-9]+")  # P_FFE, R_IR, I_SE
_PARTS: Final = {
    **dict.fromkeys(("W", "WATER"), "WATER"),
    **dict.fromkeys(("F", "FAT"), "FAT"),
    **dict.fromkeys(("IP", "IN_PHASE", "INPHASE"), "IN_PHASE"),
    **dict.fromkeys(("OP", "OPP_PHASE", "OUT_PHASE", "OPPOSED_PHASE", "OUT_OF_PHASE"), "OPPOSED_PHASE"),
    **dict.fromkeys(("MIP", "MAXIMUM"), "MAXIMUM"),
    **dict.fromkeys(("MNIP", "MINIP", "MINIMUM"), "MINIMUM"),
}


def kind_and_part(header: FrameHeader) -> tuple[Kind, str | None]:
    """The kind of a frame, and which map, Dixon image or projection it is where its Image Type says so.

    A quantity computed from images goes before the complex component, which maps inherit; trace-weighted and b = 0
    images are magnitudes like the images they come from.
    """
    values = [value.upper().replace(" ", "_") for value in header.image_type[2:]]
    for value in values:
        if value in _MAPS:
            return "derived", _MAPS[value]
        if _QUANTITY_MAP.fullmatch(value):
            return "derived", value
    part = next((_PARTS[value] for value in values if value in _PARTS), None)
    component = (header.complex_image_component or "").upper()
    if component in ("PHASE", "REAL", "IMAGINARY"):
        return _COMPLEX[component], part
    for value in values:
        if value in _COMPLEX:
            return _COMPLEX[value], part
        if philips := _PHILIPS.fullmatch(value):
            return _COMPLEX[philips[1]], part
    return "magnitude", part
