"""A series is split into homogeneous stacks before anything is read from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from inference.header import FrameHeader

Kind = Literal["magnitude", "phase", "real", "imaginary", "derived"]
Plane = Literal["axial", "sagittal", "coronal"]


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
