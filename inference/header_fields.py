"""Which element fills which field of a FrameHeader: one table for classic images, one for functional groups."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from inference.elements import Attribute, Elements, attribute

Read = Callable[[Elements, Attribute], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of FrameHeader, the attribute that fills it and how that is read."""

    name: str
    attribute: Attribute
    read: Read


def _pair(elements: Elements, one: Attribute) -> tuple[float, ...] | None:
    return elements.numbers(one, 2)


def _position(elements: Elements, one: Attribute) -> tuple[float, ...] | None:
    return elements.numbers(one, 3)


def _orientation(elements: Elements, one: Attribute) -> tuple[float, ...] | None:
    return elements.numbers(one, 6)


def _first_integer(elements: Elements, one: Attribute) -> int | None:
    number = elements.first(one)
    return int(number) if number is not None and number.is_integer() else None


def _first(elements: Elements, one: Attribute) -> float | None:
    return elements.first(one)


_TEXT: Final = Elements.text
_TEXTS: Final = Elements.texts
_NUMBER: Final = Elements.number
_INTEGER: Final = Elements.integer


def _fields(*rows: tuple[str, str, Read]) -> tuple[Field, ...]:
    return tuple(Field(name, attribute(keyword), read) for name, keyword, read in rows)


# What every image says at the top level (PS3.3 A.4, A.36), whatever its kind.
TOP_LEVEL: Final = _fields(
    ("instance_number", "InstanceNumber", _INTEGER),
    ("modality", "Modality", _TEXT),
    ("rows_px", "Rows", _INTEGER),
    ("columns_px", "Columns", _INTEGER),
    ("samples_per_pixel", "SamplesPerPixel", _INTEGER),
    ("bits_allocated", "BitsAllocated", _INTEGER),
    ("photometric_interpretation", "PhotometricInterpretation", _TEXT),
    ("image_type", "ImageType", _TEXTS),
    ("manufacturer", "Manufacturer", _TEXT),
    ("manufacturer_model_name", "ManufacturerModelName", _TEXT),
    ("device_serial_number", "DeviceSerialNumber", _TEXT),
    ("station_name", "StationName", _TEXT),
    ("magnetic_field_strength_t", "MagneticFieldStrength", _NUMBER),
    ("series_description", "SeriesDescription", _TEXT),
    ("protocol_name", "ProtocolName", _TEXT),
    ("body_part_examined", "BodyPartExamined", _TEXT),
)

# The MR Image Module (PS3.3 C.8.3.1) and the classic modules around it. Siemens, Canon and UIH write the Enhanced
# attributes of the second block into classic images too.
CLASSIC: Final = _fields(
    ("scanning_sequence", "ScanningSequence", _TEXTS),
    ("sequence_variant", "SequenceVariant", _TEXTS),
    ("scan_options", "ScanOptions", _TEXTS),
    ("mr_acquisition_type", "MRAcquisitionType", _TEXT),
    ("sequence_name", "SequenceName", _TEXT),
    ("echo_time_ms", "EchoTime", _NUMBER),
    ("repetition_time_ms", "RepetitionTime", _NUMBER),
    ("inversion_time_ms", "InversionTime", _NUMBER),
    ("flip_angle_deg", "FlipAngle", _NUMBER),
    ("echo_number", "EchoNumbers", _first_integer),
    ("echo_train_length", "EchoTrainLength", _INTEGER),
    ("number_of_averages", "NumberOfAverages", _NUMBER),
    ("trigger_time_ms", "TriggerTime", _NUMBER),
    ("temporal_position", "TemporalPositionIdentifier", _INTEGER),
    ("acquisition_number", "AcquisitionNumber", _INTEGER),
    ("contrast_bolus_agent", "ContrastBolusAgent", _TEXT),
    ("image_orientation", "ImageOrientationPatient", _orientation),
    ("image_position_mm", "ImagePositionPatient", _position),
    ("pixel_spacing_mm", "PixelSpacing", _pair),
    ("slice_thickness_mm", "SliceThickness", _NUMBER),
    ("spacing_between_slices_mm", "SpacingBetweenSlices", _NUMBER),
    ("rescale_slope", "RescaleSlope", _NUMBER),
    ("rescale_intercept", "RescaleIntercept", _NUMBER),
    ("complex_image_component", "ComplexImageComponent", _TEXT),
    ("acquisition_contrast", "AcquisitionContrast", _TEXT),
    ("b_value_s_mm2", "DiffusionBValue", _NUMBER),
    ("diffusion_directionality", "DiffusionDirectionality", _TEXT),
    ("diffusion_gradient", "DiffusionGradientOrientation", _position),
)

# The MR Pulse Sequence Module (PS3.3 C.8.13.4) of Enhanced images; Philips writes it into classic ones.
PULSE_SEQUENCE: Final = _fields(
    ("sequence_name", "PulseSequenceName", _TEXT),
    ("mr_acquisition_type", "MRAcquisitionType", _TEXT),
    ("echo_pulse_sequence", "EchoPulseSequence", _TEXT),
    ("echo_planar_pulse_sequence", "EchoPlanarPulseSequence", _TEXT),
    ("steady_state_pulse_sequence", "SteadyStatePulseSequence", _TEXT),
    ("time_of_flight_contrast", "TimeOfFlightContrast", _TEXT),
    ("phase_contrast", "PhaseContrast", _TEXT),
    ("arterial_spin_labeling_contrast", "ArterialSpinLabelingContrast", _TEXT),
    ("spectrally_selected_suppression", "SpectrallySelectedSuppression", _TEXT),
    ("inversion_recovery", "InversionRecovery", _TEXT),
)

# The functional groups of MR (PS3.3 C.7.6.16, C.8.13.5) and what is taken from the first item of each.
FUNCTIONAL_GROUPS: Final = (
    (
        attribute("MRImageFrameTypeSequence"),
        _fields(
            ("image_type", "FrameType", _TEXTS),
            ("complex_image_component", "ComplexImageComponent", _TEXT),
            ("acquisition_contrast", "AcquisitionContrast", _TEXT),
        ),
    ),
    (
        attribute("MRTimingAndRelatedParametersSequence"),
        _fields(
            ("repetition_time_ms", "RepetitionTime", _NUMBER),
            ("flip_angle_deg", "FlipAngle", _NUMBER),
            ("echo_train_length", "EchoTrainLength", _INTEGER),
        ),
    ),
    (
        attribute("MREchoSequence"),
        _fields(("echo_time_ms", "EffectiveEchoTime", _NUMBER), ("echo_number", "EchoNumbers", _first_integer)),
    ),
    (
        attribute("MRModifierSequence"),
        _fields(("inversion_recovery", "InversionRecovery", _TEXT), ("inversion_time_ms", "InversionTimes", _first)),
    ),
    (attribute("MRAveragesSequence"), _fields(("number_of_averages", "NumberOfAverages", _NUMBER))),
    (
        attribute("MRDiffusionSequence"),
        _fields(
            ("b_value_s_mm2", "DiffusionBValue", _NUMBER),
            ("diffusion_directionality", "DiffusionDirectionality", _TEXT),
        ),
    ),
    (attribute("PlaneOrientationSequence"), _fields(("image_orientation", "ImageOrientationPatient", _orientation))),
    (attribute("PlanePositionSequence"), _fields(("image_position_mm", "ImagePositionPatient", _position))),
    (
        attribute("PixelMeasuresSequence"),
        _fields(
            ("pixel_spacing_mm", "PixelSpacing", _pair),
            ("slice_thickness_mm", "SliceThickness", _NUMBER),
            ("spacing_between_slices_mm", "SpacingBetweenSlices", _NUMBER),
        ),
    ),
    (
        attribute("PixelValueTransformationSequence"),
        _fields(("rescale_slope", "RescaleSlope", _NUMBER), ("rescale_intercept", "RescaleIntercept", _NUMBER)),
    ),
    (
        attribute("FrameContentSequence"),
        _fields(
            ("temporal_position", "TemporalPositionIndex", _INTEGER),
            ("acquisition_number", "FrameAcquisitionNumber", _INTEGER),
        ),
    ),
    (
        attribute("CardiacSynchronizationSequence"),
        _fields(("trigger_time_ms", "NominalCardiacTriggerDelayTime", _NUMBER)),
    ),
)
