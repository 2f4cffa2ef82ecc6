"""Element values of a data set as plain Python values; what cannot be used becomes a HeaderFault, never an exception.

pydicom converts an element on first access, warns about odd values and raises on others. Headers in archives are
full of both, so values are taken here from the raw bytes (PS3.5 section 6.2), which is also several times faster.
"""

import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, cast

from pydicom.charset import decode_bytes, python_encoding
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

_BINARY: Final = {"FD": "d", "FL": "f", "SS": "h", "US": "H", "SL": "i", "UL": "I"}
_NUMERIC: Final = frozenset({*_BINARY, "DS", "IS"})
_ONE_VALUE: Final = frozenset({"LT", "ST", "UT"})  # a backslash is a character here (PS3.5 table 6.2-1)
_LONGEST_RECORDED: Final = 64
# What pydicom raises for the bytes of a sequence that end early (OSError: no tag to read) or have a VR that is none,
# and for a Specific Character Set (0008,0005) in an item that is no text or has another VR than CS.
_SEQUENCE_ERRORS: Final = (
    OSError, EOFError, struct.error, ValueError, NotImplementedError, BytesLengthException, TypeError, AttributeError,
)  # fmt: skip

Value = str | float


@dataclass(frozen=True, kw_only=True, slots=True)
class HeaderFault:
    """An attribute that is present and cannot be used as what it is."""

    attribute: str  # keyword, e.g. EchoTime
    tag: str  # "(0018,0081)"
    recorded: str  # the value as text, at most 64 characters, never of an attribute that names the patient
    rule: str  # what it breaks, e.g. "must be a number"


@dataclass(frozen=True, slots=True)
class Attribute:
    """A data element that is read: standard ones by keyword, private ones with their creator and VR."""

    keyword: str
    tag: BaseTag
    vr: str

    @property
    def text(self) -> str:
        """The tag as documents write it, "(0018,0081)"."""
        return f"({self.tag.group:04X},{self.tag.element:04X})"


def attribute(keyword: str) -> Attribute:
    """The standard attribute of that keyword (PS3.6); KeyError if there is none."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return Attribute(keyword, Tag(tag), dictionary_VR(tag).split(" ")[0])


class Elements:
    """Reads the values of one data set and keeps the faults that it meets.

    Several data sets are asked in turn, the first that has the element answers: that is how per-frame functional
    groups go before shared ones. `parent` is the data set whose sequence holds these as items.
    """

    def __init__(
        self,
        *datasets: Dataset,
        faults: dict[BaseTag, HeaderFault] | None = None,
        parent: "Elements | None" = None,
    ) -> None:
        self.datasets = datasets
        self.faults: dict[BaseTag, HeaderFault] = {} if faults is None else faults
        self._parent = parent
        self._encodings: list[str] | None = None

    def inside(self, item: Dataset) -> "Elements":
        """An item of one of these sequences: its faults are kept here, its text is in this character set."""
        return Elements(item, faults=self.faults, parent=self)

    def values(self, attribute: Attribute) -> tuple[Value, ...]:
        """All values: text stripped of padding, numbers as float; () if the element is absent or empty."""
        for dataset in self.datasets:
            element = _element(dataset, attribute)
            if element is not None:
                found = self._raw(element, attribute) if isinstance(element, RawDataElement) else _plain(element.value)
                if found:
                    return found
        return ()

    def texts(self, attribute: Attribute) -> tuple[str, ...]:
        """All values as text; empty ones in the middle are kept, as Image Type counts its values."""
        values = tuple(value if isinstance(value, str) else f"{value:g}" for value in self.values(attribute))
        while values and not values[-1]:
            values = values[:-1]
        return values

    def text(self, attribute: Attribute) -> str | None:
        """The value as one text, several joined as they were written; None if absent or empty."""
        return "\\".join(self.texts(attribute)) or None

    def numbers(self, attribute: Attribute, count: int) -> tuple[float, ...] | None:
        """Exactly `count` finite numbers, or None; a fault is kept where there are others."""
        values = self.values(attribute)
        if not any(value != "" for value in values):
            return None
        if len(values) != count:
            return self._fault(attribute, values, f"must have {count} value{'s' if count > 1 else ''}")
        numbers = tuple(map(_number, values))
        usable = tuple(number for number in numbers if number is not None)
        if len(usable) < count:
            return self._fault(attribute, values, "must be a number")
        if not all(map(math.isfinite, usable)):
            return self._fault(attribute, values, "must be finite")
        return usable

    def number(self, attribute: Attribute) -> float | None:
        """One finite number or None."""
        numbers = self.numbers(attribute, 1)
        return None if numbers is None else numbers[0]

    def integer(self, attribute: Attribute) -> int | None:
        """One integer or None."""
        number = self.number(attribute)
        if number is not None and not number.is_integer():
            return self._fault(attribute, (number,), "must be an integer")
        return None if number is None else int(number)

    def first(self, attribute: Attribute) -> float | None:
        """The first of several numbers, or None; private elements carry more than they mean."""
        values = self.values(attribute)
        number = _number(values[0]) if values else None
        return number if number is not None and math.isfinite(number) else None

    def items(self, attribute: Attribute) -> list[Dataset]:
        """The items of a sequence; [] if it is absent or empty, and a fault where it is no sequence."""
        for dataset in self.datasets:
            if attribute.tag in dataset:
                try:
                    value = dataset[attribute.tag].value
                except _SEQUENCE_ERRORS:
                    value = None
                if isinstance(value, Sequence):
                    return list(cast("Iterable[Dataset]", value))
                self._fault(attribute, (), "must be a sequence of items")
        return []

    def charset_terms(self) -> list[str]:
        """Specific Character Set (0008,0005) as declared; an item without one has that of what holds it."""
        for dataset in reversed(self.datasets):
            element = _element(dataset, CHARACTER_SET)
            if isinstance(element, RawDataElement) and element.value:
                return [term.strip() for term in element.value.decode("ascii", errors="replace").split("\\")]
            if element is not None and not isinstance(element, RawDataElement):
                return [str(term) for term in _plain(element.value)]
        return [] if self._parent is None else self._parent.charset_terms()  # PS3.3 C.12.1.1.2

    def _fault(self, attribute: Attribute, values: tuple[Value, ...], rule: str) -> None:
        recorded = "\\".join(value if isinstance(value, str) else f"{value:g}" for value in values)
        self.faults[attribute.tag] = HeaderFault(
            attribute=attribute.keyword, tag=attribute.text, recorded=recorded[:_LONGEST_RECORDED], rule=rule
        )

    def _raw(self, element: RawDataElement, attribute: Attribute) -> tuple[Value, ...]:
        value = element.value
        if not value:
            return ()
        vr = element.VR if element.VR not in (None, "UN") else attribute.vr
        code = _BINARY.get(vr)
        if code is not None:
            count = len(value) // struct.calcsize(code)
            order = "<" if element.is_little_endian else ">"
            return tuple(map(float, struct.unpack_from(f"{order}{count}{code}", value)))
        text = self._decode(value).rstrip(" \0")
        parts = [text] if vr in _ONE_VALUE else text.split("\\")
        return tuple(part.strip(" \0\t\r\n") for part in parts) if text else ()

    def _decode(self, value: bytes) -> str:
        """Text in Specific Character Set (0008,0005); what it cannot decode is replaced, as names are not compared."""
        if value.isascii() and b"\x1b" not in value:
            return value.decode("ascii")
        encodings = self._character_set()
        if len(encodings) > 1 and b"\x1b" in value:
            return decode_bytes(value, encodings, {0x5C})
        return value.decode(encodings[0], errors="replace")

    def _character_set(self) -> list[str]:
        if self._encodings is None:
            declared = [term for term in self.charset_terms() if term in python_encoding]
            self._encodings = [python_encoding[term] for term in declared] or ["iso8859"]
        return self._encodings


CHARACTER_SET: Final = attribute("SpecificCharacterSet")


def _element(dataset: Dataset, attribute: Attribute) -> DataElement | RawDataElement | None:
    return dataset.get_item(attribute.tag, keep_deferred=True)


def _plain(value: Any) -> tuple[Value, ...]:
    """The values of an element that pydicom has converted already."""
    if value is None or value == "":
        return ()
    many = cast("Iterable[Any]", value) if isinstance(value, MultiValue | list | tuple) else (value,)
    return tuple(float(one) if isinstance(one, int | float) else str(one or "").strip() for one in many)


def _number(value: Value) -> float | None:
    if not isinstance(value, str):
        return value
    try:
        return None if "_" in value else float(value)
    except ValueError:
        return None
