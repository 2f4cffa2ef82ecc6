"""One stack of a reading as a picture, for viewers that show images and nothing else: what its page says, drawn.

Drawn with the font that is in Pillow, so that no machine needs any. It has plain Latin letters only: accents are left
out and other scripts become boxes; the report holds every word. The same reading is the same picture.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from dicom_node.report.context import ReportContext
from dicom_node.report.views import Field, StackView, number, stack_view
from inference.reading import Finding, SeriesReading, StackReading

WIDTH_PX: Final = 1024
HEIGHT_PX: Final = 1024
PICTURES: Final = 8

_MARGIN_PX: Final = 24
_TILE_PX: Final = 200
_GAP_PX: Final = 2
_COLUMNS: Final = 4
_RIGHT_PX: Final = 540  # where the second column begins
_FOOT_PX: Final = 56
_PARAGRAPH_LINES: Final = 3

# Colours of the page in its dark scheme: reading rooms are dark.
_GROUND: Final = "#11161c"
_TRACK: Final = "#2a333d"
_TEXT: Final = "#e4e9ee"
_SOFT: Final = "#98a5b3"
_ACCENT: Final = "#6db3f2"
_ERROR: Final = "#ff8f85"
_SEVERITY: Final = {"error": _ERROR, "warning": "#f2bd5b", "info": _ACCENT}

Picture = npt.NDArray[np.uint8]


def draw(
    reading: SeriesReading, stack: StackReading, pictures: Sequence[Picture], context: ReportContext
) -> npt.NDArray[np.uint8]:
    """The picture of `stack`, uint8 (1024, 1024, 3) in RGB; `pictures` are the slices that were read, uint8 each."""
    sheet = _Sheet()
    view = stack_view(stack)
    _head(sheet, reading, stack, view)
    top = sheet.y
    _contrast(sheet, stack, view)
    left, sheet.y = sheet.y, top
    _table(sheet, view.fields, estimated=bool(stack.estimates))
    sheet.y = max(left, sheet.y) + 12
    _slices(sheet, pictures)
    sheet.y += 16
    _findings(sheet, view.findings)
    _foot(sheet, reading, context)
    return np.asarray(sheet.image)


class _Sheet:
    """A sheet that is written on from the top down; `y` is where it is free."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), _GROUND)
        self.pen = ImageDraw.Draw(self.image)
        self.y = float(_MARGIN_PX)

    def write(self, x: float, text: str, *, size: int = 16, colour: str = _TEXT, anchor: str = "la") -> float:
        """One line at `x`; its width. `y` stays."""
        plain = _plain(text)
        self.pen.text((x, self.y), plain, font=_font(size), fill=colour, anchor=anchor)
        return float(_font(size).getlength(plain))

    def box(self, x: float, width: float, height: float, colour: str) -> None:
        """A filled box at `x`, a little below `y`; nothing where it is narrower than a pixel."""
        if width >= 1:
            self.pen.rectangle((x, self.y + 4, x + width, self.y + 4 + height), fill=colour)


# What decomposition leaves and the font has not.
_LETTERS: Final = str.maketrans({"ß": "ss", "µ": "u", "\N{GREEK SMALL LETTER MU}": "u", "„": '"', "ø": "o", "ł": "l"})


def _plain(text: str) -> str:
    """`text` in letters that the font has, as far as there are any, without control characters."""
    letters = (letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "".join(letter if letter.isprintable() else " " for letter in letters).translate(_LETTERS)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType, which report.secondary_capture needs")
    return font


def _head(sheet: _Sheet, reading: SeriesReading, stack: StackReading, view: StackView) -> None:
    flagged = stack.inconsistency.flagged
    sheet.write(_MARGIN_PX, "MR contrast check", size=30)
    verdict = "please check" if flagged else "nothing to check" if stack.status == "read" else stack.status
    sheet.write(WIDTH_PX - _MARGIN_PX, verdict, size=30, colour=_ERROR if flagged else _SOFT, anchor="ra")
    sheet.y += 44
    count = len(reading.stacks)
    words = [f"Stack {stack.index}", f"{count} stack{'' if count == 1 else 's'} in all"]
    words += [f"{stack.slices} slice{'' if stack.slices == 1 else 's'}"]
    words += [] if stack.plane is None else [stack.plane]
    words += [f"{name} {value}" for name, value in view.selector]
    words += [f"score {number(stack.inconsistency.score)}"]
    words += [] if stack.inconsistency.p_value is None else [f"p {number(stack.inconsistency.p_value)}"]
    sheet.write(_MARGIN_PX, " · ".join(words), colour=_SOFT)
    sheet.y += 34


def _slices(sheet: _Sheet, pictures: Sequence[Picture]) -> None:
    """At most `PICTURES` slices, the first and the last among them."""
    shown = list(pictures)
    if len(shown) > PICTURES:
        shown = [shown[round(at * (len(shown) - 1) / (PICTURES - 1))] for at in range(PICTURES)]
    if not shown:
        sheet.write(_MARGIN_PX, "no picture", colour=_SOFT)
        sheet.y += 30
        return
    step = _TILE_PX + _GAP_PX
    for index, picture in enumerate(shown):
        tile = Image.fromarray(picture).resize((_TILE_PX, _TILE_PX), Image.Resampling.BILINEAR)
        row, column = divmod(index, _COLUMNS)
        sheet.image.paste(tile.convert("RGB"), (_MARGIN_PX + column * step, round(sheet.y) + row * step))
    sheet.y += -(-len(shown) // _COLUMNS) * step


def _contrast(sheet: _Sheet, stack: StackReading, view: StackView) -> None:
    """What the image shows, as bars, beside what the header claims."""
    x, width = _MARGIN_PX + 220, 180
    for bar in view.bars[:4]:
        sheet.write(_MARGIN_PX, bar.label)
        sheet.box(x, width, 12, _TRACK)
        sheet.box(x, width * bar.percent / 100, 12, _ACCENT)
        sheet.write(x + width + 60, f"{bar.percent:.0f} %", colour=_SOFT, anchor="ra")
        sheet.y += 24
    if stack.reason is not None:
        _paragraph(sheet, f"{stack.status}: {stack.reason.message}", until=_RIGHT_PX - 20)
    for line in _answers(stack):
        sheet.write(_MARGIN_PX, line, colour=_SOFT)
        sheet.y += 24


def _answers(stack: StackReading) -> list[str]:
    claimed = stack.claimed_contrast
    lines: list[str] = []
    if stack.contrast is not None:
        asked = (("contrast agent", stack.contrast.post_contrast), ("fat suppression", stack.contrast.fat_suppressed))
        lines += [
            f"Image shows {'' if answer.value else 'no '}{name} {100 * answer.probability:.0f} %"
            for name, answer in asked
            if answer is not None
        ]
    return [*lines, "Header names no contrast" if claimed is None else f"Header says {claimed}"]


def _table(sheet: _Sheet, fields: Sequence[Field], *, estimated: bool) -> None:
    """The header beside what the image looks like."""
    if not fields:
        return
    header, image, interval = _RIGHT_PX + 230, _RIGHT_PX + 310, _RIGHT_PX + 325
    sheet.write(header, "Header", size=14, colour=_SOFT, anchor="ra")
    if estimated:
        sheet.write(image, "Image", size=14, colour=_SOFT, anchor="ra")
        sheet.write(interval, "Interval", size=14, colour=_SOFT)
    sheet.y += 22
    for field in fields:
        sheet.write(_RIGHT_PX, f"{field.name} {field.unit}".rstrip())
        sheet.write(header, field.header or "-", colour=_ERROR if field.outside else _TEXT, anchor="ra")
        if estimated:
            sheet.write(image, field.estimate or "-", anchor="ra")
            sheet.write(interval, field.interval or "", colour=_SOFT)
        sheet.y += 24


def _findings(sheet: _Sheet, findings: Sequence[Finding]) -> None:
    """Each finding in words, as many as there is room for."""
    for index, finding in enumerate(findings):
        if sheet.y > HEIGHT_PX - _FOOT_PX - 100:
            sheet.write(_MARGIN_PX, f"{len(findings) - index} more: see the report", colour=_SOFT)
            sheet.y += 24
            return
        source = "from the rules" if finding.source == "rules" else "from the image"
        width = sheet.write(_MARGIN_PX, finding.severity, colour=_SEVERITY[finding.severity])
        sheet.write(_MARGIN_PX + width + 10, f"{source} · {finding.code}", colour=_SOFT)
        sheet.y += 24
        suggestion = "" if finding.suggestion is None else f". Suggested: {finding.suggestion}"
        _paragraph(sheet, f"{finding.message}{suggestion}", until=WIDTH_PX - _MARGIN_PX)
        sheet.y += 8
    if not findings:
        sheet.write(_MARGIN_PX, "No findings", colour=_SOFT)
        sheet.y += 24


def _foot(sheet: _Sheet, reading: SeriesReading, context: ReportContext) -> None:
    sheet.y = HEIGHT_PX - _FOOT_PX
    sheet.write(_MARGIN_PX, f"Series {reading.series_instance_uid}", size=14, colour=_SOFT)
    sheet.y += 22
    model = context.model
    reader = f"{model.name} {model.version}" if model else "rules only, no model"
    said = f"Made by mrclip ({reader}). A hint to a person who looks; no image and no header was changed."
    sheet.write(_MARGIN_PX, said, size=14, colour=_SOFT)


def _paragraph(sheet: _Sheet, text: str, *, until: float) -> None:
    """`text` broken into lines that end before `until`, at most `_PARAGRAPH_LINES` of them."""
    lines = _lines(_plain(text), until - _MARGIN_PX)
    if len(lines) > _PARAGRAPH_LINES:
        lines = [*lines[: _PARAGRAPH_LINES - 1], f"{lines[_PARAGRAPH_LINES - 1][:-4]} ..."]
    for line in lines:
        sheet.write(_MARGIN_PX, line)
        sheet.y += 22


def _lines(text: str, room_px: float) -> list[str]:
    """Broken between words; a word that is longer than a line is broken in itself."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _font(16).getlength(longer) <= room_px:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if _font(16).getlength(lines[-1] + character) > room_px:
                lines.append("")
            lines[-1] += character
    return lines
