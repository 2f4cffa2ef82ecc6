"""A reading as one page for a person: pictures, probabilities, header beside estimate, findings in words.

The page is self-contained: no script, no host, pictures and style inside; its Content-Security-Policy allows nothing
else. It names series by UID and shows nobody's name.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from inference.identifiers import SeriesInstanceUid
from inference.reading import Finding, Reading, SeriesReading, StackReading

Pictures = Mapping[tuple[SeriesInstanceUid, int], Sequence[npt.NDArray[np.uint8]]]

PICTURES_PER_STACK: Final = 8
PICTURE_EDGE_PX: Final = 192
_SCALE_WIDTH: Final = 120  # units of the drawn scales' view boxes

# Field of `header` and `estimates` -> what a person calls it, and its unit.
_FIELDS: Final = {
    "EchoTime_ms": ("Echo time", "ms"),
    "RepetitionTime_ms": ("Repetition time", "ms"),
    "InversionTime_ms": ("Inversion time", "ms"),
    "FlipAngle_deg": ("Flip angle", "°"),
    "b_value_s_mm2": ("b-value", "s/mm²"),
    "MagneticFieldStrength_t": ("Field strength", "T"),
}
_CLAIM: Final = "SeriesDescription_contrast"  # said in words, not in the table
_SEVERITIES: Final = ("error", "warning", "info")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One probability, as text and as the length of a bar in percent."""

    label: str
    percent: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Where interval, estimate and header lie on a scale from zero, in units of `_SCALE_WIDTH`."""

    low: float
    high: float
    estimate: float
    header: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One acquisition parameter: what the header says beside what the image looks like."""

    name: str
    unit: str
    header: str | None
    estimate: str | None
    interval: str | None
    scale: Scale | None
    outside: bool  # the header's value is not in the interval


@dataclass(frozen=True, kw_only=True, slots=True)
class StackView:
    """One stack as the template shows it."""

    stack: StackReading
    selector: Sequence[tuple[str, str]]  # names and values with their units
    pictures: Sequence[str]  # data URLs
    pictures_left_out: int
    bars: Sequence[Bar]
    fields: Sequence[Field]
    findings: Sequence[Finding]


@dataclass(frozen=True, kw_only=True, slots=True)
class SeriesView:
    """One series as the template shows it."""

    series: SeriesReading
    anchor: str
    findings: int
    stacks: Sequence[StackView]


def page(reading: Reading, pictures: Pictures) -> str:
    """The page of a reading; `pictures` are uint8 (rows, columns) of the slices that were read, by series and stack.

    Series that ask for a person come first, then by score.
    """
    ordered = sorted(reading.series, key=lambda series: (not series.flagged, -series.score, series.series_instance_uid))
    environment = Environment(
        loader=PackageLoader("dicom_node.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["number"] = _number  # pyright: ignore[reportUnknownMemberType] - jinja2 leaves it open
    style = environment.get_template("page.css").render()
    return environment.get_template("page.html").render(
        reading=reading,
        all_series=[_series_view(index, series, pictures) for index, series in enumerate(ordered, start=1)],
        scale_width=_SCALE_WIDTH,
        style=Markup(style),  # noqa: S704 - our own file, without a value in it
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )


def _series_view(index: int, series: SeriesReading, pictures: Pictures) -> SeriesView:
    return SeriesView(
        series=series,
        anchor=f"series-{index}",
        findings=sum(len(stack.findings) for stack in series.stacks),
        stacks=[
            _stack_view(stack, pictures.get((series.series_instance_uid, stack.index), ())) for stack in series.stacks
        ],
    )


def _stack_view(stack: StackReading, pictures: Sequence[npt.NDArray[np.uint8]]) -> StackView:
    shown = _spread(pictures, PICTURES_PER_STACK)
    return StackView(
        stack=stack,
        selector=[(_FIELDS.get(key, (key, ""))[0], _with_unit(key, value)) for key, value in stack.selector.items()],
        pictures=[_data_url(picture) for picture in shown],
        pictures_left_out=len(pictures) - len(shown),
        bars=list(_bars(stack)),
        fields=list(_fields(stack)),
        findings=sorted(stack.findings, key=lambda finding: _SEVERITIES.index(finding.severity)),
    )


def _spread(pictures: Sequence[npt.NDArray[np.uint8]], count: int) -> list[npt.NDArray[np.uint8]]:
    """At most `count` of the pictures, the first and the last among them, evenly apart."""
    if len(pictures) <= count:
        return list(pictures)
    return [pictures[round(index * (len(pictures) - 1) / (count - 1))] for index in range(count)]


def _data_url(picture: npt.NDArray[np.uint8]) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_EDGE_PX, PICTURE_EDGE_PX))
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _bars(stack: StackReading) -> Iterator[Bar]:
    contrast = stack.contrast
    if contrast is None:
        return
    yield Bar(label=contrast.label, percent=100 * contrast.probability)
    for choice in contrast.alternatives:
        yield Bar(label=choice.label, percent=100 * choice.probability)


def _fields(stack: StackReading) -> Iterator[Field]:
    for key in dict.fromkeys([*stack.header, *stack.estimates]):
        recorded, estimate = stack.header.get(key), stack.estimates.get(key)
        if key == _CLAIM or (recorded is None and estimate is None):
            continue
        name, unit = _FIELDS.get(key, (key, ""))
        number = recorded if isinstance(recorded, int | float) else None
        yield Field(
            name=name,
            unit=unit,
            header=None if recorded is None else _number(recorded),
            estimate=None if estimate is None else _number(estimate.value),
            interval=None if estimate is None else f"{_number(estimate.low)} to {_number(estimate.high)}",
            scale=None if estimate is None else _scale(estimate.low, estimate.value, estimate.high, number),
            outside=estimate is not None and number is not None and not estimate.low <= number <= estimate.high,
        )


def _scale(low: float, value: float, high: float, header: float | None) -> Scale:
    largest = max(high, value, header or 0.0) or 1.0
    unit = (_SCALE_WIDTH - 6) / largest
    return Scale(
        low=3 + low * unit,
        high=3 + high * unit,
        estimate=3 + value * unit,
        header=None if header is None else 3 + header * unit,
    )


def _with_unit(key: str, value: float | str) -> str:
    return f"{_number(value)} {_FIELDS.get(key, ('', ''))[1]}".rstrip()


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
