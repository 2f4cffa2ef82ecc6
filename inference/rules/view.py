"""What a rule looks at, and how it answers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, cast

from pydicom.datadict import tag_for_keyword

from inference.claims import Claim, DescriptionClaim, claim, wordings
from inference.header import FrameHeader
from inference.reading import Finding, Severity
from inference.rules.catalogue import CODES
from inference.stacks import Stack
from inference.technique import Technique, technique

ENHANCED_MR: Final = frozenset({"1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.3"})  # and Enhanced MR Color
CLASSIC_MR: Final = frozenset(
    {"1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.4"}
)  # and Legacy Converted Enhanced
LONGEST_TEXT: Final = 64
_GATED: Final = frozenset({"CG", "PPG", "RG"})  # Scan Options (0018,0022) of a gated image


@dataclass(frozen=True, slots=True)
class Attribute:
    """Where FrameHeader keeps an attribute, its unit, and what Enhanced MR calls it."""

    field: str
    unit: str = ""
    enhanced: str | None = None


ATTRIBUTES: Final = {
    "EchoTime": Attribute("echo_time_ms", " ms", "EffectiveEchoTime"),
    "RepetitionTime": Attribute("repetition_time_ms", " ms"),
    "InversionTime": Attribute("inversion_time_ms", " ms", "InversionTimes"),
    "FlipAngle": Attribute("flip_angle_deg", " degrees"),
    "MagneticFieldStrength": Attribute("magnetic_field_strength_t", " T"),
    "ScanningSequence": Attribute("scanning_sequence", "", "EchoPulseSequence"),
    "SequenceVariant": Attribute("sequence_variant"),
    "ScanOptions": Attribute("scan_options"),
    "MRAcquisitionType": Attribute("mr_acquisition_type"),
    "ImageType": Attribute("image_type", "", "FrameType"),
    "AcquisitionContrast": Attribute("acquisition_contrast"),
    "SpectrallySelectedSuppression": Attribute("spectrally_selected_suppression"),
    "ContrastBolusAgent": Attribute("contrast_bolus_agent", "", "ContrastBolusAgentSequence"),
    "SeriesDescription": Attribute("series_description"),
    "ProtocolName": Attribute("protocol_name"),
    "DiffusionBValue": Attribute("b_value_s_mm2", " s/mm2"),
    "ImageOrientationPatient": Attribute("image_orientation"),
    "ImagePositionPatient": Attribute("image_position_mm", " mm"),
    "PixelSpacing": Attribute("pixel_spacing_mm", " mm"),
    "SliceThickness": Attribute("slice_thickness_mm", " mm"),
    "SpacingBetweenSlices": Attribute("spacing_between_slices_mm", " mm"),
    "Rows": Attribute("rows_px"),
    "Columns": Attribute("columns_px"),
    "Manufacturer": Attribute("manufacturer"),
    "ManufacturerModelName": Attribute("manufacturer_model_name"),
    "Modality": Attribute("modality"),
    "SOPClassUID": Attribute("sop_class_uid"),
}


class StackView:
    """One stack with everything that rules ask about it, worked out once. `header` speaks for the stack."""

    def __init__(self, stack: Stack, stacks: Sequence[Stack]) -> None:
        self.stack = stack
        self.stacks = stacks
        self.header: FrameHeader = stack.header

    @cached_property
    def technique(self) -> Technique:
        """The pulse sequence of the stack."""
        return technique(self.header)

    @cached_property
    def claim(self) -> Claim:
        """What the header claims."""
        return claim(self.header)

    @cached_property
    def texts(self) -> tuple[tuple[str, DescriptionClaim], ...]:
        """SeriesDescription and, where it belongs to the series, ProtocolName, as claims."""
        return wordings(self.header)

    @property
    def wording(self) -> DescriptionClaim:
        """What Series Description (0008,103E) says."""
        return self.texts[0][1]

    @cached_property
    def is_map(self) -> bool:
        """True for images computed from others, whose timing is not their own."""
        return self.stack.kind == "derived" or self.claim.label in ("ADC", "DERIVED_MAP")

    @cached_property
    def is_localizer(self) -> bool:
        """True if the image type or the words say so."""
        return "LOCALIZER" in self.header.image_type or any(text.localizer for _, text in self.texts)

    @property
    def is_gated(self) -> bool:
        """True if the images follow heart, pulse or breath: the repetition time then does."""
        return bool(_GATED & set(self.header.scan_options)) or self.header.trigger_time_ms is not None

    @property
    def enhanced(self) -> bool:
        """True for Enhanced MR, whose attributes have other names."""
        return is_enhanced(self.header)

    def keyword(self, keyword: str) -> str:
        """The keyword this object uses for a classic one: EffectiveEchoTime for EchoTime in Enhanced MR."""
        return own_keyword(self.header, keyword)

    def name(self, keyword: str) -> str:
        """`EchoTime (0018,0081)`."""
        return f"{self.keyword(keyword)} {tag(self.keyword(keyword))}"

    def recorded(self, keyword: str) -> str | None:
        """The value as the header has it, as text."""
        return recorded(self.header, keyword)

    def states(self, keyword: str) -> str:
        """`EchoTime (0018,0081) is 98 ms`, or `… is missing`."""
        recorded = self.recorded(keyword)
        return f"{self.name(keyword)} is " + (
            "missing" if recorded is None else f"{recorded}{ATTRIBUTES[keyword].unit}"
        )

    def finding(
        self, code: str, keyword: str, message: str, *, expected: str | None = None, suggestion: str | None = None,
        severity: Severity | None = None,
    ) -> Finding:  # fmt: skip
        """A finding of the catalogue about one attribute; `severity` may only lower what the catalogue says."""
        return Finding(
            code=code,
            source="rules",
            attribute=self.keyword(keyword),
            tag=tag(self.keyword(keyword)),
            recorded=self.recorded(keyword),
            expected=expected,
            severity=CODES[code].severity if severity is None else severity,
            message=message,
            suggestion=suggestion,
        )


def is_enhanced(header: FrameHeader) -> bool:
    """True for Enhanced MR, whose attributes have other names."""
    return header.sop_class_uid in ENHANCED_MR


def own_keyword(header: FrameHeader, keyword: str) -> str:
    """The keyword that the header's object uses for a classic one: EffectiveEchoTime for EchoTime in Enhanced MR."""
    attribute = ATTRIBUTES.get(keyword)
    return attribute.enhanced if attribute and attribute.enhanced and is_enhanced(header) else keyword


def recorded(header: FrameHeader, keyword: str) -> str | None:
    """The value of a classic keyword as the header has it, as text."""
    if keyword == "ScanningSequence" and is_enhanced(header):
        return header.echo_pulse_sequence
    value: Any = getattr(header, ATTRIBUTES[keyword].field)
    return text(value)


def tag(keyword: str) -> str:
    """`(0018,0081)` for `EchoTime`."""
    number = tag_for_keyword(keyword)
    if number is None:
        raise ValueError(f"{keyword!r} is no keyword of the DICOM dictionary")
    return f"({number >> 16:04X},{number & 0xFFFF:04X})"


def text(value: Any) -> str | None:
    """A header value as DICOM writes it, numbers short, values parted by backslashes; None where there is none."""
    if value is None or value == ():
        return None
    if isinstance(value, tuple):
        values = cast("tuple[Any, ...]", value)
        return "\\".join(text(one) or "" for one in values)[:LONGEST_TEXT]
    return number(value) if isinstance(value, float) else str(value)[:LONGEST_TEXT]


def number(value: float) -> str:
    """Six significant digits, without an exponent for values in use."""
    return f"{value:.6g}" if not 1e6 <= abs(value) < 1e12 else f"{value:.0f}"


def decimal(value: float) -> str:
    """A suggested Decimal String: `98.0`."""
    return str(float(number(value)))


def joined(values: Iterable[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    words = list(values)
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""
