"""What a header claims, by protocol, by order of evidence, and by timing alone."""

from dataclasses import replace
from typing import Any

import pytest

from clean_protocols import PROTOCOLS, clean_stack
from inference import labels
from inference.claims import agent_claim, claim, parameter_claim
from inference.header import FrameHeader

CLAIMED = {
    "siemens-t1-se": labels.T1, "siemens-t2-tse": labels.T2, "siemens-pd-tse-fs": labels.PROTON_DENSITY,
    "siemens-flair": labels.FLUID_ATTENUATED, "siemens-stir": labels.STIR, "siemens-t1-flair": labels.T1,
    "siemens-mprage": labels.T1, "siemens-space-t2": labels.T2, "siemens-space-flair": labels.FLUID_ATTENUATED,
    "siemens-vibe-km": labels.T1, "siemens-fl2d-hemo": labels.T2_STAR, "siemens-swi": labels.SUSCEPTIBILITY,
    "siemens-bold": labels.T2_STAR, "siemens-trace": labels.DIFFUSION, "siemens-adc": labels.ADC,
    "siemens-trufi": labels.UNKNOWN, "siemens-trufi-cine": labels.UNKNOWN, "siemens-tof": labels.TOF,
    "siemens-pcasl": labels.PERFUSION, "siemens-xa-mprage": labels.T1, "siemens-xa-dwi": labels.DIFFUSION,
    "ge-t2-flair": labels.FLUID_ATTENUATED, "ge-t1-flair": labels.T1, "ge-stir": labels.STIR, "ge-bravo": labels.T1,
    "ge-swan": labels.SUSCEPTIBILITY, "ge-adc": labels.ADC, "ge-fiesta": labels.UNKNOWN, "ge-tof": labels.TOF,
    "ge-asl": labels.PERFUSION, "philips-flair": labels.FLUID_ATTENUATED, "philips-stir": labels.STIR,
    "philips-t1-tfe": labels.T1, "philips-dwi": labels.DIFFUSION, "philips-adc": labels.ADC,
    "philips-feepi": labels.T2_STAR, "philips-swip": labels.SUSCEPTIBILITY, "canon-flair": labels.FLUID_ATTENUATED,
    "canon-dti": labels.DIFFUSION, "uih-t1-gre-fsp": labels.T1, "uih-t2-fse": labels.T2,
}  # fmt: skip

# What the timing says of the same protocols without a word of text; None is right where timing does not decide.
BY_TIMING = {
    "siemens-t1-se": labels.T1, "siemens-t1-tse": labels.T1, "siemens-t2-tse": labels.T2, "siemens-haste": labels.T2,
    "siemens-pd-tse-fs": labels.PROTON_DENSITY, "siemens-flair": labels.FLUID_ATTENUATED, "siemens-stir": labels.STIR,
    "siemens-t1-flair": labels.T1, "siemens-mprage": labels.T1, "siemens-space-t2": labels.T2,
    "siemens-fl2d-t1": labels.T1, "siemens-fl2d-hemo": labels.T2_STAR, "siemens-bold": labels.T2_STAR,
    "siemens-trace": labels.DIFFUSION, "siemens-trufi": None, "siemens-ciss": None, "siemens-tof": None,
    "siemens-swi": None, "siemens-petra": None, "siemens-xa-mprage": labels.T1, "siemens-xa-t2-tse": labels.T2,
    "ge-t1-fse": labels.T1, "ge-t2-frfse": labels.T2, "ge-t1-flair": labels.T1, "ge-stir": labels.STIR,
    "ge-bravo": labels.T1, "ge-fiesta": None, "ge-asl": None, "philips-flair": labels.FLUID_ATTENUATED,
    "philips-t1-tfe": labels.T1, "philips-t1-se": labels.T1, "philips-ssh-tse": labels.T2, "philips-bffe": None,
    "canon-t2-fse": labels.T2, "uih-t1-gre-fsp": labels.T1,
}  # fmt: skip


def header(protocol: str, **changes: Any) -> FrameHeader:
    return clean_stack(protocol, slices=1, **changes).header


@pytest.mark.parametrize(("protocol", "label"), CLAIMED.items())
def test_the_claim_of_a_protocol(protocol: str, label: str) -> None:
    assert claim(header(protocol)).label == label


@pytest.mark.parametrize(("protocol", "label"), BY_TIMING.items())
def test_the_claim_of_timing_alone(protocol: str, label: str | None) -> None:
    assert parameter_claim(header(protocol, series_description=None, protocol_name=None)).label == label


def test_timing_never_contradicts_the_words_of_a_clean_protocol() -> None:
    for protocol in PROTOCOLS:
        words, timing = claim(header(protocol)).label, parameter_claim(header(protocol)).allowed
        if (
            PROTOCOLS[protocol].get("kind") != "derived"
            and timing
            and words != labels.UNKNOWN
            and "relaxo" not in protocol
        ):
            assert words in timing, protocol


def test_evidence_is_taken_in_the_documented_order() -> None:
    text = {"series_description": "t1_se_tra", "protocol_name": "t1_se_tra"}
    one = header(
        "siemens-t2-tse", **text, acquisition_contrast="T2_STAR", image_type=("ORIGINAL", "PRIMARY", "STIR", "ADC")
    )
    steps: list[tuple[dict[str, Any], str, str]] = [
        ({}, labels.ADC, "ImageType"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "STIR")}, labels.T2_STAR, "AcquisitionContrast"),
        ({"acquisition_contrast": "UNKNOWN"}, labels.STIR, "ImageType"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "M")}, labels.T1, "SeriesDescription"),
        ({"series_description": "series 5"}, labels.T1, "ProtocolName"),
        ({"protocol_name": None}, labels.T2, "EchoTime"),
        ({"echo_time_ms": None}, labels.UNKNOWN, ""),
    ]
    for change, label, basis in steps:
        one = replace(one, **change)
        assert (claim(one).label, next(iter(claim(one).basis), "")) == (label, basis)


def test_the_protocol_name_of_ge_names_the_examination_and_claims_nothing() -> None:
    one = header("ge-t2-frfse", series_description="series 5", protocol_name="MR BRAIN T1 W CONTRAST")
    assert claim(one).label == labels.T2
    assert claim(one).post_contrast is None


def test_the_echo_time_decides_between_the_words_of_a_dual_echo() -> None:
    text = {"series_description": "PD+T2 TSE", "protocol_name": "PD+T2 TSE", "repetition_time_ms": 4000.0}
    assert claim(header("siemens-t2-tse", **text, echo_time_ms=12.0)).label == labels.PROTON_DENSITY
    assert claim(header("siemens-t2-tse", **text, echo_time_ms=98.0)).label == labels.T2


def test_a_map_that_only_its_description_names() -> None:
    image_type = ("DERIVED", "SECONDARY", "DIFFUSION")
    assert claim(header("siemens-trace", image_type=image_type, series_description="DWI ADC")).label == labels.ADC
    assert (
        claim(header("siemens-trace", image_type=image_type, series_description="DWI b1000")).label == labels.DIFFUSION
    )


@pytest.mark.parametrize(
    ("agent", "given"),
    {
        "Gadovist": True, "11 ml Omniscan": True, "YES": True, "None": False, "no contrast": False, "ohne KM": False,
        "NO": False, "ohne Gadovist": False, "sans Dotarem": False, "no agent": False,
        "": None, None: None, "ANONYMIZED": None, "unknown": None, "-": None,
    }.items(),
)  # fmt: skip
def test_an_agent_by_name_denied_or_unknown(agent: str | None, given: bool | None) -> None:
    assert agent_claim(agent) is given
    assert claim(header("siemens-t1-se", contrast_bolus_agent=agent)).post_contrast is given


def test_the_recorded_agent_goes_before_the_words() -> None:
    assert claim(header("siemens-vibe-nativ", contrast_bolus_agent="Gadovist")).post_contrast is True
    assert claim(header("siemens-vibe-nativ")).post_contrast is False
    assert claim(header("siemens-vibe-km", contrast_bolus_agent=None)).post_contrast is True


def test_fat_suppression_by_option_attribute_label_and_words() -> None:
    assert claim(header("siemens-pd-tse-fs")).fat_suppressed is True
    assert claim(header("philips-stir")).fat_suppressed is True
    assert claim(header("siemens-xa-t2-tse")).fat_suppressed is False
    assert claim(header("siemens-xa-t2-tse", spectrally_selected_suppression="FAT")).fat_suppressed is True
    assert claim(header("siemens-t2-tse")).fat_suppressed is None


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"complex_image_component": "PHASE"}, labels.PHASE),
        ({"image_type": ("ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE")}, labels.PHASE),
        ({"image_type": ("ORIGINAL", "PRIMARY", "VELOCITY MAP", "P", "PCA")}, labels.FLOW_ENCODED),
        ({"image_type": ("DERIVED", "PRIMARY", "ASL", "RELCBF")}, labels.DERIVED_MAP),
        ({"image_type": ("ORIGINAL", "PRIMARY", "ASL", "NONE")}, labels.PERFUSION),
        ({"time_of_flight_contrast": "YES"}, labels.TOF),
        ({"phase_contrast": "YES"}, labels.FLOW_ENCODED),
        ({"arterial_spin_labeling_contrast": "PSEUDOCONTINUOUS"}, labels.PERFUSION),
        ({"scan_options": ("VASCTOF_GEMS",)}, labels.TOF),
        ({"image_type": ("ORIGINAL", "PRIMARY", "FMRI", "NONE")}, labels.T2_STAR),
    ],
)
def test_image_types_and_flags(changes: dict[str, Any], label: str) -> None:
    assert claim(header("siemens-fl2d-hemo", **changes)).label == label


def test_the_label_of_every_claim_is_one_of_the_vocabulary() -> None:
    for protocol in PROTOCOLS:
        assert claim(header(protocol)).label in {*labels.CONTRASTS, labels.UNKNOWN}
