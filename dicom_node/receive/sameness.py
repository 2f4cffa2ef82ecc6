"""Whether two files hold the same data set: the same values and the same pixels, however each is encoded.

A sender that repeats an instance may propose another transfer syntax than before. The bytes differ then; what they
say does not. Only bytes that differ come here, so this may take the time to decode both.
"""

import struct
from io import BytesIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import correct_ambiguous_vr, write_data_element
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRBigEndian

from inference.parsing import Parsed, ParseError, parse
from inference.pixels import PixelError, PixelLayout, pixel_layout, stored_values

# How something is encoded and no part of what it says: Extended Offset Table and its lengths (PS3.3 C.7.6.3),
# Data Set Trailing Padding (PS3.10 7.2). Group lengths (gggg,0000) too; pixels are compared by themselves.
_ENCODING: Final = frozenset({0x7FE00001, 0x7FE00002, 0xFFFCFFFC})
# Derivation Description and its code (PS3.3 C.7.6.1.1.3): DCMTK notes there that it compressed, also without loss.
_DERIVATION: Final = frozenset({0x00082111, 0x00089215})
_PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_WORD_BYTES: Final = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}  # that the byte order turns round (PS3.5 7.3)
_IMPLICIT_HEADER_BYTES: Final = 8
# What pydicom raises for values that are not what their VR says, and for a Pixel Representation that is missing.
# A warning is raised only where warnings are errors.
_UNREADABLE: Final = (
    ValueError, TypeError, AttributeError, KeyError, NotImplementedError, OverflowError, RecursionError, EOFError,
    struct.error, BytesLengthException, OSError, ParseError, PixelError, Warning,
)  # fmt: skip


def same_data_set(first: bytes | memoryview, second: bytes | memoryview) -> bool:
    """Whether two Part 10 files say the same; False also where one of them cannot be decoded to tell."""
    try:
        one, other = (parse(BytesIO(file), len(file)) for file in (first, second))
        return _same_elements(_Side(one), _Side(other)) and _same_pixels(one, other)
    except _UNREADABLE:
        return False


class _Side:
    """One data set of the two, or an item in it."""

    def __init__(self, parsed: Parsed, item: Dataset | None = None) -> None:
        self.parsed = parsed
        self._swapped = parsed.transfer_syntax_uid == ExplicitVRBigEndian
        dataset = parsed.dataset if item is None else item
        self.dataset = correct_ambiguous_vr(dataset, not self._swapped)

    def tags(self) -> list[BaseTag]:
        """What it says something about."""
        return [tag for tag in sorted(self.dataset.keys()) if tag.element != 0 and tag not in _ENCODING | _PIXELS]

    def items(self, tag: BaseTag) -> list["_Side"]:
        """The items of a sequence."""
        return [_Side(self.parsed, item) for item in self.dataset[tag].value]

    def raw(self, element: DataElement) -> bytes:
        """The value in Implicit VR Little Endian, without padding."""
        if isinstance(element.value, bytes):
            value = element.value
            size = _WORD_BYTES.get(element.VR) if self._swapped else None
            value = value if size is None else np.frombuffer(value, f"u{size}").byteswap().tobytes()
        else:
            file = DicomBytesIO()
            file.is_little_endian, file.is_implicit_VR = True, True
            write_data_element(file, element)
            value = file.getvalue()[_IMPLICIT_HEADER_BYTES:]
        return value.rstrip(b" \x00")


def _same_elements(one: _Side, other: _Side) -> bool:
    tags = one.tags()
    if tags != other.tags():
        compressed = {side.parsed.transfer_syntax_uid.is_encapsulated for side in (one, other)}
        if len(compressed) == 1 or not set(tags) ^ set(other.tags()) <= _DERIVATION:
            return False
        tags = [tag for tag in tags if tag not in _DERIVATION]
    return all(_same_element(one, other, tag) for tag in tags)


def _same_element(one: _Side, other: _Side, tag: BaseTag) -> bool:
    first, second = one.dataset[tag], other.dataset[tag]
    if first.VR == second.VR == "SQ":
        items = one.items(tag), other.items(tag)
        return len(items[0]) == len(items[1]) and all(map(_same_elements, *items))
    if first.VR == second.VR and not isinstance(first.value, bytes):
        return bool(first.value == second.value)
    # Implicit VR knows no VR of private elements, so one side may have the bytes only.
    return one.raw(first) == other.raw(second)


def _same_pixels(one: Parsed, other: Parsed) -> bool:
    if one.pixels is None or other.pixels is None:
        return one.pixels is other.pixels
    layouts = pixel_layout(one.dataset, one.pixels), pixel_layout(other.dataset, other.pixels)
    return layouts[0].frames == layouts[1].frames and all(
        np.array_equal(_frame(one, layouts[0], number), _frame(other, layouts[1], number))
        for number in range(1, layouts[0].frames + 1)
    )


def _frame(side: Parsed, layout: PixelLayout, number: int) -> npt.NDArray[Any]:
    return stored_values(side.stream, layout, side.transfer_syntax_uid, [number])[number]
