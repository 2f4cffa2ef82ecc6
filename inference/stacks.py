"""A series is split into homogeneous stacks before anything is read from it.

One stack is homogeneous in kind, orientation, echo time, inversion time and b-value class. Temporal positions,
diffusion directions, averages, cardiac phases and ASL control and label are positions inside a stack.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, inf
from typing import Final, NamedTuple

from inference.geometry import Plane, depth_mm, nearest_plane, orientation_classes, slice_normal
from inference.header import FrameHeader
from inference.identifiers import SopInstanceUid
from inference.kinds import Kind, kind_and_part

__all__ = ["ChosenSlice", "Kind", "Plane", "Stack", "choose", "split"]

B_VALUE_STEP_S_MM2: Final = 50.0
# Times of one stack jitter in their last digit; the echoes of a train are farther apart than this, also where a
# header gives them in seconds.
TIME_TOLERANCE: Final = 0.01  # of the time itself
LEAST_TIME_TOLERANCE_MS: Final = 0.005
SAME_SLICE_MM: Final = 0.1
_SHOWN_DEPTH: Final = (0.1, 0.9)  # of a stack; its ends are often empty or aliased


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """Frames that share kind, orientation, echo time, inversion time and b-value class, ordered by position."""

    index: int  # from 0, in the order of the series
    kind: Kind
    selector: Mapping[str, float | str]  # what sets this stack apart from its sisters, e.g. {"EchoTime_ms": 98.0}
    frames: tuple[FrameHeader, ...]  # by slice position, then temporal position, then instance number
    slices: int  # distinct slice positions (the tiles of a mosaic counted)
    plane: Plane | None  # None without ImageOrientationPatient
    oblique_deg: float | None  # angle between the slice normal and the axis of `plane`

    @property
    def header(self) -> FrameHeader:
        """The header that speaks for the stack: that of its middle frame."""
        return self.frames[len(self.frames) // 2]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenSlice:
    """One slice that is shown to the model: a frame, or one tile of a mosaic."""

    header: FrameHeader
    tile: int | None = None  # from 0, row by row

    @property
    def sop_instance_uid(self) -> SopInstanceUid:
        """SOP Instance UID (0008,0018) of the image that holds the slice."""
        return self.header.sop_instance_uid

    @property
    def frame(self) -> int:
        """The frame, from 1, as in Referenced Frame Number (0008,1160)."""
        return self.header.frame


class _Key(NamedTuple):
    """What the frames of one stack have in common; a time stands for its class by the smallest in it."""

    has_pixels: bool
    kind: Kind
    part: str | None
    echo_time_ms: float | None
    inversion_time_ms: float | None
    b_value_s_mm2: float
    orientation: int | None


def split(headers: Sequence[FrameHeader]) -> tuple[Stack, ...]:
    """The stacks of one series, whatever the order of `headers`; every frame is in exactly one of them.

    Frames without a b-value count as b = 0, as Toshiba writes them, and an inversion time of 0 as none. A water and a
    fat image, or two different maps, differ in kind although one word describes both; a frame without pixels is no
    stack mate of one with pixels. The caller limits how many stacks it reads.
    """
    orientation = orientation_classes(header.image_orientation for header in headers)
    echo = _time_classes(header.echo_time_ms for header in headers)
    inversion = _time_classes(header.inversion_time_ms for header in headers)
    kinds: dict[tuple[tuple[str, ...], str | None], tuple[Kind, str | None]] = {}
    groups: defaultdict[_Key, list[FrameHeader]] = defaultdict(list)
    for header in headers:
        said = header.image_type, header.complex_image_component
        if said not in kinds:
            kinds[said] = kind_and_part(header)
        kind, part = kinds[said]
        key = _Key(
            has_pixels=header.has_pixels,
            kind=kind,
            part=part,
            echo_time_ms=echo.get(header.echo_time_ms),
            inversion_time_ms=inversion.get(header.inversion_time_ms),
            b_value_s_mm2=_b_value_class(header.b_value_s_mm2),
            orientation=None if header.image_orientation is None else orientation.get(header.image_orientation),
        )
        groups[key].append(header)
    ordered = sorted(groups, key=lambda key: min(map(_number, groups[key])))
    selectors = _selectors(ordered, [_plane(groups[key]) for key in ordered])
    return tuple(
        _stack(index, key, groups[key], selector)
        for index, (key, selector) in enumerate(zip(ordered, selectors, strict=True))
    )


def choose(stack: Stack, count: int) -> tuple[ChosenSlice, ...]:
    """At most `count` slices to show to a model, spread evenly over the middle 80 % of the depth of the stack.

    Where a slice was taken several times (dynamics, directions, phases, control and label), the first and the last are
    chosen, of half as many slices. Of mosaics, tiles are chosen.
    """
    if count < 1:
        raise ValueError(f"count is {count}; must be at least 1")
    tiles = min(header.mosaic_tiles or 0 for header in stack.frames)
    times = sorted(sorted(stack.frames, key=_number), key=_time)
    places: list[tuple[list[FrameHeader], int | None]]
    places = [(times, tile) for tile in range(tiles)] if tiles else [(taken, None) for taken in _slices(stack.frames)]
    repeated = count > 1 and any(len(taken) > 1 for taken, _ in places)
    chosen: list[ChosenSlice] = []
    for place in _spread(len(places), count // 2 if repeated else count):
        taken, tile = places[place]
        shown = (taken[0], taken[-1]) if repeated and len(taken) > 1 else (taken[0],)
        chosen.extend(ChosenSlice(header=header, tile=tile) for header in shown)
    return tuple(chosen)


def _spread(length: int, count: int) -> list[int]:
    low, high = _SHOWN_DEPTH
    fractions = (low + (high - low) * (step + 0.5) / count for step in range(count))
    return sorted({floor(fraction * length) for fraction in fractions})


def _stack(index: int, key: _Key, headers: list[FrameHeader], selector: Mapping[str, float | str]) -> Stack:
    slices = _slices(headers)
    plane, oblique_deg = _plane(headers) or (None, None)
    return Stack(
        index=index,
        kind=key.kind,
        selector=selector,
        frames=tuple(header for taken in slices for header in taken),
        slices=max(len(slices), *(header.mosaic_tiles or 1 for header in headers)),
        plane=plane,
        oblique_deg=oblique_deg,
    )


def _slices(headers: Iterable[FrameHeader]) -> list[list[FrameHeader]]:
    """Frames by slice position along the normal (PS3.3 C.7.6.2), each slice in the order of time.

    Frames without a position come last, as slices of their own in the order of the series.
    """
    numbered = sorted(headers, key=_number)
    normal = slice_normal(numbered[0].image_orientation)
    placed: list[tuple[float, FrameHeader]] = []
    loose: list[list[FrameHeader]] = []
    for header in numbered:
        if normal is None or header.image_position_mm is None:
            loose.append([header])
        else:
            placed.append((depth_mm(header.image_position_mm, normal), header))
    slices: list[list[FrameHeader]] = []
    deepest_mm = -inf
    for this_mm, header in sorted(placed, key=lambda pair: pair[0]):
        if not slices or this_mm - deepest_mm > SAME_SLICE_MM:  # the depth of the first may be infinite
            slices.append([])
        slices[-1].append(header)
        deepest_mm = this_mm
    return [sorted(taken, key=_time) for taken in slices] + loose


def _number(header: FrameHeader) -> tuple[float, str, int]:
    """Sorts frames in the order of their series."""
    number = header.instance_number
    return inf if number is None else number, header.sop_instance_uid, header.frame


def _time(header: FrameHeader) -> tuple[float, ...]:
    """Sorts the frames of one slice in the order in which they were taken; ties stay in the order of the series."""
    return header.temporal_position or 0, header.trigger_time_ms or 0, header.acquisition_number or 0


def _plane(headers: Sequence[FrameHeader]) -> tuple[Plane, float] | None:
    normal = slice_normal(min(headers, key=_number).image_orientation)
    return None if normal is None else nearest_plane(normal)


def _time_classes(times_ms: Iterable[float | None]) -> dict[float | None, float]:
    """The smallest time of its class for every time; a class ends where the next time is farther than the tolerance."""
    classes: dict[float | None, float] = {}
    smallest = previous = -inf
    for time_ms in sorted({time_ms for time_ms in times_ms if time_ms}):
        if time_ms - previous > max(LEAST_TIME_TOLERANCE_MS, TIME_TOLERANCE * abs(time_ms)):
            smallest = time_ms
        classes[time_ms] = smallest
        previous = time_ms
    return classes


def _b_value_class(b_value_s_mm2: float | None) -> float:
    """Zero, or the value rounded to 50 s/mm2."""
    return B_VALUE_STEP_S_MM2 * floor((b_value_s_mm2 or 0.0) / B_VALUE_STEP_S_MM2 + 0.5)


def _selectors(keys: Sequence[_Key], planes: Sequence[tuple[Plane, float] | None]) -> list[dict[str, float | str]]:
    """Of every stack the attributes in which the stacks of its series differ, where it has them."""
    columns: dict[str, list[float | str | None]] = {
        "kind": [key.kind for key in keys],
        "part": [key.part for key in keys],
        "EchoTime_ms": [key.echo_time_ms for key in keys],
        "InversionTime_ms": [key.inversion_time_ms for key in keys],
        "b_value_s_mm2": [key.b_value_s_mm2 for key in keys],
        "plane": [plane and plane[0] for plane in planes],
        "pixels": [None if key.has_pixels else "absent" for key in keys],
    }
    if len({key.orientation for key in keys}) > len(set(columns["plane"])):
        columns["oblique_deg"] = [plane and round(plane[1], 1) for plane in planes]
    differing = {name: values for name, values in columns.items() if len(set(values)) > 1}
    return [
        {name: value for name, values in differing.items() if (value := values[index]) is not None}
        for index in range(len(keys))
    ]
