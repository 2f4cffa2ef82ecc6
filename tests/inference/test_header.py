"""Acquisition headers of classic images: golden values, odd values as faults, text in the world's character sets."""

import io

import pytest
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicom_factory import mr_image
from inference.header import FrameHeader, HeaderError, frame_headers


def read(dataset: Dataset) -> FrameHeader:
    """Through a file, as headers come."""
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    file.seek(0)
    (header,) = frame_headers(dcmread(file))
    return header


def with_raw(keyword: str, value: bytes, vr: str | None = None) -> Dataset:
    """An image with an element that pydicom would refuse to make."""
    dataset = mr_image()
    tag = Tag(tag_for_keyword(keyword) or 0)
    dataset[tag] = RawDataElement(tag, vr or dictionary_VR(tag), len(value), value, 0, False, True)
    return dataset


def test_classic_golden() -> None:
    dataset = mr_image(
        EchoTime="98.5", RepetitionTime=4000, InversionTime=150, FlipAngle=150, EchoTrainLength=9,
        NumberOfAverages="1.5",
        ScanningSequence=["SE", "IR"], SequenceVariant=["SK", "SP", "OSP"], ScanOptions="FS", MRAcquisitionType="2D",
        SequenceName="*tir2d1_9", MagneticFieldStrength="1.494", SeriesDescription="t2_tirm_cor", TriggerTime="12.5",
        ContrastBolusAgent="Gadovist", AcquisitionNumber=2, TemporalPositionIdentifier=3, InstanceNumber=7,
        ImagePositionPatient=[-1, 2, 3.5], ImageOrientationPatient=[1, 0, 0, 0, 0, -1], PixelSpacing=[0.5, 0.75],
        DiffusionBValue=50.0, DiffusionDirectionality="DIRECTIONAL", DiffusionGradientOrientation=[0.0, 0.6, 0.8],
    )  # fmt: skip
    header = read(dataset)
    assert header.echo_time_ms == 98.5
    assert header.repetition_time_ms == 4000
    assert header.inversion_time_ms == 150
    assert header.flip_angle_deg == 150
    assert header.echo_train_length == 9
    assert header.number_of_averages == 1.5
    assert header.scanning_sequence == ("SE", "IR")
    assert header.sequence_variant == ("SK", "SP", "OSP")
    assert header.scan_options == ("FS",)
    assert header.sequence_name == "*tir2d1_9"
    assert header.magnetic_field_strength_t == 1.494
    assert header.series_description == "t2_tirm_cor"
    assert header.trigger_time_ms == 12.5
    assert header.contrast_bolus_agent == "Gadovist"
    assert (header.acquisition_number, header.temporal_position, header.instance_number) == (2, 3, 7)
    assert header.image_position_mm == (-1, 2, 3.5)
    assert header.image_orientation == (1, 0, 0, 0, 0, -1)
    assert header.pixel_spacing_mm == (0.5, 0.75)
    assert (header.b_value_s_mm2, header.diffusion_directionality) == (50, "DIRECTIONAL")
    assert header.diffusion_gradient == (0, 0.6, 0.8)
    assert header.image_type == ("ORIGINAL", "PRIMARY", "M", "ND")
    assert (header.manufacturer, header.manufacturer_model_name) == ("SIEMENS", "Prisma")
    assert (header.rows_px, header.columns_px, header.bits_allocated) == (64, 64, 16)
    assert (header.frame, header.frames, header.has_pixels) == (1, 1, True)
    assert header.faults == ()


def test_what_is_absent_is_none() -> None:
    header = read(mr_image(EchoTime=None, ScanOptions=None, ScanningSequence="", RepetitionTime="", PixelSpacing=None))
    assert header.echo_time_ms is None
    assert header.repetition_time_ms is None
    assert header.scan_options == ()
    assert header.scanning_sequence == ()
    assert header.pixel_spacing_mm is None
    assert header.faults == ()


@pytest.mark.parametrize("transfer_syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_the_encoding_does_not_matter(transfer_syntax: str) -> None:
    attributes = {"EchoTime": 98, "DiffusionBValue": 1000.0, "DiffusionGradientOrientation": [0.0, 0.6, 0.8]}
    assert read(mr_image(transfer_syntax=transfer_syntax, **attributes)) == read(mr_image(**attributes))


@pytest.mark.parametrize(
    ("keyword", "value", "field", "rule"),
    [
        ("EchoTime", b"abc ", "echo_time_ms", "must be a number"),
        ("EchoTime", b"12,5", "echo_time_ms", "must be a number"),
        ("EchoTime", b"1_2 ", "echo_time_ms", "must be a number"),
        ("EchoTime", b"12\\80 ", "echo_time_ms", "must have 1 value"),
        ("RepetitionTime", b"inf ", "repetition_time_ms", "must be finite"),
        ("FlipAngle", b"nan ", "flip_angle_deg", "must be finite"),
        ("ImagePositionPatient", b"1\\2 ", "image_position_mm", "must have 3 values"),
        ("ImageOrientationPatient", b"1\\0\\0\\0\\x\\0 ", "image_orientation", "must be a number"),
        ("PixelSpacing", b"1.0 ", "pixel_spacing_mm", "must have 2 values"),
        ("InstanceNumber", b"1.5 ", "instance_number", "must be an integer"),
    ],
)
def test_a_value_that_cannot_be_used_is_a_fault(keyword: str, value: bytes, field: str, rule: str) -> None:
    (header,) = frame_headers(with_raw(keyword, value))
    assert getattr(header, field) is None
    (fault,) = header.faults
    assert (fault.attribute, fault.rule, fault.recorded) == (keyword, rule, value.decode().strip())
    assert fault.tag == f"({Tag(keyword).group:04X},{Tag(keyword).element:04X})"


def test_the_recorded_value_of_a_fault_is_short() -> None:
    (header,) = frame_headers(with_raw("EchoTime", b"x" * 1000))
    (fault,) = header.faults
    assert fault.recorded == "x" * 64


@pytest.mark.parametrize(
    ("charset", "value", "expected"),
    [
        ("ISO_IR 100", "T2 écho sag".encode("latin-1"), "T2 écho sag"),
        ("ISO_IR 192", "T1 矢状断".encode(), "T1 矢状断"),
        ("GB18030", "T1 增强".encode("gb18030"), "T1 增强"),
        ("\\ISO 2022 IR 87", b"T1 \x1b$B;0<!85\x1b(B", "T1 三次元"),
        ("ISO 2022 IR 87", b"T1 \x1b$B;0<!85\x1b(B", "T1 三次元"),
        ("NO SUCH SET", "schräg".encode("latin-1"), "schräg"),
        (None, b"\xff\xfe", "ÿþ"),
    ],
)
def test_text_in_any_character_set(charset: str | None, value: bytes, expected: str) -> None:
    (header,) = frame_headers(described(charset, value))
    assert header.series_description == expected


def test_text_that_no_declared_set_decodes_is_still_read() -> None:
    with pytest.warns(UserWarning, match="Failed to decode"):
        (header,) = frame_headers(described("\\ISO 2022 IR 87", b"T1 \x1b$Bp\x1b(B"))
    assert header.series_description is not None
    assert header.series_description.startswith("T1")


def described(charset: str | None, value: bytes) -> Dataset:
    dataset = with_raw("SeriesDescription", value + b" " * (len(value) % 2))
    tag, raw = Tag("SpecificCharacterSet"), (charset or "").encode()
    dataset[tag] = RawDataElement(tag, "CS", len(raw), raw, 0, False, True)
    return dataset


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPClassUID"])
def test_a_missing_uid_is_refused(keyword: str) -> None:
    dataset = mr_image()
    del dataset[keyword]
    with pytest.raises(HeaderError, match=rf"{keyword} \(0[0-9A-F,]+\) is missing") as error:
        frame_headers(dataset)
    assert error.value.code == "missing-uid"


@pytest.mark.parametrize("value", [b"../../etc/passwd", b"1.2.x", b"1..2", b"1" * 65 + b"\0"])
def test_an_invalid_uid_is_refused(value: bytes) -> None:
    with pytest.raises(HeaderError, match=r"SeriesInstanceUID \(0020,000E\) is .*must be digits") as error:
        frame_headers(with_raw("SeriesInstanceUID", value))
    assert error.value.code == "invalid-uid"


def test_agent_from_its_code() -> None:
    agent = Dataset()
    agent.CodeValue, agent.CodingSchemeDesignator, agent.CodeMeaning = "7140000", "SCT", "Gadoterate"
    assert read(mr_image(ContrastBolusAgentSequence=[agent])).contrast_bolus_agent == "Gadoterate"


@pytest.mark.parametrize(
    ("own", "codec", "meaning"),
    [
        (None, "utf-8", "ガドテル酸"),
        ("ISO_IR 13", "shift_jis", "ガドテル酸"),
        ("NO SUCH SET", "latin-1", "Gadotersäure"),
    ],
)
def test_an_item_has_the_character_set_of_its_image_or_one_of_its_own(
    own: str | None, codec: str, meaning: str
) -> None:
    agent, value = Dataset(), meaning.encode(codec)
    if own is not None:
        agent[0x00080005] = RawDataElement(Tag(0x00080005), "CS", len(own), own.encode(), 0, False, True)
    agent[0x00080104] = RawDataElement(Tag(0x00080104), "LO", len(value), value, 0, False, True)
    (header,) = frame_headers(mr_image(SpecificCharacterSet="ISO_IR 192", ContrastBolusAgentSequence=[agent]))
    assert header.contrast_bolus_agent == meaning


def test_several_echo_numbers_give_the_first() -> None:
    assert read(mr_image(EchoNumbers=[2, 3])).echo_number == 2


def test_philips_writes_enhanced_attributes_into_classic_images() -> None:
    header = read(
        mr_image(SpectrallySelectedSuppression="FAT", ComplexImageComponent="PHASE", EchoPulseSequence="GRADIENT")
    )
    assert header.spectrally_selected_suppression == "FAT"
    assert header.complex_image_component == "PHASE"
    assert header.echo_pulse_sequence == "GRADIENT"


def test_no_pixels() -> None:
    dataset = mr_image()
    del dataset.PixelData
    (header,) = frame_headers(dataset)
    assert not header.has_pixels
