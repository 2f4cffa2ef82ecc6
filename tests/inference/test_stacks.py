"""Splitting a series: the cases that scanners make, and properties that hold for any series."""

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.header import FrameHeader
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from inference.stacks import Stack, choose, split

AXIAL, SAGITTAL, CORONAL = (1.0, 0, 0, 0, 1, 0), (0, 1.0, 0, 0, 0, -1), (1.0, 0, 0, 0, 0, -1)


def frame(number: int, depth_mm: float = 0.0, **fields: Any) -> FrameHeader:
    """An axial magnitude frame."""
    defaults: dict[str, Any] = {
        "image_type": ("ORIGINAL", "PRIMARY", "M"),
        "image_orientation": AXIAL,
        "image_position_mm": (-100.0, -100.0, depth_mm),
        "echo_time_ms": 30.0,
    }
    return FrameHeader(
        study_instance_uid=StudyInstanceUid("1.1"),
        series_instance_uid=SeriesInstanceUid("1.2"),
        sop_instance_uid=SopInstanceUid(f"1.3.{number}"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        instance_number=number,
        **(defaults | fields),
    )


def summary(stacks: Sequence[Stack]) -> list[tuple[dict[str, float | str], int, int]]:
    return [(dict(stack.selector), len(stack.frames), stack.slices) for stack in stacks]


def test_one_volume_is_one_stack() -> None:
    (stack,) = split([frame(number, 5.0 * number) for number in range(24)])
    assert summary([stack]) == [({}, 24, 24)]
    assert (stack.index, stack.kind, stack.plane, stack.oblique_deg) == (0, "magnitude", "axial", 0)
    assert [header.instance_number for header in stack.frames] == list(range(24))


def test_frames_are_ordered_by_position_not_by_number() -> None:
    (stack,) = split([frame(number, 5.0 * ((7 * number) % 10)) for number in range(10)])
    assert [header.image_position_mm[2] for header in stack.frames if header.image_position_mm] == [
        5.0 * step for step in range(10)
    ]


def test_fmri_of_500_volumes_is_one_stack() -> None:
    places = [(volume, place) for volume in range(500) for place in range(36)]
    headers = [frame(36 * volume + place, 3.0 * place, temporal_position=volume + 1) for volume, place in places]
    (stack,) = split(headers)
    assert summary([stack]) == [({}, 18000, 36)]
    assert [header.temporal_position for header in stack.frames[:500]] == list(range(1, 501))


def test_dti_of_64_directions_is_two_stacks() -> None:
    """Three neighbouring b-values, as gradients make them, are one class."""
    b_values = [0.0] + [(995.0, 1000.0, 1005.0)[direction % 3] for direction in range(64)]
    headers = [
        frame(40 * volume + place, 2.0 * place, b_value_s_mm2=b, diffusion_gradient=(0.0, 0.6, 0.8))
        for volume, b in enumerate(b_values)
        for place in range(40)
    ]
    assert summary(split(headers)) == [({"b_value_s_mm2": 0.0}, 40, 40), ({"b_value_s_mm2": 1000.0}, 2560, 40)]


def test_b_values_fall_into_steps_of_50() -> None:
    headers = [frame(number, b_value_s_mm2=b) for number, b in enumerate([None, 0.0, 20.0, 25.0, 50.0, 74.0, 800.0])]
    assert summary(split(headers)) == [
        ({"b_value_s_mm2": 0.0}, 3, 1), ({"b_value_s_mm2": 50.0}, 3, 1), ({"b_value_s_mm2": 800.0}, 1, 1),
    ]  # fmt: skip


def test_cine_of_25_phases_is_one_stack() -> None:
    (stack,) = split([frame(phase, 0.0, trigger_time_ms=33.3 * phase) for phase in reversed(range(25))])
    assert summary([stack]) == [({}, 25, 1)]
    assert [header.instance_number for header in stack.frames] == list(range(25))


def test_asl_control_and_label_are_one_stack() -> None:
    image_type = ("ORIGINAL", "PRIMARY", "ASL", "NONE")
    headers = [
        frame(12 * volume + place, 5.0 * place, image_type=image_type, acquisition_number=volume)
        for volume in range(10)
        for place in range(12)
    ]
    assert summary(split(headers)) == [({}, 120, 12)]


def test_echoes_split() -> None:
    headers = [frame(number, 5.0 * (number // 2), echo_time_ms=(4.92, 7.38)[number % 2]) for number in range(20)]
    assert summary(split(headers)) == [({"EchoTime_ms": 4.92}, 10, 10), ({"EchoTime_ms": 7.38}, 10, 10)]


def test_32_echoes_are_32_stacks() -> None:
    headers = [frame(echo, echo_time_ms=12.7 * (echo + 1)) for echo in range(32)]
    assert len(split(headers)) == 32


def test_a_dual_echo_in_seconds_still_splits() -> None:
    assert len(split([frame(0, echo_time_ms=0.012), frame(1, echo_time_ms=0.098)])) == 2


def test_jitter_of_the_last_digit_does_not_split() -> None:
    times = [2.301, 2.302, 2.303, 2.3]
    assert len(split([frame(number, 5.0 * number, echo_time_ms=te) for number, te in enumerate(times)])) == 1
    headers = [frame(number, 5.0 * number, inversion_time_ms=900 + 0.01 * number) for number in range(4)]
    assert len(split(headers)) == 1


def test_mp2rage_inversion_times_split() -> None:
    headers = [frame(number, number // 2, inversion_time_ms=(700.0, 2500.0)[number % 2]) for number in range(20)]
    assert summary(split(headers)) == [({"InversionTime_ms": 700.0}, 10, 10), ({"InversionTime_ms": 2500.0}, 10, 10)]


def test_an_inversion_time_of_zero_is_none() -> None:
    assert len(split([frame(0, inversion_time_ms=0.0), frame(1, inversion_time_ms=None)])) == 1


def test_three_plane_localizer_is_three_stacks() -> None:
    planes = (AXIAL, CORONAL, SAGITTAL)
    headers = [
        frame(number, image_orientation=planes[number // 5], image_position_mm=(number, number, number))
        for number in range(15)
    ]
    stacks = split(headers)
    assert [dict(stack.selector) for stack in stacks] == [
        {"plane": "axial"}, {"plane": "coronal"}, {"plane": "sagittal"},
    ]  # fmt: skip
    assert [stack.slices for stack in stacks] == [5, 5, 5]


def test_two_tilts_of_one_plane_are_told_apart() -> None:
    tilted = (1.0, 0, 0, 0, 0.8, 0.6)
    stacks = split([frame(0), frame(1, image_orientation=tilted)])
    assert [stack.plane for stack in stacks] == ["axial", "axial"]
    assert [dict(stack.selector) for stack in stacks] == [{"oblique_deg": 0.0}, {"oblique_deg": 36.9}]


def test_field_map_of_magnitude_and_phase() -> None:
    kinds = (("ORIGINAL", "PRIMARY", "M"), ("ORIGINAL", "PRIMARY", "P"))
    stacks = split([frame(number, number // 2, image_type=kinds[number % 2]) for number in range(10)])
    assert [(stack.kind, dict(stack.selector)) for stack in stacks] == [
        ("magnitude", {"kind": "magnitude"}), ("phase", {"kind": "phase"}),
    ]  # fmt: skip


def test_dixon_is_four_stacks() -> None:
    """In and out of phase have echo times of their own; water and fat share one and differ in Image Type."""
    parts = [("IN_PHASE", 4.6), ("OPP_PHASE", 2.3), ("WATER", 2.3), ("FAT", 2.3)]
    headers = [
        frame(20 * index + place, 3.0 * place, image_type=("DERIVED", "PRIMARY", "M", "DIXON", part), echo_time_ms=te)
        for index, (part, te) in enumerate(parts)
        for place in range(20)
    ]
    assert summary(split(headers)) == [
        ({"part": "IN_PHASE", "EchoTime_ms": 4.6}, 20, 20),
        ({"part": "OPPOSED_PHASE", "EchoTime_ms": 2.3}, 20, 20),
        ({"part": "WATER", "EchoTime_ms": 2.3}, 20, 20),
        ({"part": "FAT", "EchoTime_ms": 2.3}, 20, 20),
    ]


def test_maps_in_one_series_are_stacks_of_their_own() -> None:
    parts = ("NONE", "ADC", "FA")
    headers = [frame(index, image_type=("DERIVED", "PRIMARY", "DIFFUSION", part)) for index, part in enumerate(parts)]
    assert [(stack.kind, stack.selector.get("part")) for stack in split(headers)] == [
        ("magnitude", None), ("derived", "ADC"), ("derived", "FA"),
    ]  # fmt: skip


def test_a_mosaic_counts_its_tiles() -> None:
    mosaics = [frame(volume, mosaic=True, mosaic_tiles=36, mosaic_grid=(6, 6)) for volume in range(5)]
    assert summary(split(mosaics)) == [({}, 5, 36)]


def test_an_infinite_depth_is_one_too() -> None:
    oblique, far = (1.0, -1.0, 0.0, 1.0, 1.0, -2.0), -1.7e308
    (stack,) = split([frame(1, image_orientation=oblique, image_position_mm=(far, far, far))])
    assert (stack.slices, len(stack.frames)) == (1, 1)


def test_frames_without_geometry() -> None:
    headers = [frame(number, image_orientation=None, image_position_mm=None) for number in range(4)]
    (stack,) = split(headers)
    assert (stack.slices, stack.plane, stack.oblique_deg) == (4, None, None)


def test_a_frame_without_pixels_is_no_stack_mate() -> None:
    stacks = split([frame(0), frame(1, 5.0), frame(2, 10.0, has_pixels=False)])
    assert summary(stacks) == [({}, 2, 2), ({"pixels": "absent"}, 1, 1)]


def test_no_frames_no_stacks() -> None:
    assert split([]) == ()


def test_ten_times_the_frames_take_about_ten_times_as_long() -> None:
    """20,000 frames take 0.2 s on a quiet machine; sorting them pair by pair would take a hundred times as long."""
    headers = [frame(number, float(number % 40), temporal_position=number // 40) for number in range(20_000)]
    random.Random(0).shuffle(headers)
    assert _seconds(headers) < 30 * _seconds(headers[:2_000])


def _seconds(headers: list[FrameHeader]) -> float:
    times_s: list[float] = []
    for _ in range(3):
        start = time.process_time()
        split(headers)
        times_s.append(time.process_time() - start)
    return min(times_s)


# Any series: few values each, so that frames meet in stacks.
frames = st.builds(
    frame,
    number=st.integers(0, 40),
    depth_mm=st.sampled_from([0.0, 0.05, 3.0, 6.0, 100.0]),
    image_orientation=st.sampled_from([AXIAL, SAGITTAL, CORONAL, (1.0, 0, 0, 0, 0.99, 0.14), (0.0,) * 6, None]),
    image_type=st.sampled_from([(), ("O", "P", "M"), ("O", "P", "P"), ("D", "P", "ADC"), ("D", "P", "WATER")]),
    echo_time_ms=st.sampled_from([None, 0.0, 10.0, 10.05, 80.0]),
    inversion_time_ms=st.sampled_from([None, 0.0, 150.0]),
    b_value_s_mm2=st.sampled_from([None, 0.0, 20.0, 990.0, 1000.0, 1010.0]),
    temporal_position=st.sampled_from([None, 1, 2]),
    mosaic_tiles=st.sampled_from([None, None, 4]),
    has_pixels=st.sampled_from([True, True, False]),
)


def numbered(headers: list[FrameHeader]) -> list[FrameHeader]:
    """With SOP Instance UIDs of their own."""
    return [replace(header, sop_instance_uid=SopInstanceUid(f"1.4.{place}")) for place, header in enumerate(headers)]


@settings(deadline=None)
@given(headers=st.lists(frames, max_size=30).map(numbered), seed=st.randoms())
def test_the_order_of_the_frames_does_not_matter(headers: list[FrameHeader], seed: random.Random) -> None:
    shuffled = list(headers)
    seed.shuffle(shuffled)
    assert split(shuffled) == split(headers)


@settings(deadline=None)
@given(headers=st.lists(frames, max_size=30).map(numbered))
def test_every_frame_is_in_exactly_one_homogeneous_stack(headers: list[FrameHeader]) -> None:
    stacks = split(headers)
    assert sorted(header.sop_instance_uid for stack in stacks for header in stack.frames) == sorted(
        header.sop_instance_uid for header in headers
    )
    assert [stack.index for stack in stacks] == list(range(len(stacks)))
    for stack in stacks:
        assert len({header.has_pixels for header in stack.frames}) == 1
        assert len({header.image_type for header in stack.frames} - {(), ("O", "P", "M")}) <= 1
        times = [header.echo_time_ms for header in stack.frames if header.echo_time_ms]
        assert max(times, default=0) - min(times, default=0) <= 0.1
        assert max(header.mosaic_tiles or 1 for header in stack.frames) <= stack.slices <= 4 * len(stack.frames)


@settings(deadline=None)
@given(headers=st.lists(frames, min_size=1, max_size=30).map(numbered))
def test_a_selector_tells_a_stack_from_its_sisters(headers: list[FrameHeader]) -> None:
    stacks = split(headers)
    assert len({tuple(sorted(stack.selector.items(), key=str)) for stack in stacks}) == len(stacks)
    assert len(stacks) > 1 or stacks[0].selector == {}


@settings(deadline=None)
@given(headers=st.lists(frames, min_size=1, max_size=30).map(numbered), count=st.integers(1, 20))
def test_choices_come_from_the_stack_and_are_not_too_many(headers: list[FrameHeader], count: int) -> None:
    for stack in split(headers):
        chosen = choose(stack, count)
        assert 1 <= len(chosen) <= count
        assert {one.header for one in chosen} <= set(stack.frames)
        assert len({(one.sop_instance_uid, one.frame, one.tile) for one in chosen}) == len(chosen)


def depths(stack: Stack, count: int) -> list[float]:
    return [one.header.image_position_mm[2] for one in choose(stack, count) if one.header.image_position_mm]


def test_choose_spreads_over_the_middle() -> None:
    (stack,) = split([frame(number, float(number)) for number in range(100)])
    assert depths(stack, 4) == [20, 40, 60, 80]
    assert depths(stack, 1) == [50]
    (small,) = split([frame(number, float(number)) for number in range(3)])
    assert depths(small, 16) == [0, 1, 2]
    (clinical,) = split([frame(number, float(number)) for number in range(24)])
    assert depths(clinical, 16)[0] == 3
    assert depths(clinical, 16)[-1] == 21
    assert len(depths(clinical, 16)) == 16


def test_choose_takes_the_first_and_the_last_time() -> None:
    places = [(volume, place) for volume in range(50) for place in range(10)]
    headers = [frame(10 * volume + place, float(place), temporal_position=volume + 1) for volume, place in places]
    (stack,) = split(headers)
    chosen = choose(stack, 4)
    assert [(one.header.temporal_position, one.header.image_position_mm) for one in chosen] == [
        (1, (-100, -100, 3)), (50, (-100, -100, 3)), (1, (-100, -100, 7)), (50, (-100, -100, 7)),
    ]  # fmt: skip
    assert len(choose(stack, 1)) == 1


def test_choose_takes_tiles_of_the_first_and_the_last_mosaic() -> None:
    layout = {"mosaic": True, "mosaic_tiles": 10, "mosaic_grid": (4, 4)}
    mosaics = [frame(volume, acquisition_number=volume, **layout) for volume in range(5)]
    (stack,) = split(mosaics)
    assert [(one.header.instance_number, one.tile) for one in choose(stack, 4)] == [(0, 3), (4, 3), (0, 7), (4, 7)]
    (single,) = split(mosaics[:1])
    assert [one.tile for one in choose(single, 4)] == [2, 4, 6, 8]


def test_a_mosaic_of_unknown_layout_is_shown_whole() -> None:
    (stack,) = split([frame(0, mosaic=True)])
    assert [one.tile for one in choose(stack, 4)] == [None]


@pytest.mark.parametrize("count", [0, -1])
def test_choosing_nothing_is_an_error(count: int) -> None:
    (stack,) = split([frame(0)])
    with pytest.raises(ValueError, match="at least 1"):
        choose(stack, count)
