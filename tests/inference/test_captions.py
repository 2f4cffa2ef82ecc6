"""Captions: golden sentences a person can check against the published template."""

from dataclasses import replace

import pytest

from inference.captions import (
    FIELDS,
    NUMERIC_FIELDS,
    TEMPLATE_FIELDS,
    YES_NO_FIELDS,
    Caption,
    Template,
    caption,
    from_mapping,
    short_manufacturer,
    text,
)
from inference.header import FrameHeader
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid

HEADER = FrameHeader(
    study_instance_uid=StudyInstanceUid("1.2.1"),
    series_instance_uid=SeriesInstanceUid("1.2.2"),
    sop_instance_uid=SopInstanceUid("1.2.3"),
    sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
    manufacturer="GE MEDICAL SYSTEMS",
    manufacturer_model_name="SIGNA HDx",
    magnetic_field_strength_t=1.5,
    series_description="Ax T2",
    mr_acquisition_type="2D",
    scanning_sequence=("SE",),
    sequence_variant=("SK",),
    echo_time_ms=101.92,
    repetition_time_ms=5360.0,
    flip_angle_deg=90.0,
)

# Every field holds something, each value different from every other.
FULL = Caption(
    plane="sagittal",
    Manufacturer="Siemens",
    ManufacturerModelName="Prisma_fit",
    MagneticFieldStrength_t=3.0,
    SeriesDescription="t2_tirm",
    MRAcquisitionType="2D",
    ScanningSequence="SE_IR",
    SequenceVariant="SK_SP",
    ScanOptions="FS",
    EchoTime_ms=81.0,
    RepetitionTime_ms=9000.0,
    InversionTime_ms=2500.0,
    FlipAngle_deg=150.0,
    b_value_s_mm2=50.0,
    ImageKind="magnitude",
    contrast="FLUID_ATTENUATED",
    post_contrast=False,
    fat_suppressed=True,
)


def test_the_paper_template_is_the_published_example() -> None:
    assert text(caption(HEADER, plane="axial"), "paper") == (
        "A brain MRI, plane axial, Scanner (Manufacturer, Model, Field Strength): (GE, SIGNA_HDx, 1.5), "
        "Acquisition (Description, Sequence, Variant): (Ax T2, SE, SK), Imaging Parameters (Echo Time, "
        "Repetition Time, Inversion Time, Flip Angle): (0.10192, 5.36, NONE, 90)"
    )


def test_an_empty_caption_says_none_everywhere() -> None:
    assert text(Caption(), "paper") == (
        "A brain MRI, plane NONE, Scanner (Manufacturer, Model, Field Strength): (NONE, NONE, NONE), "
        "Acquisition (Description, Sequence, Variant): (NONE, NONE, NONE), Imaging Parameters (Echo Time, "
        "Repetition Time, Inversion Time, Flip Angle): (NONE, NONE, NONE, NONE)"
    )


def test_the_extended_template_adds_what_the_pixels_show() -> None:
    assert text(FULL, "extended") == (
        "An MRI, plane sagittal, Image (Kind, Contrast, Contrast Agent, Fat Suppression, b-value): "
        "(magnitude, FLUID_ATTENUATED, NO, YES, 50), Imaging Parameters (Echo Time, Repetition Time, Inversion Time, "
        "Flip Angle): (0.081, 9, 2.5, 150), Scanner (Manufacturer, Model, Field Strength): (Siemens, Prisma_fit, 3), "
        "Acquisition (Sequence, Variant, Description): (SE_IR, SK_SP, t2_tirm)"
    )


def test_multi_valued_codes_are_joined_in_the_order_of_the_header() -> None:
    made = caption(replace(HEADER, scanning_sequence=("SE", "IR"), sequence_variant=("SK", " SP")), plane=None)
    assert (made.ScanningSequence, made.SequenceVariant, made.ScanOptions) == ("SE_IR", "SK_SP", None)


def test_a_value_with_a_comma_is_cut_at_it() -> None:
    assert "(T2W_TSE, SE, SK)" in text(
        caption(replace(HEADER, series_description="T2W_TSE, axial"), plane="axial"), "paper"
    )


def test_claims_enter_only_when_given() -> None:
    bare = caption(HEADER, plane="axial")
    assert (bare.contrast, bare.post_contrast, bare.fat_suppressed) == (None, None, None)
    told = caption(HEADER, plane="axial", contrast="T2", post_contrast=False, fat_suppressed=True)
    assert (told.contrast, told.post_contrast, told.fat_suppressed) == ("T2", False, True)


def test_the_kind_of_image_is_that_of_its_image_type() -> None:
    assert caption(HEADER, plane=None).ImageKind == "magnitude"
    assert (
        caption(replace(HEADER, image_type=("DERIVED", "PRIMARY", "DIFFUSION", "ADC")), plane=None).ImageKind
        == "derived"
    )


@pytest.mark.parametrize(
    ("recorded", "short"),
    [
        ("SIEMENS", "Siemens"),
        ("Siemens Healthineers", "Siemens"),
        ("GE MEDICAL SYSTEMS", "GE"),
        ("Philips Medical Systems", "Philips"),
        ("TOSHIBA_MEC", "Toshiba"),
        ("Canon Medical Systems", "Canon"),
        ("Hitachi, Ltd.", "Hitachi"),
        ("UIH", "UIH"),
        ("Bruker BioSpin MRI GmbH", "Bruker"),
        ("GERMAN IMAGING", "GERMAN IMAGING"),  # begins with GE and is not GE
        ("  ", None),
        (None, None),
    ],
)
def test_manufacturers_are_shortened_as_dcm2niix_does(recorded: str | None, short: str | None) -> None:
    assert short_manufacturer(recorded) == short


@pytest.mark.parametrize("template", ["paper", "extended"])
def test_a_template_sees_exactly_the_fields_it_names(template: Template) -> None:
    full = text(FULL, template)
    seen = {field for field in FIELDS if text(replace(FULL, **{field: None}), template) != full}
    assert seen == TEMPLATE_FIELDS[template]


def test_a_caption_comes_back_from_its_fields() -> None:
    assert from_mapping({field: FULL.get(field) for field in FIELDS}) == FULL
    assert from_mapping({"EchoTime_ms": 80}).EchoTime_ms == 80.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"EchoTime": 80.0}, "'EchoTime' is not a caption field"),
        ({"EchoTime_ms": "80"}, "EchoTime_ms is '80'; must be a number"),
        ({"EchoTime_ms": True}, "EchoTime_ms is True; must be a number"),
        ({"post_contrast": 1}, "post_contrast is 1; must be true or false"),
        ({"plane": 3}, "plane is 3; must be text"),
    ],
)
def test_a_field_of_another_name_or_type_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_mapping(values)


def test_the_field_sets_are_caption_fields() -> None:
    assert set(FIELDS) >= NUMERIC_FIELDS | YES_NO_FIELDS
    with pytest.raises(KeyError):
        FULL.get("PatientName")
