"""Every code a rule may answer with, its severity and what it means; `docs/rules.md` is printed from this table.

`error` is for what no vendor writes and no site means; `warning` for what is seldom right; `info` for what is worth
knowing.
"""

from dataclasses import dataclass
from typing import Final

from inference.reading import Severity


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding."""

    code: str
    severity: Severity
    attributes: str  # DICOM keywords it may name
    meaning: str


_TABLE: Final = (
    # units
    Code("echo-time-unit", "error", "EchoTime", "The echo time reads like seconds or microseconds."),
    Code("repetition-time-unit", "error", "RepetitionTime",
         "The repetition time reads like seconds or microseconds."),
    Code("inversion-time-unit", "error", "InversionTime", "The inversion time reads like seconds or microseconds."),
    Code("field-strength-unit", "warning", "MagneticFieldStrength",
         "The field strength reads like gauss or millitesla; old consoles and converters write it so."),
    Code("echo-time-short", "warning", "EchoTime",
         "The echo time is shorter than any but ultrashort sequences reach, and none is named."),
    Code("repetition-time-long", "warning", "RepetitionTime",
         "The repetition time is too long for this gradient echo."),
    # physics
    Code("impossible-value", "error", "EchoTime, RepetitionTime, InversionTime, FlipAngle, MagneticFieldStrength",
         "The value is negative or beyond what exists."),
    Code("echo-exceeds-repetition", "error", "EchoTime",
         "The echo comes after the next excitation, in a sequence that does not shift echoes."),
    Code("echo-near-repetition", "warning", "EchoTime",
         "The echo comes after the next excitation, in a sequence the header does not name."),
    Code("spin-echo-flip-angle", "error", "FlipAngle", "A 2D spin echo with a flip angle of a gradient echo."),
    Code("spin-echo-low-flip-angle", "warning", "FlipAngle", "A spin echo with an unusually low flip angle."),
    Code("gradient-echo-flip-angle", "warning", "FlipAngle",
         "A gradient echo with a flip angle of a refocusing pulse."),
    # inversion
    Code("inversion-time-missing", "warning", "InversionTime",
         "Inversion recovery is named without an inversion time."),
    Code("inversion-time-unexpected", "warning", "InversionTime",
         "A spin echo has an inversion time and names no inversion recovery."),
    Code("inversion-exceeds-repetition", "error", "InversionTime",
         "The inversion time is longer than the repetition time of a spin echo."),
    # sequence
    Code("sequence-name", "warning", "ScanningSequence",
         "Scanning Sequence contradicts the vendor's sequence name or image type."),
    Code("sequence-timing", "error", "ScanningSequence",
         "Flip angle, echo and repetition time together belong to the other kind of echo."),
    Code("description-sequence", "warning", "ScanningSequence", "The description names the other kind of echo."),
    # description
    Code("description-contrast", "error", "SeriesDescription, ProtocolName",
         "The description names a contrast that the timing or the b-value excludes."),
    Code("description-parameters", "warning", "SeriesDescription, ProtocolName",
         "The description names a contrast that the timing seldom gives."),
    Code("description-inversion", "warning", "SeriesDescription, ProtocolName",
         "The description names FLAIR or STIR and the header no inversion."),
    Code("description-protocol", "warning", "SeriesDescription",
         "Description and protocol name contradict each other."),
    Code("description-plane", "warning", "SeriesDescription, ProtocolName",
         "The description names another plane than the orientation."),
    Code("description-plane-unusual", "info", "SeriesDescription, ProtocolName",
         "As description-plane, where names follow the limb, the reformat or the oblique axis."),
    Code("description-image-type", "warning", "ImageType",
         "The description names another product than the image type: ADC, trace, FA, phase, …"),
    Code("description-image-type-unmarked", "info", "ImageType",
         "The description names a map and the image type does not say so."),
    Code("description-fat-suppression", "info", "ScanOptions",
         "The description and the scan options differ about fat suppression."),
    Code("acquisition-contrast", "info", "AcquisitionContrast",
         "Acquisition Contrast differs from what the description names."),
    # contrast agent
    Code("agent-contradicts-description", "warning", "ContrastBolusAgent",
         "An agent is recorded and the description says that none was given, or the reverse."),
    Code("agent-missing", "info", "ContrastBolusAgent",
         "The description says post-contrast and no agent is recorded."),
    # diffusion
    Code("description-b-value", "warning", "DiffusionBValue",
         "The description names a b-value that no image of the series has."),
    Code("b-value-implausible", "warning", "DiffusionBValue",
         "The b-value is negative, below 2 or beyond any gradient system."),
    Code("b-value-unexpected", "warning", "DiffusionBValue", "A b-value on an image that is not diffusion-weighted."),
    Code("b-value-missing", "info", "DiffusionBValue", "A diffusion series without any b-value."),
    # derived images
    Code("derived-inherits", "info", "EchoTime, RepetitionTime",
         "A computed map keeps the timing of the images it was made from; it has none of its own."),
    Code("derived-in-series", "info", "ImageType",
         "The series holds acquired and computed images under one description."),
    Code("image-type-contradiction", "warning", "ImageType", "The image type names two products at once."),
    # geometry
    Code("orientation-vectors", "warning", "ImageOrientationPatient",
         "The direction cosines are not unit vectors at right angles."),
    Code("pixel-spacing-implausible", "warning", "PixelSpacing",
         "Pixel spacing and matrix give a field of view no scanner has."),
    Code("slice-thickness-implausible", "warning", "SliceThickness", "The slice thickness is not one of a scanner."),
    Code("slice-spacing", "info", "SpacingBetweenSlices",
         "The spacing between slices does not fit thickness or positions."),
    # required attributes
    Code("required-attribute", "warning", "any of Type 1",
         "An attribute that the object must have with a value is missing."),
    Code("unknown-attribute", "info", "any of Type 2",
         "An attribute that says how the image was made is missing or empty."),
    Code("unusable-value", "warning", "any", "An attribute is present and its value cannot be used."),
    # mixtures
    Code("mixed-equipment", "error", "MagneticFieldStrength, Manufacturer", "One stack comes from several scanners."),
    Code("mixed-timing", "warning", "RepetitionTime, EchoTime, FlipAngle, ScanningSequence",
         "Images of one stack differ in how they were made."),
    Code("mixed-geometry", "warning", "Rows, PixelSpacing, SliceThickness",
         "Images of one stack differ in matrix, spacing or thickness."),
    Code("mixed-objects", "warning", "SOPClassUID, SeriesDescription",
         "Images of one stack differ in class or description."),
)  # fmt: skip

CODES: Final = {code.code: code for code in _TABLE}


def markdown() -> str:
    """The table as the document `docs/rules.md`."""
    rows = [f"| `{code.code}` | {code.severity} | {code.attributes} | {code.meaning} |" for code in _TABLE]
    return "\n".join((
        "# Rules",
        "",
        "What the rules may say about a header without looking at a pixel. This page is printed from the table the",
        "rules themselves use (`inference.rules.catalogue.markdown`), and a test holds it to that.",
        "",
        "A finding of severity `error` flags the series. It is kept for what no vendor writes and no site means; a",
        "map that keeps the echo time of its source is `info`. Words are read with the lexicon in",
        "`inference/rules/lexicon/`.",
        "",
        "| code | severity | attribute | meaning |",
        "|---|---|---|---|",
        *rows,
        "",
    ))  # fmt: skip
