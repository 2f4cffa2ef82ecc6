"""Every kind of finding fires on its own corruption of a clean header, with the right attribute and suggestion."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from clean_protocols import ENHANCED_MR_IMAGE, PROTOCOLS, SAGITTAL, clean_stack
from inference.elements import HeaderFault
from inference.reading import Finding
from inference.rules import check
from inference.rules.catalogue import CODES


@dataclass(frozen=True)
class Case:
    """One corruption and the finding it must lead to; `alone`: the only warning or error."""

    code: str
    protocol: str
    attribute: str
    tag: str
    changes: dict[str, Any] = field(default_factory=dict)
    suggestion: str | None = None
    severity: str | None = None
    alone: bool = True


TE, TR, TI, FA = (
    ("EchoTime", "(0018,0081)"),
    ("RepetitionTime", "(0018,0080)"),
    ("InversionTime", "(0018,0082)"),
    ("FlipAngle", "(0018,1314)"),
)
SEQUENCE, FIELD = ("ScanningSequence", "(0018,0020)"), ("MagneticFieldStrength", "(0018,0087)")
DESCRIPTION, PROTOCOL = ("SeriesDescription", "(0008,103E)"), ("ProtocolName", "(0018,1030)")
IMAGE_TYPE, AGENT, B = (
    ("ImageType", "(0008,0008)"),
    ("ContrastBolusAgent", "(0018,0010)"),
    ("DiffusionBValue", "(0018,9087)"),
)


def text(value: str) -> dict[str, Any]:
    return {"series_description": value, "protocol_name": value}


PHASE = ("ORIGINAL", "PRIMARY", "P", "ND")

CASES = [
    # seconds and microseconds
    Case("echo-time-unit", "siemens-t2-tse", *TE, {"echo_time_ms": 0.098}, "98.0"),
    Case("echo-time-unit", "siemens-t2-tse", *TE, {"echo_time_ms": 98_000.0}, "98.0"),
    Case("echo-time-unit", "siemens-t1-se", *TE, {"echo_time_ms": 0.009}, "9.0"),
    Case("echo-time-unit", "siemens-bold", *TE, {"echo_time_ms": 0.03}, "30.0"),
    Case("echo-time-unit", "siemens-mprage", *TE, {"echo_time_ms": 0.00298}, "2.98"),
    Case("echo-time-unit", "siemens-mprage", *TE, {"echo_time_ms": 2980.0}, "2.98"),
    Case("echo-time-unit", "ge-gre-t2star", *TE, {"echo_time_ms": 0.02}, "20.0"),
    Case("echo-time-unit", "philips-t1-tfe", *TE, {"echo_time_ms": 3700.0}, "3.7"),
    Case("echo-time-unit", "siemens-xa-t2-tse", "EffectiveEchoTime", "(0018,9082)", {"echo_time_ms": 0.093}, "93.0"),
    Case("echo-time-unit", "siemens-swi", *TE, {"echo_time_ms": 0.02}, "20.0"),
    Case("echo-time-unit", "siemens-swi", *TE, {"echo_time_ms": 0.02, "image_type": PHASE, **text("Phase")}, "20.0"),
    Case("echo-time-short", "siemens-tof", *TE, {"echo_time_ms": 0.02}, "20.0"),
    # TR of an ultrashort volume whose name is gone is not held against an echo of 50 ms that it need not have
    Case("echo-time-short", "siemens-spiral-vibe", *TE, text("t1_vibe_spiral_cor"), "50.0"),
    Case("echo-time-short", "ge-ozteo", *TE, text("Sag bone"), "20.0"),
    Case("repetition-time-unit", "siemens-t2-tse", *TR, {"repetition_time_ms": 4.0}, "4000.0"),
    Case("repetition-time-unit", "siemens-t1-se", *TR, {"repetition_time_ms": 0.5}, "500.0"),
    Case("repetition-time-unit", "siemens-bold", *TR, {"repetition_time_ms": 2.0}, "2000.0"),
    Case("repetition-time-unit", "ge-dwi", *TR, {"repetition_time_ms": 8.0}, "8000.0"),
    Case("repetition-time-unit", "siemens-mprage", *TR, {"repetition_time_ms": 2.3}, "2300.0"),
    Case("repetition-time-unit", "siemens-mprage", *TR, {"repetition_time_ms": 3.0, "echo_time_ms": 1.7}, "3000.0"),
    Case("repetition-time-unit", "ge-lava", *TR, {"repetition_time_ms": 0.0038}, "3.8"),
    Case("repetition-time-unit", "siemens-t2-tse", *TR, {"repetition_time_ms": 4_000_000.0}, "4000.0"),
    Case("repetition-time-unit", "siemens-tof", *TR, {"repetition_time_ms": 22_000.0}, "22.0"),
    Case("repetition-time-unit", "siemens-swi", *TR, {"repetition_time_ms": 28_000.0}, "28.0"),
    Case("repetition-time-long", "ge-bravo", *TR, {"repetition_time_ms": 8200.0}, "8.2"),
    Case("inversion-time-unit", "siemens-flair", *TI, {"inversion_time_ms": 2.5}, "2500.0"),
    Case("inversion-time-unit", "siemens-flair", *TI, {"inversion_time_ms": 2_500_000.0}, "2500.0"),
    Case("inversion-time-unit", "siemens-mprage", *TI, {"inversion_time_ms": 0.9}, "900.0"),
    Case("inversion-time-unit", "ge-stir", *TI, {"inversion_time_ms": 0.15}, "150.0"),
    Case("inversion-time-unit", "siemens-xa-mprage", "InversionTimes", "(0018,9079)", {"inversion_time_ms": 0.9},
        "900.0"),
    Case("field-strength-unit", "ge-t1-fse", *FIELD, {"magnetic_field_strength_t": 15_000.0}, "1.5"),
    Case("field-strength-unit", "ge-t1-fse", *FIELD, {"magnetic_field_strength_t": 1500.0}, "1.5"),
    Case("field-strength-unit", "ge-t1-fse", *FIELD, {"magnetic_field_strength_t": 3000.0}, None),  # 3 T or 0.3 T
    # impossible
    Case("impossible-value", "siemens-t1-se", *TE, {"echo_time_ms": -1.0}),
    Case("impossible-value", "siemens-t1-se", *TR, {"repetition_time_ms": -500.0}),
    Case("impossible-value", "siemens-flair", *TI, {"inversion_time_ms": -2500.0}),
    Case("impossible-value", "siemens-t1-se", *FA, {"flip_angle_deg": 900.0}),
    Case("impossible-value", "siemens-t1-se", *FA, {"flip_angle_deg": -90.0}),
    Case("impossible-value", "siemens-t1-se", *FIELD, {"magnetic_field_strength_t": 64.0}),
    Case("impossible-value", "siemens-t1-se", *FIELD, {"magnetic_field_strength_t": 0.0}, severity="info"),
    # physics
    Case("echo-exceeds-repetition", "siemens-t2-tse", *TE, {"repetition_time_ms": 80.0}, alone=False),
    Case("echo-exceeds-repetition", "siemens-fl2d-hemo", *TE, {"repetition_time_ms": 15.0, "flip_angle_deg": 15.0}),
    Case("echo-exceeds-repetition", "siemens-psif", *TE, {"echo_time_ms": 80.0}),
    Case("echo-near-repetition", "ge-asl", *TE, {"repetition_time_ms": 10.0}),
    Case("echo-near-repetition", "philips-swip", *TE, {"echo_time_ms": 32.0, "repetition_time_ms": 24.0}),  # PRESTO
    Case("spin-echo-flip-angle", "siemens-t1-se", *FA, {"flip_angle_deg": 9.0}),
    Case("spin-echo-flip-angle", "ge-t2-frfse", *FA, {"flip_angle_deg": 1.57}),  # radians
    Case("spin-echo-low-flip-angle", "philips-t1-se", *FA, {"flip_angle_deg": 40.0}),
    Case("spin-echo-low-flip-angle", "siemens-space-t2", *FA, {"flip_angle_deg": 9.0}),
    Case("gradient-echo-flip-angle", "siemens-fl2d-t1", *FA, {"flip_angle_deg": 180.0}),
    # inversion
    Case("inversion-time-missing", "siemens-flair", *TI, {"inversion_time_ms": None}),
    Case("inversion-time-missing", "ge-stir", *TI, {"inversion_time_ms": 0.0}),
    Case("inversion-time-missing", "siemens-mprage", *TI, {"inversion_time_ms": None}),
    Case("inversion-time-missing", "siemens-xa-mprage", "InversionTimes", "(0018,9079)", {"inversion_time_ms": None}),
    Case("inversion-time-unexpected", "siemens-t2-tse", *TI, {"inversion_time_ms": 2500.0}),
    Case(
        "inversion-time-unexpected", "canon-flair", *TI, {"scanning_sequence": ("SE",)},
    ),
    Case("inversion-time-unexpected", "philips-t2-tse", *TI, {"inversion_time_ms": 40.0}, severity="info"),  # spectral
    Case("inversion-exceeds-repetition", "siemens-flair", *TI, {"repetition_time_ms": 2000.0}),
    Case("description-inversion", "canon-flair", *DESCRIPTION, {"scanning_sequence": ("SE",),
        "inversion_time_ms": None}),
    Case("description-inversion", "siemens-t2-tse", *DESCRIPTION, text("t2_tirm_tra_dark-fluid")),
    Case("description-inversion", "ge-t2-frfse", *DESCRIPTION, {"series_description": "Cor STIR", "plane": "coronal"}),
    # spin or gradient echo
    Case("sequence-name", "siemens-t2-tse", *SEQUENCE, {"scanning_sequence": ("GR",)}, "SE", alone=False),
    Case("sequence-name", "siemens-mprage", *SEQUENCE, {"scanning_sequence": ("SE", "IR")}, "GR\\IR", alone=False),
    Case("sequence-name", "philips-t2-tse", *SEQUENCE, {"scanning_sequence": ("GR",)}, "SE", alone=False),
    Case("sequence-name", "canon-t2-fse", *SEQUENCE, {"scanning_sequence": ("GR",)}, "SE", alone=False),
    Case("sequence-name", "siemens-xa-t2-tse", "EchoPulseSequence", "(0018,9008)",
        {"echo_pulse_sequence": "GRADIENT"}, "SPIN", alone=False),
    Case("sequence-timing", "ge-t2-frfse", *SEQUENCE, {"scanning_sequence": ("GR",)}, "SE", alone=False),
    Case("sequence-timing", "ge-bravo", *SEQUENCE, {"scanning_sequence": ("SE",)}, "GR", alone=False),
    Case("description-sequence", "siemens-fl2d-t1", *SEQUENCE, text("t1_tse_sag")),
    Case("description-sequence", "philips-t1-se", *SEQUENCE, text("T1W_FFE")),
    Case("description-sequence", "ge-fmri", *SEQUENCE, {"series_description": "Ax CUBE"}),
    Case("description-sequence", "ge-t2-frfse", *SEQUENCE, {"series_description": "Ax T2 MERGE"}),  # merged stations
    # words against timing
    Case("description-contrast", "siemens-t2-tse", *DESCRIPTION, {"series_description": "t1_se_tra"}, alone=False),
    Case("description-contrast", "siemens-t1-se", *DESCRIPTION, {"series_description": "t2_tse_tra"}, alone=False),
    Case("description-contrast", "siemens-mprage", *DESCRIPTION, {"series_description": "T2 sag"}, alone=False),
    Case("description-contrast", "siemens-t2-tse", *DESCRIPTION, {"series_description": "PD tse tra"}),
    Case("description-contrast", "siemens-t2-tse", *DESCRIPTION, {"series_description": "T2* tra"}),
    Case("description-contrast", "siemens-t2-tse", *DESCRIPTION, {"series_description": "SWI"}),
    Case("description-contrast", "siemens-t2-tse", *DESCRIPTION, {"series_description": "TOF"}, alone=False),
    Case("description-contrast", "siemens-stir", *DESCRIPTION, text("t2_flair_cor")),
    Case("description-contrast", "siemens-flair", *DESCRIPTION, text("STIR tra")),
    Case("description-parameters", "siemens-t2-tse", *DESCRIPTION, text("fmri tra")),  # a sequence, not a contrast
    Case("description-contrast", "siemens-flair", *DESCRIPTION, text("t1_se_tra")),
    Case("description-contrast", "siemens-fl2d-t1", *DESCRIPTION, text("FLAIR sag")),
    Case("description-contrast", "siemens-fl2d-t1", *DESCRIPTION, text("STIR sag")),
    Case("description-contrast", "siemens-vibe-nativ", *DESCRIPTION, text("DWI tra")),
    Case("description-parameters", "siemens-fl2d-hemo", *DESCRIPTION, text("T1 tra")),
    Case("description-parameters", "siemens-fl2d-hemo", *DESCRIPTION,
        {"sequence_variant": ("SK", "SP", "MP"), "echo_time_ms": 2.0} | text("T2* dark blood")),  # its first echo
    Case("description-contrast", "siemens-medic", *DESCRIPTION, text("T1 tra")),
    Case("description-contrast", "siemens-trace", *DESCRIPTION, {"series_description": "t2_flair_tra"}, alone=False),
    Case("description-contrast", "siemens-t2-tse", *PROTOCOL, {"series_description": "series 5",
        "protocol_name": "t1_se_tra"}, severity="warning"),
    Case("description-parameters", "siemens-t1-se", *DESCRIPTION, text("pd_se_tra")),
    Case("description-parameters", "siemens-flair", *DESCRIPTION, text("t2_tse_tra")),
    Case("description-parameters", "siemens-t2-tse", *DESCRIPTION, text("ep2d_diff_tra")),
    Case("description-parameters", "siemens-t2-tse", *DESCRIPTION, text("pcasl tra")),
    Case("description-parameters", "siemens-mprage", *DESCRIPTION, text("TOF")),
    Case("description-parameters", "siemens-bold", *DESCRIPTION, text("T2 FLAIR")),
    Case("description-parameters", "ge-dwi", *DESCRIPTION, {"echo_time_ms": 12.0}),
    # words against protocol, plane, fat suppression, acquisition contrast
    Case("description-protocol", "siemens-pd-tse-fs", *DESCRIPTION, {"series_description": "t1_fs_cor"}, alone=False),
    Case("description-protocol", "siemens-vibe-nativ", *DESCRIPTION, {"series_description": "t1_vibe_fs_tra KM"}),
    Case("description-plane", "siemens-t2-tse", *DESCRIPTION, {"image_orientation": SAGITTAL, "plane": "sagittal"}),
    Case("description-plane", "ge-t1-fse", *DESCRIPTION, {"series_description": "T1 axiell"}),
    Case("description-plane", "ge-stir", *DESCRIPTION, {"series_description": "STIR transversal"}),
    Case("description-plane", "siemens-t2-tse", *PROTOCOL, {"series_description": "t2", "protocol_name": "t2_koronar"}),
    Case("description-plane-unusual", "siemens-t2-tse", *DESCRIPTION, text("t2_cor") | {"oblique_deg": 40.0},
        severity="info"),
    Case("description-plane-unusual", "siemens-t2-tse", *DESCRIPTION,
        text("t2_cor") | {"body_part_examined": "WRIST"}, severity="info"),
    Case("description-plane-unusual", "siemens-t2-tse", *DESCRIPTION, text("t2_cor MPR"), severity="info"),
    Case("description-fat-suppression", "siemens-pd-tse-fs", "ScanOptions", "(0018,0022)", text("pd_tse_non FS_cor"),
        severity="info"),
    Case("description-fat-suppression", "siemens-xa-t2-tse", "SpectrallySelectedSuppression", "(0018,9025)",
        text("t2_tse_fs_tra"), severity="info"),
    Case("acquisition-contrast", "siemens-xa-t2-tse", "AcquisitionContrast", "(0008,9209)",
        {"acquisition_contrast": "T1"}, severity="info"),
    # words against image type
    Case("description-image-type", "siemens-adc", "ImageType", "(0008,0008)",
        {"series_description": "ep2d_diff_TRACEW"}),
    Case("description-image-type", "siemens-adc", *IMAGE_TYPE, {"series_description": "DTI_FA"}),
    Case("description-image-type", "siemens-trace", *IMAGE_TYPE, {"series_description": "ep2d_diff_ADC"}),
    Case("description-image-type", "siemens-trace", *IMAGE_TYPE, {"series_description": "ep2d_diff_b50_1000_ADC"}),
    Case("description-image-type", "siemens-adc", *IMAGE_TYPE, {"series_description": "t2_tse_tra"}, alone=False),
    Case("description-image-type", "siemens-swi", *IMAGE_TYPE, {"series_description": "Pha_Images"}, alone=False),
    Case("description-image-type", "siemens-t1-se", *IMAGE_TYPE, text("ADC")),
    Case("description-image-type", "siemens-pcasl", *IMAGE_TYPE, {"series_description": "T1",
        "image_type": ("ORIGINAL", "PRIMARY", "ASL")}, alone=False),
    Case("description-image-type-unmarked", "ge-dwi", *IMAGE_TYPE, {"series_description": "ADC (mm2/s)"},
        severity="info"),
    Case("description-image-type-unmarked", "ge-dwi", *IMAGE_TYPE, {"series_description": "ADC (b50, b800)"},
        severity="info"),
    # contrast agent
    Case("agent-contradicts-description", "siemens-vibe-nativ", *AGENT, {"contrast_bolus_agent": "Gadovist"}),
    Case("agent-contradicts-description", "siemens-vibe-km", *AGENT, {"contrast_bolus_agent": "None"}),
    Case("agent-contradicts-description", "ge-bravo-c", *AGENT, {"series_description": "T1 BRAVO sans injection"}),
    Case("agent-missing", "siemens-vibe-km", *AGENT, {"contrast_bolus_agent": None}, severity="info"),
    # diffusion
    Case("description-b-value", "ge-dwi", *B, {"b_value_s_mm2": 50.0}, "1000"),
    Case("description-b-value", "siemens-xa-dwi", *B, {"b_value_s_mm2": 1500.0}),
    Case("description-b-value", "ge-dwi", *B, {"series_description": "DWI b0"}, "0"),
    Case("b-value-implausible", "siemens-trace", *B, {"b_value_s_mm2": 1.0}, "1000"),
    Case("b-value-implausible", "siemens-trace", *B, {"b_value_s_mm2": -1000.0}),
    Case("b-value-implausible", "siemens-trace", *B, {"b_value_s_mm2": 1e6}),
    Case("b-value-unexpected", "siemens-t1-se", *B, {"b_value_s_mm2": 1000.0}),
    Case("b-value-missing", "siemens-trace", *B, {"b_value_s_mm2": None}, severity="info"),
    # maps
    Case("derived-inherits", "siemens-adc", *TE, severity="info"),
    Case("derived-inherits", "philips-adc", *TR, {"echo_time_ms": None}, severity="info"),
    Case("image-type-contradiction", "siemens-trace", *IMAGE_TYPE, {"image_type": ("DERIVED", "PRIMARY", "DIFFUSION",
        "ADC", "TRACEW")}, alone=False),
    # geometry
    Case("orientation-vectors", "siemens-t1-se", "ImageOrientationPatient", "(0020,0037)", {"image_orientation": (1.0,
        0.0, 0.0, 0.5, 0.5, 0.0)}),
    Case("orientation-vectors", "siemens-t1-se", "ImageOrientationPatient", "(0020,0037)",
        {"image_orientation": (0.0,) * 6}),
    Case("orientation-vectors", "siemens-t1-se", "ImageOrientationPatient", "(0020,0037)", {"image_orientation": (2.0,
        0.0, 0.0, 0.0, 1.0, 0.0)}),
    Case("pixel-spacing-implausible", "siemens-t1-se", "PixelSpacing", "(0028,0030)", {"pixel_spacing_mm": (0.0009,
        0.0009)}),
    Case("pixel-spacing-implausible", "siemens-t1-se", "PixelSpacing", "(0028,0030)", {"pixel_spacing_mm": (900.0,
        900.0)}),
    Case("slice-thickness-implausible", "siemens-t1-se", "SliceThickness", "(0018,0050)",
        {"slice_thickness_mm": 5000.0}),
    Case("slice-spacing", "siemens-t1-se", "SpacingBetweenSlices", "(0018,0088)", {"spacing_between_slices_mm": -6.0},
        "6", "info"),
    Case("slice-spacing", "siemens-t1-se", "SpacingBetweenSlices", "(0018,0088)", {"spacing_between_slices_mm": 1.0},
        "6", "info"),  # the gap
    Case("slice-spacing", "siemens-t1-se", "SpacingBetweenSlices", "(0018,0088)", {"spacing_between_slices_mm": 4.0},
        "6", "info"),
    # attributes that must be there
    Case("required-attribute", "siemens-t1-se", "SequenceVariant", "(0018,0021)", {"sequence_variant": ()}),
    Case("required-attribute", "siemens-t1-se", *IMAGE_TYPE, {"image_type": ()}),
    Case("required-attribute", "siemens-t1-se", "PixelSpacing", "(0028,0030)", {"pixel_spacing_mm": None}),
    Case("required-attribute", "siemens-t1-se", "Modality", "(0008,0060)", {"modality": None}),
    Case("required-attribute", "siemens-xa-t2-tse", "EffectiveEchoTime", "(0018,9082)", {"echo_time_ms": None}),
    Case("unknown-attribute", "siemens-t1-se", *TE, {"echo_time_ms": None}, severity="info"),
    Case("unknown-attribute", "siemens-t1-se", *TR, {"repetition_time_ms": None}, severity="info"),
    Case("unusable-value", "siemens-t1-se", *TE, {
        "echo_time_ms": None,
        "faults": (HeaderFault(attribute="EchoTime", tag="(0018,0081)", recorded="1O", rule="must be a number"),),
    }),
]  # fmt: skip


def findings(protocol: str, **changes: Any) -> tuple[Finding, ...]:
    stack = clean_stack(protocol, **changes)
    return check(stack, [stack])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_clean_protocol_of_any_vendor_is_warned_about(protocol: str) -> None:
    assert [finding.message for finding in findings(protocol) if finding.severity != "info"] == []


def test_notes_on_clean_protocols_are_few() -> None:
    codes = sorted((finding.code, protocol) for protocol in PROTOCOLS for finding in findings(protocol))
    assert codes == [
        ("b-value-missing", "siemens-psif"),
        ("derived-inherits", "ge-adc"),
        ("derived-inherits", "philips-adc"),
        ("derived-inherits", "siemens-adc"),
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}-{case.protocol}-{case.attribute}")
def test_a_corruption_is_found(case: Case) -> None:
    found = findings(case.protocol, **case.changes)
    matching = [finding for finding in found if finding.code == case.code]
    assert matching, [finding.code for finding in found]
    finding = matching[0]
    assert (finding.attribute, finding.tag) == (case.attribute, case.tag)
    assert finding.severity == (case.severity or CODES[case.code].severity)
    assert finding.suggestion == case.suggestion
    assert finding.source == "rules"
    assert finding.p_value is None
    assert case.attribute in finding.message
    assert case.tag in finding.message
    if case.alone:
        others = [finding.code for finding in found if finding.severity != "info" and finding.code != case.code]
        assert others == []


def test_the_sentence_of_the_reading_contract() -> None:
    finding = findings("siemens-t2-tse", echo_time_ms=0.098)[0]
    assert finding.recorded == "0.098"
    assert finding.expected == "about 98 ms"
    assert finding.message == (
        "EchoTime (0018,0081) is 0.098 ms; a spin echo with RepetitionTime 4000 ms has 5 to 300 ms; "
        "0.098 reads like seconds"
    )


def test_all_times_in_seconds_are_found_one_by_one() -> None:
    found = findings("siemens-flair", echo_time_ms=0.085, repetition_time_ms=9.0, inversion_time_ms=2.5)
    assert [(one.code, one.suggestion) for one in found] == [
        ("echo-time-unit", "85.0"), ("repetition-time-unit", "9000.0"), ("inversion-time-unit", "2500.0"),
    ]  # fmt: skip


def test_the_gravest_finding_comes_first() -> None:
    found = findings("siemens-t2-tse", echo_time_ms=0.098, sequence_variant=(), spacing_between_slices_mm=-6.0)
    assert [finding.severity for finding in found] == ["error", "warning", "info"]


def test_objects_of_other_modalities_are_left_alone() -> None:
    assert findings("siemens-t2-tse", echo_time_ms=0.098, modality="CT") == ()


def test_spectroscopy_is_not_asked_for_what_images_have() -> None:
    spectroscopy = "1.2.840.10008.5.1.4.1.1.4.2"
    assert (
        findings("siemens-xa-t2-tse", sop_class_uid=spectroscopy, pixel_spacing_mm=None, image_position_mm=None) == ()
    )


@pytest.mark.parametrize(
    ("protocol", "changes"),
    [
        ("siemens-psif", {"echo_time_ms": 30.0}),  # echoes of SSFP lie past TR
        ("ge-bravo", {"inversion_time_ms": 450.0}),  # a GE preparation names no IR
        ("philips-t1-tfe-ti", {"scanning_sequence": ("GR",)}),  # TI far beyond a TR that is the echo spacing
        ("siemens-pcasl", {"inversion_time_ms": 1800.0}),  # the labelling delay of spin labelling
        ("siemens-space-t2", {"inversion_time_ms": 1800.0} | text("asl_3d")),  # the same, read out by spin echoes
        ("siemens-mp2rage-inv1", {"inversion_time_ms": None, "image_type": ("DERIVED", "PRIMARY", "M", "UNI")}),
        ("siemens-t2-tse", {"flip_angle_deg": 180.0}),  # a refocusing angle
        ("philips-t1-se", {"flip_angle_deg": 60.0}),
        ("ge-t2-frfse", {"inversion_time_ms": 0.0}),  # GE's zero for none
        ("siemens-petra", {"echo_time_ms": 0.05}),
        ("siemens-fl2d-t1", {"series_description": "t1 ute", "protocol_name": "t1 ute", "echo_time_ms": 0.06}),
        (
            "siemens-flair",
            {"repetition_time_ms": 800.0, "inversion_time_ms": 900.0, "trigger_time_ms": 12.0} | text("db tse"),
        ),
        ("philips-t1-tfe-ti", {"scanning_sequence": ("IR",), "image_type": ("ORIGINAL", "PRIMARY", "M_IR", "M", "IR")}),
        ("siemens-t2-tse", text("t2_tse_para_cor")),  # paracoronal is nobody's plane
        ("siemens-t2-tse", text("t2 3-plane localizer sag")),
        ("siemens-t1-se", {"contrast_bolus_agent": "ANONYMIZED"} | text("t1_se_tra nativ")),
        ("siemens-t2-tse", text("FLAIR MAGiC")),  # synthetic contrasts have the timing of their source
        ("siemens-t2-tse", text("T1W SyMRI")),
        ("siemens-t2-tse", text("FLAIR synthétique")),
        (  # an inversion in every heartbeat, and TR from echo to echo
            "siemens-trufi-cine",
            {
                "scanning_sequence": ("GR", "IR"),
                "sequence_variant": ("SK", "SS", "MP"),
                "repetition_time_ms": 18.6,
                "inversion_time_ms": 105.0,
            }
            | text("TI_scout"),
        ),
        (
            "siemens-mprage",
            {
                "mr_acquisition_type": "2D",
                "sequence_name": "*tfl2d1_25",
                "echo_time_ms": 1.96,
                "repetition_time_ms": 8.0,
                "inversion_time_ms": 300.0,
            }
            | text("psir"),
        ),
        (  # black blood needs 650 ms, whatever fat needs
            "ge-stir",
            {"scan_options": ("FAST_GEMS", "CG"), "inversion_time_ms": 650.0, "series_description": "STIR BB"},
        ),
        ("siemens-trufi", {"sequence_variant": ("SK", "SS", "MP")} | text("T2 bright blood cor")),  # Kellman 2007
        ("siemens-space-t2", {"repetition_time_ms": 1700.0, "inversion_time_ms": 1800.0} | text("asl_3d")),
        (  # the gradient-echo STIR of low fields
            "siemens-fl2d-hemo",
            {
                "echo_time_ms": 16.0,
                "repetition_time_ms": 1000.0,
                "flip_angle_deg": 90.0,
                "inversion_time_ms": 75.0,
                "sequence_name": None,
            }
            | text("STIR GE"),
        ),
        ("siemens-trace", text("IVIM_perfusion")),
    ],
)
def test_conventions_are_no_contradictions(protocol: str, changes: dict[str, Any]) -> None:
    assert [finding.message for finding in findings(protocol, **changes) if finding.severity != "info"] == []


def test_every_code_of_the_catalogue_is_seen_to_fire() -> None:
    in_series = {"mixed-equipment", "mixed-timing", "mixed-geometry", "mixed-objects", "derived-in-series"}
    assert {case.code for case in CASES} | in_series == set(CODES)  # those are in test_rules_stacks


def test_enhanced_objects_are_told_their_own_keywords() -> None:
    assert PROTOCOLS["siemens-xa-t2-tse"]["sop_class_uid"] == ENHANCED_MR_IMAGE
    finding = findings("siemens-xa-t2-tse", echo_time_ms=-1.0)[0]
    assert finding.message == "EffectiveEchoTime (0018,9082) is -1 ms; it must be at least 0"
