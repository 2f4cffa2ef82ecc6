"""Which pulse sequence a header describes, across vendors, classic and Enhanced."""

from typing import Any

import pytest

from clean_protocols import PROTOCOLS, clean_stack
from inference.technique import Technique, has_spoiled_timing, named_technique, technique


def of(protocol: str, **changes: Any) -> Technique:
    return technique(clean_stack(protocol, slices=1, **changes).header)


def test_every_protocol_is_one_kind_of_echo() -> None:
    spin = {name for name in PROTOCOLS if of(name).plain_spin_echo}
    gradient = {name for name in PROTOCOLS if of(name).plain_gradient_echo}
    planar = {name for name in PROTOCOLS if of(name).echo_planar}
    assert not spin & gradient
    assert spin | gradient | planar == set(PROTOCOLS) - {"ge-asl"}  # research mode says nothing
    assert {"siemens-flair", "philips-flair", "ge-cube", "siemens-xa-t2-tse", "canon-t1-se"} <= spin
    assert {"siemens-mprage", "philips-feepi", "siemens-xa-mprage", "uih-t1-gre-fsp", "siemens-trufi"} <= gradient
    assert {"siemens-bold", "siemens-trace", "siemens-xa-dwi", "ge-fmri", "canon-dti", "uih-dti"} <= planar


def test_enhanced_echo_planar_images_say_so_in_their_own_attribute() -> None:
    assert of("siemens-xa-dwi", sequence_name=None).echo_planar
    assert not of("siemens-xa-dwi", sequence_name=None, echo_planar_pulse_sequence="NO").echo_planar


@pytest.mark.parametrize(
    ("pulse_sequence", "steady"), [("FREE_PRECESSION", True), ("TIME_REVERSED", True), ("NONE", False), (None, False)]
)
def test_enhanced_steady_states(pulse_sequence: str | None, steady: bool) -> None:
    assert of("siemens-xa-mprage", steady_state_pulse_sequence=pulse_sequence).steady_state is steady


def test_the_name_says_what_siemens_leaves_out_of_echo_planar_images() -> None:
    assert of("siemens-bold").gradient_echo
    assert not of("siemens-bold").spin_echo
    assert of("siemens-bold", sequence_name="*epse2d1_64").spin_echo
    assert not of("siemens-bold", sequence_name=None).gradient_echo


def test_ir_alone_is_a_spin_echo_unless_the_timing_is_spoiled() -> None:
    assert of("philips-flair").plain_spin_echo
    assert of("philips-t1-tfe-ti", scanning_sequence=("IR",)).plain_gradient_echo


def test_preparations() -> None:
    assert of("siemens-mprage").prepared
    assert of("ge-bravo").prepared  # an inversion time, no IR, no MP
    assert not of("ge-lava").prepared
    assert not of("siemens-pcasl").prepared  # a labelling delay


def test_ultrashort_sequences_are_known_by_name_as_a_word() -> None:
    assert of("siemens-petra").ultrashort
    assert of("siemens-fl2d-t1", series_description="UTE_cor").ultrashort
    assert of("canon-mute").ultrashort
    assert of("ge-ozteo").ultrashort
    assert not of("siemens-fl2d-t1", series_description="minute route acute").ultrashort


@pytest.mark.parametrize(
    ("protocol", "name", "echoes"),
    [
        ("siemens-t1-se", "*se2d1", {"SE"}), ("siemens-t1-se", "*tse2d1_15", {"SE"}),
        ("siemens-t1-se", "*spcR_44ns", {"SE"}),
        ("siemens-t1-se", "*h2d1_256", {"SE"}), ("siemens-t1-se", "*tfl3d1_16ns", {"GR"}),
        ("siemens-t1-se", "*tfi2d1_64", {"GR", "SS"}),
        ("siemens-t1-se", "ep_b1000#12", {"SE", "EP"}), ("siemens-t1-se", "*epfid2d1_64", {"GR", "EP"}),
        ("siemens-t1-se", "tgse3d1_22080", {"SE", "GR"}), ("siemens-t1-se", "*svs_se", set()),
        ("siemens-t1-se", "segmented", set()),
        ("canon-t1-se", "FASE3D", {"SE"}), ("canon-t1-se", "FE3D5", {"GR"}),
        ("canon-t1-se", "SEEPI2D+0.7", {"SE", "EP"}),
        ("uih-t2-fse", "fse_mx", {"SE"}), ("uih-t2-fse", "gre_fsp", {"GR"}), ("uih-t2-fse", "epi_dti", {"SE", "EP"}),
        ("ge-t1-fse", "se2d1", set()),
    ],
)  # fmt: skip
def test_names_are_read_in_their_vendors_language(protocol: str, name: str, echoes: set[str]) -> None:
    assert named_technique(clean_stack(protocol, slices=1, sequence_name=name).header) == echoes


def test_spoiled_timing() -> None:
    spoiled = {name for name in PROTOCOLS if has_spoiled_timing(clean_stack(name, slices=1).header)}
    assert {"siemens-mprage", "ge-bravo", "siemens-vibe-km", "siemens-tof", "philips-t1-tfe"} <= spoiled
    assert not {"siemens-t1-se", "siemens-t2-tse", "siemens-fl2d-t1", "siemens-bold", "siemens-flair"} & spoiled
