"""What a caption says about an image: the fields of one header, normalised, and the sentences made of them.

A caption is what the metadata tower of a model sees. Its field names are fixed by the bundle format (ARCHITECTURE.md,
"The bundle"), so that field encoder, text template and label grid speak of the same things.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from inference.header import FrameHeader
from inference.kinds import kind_and_part

Template = Literal["paper", "extended"]
Value = str | float | bool

# The short names that dcm2niix writes and the published captions hold, by how Manufacturer (0008,0070) begins.
_MANUFACTURERS: Final = {
    "SIEMENS": "Siemens",
    "GE": "GE",
    "GENERAL ELECTRIC": "GE",
    "PHILIPS": "Philips",
    "TOSHIBA": "Toshiba",
    "CANON": "Canon",
    "HITACHI": "Hitachi",
    "UIH": "UIH",
    "UNITED IMAGING": "UIH",
    "SHANGHAI UNITED": "UIH",
    "BRUKER": "Bruker",
    "MR SOLUTIONS": "MRSolutions",
    "HYPERFINE": "Hyperfine",
}
_ABSENT: Final = "NONE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """The acquisition in the words of a caption; every field may be absent. Units are in the names."""

    plane: str | None = None  # axial, sagittal, coronal
    Manufacturer: str | None = None  # short form, e.g. Siemens
    ManufacturerModelName: str | None = None
    MagneticFieldStrength_t: float | None = None
    SeriesDescription: str | None = None
    MRAcquisitionType: str | None = None  # 2D, 3D
    ScanningSequence: str | None = None  # values joined by "_" in the order of the header, e.g. SE_IR
    SequenceVariant: str | None = None
    ScanOptions: str | None = None
    EchoTime_ms: float | None = None
    RepetitionTime_ms: float | None = None
    InversionTime_ms: float | None = None
    FlipAngle_deg: float | None = None
    b_value_s_mm2: float | None = None
    ImageKind: str | None = None  # of inference.kinds.Kind
    contrast: str | None = None  # of inference.labels
    post_contrast: bool | None = None
    fat_suppressed: bool | None = None

    def get(self, field: str) -> Value | None:
        """The value of `field`; KeyError for a name that is none."""
        if field not in FIELDS:
            raise KeyError(f"{field!r} is not a caption field")
        value: Value | None = getattr(self, field)
        return value


FIELDS: Final = tuple(field.name for field in fields(Caption))
NUMERIC_FIELDS: Final = frozenset(
    {
        "MagneticFieldStrength_t",
        "EchoTime_ms",
        "RepetitionTime_ms",
        "InversionTime_ms",
        "FlipAngle_deg",
        "b_value_s_mm2",
    }
)
YES_NO_FIELDS: Final = frozenset({"post_contrast", "fat_suppressed"})

# What a text template says, and so what a text tower can see.
TEMPLATE_FIELDS: Final[Mapping[Template, frozenset[str]]] = {
    "paper": frozenset(FIELDS)
    - {"MRAcquisitionType", "ScanOptions", "b_value_s_mm2", "ImageKind", "contrast", "post_contrast", "fat_suppressed"},
    "extended": frozenset(FIELDS) - {"MRAcquisitionType", "ScanOptions"},
}


def caption(
    header: FrameHeader,
    *,
    plane: str | None,
    contrast: str | None = None,
    post_contrast: bool | None = None,
    fat_suppressed: bool | None = None,
) -> Caption:
    """The caption of one header: what it says, in its own units, nothing repaired.

    `plane` is that of the stack the header speaks for (`Stack.plane`); `contrast`, `post_contrast` and `fat_suppressed`
    are what the header claims (`inference.claims`). None leaves a field out.
    """
    return Caption(
        plane=plane,
        Manufacturer=short_manufacturer(header.manufacturer),
        ManufacturerModelName=_stripped(header.manufacturer_model_name),
        MagneticFieldStrength_t=header.magnetic_field_strength_t,
        SeriesDescription=_stripped(header.series_description),
        MRAcquisitionType=_stripped(header.mr_acquisition_type),
        ScanningSequence=_joined(header.scanning_sequence),
        SequenceVariant=_joined(header.sequence_variant),
        ScanOptions=_joined(header.scan_options),
        EchoTime_ms=header.echo_time_ms,
        RepetitionTime_ms=header.repetition_time_ms,
        InversionTime_ms=header.inversion_time_ms,
        FlipAngle_deg=header.flip_angle_deg,
        b_value_s_mm2=header.b_value_s_mm2,
        ImageKind=kind_and_part(header)[0],
        contrast=contrast,
        post_contrast=post_contrast,
        fat_suppressed=fat_suppressed,
    )


def from_mapping(values: Mapping[str, Any]) -> Caption:
    """A caption from JSON; ValueError names a field that is none or holds a value of another type."""
    for field, value in values.items():
        if field not in FIELDS:
            raise ValueError(f"{field!r} is not a caption field")
        if value is not None and not _fits(field, value):
            raise ValueError(f"caption field {field} is {value!r}; must be {_type_name(field)}")
    typed: dict[str, Any] = {
        field: float(value) if field in NUMERIC_FIELDS and value is not None else value
        for field, value in values.items()
    }
    return Caption(**typed)


def text(caption: Caption, template: Template) -> str:
    """The caption as a sentence.

    `paper` is the published template of MR-CLIP (arXiv 2507.00043) to the letter: times in seconds, `NONE` for what is
    absent, values cut at a comma, the model name as dcm2niix writes it. `extended` adds kind, contrast, contrast agent,
    fat suppression and b-value, speaks of no brain, and puts the free text last, where a context limit cuts it first.
    """
    timing = ", ".join(
        [
            _seconds(caption.EchoTime_ms),
            _seconds(caption.RepetitionTime_ms),
            _seconds(caption.InversionTime_ms),
            _number(caption.FlipAngle_deg),
        ]
    )
    scanner = (
        f"Scanner (Manufacturer, Model, Field Strength): ({_word(caption.Manufacturer)}, "
        f"{_underscored(caption.ManufacturerModelName)}, {_number(caption.MagneticFieldStrength_t)})"
    )
    parameters = f"Imaging Parameters (Echo Time, Repetition Time, Inversion Time, Flip Angle): ({timing})"
    sequence = f"{_word(caption.ScanningSequence)}, {_word(caption.SequenceVariant)}"
    description = _word(caption.SeriesDescription)
    if template == "paper":
        acquisition = f"Acquisition (Description, Sequence, Variant): ({description}, {sequence})"
        return f"A brain MRI, plane {_word(caption.plane)}, {scanner}, {acquisition}, {parameters}"
    image = ", ".join(
        [
            _word(caption.ImageKind),
            _word(caption.contrast),
            _yes_no(caption.post_contrast),
            _yes_no(caption.fat_suppressed),
            _number(caption.b_value_s_mm2),
        ]
    )
    return (
        f"An MRI, plane {_word(caption.plane)}, "
        f"Image (Kind, Contrast, Contrast Agent, Fat Suppression, b-value): ({image}), "
        f"{parameters}, {scanner}, Acquisition (Sequence, Variant, Description): ({sequence}, {description})"
    )


def short_manufacturer(name: str | None) -> str | None:
    """Manufacturer (0008,0070) as dcm2niix shortens it; one it does not know stays as it is.

    >>> short_manufacturer("GE MEDICAL SYSTEMS")
    'GE'
    """
    name = _stripped(name)
    if name is None:
        return None
    upper = re.sub(r"[\s_]+", " ", name.upper())
    for beginning, short in _MANUFACTURERS.items():
        if re.match(rf"{beginning}\b", upper):
            return short
    return name


def _fits(field: str, value: object) -> bool:
    if field in YES_NO_FIELDS:
        return isinstance(value, bool)
    if field in NUMERIC_FIELDS:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str)


def _type_name(field: str) -> str:
    return "true or false" if field in YES_NO_FIELDS else "a number" if field in NUMERIC_FIELDS else "text"


def _stripped(value: str | None) -> str | None:
    return (value.strip() or None) if value is not None else None


def _joined(values: tuple[str, ...]) -> str | None:
    return "_".join(value.strip() for value in values if value.strip()) or None


def _word(value: str | None) -> str:
    """A value in a list of values: whitespace collapsed, cut at the comma that would end it."""
    return " ".join(value.split(",")[0].split()) or _ABSENT if value else _ABSENT


def _underscored(value: str | None) -> str:
    """A model name as a dcm2niix sidecar has it: `SIGNA HDx` is `SIGNA_HDx`."""
    return re.sub(r"[\s_,^/\\%*]+", "_", value.strip()).strip("_") or _ABSENT if value else _ABSENT


def _number(value: float | None) -> str:
    """`%g`, as dcm2niix prints numbers: 90.0 is `90`, 101.92 ms is `0.10192` s."""
    return _ABSENT if value is None else f"{value:g}"


def _seconds(value_ms: float | None) -> str:
    return _number(None if value_ms is None else value_ms / 1000)


def _yes_no(value: bool | None) -> str:
    return _ABSENT if value is None else "YES" if value else "NO"
