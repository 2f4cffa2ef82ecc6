"""Headers of multi-frame images: functional groups of the frame first, shared ones second, the top level last."""

import io
import struct
import warnings

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicom_factory import enhanced_mr, functional_groups, legacy_enhanced_mr, mr_image, series
from inference.header import frame_headers


def test_enhanced_golden() -> None:
    dataset = enhanced_mr(
        2,
        shared={
            "RepetitionTime": 4000.0, "FlipAngle": 90.0, "EchoTrainLength": 7, "InversionRecovery": "YES",
            "InversionTimes": [150.0], "FrameType": ["ORIGINAL", "PRIMARY", "STIR", "NONE"],
            "AcquisitionContrast": "STIR", "ComplexImageComponent": "MAGNITUDE", "NumberOfAverages": 2,
            "PixelSpacing": [0.5, 0.75], "SliceThickness": 4, "ImageOrientationPatient": [1, 0, 0, 0, 0, -1],
            "RescaleSlope": 2, "RescaleIntercept": -1,
        },
        per_frame=[
            {"EffectiveEchoTime": 60.0, "TemporalPositionIndex": 1, "FrameAcquisitionNumber": 5,
             "DiffusionBValue": 0.0},
            {"EffectiveEchoTime": 61.0, "TemporalPositionIndex": 2, "NominalCardiacTriggerDelayTime": 33.0,
             "ImagePositionPatient": [1, 2, 3], "DiffusionBValue": 800.0, "DiffusionDirectionality": "ISOTROPIC"},
        ],
        SpectrallySelectedSuppression="FAT",
        EchoPlanarPulseSequence="YES",
    )  # fmt: skip
    first, second = frame_headers(dataset)
    assert (first.frame, second.frame, first.frames) == (1, 2, 2)
    assert (first.echo_time_ms, second.echo_time_ms) == (60, 61)
    for header in (first, second):
        assert header.repetition_time_ms == 4000
        assert header.flip_angle_deg == 90
        assert header.echo_train_length == 7
        assert (header.inversion_recovery, header.inversion_time_ms) == ("YES", 150)
        assert header.image_type == ("ORIGINAL", "PRIMARY", "STIR", "NONE")
        assert (header.acquisition_contrast, header.complex_image_component) == ("STIR", "MAGNITUDE")
        assert header.pixel_spacing_mm == (0.5, 0.75)
        assert header.slice_thickness_mm == 4
        assert header.image_orientation == (1, 0, 0, 0, 0, -1)
        assert header.number_of_averages == 2
        assert (header.rescale_slope, header.rescale_intercept) == (2, -1)
        assert (header.spectrally_selected_suppression, header.echo_planar_pulse_sequence) == ("FAT", "YES")
        assert header.sequence_name == "*se2d1"
        assert header.magnetic_field_strength_t == 3
        assert header.faults == ()
    assert (first.temporal_position, first.acquisition_number) == (1, 5)
    assert (second.temporal_position, second.trigger_time_ms) == (2, 33)
    assert (first.b_value_s_mm2, second.b_value_s_mm2) == (0, 800)
    assert second.diffusion_directionality == "ISOTROPIC"
    assert second.image_position_mm == (1, 2, 3)


def test_the_frame_goes_before_what_is_shared() -> None:
    dataset = enhanced_mr(2, shared={"EffectiveEchoTime": 10.0}, per_frame=[{}, {"EffectiveEchoTime": 20.0}])
    assert [header.echo_time_ms for header in frame_headers(dataset)] == [10, 20]


def test_what_is_shared_counts_without_groups_of_the_frames() -> None:
    dataset = enhanced_mr(1, shared={"EffectiveEchoTime": 98.0, "RescaleSlope": 2, "ImagePositionPatient": [1, 2, 3]})
    dataset.PerFrameFunctionalGroupsSequence = []
    (header,) = frame_headers(dataset)
    assert (header.echo_time_ms, header.repetition_time_ms, header.rescale_slope) == (98, 500, 2)
    assert (header.pixel_spacing_mm, header.image_position_mm) == ((1, 1), (1, 2, 3))
    assert header.faults == ()


def test_gradient_directions() -> None:
    dataset = enhanced_mr(1, per_frame=[{"DiffusionBValue": 1000.0}])
    gradient = Dataset()
    gradient.DiffusionGradientOrientation = [0.0, 0.6, 0.8]
    dataset.PerFrameFunctionalGroupsSequence[0].MRDiffusionSequence[0].DiffusionGradientDirectionSequence = [gradient]
    (header,) = frame_headers(dataset)
    assert header.diffusion_gradient == (0, 0.6, 0.8)


def test_legacy_converted_keeps_what_has_no_functional_group() -> None:
    images = series(3, EchoTime=lambda index: 10.0 * (index + 1), ScanningSequence=["SE", "IR"], InversionTime=150)
    headers = frame_headers(legacy_enhanced_mr(images))
    assert [header.echo_time_ms for header in headers] == [10, 20, 30]
    assert {header.scanning_sequence for header in headers} == {("SE", "IR")}
    assert {header.inversion_time_ms for header in headers} == {150}
    assert [header.image_position_mm for header in headers] == [(-32, -32, 0), (-32, -32, 5), (-32, -32, 10)]


def test_a_text_inside_functional_groups_is_in_the_character_set_of_the_image() -> None:
    dataset = legacy_enhanced_mr(series(2))
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        groups.UnassignedPerFrameConvertedAttributesSequence[0].SequenceName = "スピンエコー"
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    file.seek(0)
    assert {header.sequence_name for header in frame_headers(dcmread(file))} == {"スピンエコー"}


def test_a_frame_before_the_agent_has_none() -> None:
    agent = Dataset()
    agent.CodeMeaning = "Gadobutrol"
    dataset = enhanced_mr(2, ContrastBolusAgentSequence=[agent])
    for item, given in zip(dataset.PerFrameFunctionalGroupsSequence, ("NO", "YES"), strict=True):
        usage = Dataset()
        usage.ContrastBolusAgentAdministered = given
        item.ContrastBolusUsageSequence = [usage]
    assert [header.contrast_bolus_agent for header in frame_headers(dataset)] == [None, "Gadobutrol"]


def test_faults_belong_to_their_frame() -> None:
    dataset = enhanced_mr(2)
    dataset.PerFrameFunctionalGroupsSequence[1] = functional_groups({"EffectiveEchoTime": [1.0, 2.0]})
    first, second = frame_headers(dataset)
    assert first.faults == ()
    assert [fault.attribute for fault in second.faults] == ["EffectiveEchoTime"]


def test_an_absurd_number_of_frames_makes_no_headers() -> None:
    dataset = mr_image(NumberOfFrames=2_000_000_000)
    (header,) = frame_headers(dataset)
    assert header.frames == 2_000_000_000


@pytest.mark.parametrize(
    "value", [b"no sequence ", b"\xfe\xff\x00\xe0\x08\x00\x00\x00\x18\x00\x12\x91??\x00\x00", b"\xfe\xff\x00"]
)
def test_a_sequence_that_is_none_is_a_fault(value: bytes) -> None:
    dataset = enhanced_mr(2)
    tag = Tag("SharedFunctionalGroupsSequence")
    dataset[tag] = RawDataElement(tag, "SQ", len(value), value, 0, False, True)
    headers = frame_headers(dataset)
    assert [header.repetition_time_ms for header in headers] == [None, None]


@pytest.mark.parametrize("keyword", ["PerFrameFunctionalGroupsSequence", "ContrastBolusAgentSequence"])
@pytest.mark.parametrize(
    ("vr", "value"), [(b"US", b"abcd"), (b"US", b"\1"), (b"FD", b"abcd"), (b"PN", b"12"), (b"DS", b"12")]
)
def test_a_character_set_of_another_kind_in_an_item_is_a_fault(keyword: str, vr: bytes, value: bytes) -> None:
    element = struct.pack("<HH2sH", 0x0008, 0x0005, vr, len(value)) + value
    items = struct.pack("<HHI", 0xFFFE, 0xE000, len(element)) + element
    dataset, tag = enhanced_mr(2), Tag(keyword)
    dataset[tag] = RawDataElement(tag, "SQ", len(items), items, 0, False, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, that it knows no such character set
        header, *_ = frame_headers(dataset)
    assert keyword in [fault.attribute for fault in header.faults]


def test_a_text_in_place_of_a_sequence() -> None:
    dataset = enhanced_mr(2)
    dataset.add_new("SharedFunctionalGroupsSequence", "LO", "no sequence")
    first, _ = frame_headers(dataset)
    assert [(fault.attribute, fault.rule) for fault in first.faults] == [
        ("SharedFunctionalGroupsSequence", "must be a sequence of items")
    ]
