"""What one MR image says about its own acquisition, in DICOM units; None where it says nothing.

Classic MR images give one header a file; Enhanced and Legacy Converted Enhanced MR give one a frame, from the
per-frame functional groups first and the shared ones second (PS3.3 C.7.6.16).
"""

from dataclasses import dataclass
from typing import Any, Final, NoReturn

from pydicom.dataset import Dataset

from inference.elements import Elements, HeaderFault, attribute
from inference.header_fields import CLASSIC, FUNCTIONAL_GROUPS, PULSE_SEQUENCE, TOP_LEVEL, Field
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, is_uid
from inference.vendor import vendor_fields

__all__ = ["FrameHeader", "HeaderError", "HeaderFault", "frame_headers"]


class HeaderError(ValueError):
    """A data set that cannot be attributed to a series; `code` is one of inference.reasons.REFUSED."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameHeader:
    """The acquisition header of one frame. Nothing here identifies the patient."""

    study_instance_uid: StudyInstanceUid
    series_instance_uid: SeriesInstanceUid
    sop_instance_uid: SopInstanceUid
    sop_class_uid: str
    frame: int = 1  # from 1, as in Referenced Frame Number (0008,1160)
    frames: int = 1  # Number of Frames (0028,0008)
    instance_number: int | None = None
    modality: str | None = None

    # image
    rows_px: int | None = None
    columns_px: int | None = None
    samples_per_pixel: int | None = None
    bits_allocated: int | None = None
    photometric_interpretation: str | None = None
    has_pixels: bool = True
    mosaic: bool = False  # Siemens MOSAIC or UIH VFRAME: the slices of one volume tiled in one image
    mosaic_tiles: int | None = None  # slices in the mosaic
    mosaic_grid: tuple[int, int] | None = None  # rows and columns of tiles, filled row by row
    image_type: tuple[str, ...] = ()  # Image Type (0008,0008), or Frame Type (0008,9007) of this frame
    complex_image_component: str | None = None  # (0008,9208), or what the vendor writes instead

    # equipment; the serial number and station let a node count by scanner
    manufacturer: str | None = None
    manufacturer_model_name: str | None = None
    device_serial_number: str | None = None
    station_name: str | None = None
    magnetic_field_strength_t: float | None = None

    # what the operator calls it
    series_description: str | None = None
    protocol_name: str | None = None
    body_part_examined: str | None = None

    # pulse sequence
    scanning_sequence: tuple[str, ...] = ()
    sequence_variant: tuple[str, ...] = ()
    scan_options: tuple[str, ...] = ()
    mr_acquisition_type: str | None = None
    sequence_name: str | None = None  # Sequence Name (0018,0024) or Pulse Sequence Name (0018,9005)
    echo_pulse_sequence: str | None = None  # (0018,9008) SPIN, GRADIENT, BOTH
    inversion_recovery: str | None = None  # (0018,9009) YES, NO
    echo_planar_pulse_sequence: str | None = None  # (0018,9018) YES, NO
    steady_state_pulse_sequence: str | None = None  # (0018,9017) FREE_PRECESSION, TRANSVERSE, ...
    time_of_flight_contrast: str | None = None  # (0018,9015) YES, NO
    phase_contrast: str | None = None  # (0018,9014) YES, NO
    arterial_spin_labeling_contrast: str | None = None  # (0018,9250) CONTINUOUS, PSEUDOCONTINUOUS, PULSED
    spectrally_selected_suppression: str | None = None  # (0018,9025) FAT, WATER, ...
    acquisition_contrast: str | None = None  # (0008,9209)
    contrast_bolus_agent: str | None = None  # (0018,0010), or the agent's code meaning in (0018,0012)

    # timing
    echo_time_ms: float | None = None
    repetition_time_ms: float | None = None
    inversion_time_ms: float | None = None
    flip_angle_deg: float | None = None
    echo_number: int | None = None
    echo_train_length: int | None = None
    number_of_averages: float | None = None
    trigger_time_ms: float | None = None
    temporal_position: int | None = None
    acquisition_number: int | None = None

    # stored value to image value, as Modality LUT (PS3.3 C.11.1)
    rescale_slope: float | None = None
    rescale_intercept: float | None = None

    # diffusion
    b_value_s_mm2: float | None = None  # (0018,9087) or the vendor's private element
    diffusion_directionality: str | None = None  # (0018,9075) DIRECTIONAL, ISOTROPIC, NONE
    diffusion_gradient: tuple[float, float, float] | None = None

    # geometry, patient coordinates (PS3.3 C.7.6.2.1.1)
    image_orientation: tuple[float, float, float, float, float, float] | None = None
    image_position_mm: tuple[float, float, float] | None = None
    pixel_spacing_mm: tuple[float, float] | None = None  # between rows, between columns
    slice_thickness_mm: float | None = None
    spacing_between_slices_mm: float | None = None

    faults: tuple[HeaderFault, ...] = ()


_PER_FRAME: Final = attribute("PerFrameFunctionalGroupsSequence")
_SHARED: Final = attribute("SharedFunctionalGroupsSequence")
_UNASSIGNED: Final = (
    attribute("UnassignedPerFrameConvertedAttributesSequence"),
    attribute("UnassignedSharedConvertedAttributesSequence"),
)
_GRADIENTS: Final = attribute("DiffusionGradientDirectionSequence")
_DIFFUSION: Final = attribute("MRDiffusionSequence")
_GRADIENT: Final = attribute("DiffusionGradientOrientation")
_AGENTS: Final = attribute("ContrastBolusAgentSequence")
_AGENT_MEANING: Final = attribute("CodeMeaning")
_AGENT_USAGE: Final = attribute("ContrastBolusUsageSequence")
_ADMINISTERED: Final = attribute("ContrastBolusAgentAdministered")
_FRAMES: Final = attribute("NumberOfFrames")
_PIXELS: Final = tuple(attribute(name) for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))
_UIDS: Final = {
    "study_instance_uid": attribute("StudyInstanceUID"),
    "series_instance_uid": attribute("SeriesInstanceUID"),
    "sop_instance_uid": attribute("SOPInstanceUID"),
    "sop_class_uid": attribute("SOPClassUID"),
}


def frame_headers(dataset: Dataset, *, has_pixels: bool | None = None) -> tuple[FrameHeader, ...]:
    """The headers of all frames of one image, in frame order; one for anything that is not multi-frame.

    A functional group of the frame goes before a shared one (PS3.3 C.7.6.16), that before the unassigned attributes
    of a converted image (PS3.3 C.7.6.16.2.25), and the top level comes last. `has_pixels` says what a data set that
    was read without its pixels cannot.

    Raises:
        HeaderError: a UID is missing or is none; nothing else in a header raises, it becomes a HeaderFault.
    """
    elements = Elements(dataset)
    identity = _identity(elements)
    common = _read(elements, TOP_LEVEL + CLASSIC + PULSE_SEQUENCE)
    if "contrast_bolus_agent" not in common:
        common |= _agents(elements)
    common = vendor_fields(elements, common.get("image_type", ())) | common
    frames = elements.integer(_FRAMES) or 1
    per_frame = elements.items(_PER_FRAME)[: max(frames, 1)]
    if has_pixels is None:
        has_pixels = any(one.tag in dataset for one in _PIXELS)
    common |= {"frames": len(per_frame) or max(frames, 1), "has_pixels": has_pixels}
    for shared in elements.items(_SHARED)[:1]:  # which one frame may have alone
        common |= _functional_groups(elements.inside(shared))
    if not per_frame:
        return (FrameHeader(**identity, **common, faults=tuple(elements.faults.values())),)
    return tuple(_frame(identity | common, elements, item, number) for number, item in enumerate(per_frame, start=1))


def _frame(common: dict[str, Any], elements: Elements, item: Dataset, number: int) -> FrameHeader:
    own = Elements(item, faults=dict(elements.faults), parent=elements)
    fields: dict[str, Any] = common | _functional_groups(own) | {"frame": number}
    return FrameHeader(**fields, faults=tuple(own.faults.values()))


def _identity(elements: Elements) -> dict[str, Any]:
    identity = {name: elements.text(one) for name, one in _UIDS.items()}
    for name, one in _UIDS.items():
        uid = identity[name]
        if uid is None:
            raise HeaderError("missing-uid", f"{one.keyword} {one.text} is missing; every image must have it")
        if not is_uid(uid):
            _refuse_uid(one.keyword, one.text, uid)
    return identity


def _refuse_uid(keyword: str, tag: str, value: str) -> NoReturn:
    shown = value if len(value) <= 64 else f"{value[:64]}… ({len(value)} characters)"
    rule = "must be digits in dotted components, at most 64 characters (PS3.5 9.1)"
    raise HeaderError("invalid-uid", f"{keyword} {tag} is {shown!r}; {rule}")


def _read(elements: Elements, fields: tuple[Field, ...]) -> dict[str, Any]:
    """What is there, by field name; of two attributes for one field the first that is there."""
    found: dict[str, Any] = {}
    for field in fields:
        if field.name not in found:
            value = field.read(elements, field.attribute)
            if value is not None and value != ():
                found[field.name] = value
    return found


def _functional_groups(elements: Elements) -> dict[str, Any]:
    """The fields of one item of the shared or per-frame functional groups."""
    found: dict[str, Any] = {}
    for sequence in _UNASSIGNED:
        for item in elements.items(sequence)[:1]:
            found |= _read(elements.inside(item), CLASSIC)
    for sequence, fields in FUNCTIONAL_GROUPS:
        for item in elements.items(sequence)[:1]:
            inner = elements.inside(item)
            found |= _read(inner, fields)
            if sequence == _DIFFUSION:
                found |= _gradient(inner)
    if any(elements.items(_AGENT_USAGE)):
        usage = [elements.inside(item).text(_ADMINISTERED) for item in elements.items(_AGENT_USAGE)]
        if set(usage) == {"NO"}:  # PS3.3 C.7.6.16.2.12: this frame was taken before the agent
            found["contrast_bolus_agent"] = None
    return found


def _gradient(diffusion: Elements) -> dict[str, Any]:
    for item in diffusion.items(_GRADIENTS)[:1]:
        gradient = diffusion.inside(item).numbers(_GRADIENT, 3)
        if gradient is not None:
            return {"diffusion_gradient": gradient}
    return {}


def _agents(elements: Elements) -> dict[str, Any]:
    meanings = [elements.inside(item).text(_AGENT_MEANING) for item in elements.items(_AGENTS)]
    named = [meaning for meaning in meanings if meaning]
    return {"contrast_bolus_agent": ", ".join(named)} if named else {}
