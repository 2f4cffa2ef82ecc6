"""What one MR image says about its own acquisition, in DICOM units; None where it says nothing.

Classic MR images give one header a file; Enhanced and Legacy Converted Enhanced MR give one a frame, from the
per-frame functional groups first and the shared ones second (PS3.3 C.7.6.16).
"""

from dataclasses import dataclass

from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid


@dataclass(frozen=True, kw_only=True, slots=True)
class HeaderFault:
    """An attribute that is present and cannot be used as what it is."""

    attribute: str  # keyword, e.g. EchoTime
    tag: str  # "(0018,0081)"
    recorded: str  # the value as text, at most 64 characters, never of an attribute that names the patient
    rule: str  # what it breaks, e.g. "must be a number"


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
    mosaic: bool = False  # a Siemens mosaic: the slices of one volume tiled in one image
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

    # diffusion
    b_value_s_mm2: float | None = None  # (0018,9087) or the vendor's private element
    diffusion_directionality: str | None = None  # (0018,9075) DIRECTIONAL, ISOTROPIC, NONE
    diffusion_gradient: tuple[float, float, float] | None = None

    # geometry, patient coordinates (PS3.3 C.7.6.2.1.1)
    image_orientation: tuple[float, float, float, float, float, float] | None = None
    image_position_mm: tuple[float, float, float] | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    slice_thickness_mm: float | None = None
    spacing_between_slices_mm: float | None = None

    faults: tuple[HeaderFault, ...] = ()
