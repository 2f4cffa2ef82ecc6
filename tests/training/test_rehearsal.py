"""The whole way in one go: DICOM phantoms, preprocess, train, test, export, `mrclip read`, and a shuffled control."""

import math
from pathlib import Path

import numpy as np
import pytest

from inference.claims import claim
from inference.sources import find, load
from training.rehearsal.phantoms import TISSUES, Acquisition, Properties, signal
from training.rehearsal.protocols import PROTOCOLS
from training.rehearsal.run import Figures, Plan, rehearse
from training.rehearsal.study import write_study

WATER = Properties(density=1.0, t1_ms=1000.0, t2_ms=100.0, t2_star_ms=50.0, adc_um2_ms=2.0)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    shorter = ("optimiser.steps=220", "optimiser.warmup_steps=20", "data.batch_size=64")
    return rehearse(tmp_path_factory.mktemp("rehearsal"), Plan(people=24, held_out=5, overrides=shorter))


@pytest.mark.timeout(600)
def test_held_out_patients_are_retrieved_five_times_better_than_by_chance(figures: Figures) -> None:
    assert figures.recall_at_1 >= 5 * figures.chance_at_1


def test_shuffled_captions_fall_to_chance(figures: Figures) -> None:
    # images tell nothing there, but which captions are frequent can still be learnt: hence twice chance, not once
    assert figures.control_recall_at_1 < 2 * figures.control_chance_at_1


def test_the_exported_bundle_reads_new_people(figures: Figures) -> None:
    assert figures.read_series == 5 * len(PROTOCOLS)
    assert figures.read_right >= 0.7


def spin_echo(echo_ms: float, repetition_ms: float) -> Acquisition:
    return Acquisition(kind="spin-echo", echo_time_ms=echo_ms, repetition_time_ms=repetition_ms)


def test_signals_have_their_limits() -> None:
    assert signal(WATER, spin_echo(0, 1e9)) == pytest.approx(1.0)  # fully relaxed: the density
    assert signal(WATER, spin_echo(100, 1e9)) == pytest.approx(math.exp(-1))
    assert signal(WATER, spin_echo(0, 1000)) == pytest.approx(1 - math.exp(-1))
    null_ms = 1000 * math.log(2)
    nulled = Acquisition(kind="inversion", echo_time_ms=0, repetition_time_ms=1e9, inversion_time_ms=null_ms)
    assert signal(WATER, nulled) == pytest.approx(0.0, abs=1e-12)
    diffusion = Acquisition(kind="diffusion", echo_time_ms=0, repetition_time_ms=1e9, b_value_s_mm2=1000)
    assert signal(WATER, diffusion) == pytest.approx(math.exp(-2))
    # the Ernst angle gives the most signal of a spoiled gradient echo
    ernst = math.degrees(math.acos(math.exp(-0.5)))
    angles = [ernst - 5, ernst, ernst + 5]
    signals = [
        signal(WATER, Acquisition(kind="spoiled", echo_time_ms=0, repetition_time_ms=500, flip_angle_deg=angle))
        for angle in angles
    ]
    assert max(signals) == signals[1]


def test_every_protocol_shows_its_contrast() -> None:
    random = np.random.default_rng(0)
    drawn = {protocol.name: protocol.draw(random) for protocol in PROTOCOLS}

    def of(name: str, tissue: str) -> float:
        return signal(TISSUES[tissue], drawn[name])  # type: ignore[index]

    assert of("T1 SE", "white") > of("T1 SE", "grey") > of("T1 SE", "csf")
    assert of("T2 TSE", "csf") > of("T2 TSE", "grey") > of("T2 TSE", "white")
    assert of("T2 FLAIR", "csf") < 0.05 < of("T2 FLAIR", "lesion")
    assert of("STIR", "scalp") < 0.05 < of("STIR", "grey")
    assert of("DWI b1000", "csf") < of("DWI b1000", "white")
    assert of("ADC", "csf") > of("ADC", "lesion") > of("ADC", "grey")


def test_headers_claim_what_is_drawn_and_are_the_same_every_time(tmp_path: Path) -> None:
    written = write_study(tmp_path / "a", 3, seed=1)
    write_study(tmp_path / "b", 3, seed=1)
    claims = {}
    for instance in map(load, find([tmp_path / "a"])):
        claims[instance.series_instance_uid] = claim(instance.header).label  # type: ignore[union-attr]
    assert claims == {series.series_instance_uid: series.contrast for series in written}
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.dcm"))
    assert len(files) == 12 * len(PROTOCOLS)
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
