"""Images of one stack that were not made alike, and what the sister stacks of a series explain."""

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clean_protocols import ENHANCED_MR_IMAGE, clean_stack
from inference.elements import HeaderFault
from inference.reading import Finding
from inference.rules import check
from inference.stacks import Stack


def mixed(protocol: str, images: int = 1, **changes: Any) -> tuple[Finding, ...]:
    """Findings on a clean stack of ten in which the first `images` are changed, the middle one never."""
    stack = clean_stack(protocol, slices=10)
    odd = tuple(replace(frame, **changes) for frame in stack.frames[:images])
    whole = replace(stack, frames=(*odd, *stack.frames[images:]))
    return check(whole, [whole])


def grave(stack: Stack, stacks: Sequence[Stack]) -> list[str]:
    return [finding.code for finding in check(stack, stacks) if finding.severity != "info"]


@pytest.mark.parametrize(
    ("changes", "code", "attribute", "suggestion"),
    [
        ({"magnetic_field_strength_t": 1.5}, "mixed-equipment", "MagneticFieldStrength", None),
        ({"manufacturer": "GE MEDICAL SYSTEMS"}, "mixed-equipment", "Manufacturer", None),
        ({"manufacturer_model_name": "Aera"}, "mixed-equipment", "ManufacturerModelName", None),
        ({"repetition_time_ms": 4.0}, "mixed-timing", "RepetitionTime", "4000"),
        ({"repetition_time_ms": 600.0}, "mixed-timing", "RepetitionTime", "4000"),
        ({"flip_angle_deg": 15.0}, "mixed-timing", "FlipAngle", "150"),
        ({"echo_time_ms": 0.098}, "mixed-timing", "EchoTime", "98"),
        ({"scanning_sequence": ("GR",)}, "mixed-timing", "ScanningSequence", "SE"),
        ({"rows_px": 512}, "mixed-geometry", "Rows", None),
        ({"columns_px": 320}, "mixed-geometry", "Columns", None),
        ({"pixel_spacing_mm": (0.5, 0.5)}, "mixed-geometry", "PixelSpacing", None),
        ({"slice_thickness_mm": 1.0}, "mixed-geometry", "SliceThickness", "5"),
        ({"sop_class_uid": ENHANCED_MR_IMAGE}, "mixed-objects", "SOPClassUID", None),
        ({"series_description": "t1_se_tra"}, "mixed-objects", "SeriesDescription", "t2_tse_tra_512"),
    ],
)
def test_one_odd_image_in_ten_is_found_and_the_majority_suggested_where_it_may_be_entered(
    changes: dict[str, Any], code: str, attribute: str, suggestion: str | None
) -> None:
    findings = mixed("siemens-t2-tse", **changes)
    assert [(one.code, one.attribute, one.suggestion) for one in findings] == [(code, attribute, suggestion)]
    assert " in 9 images and " in findings[0].message
    assert " in 1 of one stack" in findings[0].message


def test_without_a_clear_majority_nothing_is_suggested() -> None:
    (finding,) = mixed("siemens-t2-tse", images=3, repetition_time_ms=600.0)
    assert finding.suggestion is None
    assert finding.message == "RepetitionTime (0018,0080) is 4000 ms in 7 images and 600 ms in 3 of one stack"


@pytest.mark.parametrize(
    ("protocol", "changes"),
    [
        ("siemens-trufi-cine", {"repetition_time_ms": 42.0}),  # gated: the heartbeat
        ("siemens-t2-tse", {"repetition_time_ms": None}),
        ("siemens-t2-tse", {"flip_angle_deg": 149.0}),
        ("siemens-t2-tse", {"manufacturer": "Siemens"}),
        ("siemens-adc", {"repetition_time_ms": 600.0}),  # a map has no timing of its own
    ],
)
def test_small_differences_are_none(protocol: str, changes: dict[str, Any]) -> None:
    assert [finding.code for finding in mixed(protocol, **changes) if finding.severity != "info"] == []


def test_variable_flip_angles_of_a_quantitative_series_are_a_note() -> None:
    stack = clean_stack("siemens-vibe-nativ", series_description="T1 mapping vfa", protocol_name="T1 mapping vfa")
    frames = tuple(replace(frame, flip_angle_deg=3.0 * (index + 1)) for index, frame in enumerate(stack.frames))
    whole = replace(stack, frames=frames)
    assert [(one.code, one.severity) for one in check(whole, [whole])] == [("mixed-timing", "info")]


def test_a_fault_in_many_images_is_one_finding_with_their_number() -> None:
    fault = HeaderFault(attribute="EchoTime", tag="(0018,0081)", recorded="98 ms", rule="must be a number")
    (finding,) = mixed("siemens-t2-tse", images=4, echo_time_ms=None, faults=(fault,))
    assert (finding.code, finding.recorded) == ("unusable-value", "98 ms")
    assert finding.message == "EchoTime (0018,0081) is '98 ms' in 4 of 10 images; it must be a number"


def test_the_echoes_of_a_dual_echo_series_excuse_one_another() -> None:
    text = {"series_description": "T2 tse tra", "protocol_name": "T2 tse tra"}
    early, late = clean_stack("siemens-t2-tse", echo_time_ms=12.0, **text), clean_stack("siemens-t2-tse", **text)
    assert grave(early, [early, late]) == []
    assert grave(early, [early]) == ["description-contrast"]


def test_the_first_echo_of_a_multi_echo_gradient_series_may_be_short() -> None:
    text = {"series_description": "T2* tra", "protocol_name": "T2* tra"}
    first, last = (clean_stack("siemens-fl2d-hemo", echo_time_ms=te, **text) for te in (2.5, 25.0))
    assert grave(first, [first, last]) == []
    assert grave(first, [first]) == ["description-parameters"]


def test_the_late_echoes_of_a_multi_echo_t1_series_are_of_its_first() -> None:
    echoes = [clean_stack("siemens-mt-flash", echo_time_ms=2.3 + 2.6 * number) for number in range(10)]
    assert [grave(echo, echoes) for echo in echoes] == [[]] * 10
    assert grave(echoes[5], [echoes[5]]) == ["description-parameters"]
    assert grave(echoes[9], [echoes[9]]) == ["description-contrast"]


def test_one_b_value_of_the_series_is_enough_for_the_words() -> None:
    zero, weighted = clean_stack("ge-dwi", b_value_s_mm2=0.0), clean_stack("ge-dwi", b_value_s_mm2=1000.0)
    assert grave(zero, [zero, weighted]) == []
    assert grave(zero, [zero]) == ["description-b-value"]


def test_b_values_that_some_images_lack_prove_nothing() -> None:
    zero, unknown = clean_stack("ge-dwi", b_value_s_mm2=0.0), clean_stack("ge-dwi", b_value_s_mm2=None)
    assert grave(zero, [zero, unknown]) == []


def test_several_planes_in_a_series_are_no_contradiction_to_its_name() -> None:
    axial, sagittal = clean_stack("siemens-t2-tse"), clean_stack("siemens-t2-tse", plane="sagittal")
    assert grave(sagittal, [axial, sagittal]) == []
    assert grave(sagittal, [sagittal]) == ["description-plane"]


def test_a_map_among_the_images_it_was_made_from_is_noted() -> None:
    image, adc = clean_stack("siemens-trace"), clean_stack("siemens-adc")
    assert "derived-in-series" in [finding.code for finding in check(adc, [image, adc])]
    assert "derived-in-series" not in [finding.code for finding in check(adc, [adc])]
    assert "derived-in-series" not in [finding.code for finding in check(image, [image, adc])]


def test_a_map_that_only_its_words_name_is_no_acquired_image() -> None:
    unmarked: dict[str, Any] = {
        "kind": "magnitude", "image_type": ("DERIVED", "SECONDARY", "COMBINED"), "acquisition_contrast": None,
        "series_description": "Apparent Diffusion Coefficient (mm2/s)",
    }  # fmt: skip
    one, other = (clean_stack("ge-adc", **unmarked, echo_time_ms=te) for te in (60.0, 80.0))
    image = clean_stack("siemens-trace")
    assert "derived-in-series" not in [finding.code for finding in check(one, [one])]
    assert "derived-in-series" not in [finding.code for finding in check(one, [one, other])]
    (found,) = (finding for finding in check(one, [one, other, image]) if finding.code == "derived-in-series")
    assert "; 1 of 3 stacks of the series are acquired images" in found.message


def test_slices_left_out_on_the_way_leave_the_spacing_right() -> None:
    stack = clean_stack("siemens-t2-tse", slices=9)
    thinned = replace(stack, frames=stack.frames[::3])
    assert check(thinned, [thinned]) == ()


def test_a_stack_of_twenty_thousand_images_is_checked_in_seconds() -> None:
    stack = clean_stack("siemens-bold", slices=20_000)
    start = perf_counter()
    check(stack, [stack])
    assert perf_counter() - start < 5  # 0.2 s on an idle core


NUMBER = (
    st.none() | st.sampled_from([0.0, -1.0, 5e-324, 1e-9, 1e308]) | st.floats(allow_nan=False, allow_infinity=False)
)
TEXTS = st.none() | st.sampled_from(["t1t1t1t1", "b=0,,1000", "+ -c", "T2*", "\u00c4X", "FLAIR"]) | st.text(max_size=80)
WORDS = st.lists(
    st.sampled_from(["SE", "GR", "IR", "EP", "RM", "MP", "SS", "ADC", "DERIVED", "P", ""]), max_size=4
).map(tuple)
ODD = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("echo_time_ms", "repetition_time_ms", "inversion_time_ms", "flip_angle_deg"), NUMBER),
        **dict.fromkeys(("magnetic_field_strength_t", "b_value_s_mm2", "slice_thickness_mm"), NUMBER),
        "spacing_between_slices_mm": NUMBER,
        "pixel_spacing_mm": st.none() | st.tuples(NUMBER, NUMBER).filter(lambda pair: None not in pair),
        "image_position_mm": st.none() | st.tuples(*[NUMBER.map(lambda value: value or 0.0)] * 3),
        "image_orientation": st.none() | st.tuples(*[NUMBER.map(lambda value: value or 0.0)] * 6),
        **dict.fromkeys(("series_description", "protocol_name", "sequence_name", "contrast_bolus_agent"), TEXTS),
        **dict.fromkeys(("manufacturer", "body_part_examined", "acquisition_contrast"), TEXTS),
        **dict.fromkeys(("scanning_sequence", "sequence_variant", "scan_options", "image_type"), WORDS),
    },
)


@settings(max_examples=300, deadline=None)
@given(odd=ODD, odder=ODD, protocol=st.sampled_from(["siemens-t2-tse", "ge-bravo", "siemens-xa-dwi", "philips-flair"]))
def test_no_header_however_odd_makes_a_rule_fail(odd: dict[str, Any], odder: dict[str, Any], protocol: str) -> None:
    stack = clean_stack(protocol, slices=3)
    frames = (replace(stack.frames[0], **odder), *(replace(frame, **odd) for frame in stack.frames[1:]))
    whole = replace(stack, frames=frames)
    for finding in check(whole, [whole]):
        assert finding.message
        assert len(finding.recorded or "") <= 64
