"""Corruptions change what they name and nothing else, and the rules see those that rules can see."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from pydicom.dataset import Dataset

from inference.claims import claim
from inference.header import FrameHeader, frame_headers
from inference.rules import check
from inference.stacks import split
from training.simulate.dicom import classic, enhanced
from training.simulate.dicom.access import numbers
from training.simulate.dicom.corruptions import CORRUPTIONS, Corruption, by_name
from training.simulate.protocols import catalogue
from training.simulate.protocols.draw import Draw
from training.simulate.scanner.render import View
from training.simulate.series import SimulatedSeries

Make = Callable[..., list[Dataset]]
UNTOUCHED = ("PixelData", "SOPInstanceUID", "SeriesInstanceUID", "Rows", "Columns")


def simulated(name: str, *, agent: bool = False) -> SimulatedSeries:
    draw = Draw(
        rng=np.random.default_rng(3),
        vendor="SIEMENS",
        model="Skyra",
        field_t=3.0,
        region="head",
        plane="axial",
        agent=agent,
    )
    view = View(
        centre_mm=(0, 0, 0), right=(-1, 0, 0), down=(0, -1, 0), normal=(0, 0, 1), fov_mm=(200, 200),
        offsets_mm=(0.0, 5.0), thickness_mm=4.0,
    )  # fmt: skip
    volume = torch.linspace(0, 1, 2 * 16 * 16).reshape(2, 16, 16)
    return SimulatedSeries(scan=catalogue.scan(catalogue.by_name(name), draw), view=view, volume=volume, seed=1)


def flat(name: str, *, agent: bool = False) -> list[Dataset]:
    return classic.datasets(simulated(name, agent=agent), study="s", number=1)


def multi_frame(name: str, *, agent: bool = False) -> list[Dataset]:
    return [enhanced.dataset(simulated(name, agent=agent), study="s", number=1)]


def header(series: list[Dataset]) -> FrameHeader:
    return frame_headers(series[0])[0]


def errors(series: list[Dataset]) -> set[str]:
    stacks = split([one for dataset in series for one in frame_headers(dataset)])
    return {finding.code for stack in stacks for finding in check(stack, stacks) if finding.severity == "error"}


@pytest.mark.parametrize("make", [flat, multi_frame])
@pytest.mark.parametrize("corruption", [pytest.param(c, id=c.name) for c in CORRUPTIONS])
def test_pixels_and_identity_are_never_touched(corruption: Corruption, make: Make) -> None:
    rng = np.random.default_rng(0)
    changed = 0
    for name, agent in (("t2-flair", False), ("t1-se", True), ("adc", False), ("t1-mprage", False)):
        before = make(name, agent=agent)
        kept = make(name, agent=agent)
        after = corruption.apply(before, rng, make("t2-tse"))
        assert before == kept, "the series itself is not changed"
        if after is None:
            continue
        changed += 1
        assert len(after) == len(before)
        for one, other in zip(before, after, strict=True):
            assert all(one[keyword] == other[keyword] for keyword in UNTOUCHED)
            assert one != other
    # Enhanced MR has no Scanning Sequence to turn round.
    assert changed > 0 or (make is multi_frame and corruption.name == "se-for-gr")


@pytest.mark.parametrize("make", [flat, multi_frame])
def test_times_in_seconds_are_thousandths(make: Make) -> None:
    before, after = make("t2-flair"), by_name("times-in-seconds").apply(make("t2-flair"), np.random.default_rng(0))
    assert after is not None
    for keyword in ("EchoTime", "RepetitionTime", "InversionTime"):
        assert numbers(after[0], keyword)[0] == pytest.approx(numbers(before[0], keyword)[0] / 1000)


@pytest.mark.parametrize("make", [flat, multi_frame])
@pytest.mark.parametrize("name", ["te-in-seconds", "tr-in-seconds", "ti-in-seconds", "te-in-microseconds"])
def test_rules_see_units_that_are_off_by_a_thousand(name: str, make: Make) -> None:
    assert errors(make("t2-flair")) == set()
    after = by_name(name).apply(make("t2-flair"), np.random.default_rng(0))
    assert after is not None
    assert errors(after)


@pytest.mark.parametrize("make", [flat, multi_frame])
def test_a_pasted_header_claims_what_the_other_series_is(make: Make) -> None:
    after = by_name("swap-header").apply(make("t2-flair"), np.random.default_rng(0), make("t1-se", agent=True))
    assert after is not None
    claimed = claim(header(after))
    assert (claimed.label, claimed.post_contrast) == ("T1", True) if make is flat else claimed.label == "T1"
    assert header(after).inversion_time_ms is None
    assert errors(after) == set(), "only pixels can tell"


def test_a_borrowed_diffusion_header_brings_its_b_value() -> None:
    rng, swap = np.random.default_rng(0), by_name("swap-header")
    after = swap.apply(flat("t2-tse"), rng, flat("dwi-trace"))
    back = swap.apply(flat("dwi-trace"), rng, flat("t2-tse"))
    assert after is not None
    assert back is not None
    assert header(after).b_value_s_mm2 == header(flat("dwi-trace")).b_value_s_mm2
    assert header(back).b_value_s_mm2 is None


def test_inversion_is_dropped_with_all_that_speaks_of_it() -> None:
    after = by_name("drop-inversion").apply(flat("t2-flair"), np.random.default_rng(0))
    assert after is not None
    assert header(after).inversion_time_ms is None
    assert header(after).scanning_sequence == ("SE",)
    assert by_name("drop-inversion").apply(flat("t2-tse"), np.random.default_rng(0)) is None


@pytest.mark.parametrize("make", [flat, multi_frame])
def test_an_agent_is_added_and_taken_away(make: Make) -> None:
    rng = np.random.default_rng(0)
    added = by_name("add-agent").apply(make("t1-se"), rng)
    removed = by_name("remove-agent").apply(make("t1-se", agent=True), rng)
    assert added is not None
    assert removed is not None
    assert claim(header(added)).post_contrast is True
    assert claim(header(removed)).post_contrast is not True
    assert by_name("remove-agent").apply(make("t1-se"), rng) is None


def test_a_swap_of_equal_parameters_is_no_corruption() -> None:
    assert by_name("swap-te").apply(flat("t2-tse"), np.random.default_rng(0), flat("t2-tse")) is None
    assert by_name("swap-description").apply(flat("t2-tse"), np.random.default_rng(0), flat("t2-tse")) is None


@pytest.mark.parametrize(
    ("text", "turned"), [("ep2d_diff_TRACEW", None), (None, None), ("t2_tse_tra", "t2_tse_sag"), ("Sag PD", "Cor PD")]
)
def test_a_description_without_a_plane_is_left_as_it_is(text: str | None, turned: str | None) -> None:
    series = flat("t2-tse")
    for dataset in series:
        dataset.ProtocolName = "Brain routine"
        del dataset.SeriesDescription
        if text is not None:
            dataset.SeriesDescription = text
    after = by_name("other-plane").apply(series, np.random.default_rng(0))
    assert (None if after is None else after[0].SeriesDescription) == turned
    silent = [Dataset()]
    assert by_name("swap-description").apply(series, np.random.default_rng(0), silent) is None


@pytest.mark.parametrize("make", [flat, multi_frame])
def test_fat_suppression_is_claimed_where_the_header_has_none(make: Make) -> None:
    change, rng = by_name("claim-fat-suppression"), np.random.default_rng(0)
    after = change.apply(make("t2-tse"), rng)
    assert after is not None
    assert claim(header(after)).fat_suppressed is True
    assert change.apply(make("stir"), rng) is None
    for keyword, value in (("SeriesDescription", "T1 SPAIR"), ("ImageType", ["DERIVED", "PRIMARY", "DIXON", "WATER"])):
        series = flat("t1-vibe")
        for dataset in series:
            dataset.ScanOptions, dataset.SeriesDescription = "", "T1 dyn"
            setattr(dataset, keyword, value)
        assert change.apply(series, rng) is None


@pytest.mark.parametrize("name", [c.name for c in CORRUPTIONS if c.grade == "harmless"])
def test_rules_stay_silent_on_what_is_harmless(name: str) -> None:
    for family in ("t2-flair", "t1-se", "t1-mprage", "dwi-trace", "adc"):
        after = by_name(name).apply(flat(family), np.random.default_rng(1))
        assert after is None or errors(after) == set()


def test_what_needs_another_series_says_so() -> None:
    with pytest.raises(ValueError, match="needs another series"):
        by_name("swap-header").apply(flat("t2-tse"), np.random.default_rng(0))
    with pytest.raises(KeyError, match="te-in-seconds"):
        by_name("no such thing")
