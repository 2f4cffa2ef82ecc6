"""A reading as one page for a person: pictures, probabilities, header beside estimate, findings in words.

The page is self-contained: no script, no host, pictures and style inside; its Content-Security-Policy allows nothing
else. It names series by UID and shows nobody's name.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image

from dicom_node.report.views import StackView, stack_view, templates
from inference.identifiers import SeriesInstanceUid
from inference.reading import Reading, SeriesReading, StackReading

Pictures = Mapping[tuple[SeriesInstanceUid, int], Sequence[npt.NDArray[np.uint8]]]

PICTURES_PER_STACK: Final = 8
PICTURE_EDGE_PX: Final = 192


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
    environment = templates()
    style = environment.get_template("page.css").render()
    return environment.get_template("page.html").render(
        reading=reading,
        all_series=[_series_view(index, series, pictures) for index, series in enumerate(ordered, start=1)],
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
    return stack_view(
        stack,
        pictures=[_data_url(picture) for picture in shown],
        pictures_left_out=len(pictures) - len(shown),
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
