"""How deeply the sequences of a data set are nested, found without recursion and before anything recurses into them.

pydicom parses nested sequences by recursion, at once where their length is undefined and on first access where it is
given; some 200 levels end the interpreter's stack (pydicom issue 2330).
"""

import struct
from typing import Final

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

MAX_NESTING: Final = 24  # the deepest trees of the standard, structured reports and protocols, need about ten

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)


def is_too_deep(dataset: Dataset, *, limit: int = MAX_NESTING) -> bool:
    """True if any sequence lies inside more than `limit` items."""
    pending = [(dataset, 0)]
    while pending:
        current, depth = pending.pop()
        if depth > limit:
            return True
        for tag in current.keys():  # noqa: SIM118 - iterating a data set converts its elements
            element: DataElement | RawDataElement = current.get_item(tag, keep_deferred=True)
            if isinstance(element, RawDataElement):
                if _exceeds(element, limit - depth):
                    return True
            elif isinstance(element.value, Sequence):
                pending.extend((item, depth + 1) for item in element.value)
    return False


def _exceeds(element: RawDataElement, limit: int) -> bool:
    value = element.value
    # A level needs an item, of at least eight bytes, so that most values need no walk.
    if not isinstance(value, bytes) or len(value) < 8 * limit:
        return False
    order = "<" if element.is_little_endian else ">"
    item = struct.pack(f"{order}HH", _ITEM >> 16, _ITEM & 0xFFFF)
    if not value.startswith(item) or value.count(item) <= limit:
        return False
    return _Walk(value, order, implicit=element.is_implicit_VR or element.VR == "UN").exceeds(limit)


class _Walk:
    """Steps through the encoded value of a sequence and counts the items that are open (PS3.5 section 7.5)."""

    def __init__(self, value: bytes, order: str, *, implicit: bool) -> None:
        self._value = value
        self._implicit = implicit
        self._header = struct.Struct(f"{order}HHI")
        self._explicit = struct.Struct(f"{order}4x2sH")
        self._length = struct.Struct(f"{order}I")
        self._item = struct.pack(f"{order}HH", _ITEM >> 16, _ITEM & 0xFFFF)

    def exceeds(self, limit: int) -> bool:
        """True once more than `limit` items are open inside each other."""
        ends: list[float] = []
        position = 0
        while position + 8 <= len(self._value):
            while ends and ends[-1] <= position:
                ends.pop()
            group, number, length = self._header.unpack_from(self._value, position)
            tag = group << 16 | number
            if tag == _ITEM:
                ends.append(position + 8 + length if length != _UNDEFINED else float("inf"))
                if len(ends) > limit:
                    return True
            elif tag == _ITEM_END and ends:
                ends.pop()
            position = position + 8 if group == 0xFFFE else self._next(position, length)
        return False

    def _next(self, position: int, length: int) -> int:
        """Where to go on after the header of an element: into a sequence, past anything else."""
        start, vr = position + 8, b"UN"
        if not self._implicit:
            vr, length = self._explicit.unpack_from(self._value, position)
            if vr in _LONG_VRS and start + 4 <= len(self._value):
                length, start = self._length.unpack_from(self._value, start)[0], start + 4
        if vr in (b"SQ", b"UN") and self._value.startswith(self._item, start):
            return start
        return start + length if length != _UNDEFINED else start
