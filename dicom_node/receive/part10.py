"""What the node must know of an instance before it answers, and the file meta information that goes before its bytes.

A data set comes from a peer who may mean harm. It is walked once, header by header and without recursion, as far as
Series Instance UID (0020,000E); no value is decoded but the five that are asked for, and none is copied. A library that
builds the data set would build whatever the peer nests or repeats in front of it.
"""

from collections.abc import Container, Generator
from dataclasses import dataclass
from struct import Struct, pack, unpack_from
from typing import Final

from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicom_node.errors import CannotUnderstandError
from dicom_node.receive.files import BLOCK_BYTES
from dicom_node.report.uids import IMPLEMENTATION_CLASS_UID
from inference import __version__
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, is_uid

IMPLEMENTATION_VERSION_NAME: Final = f"MRCLIP_{__version__}"[:16]
DEEPEST: Final = 64  # sequences in sequences; the deepest real data sets have about ten

_SOP_CLASS, _SOP_INSTANCE, _MODALITY = 0x00080016, 0x00080018, 0x00080060
_STUDY, _SERIES = 0x0020000D, 0x0020000E
_WANTED: Final = frozenset({_SOP_CLASS, _SOP_INSTANCE, _MODALITY, _STUDY, _SERIES})
_TRANSFER_SYNTAX: Final = 0x00020010
_SENDER: Final = 0x00020017
_MEDIA_CLASS, _MEDIA_INSTANCE = 0x00020002, 0x00020003  # Media Storage SOP Class and SOP Instance UID
_WANTED_OF_FILE: Final = frozenset({_MEDIA_CLASS, _MEDIA_INSTANCE, _TRANSFER_SYNTAX, _SENDER})

_DELIMITERS: Final = 0xFFFE  # group of items and their ends (PS3.5 7.5)
_ITEM_END, _SEQUENCE_END = 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
_LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # a length of four bytes (PS3.5 7.1.2)
_SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())  # of two
_HEADER_BYTES: Final = 8  # of an element, unless its length has four bytes after its VR
_LONG_HEADER_BYTES: Final = 12  # where it has
# In either byte order: an element of a short VR, and a length of two and of four bytes.
_LITTLE: Final = Struct("<HH2sH"), Struct("<H"), Struct("<L")
_BIG: Final = Struct(">HH2sH"), Struct(">H"), Struct(">L")
_ENDS: Final = "the data set ends inside {}"
_PREAMBLE: Final = bytes(128) + b"DICM"
_GROUP_LENGTH: Final = pack("<HH2sH", 0x0002, 0x0000, b"UL", 4)
_GROUP_LENGTH_END: Final = 144  # its value is the last four bytes before


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What a data set says it is."""

    study_instance_uid: StudyInstanceUid
    series_instance_uid: SeriesInstanceUid
    sop_instance_uid: SopInstanceUid
    sop_class_uid: str
    modality: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FileMeta:
    """What the file meta information of a file says, and where the data set begins."""

    sop_class_uid: str  # as it stands there, if it is a UID or not; empty where it is missing
    sop_instance_uid: str
    transfer_syntax_uid: str
    sending_aet: str | None
    data_set_offset: int


def identify(data_set: bytes | memoryview, transfer_syntax_uid: str) -> Identity:
    """The UIDs and the modality of an encoded data set; CannotUnderstandError where it cannot be read that far."""
    little, implicit = transfer_syntax_uid != ExplicitVRBigEndian, transfer_syntax_uid == ImplicitVRLittleEndian
    walk = _Walk(memoryview(data_set), little=little, implicit=implicit)
    values = {tag: _text(value) for tag, value in walk.elements(_WANTED, last=_SERIES)}
    return Identity(
        study_instance_uid=StudyInstanceUid(_uid(values, _STUDY, "Study Instance UID")),
        series_instance_uid=SeriesInstanceUid(_uid(values, _SERIES, "Series Instance UID")),
        sop_instance_uid=SopInstanceUid(_uid(values, _SOP_INSTANCE, "SOP Instance UID")),
        sop_class_uid=_uid(values, _SOP_CLASS, "SOP Class UID"),
        modality=_short_text(values, _MODALITY),
    )


def read_file_meta(file: memoryview) -> FileMeta:
    """The file meta information of a Part 10 file (PS3.10 7.1); CannotUnderstandError where it is none."""
    if bytes(file[128:132]) != b"DICM":
        raise CannotUnderstandError("the file has no DICM prefix (PS3.10 7.1)")
    walk = _Walk(_group_2(file), little=True, implicit=False, position=132)
    values = {tag: _text(value) for tag, value in walk.elements(_WANTED_OF_FILE, last=0x0002FFFF)}
    syntax = values.get(_TRANSFER_SYNTAX, "")
    if not is_uid(syntax):
        raise CannotUnderstandError("Transfer Syntax UID (0002,0010) is missing or is not a UID")
    return FileMeta(
        sop_class_uid=values.get(_MEDIA_CLASS, ""),
        sop_instance_uid=values.get(_MEDIA_INSTANCE, ""),
        transfer_syntax_uid=syntax,
        sending_aet=_short_text(values, _SENDER),
        data_set_offset=walk.position,
    )


def file_meta(
    *,
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    sending_aet: str | None,
    data_set_bytes: int | None = None,
) -> bytes:
    """Preamble, prefix and file meta information (PS3.10 7.1), always in Explicit VR Little Endian.

    With the length of a data set: such that a file of both ends where a block does, filled up with Private Information.
    """
    elements = b"".join(
        (
            pack("<HH2sHL2s", 0x0002, 0x0001, b"OB", 0, 2, b"\x00\x01"),
            _short(0x0002, b"UI", sop_class_uid),
            _short(0x0003, b"UI", sop_instance_uid),
            _short(0x0010, b"UI", transfer_syntax_uid),
            _short(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _short(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            b"" if sending_aet is None else _short(0x0017, b"AE", sending_aet),
        )
    )
    if data_set_bytes is not None and data_set_bytes % 2 == 0:  # an element cannot fill up an odd length
        elements += _filling(_GROUP_LENGTH_END + len(elements) + data_set_bytes)
    return _PREAMBLE + _GROUP_LENGTH + pack("<L", len(elements)) + elements


def _filling(size: int) -> bytes:
    """Private Information and its creator (PS3.10 table 7.1-1): so long that `size` bytes and they are whole blocks."""
    creator = _short(0x0100, b"UI", IMPLEMENTATION_CLASS_UID)
    room = -(size + len(creator) + _LONG_HEADER_BYTES) % BLOCK_BYTES
    return creator + pack("<HH2sHL", 0x0002, 0x0102, b"OB", 0, room) + bytes(room)


def _group_2(file: memoryview) -> memoryview:
    """A file up to its data set, as its group length says (PS3.10 7.1); all of it where there is none.

    What follows may be anything, also what looks like more of group 2.
    """
    if len(file) < _GROUP_LENGTH_END or bytes(file[132:140]) != _GROUP_LENGTH:
        return file
    return file[: _GROUP_LENGTH_END + unpack_from("<L", file, 140)[0]]


def _short(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii", "replace")
    if len(value) % 2:
        value += b"\x00" if vr == b"UI" else b" "
    return pack("<HH2sH", 0x0002, element, vr, len(value)) + value


def _text(value: memoryview) -> str:
    return bytes(value[:128]).decode("ascii", "replace").strip(" \x00")


def _short_text(values: dict[int, str], tag: int) -> str | None:
    """A value of VR AE or CS, None where it cannot be one (PS3.5 6.2). It goes into a column of that width, and
    PostgreSQL takes no NUL in any."""
    value = values.get(tag, "")
    return value if 0 < len(value) <= 16 and value.isprintable() else None


def _uid(values: dict[int, str], tag: int, name: str) -> str:
    value = values.get(tag)
    if value and is_uid(value):
        return value
    wrong = "is not a UID (PS3.5 9.1)" if value else "is missing"  # what stands there may be anything: it is not quoted
    raise CannotUnderstandError(f"{name} ({tag >> 16:04X},{tag & 0xFFFF:04X}) {wrong}")


class _Walk:
    """Goes over an encoded data set from element to element, in one loop whatever is nested in it."""

    def __init__(self, data: memoryview, *, little: bool, implicit: bool, position: int = 0) -> None:
        self.position = position
        self._data = data
        self._header, self._short, self._long = _LITTLE if little else _BIG
        # One entry for every sequence or item of undefined length that is open: whether it is in implicit VR.
        self._open = [implicit]

    def elements(self, wanted: Container[int], *, last: int) -> Generator[tuple[int, memoryview]]:
        """Tag and value of the wanted elements at the top level up to tag `last`, no sequences of undefined length.

        `position` is then that of the first element after `last`. Raises CannotUnderstandError where the data
        end inside an element or are nested deeper than `DEEPEST` sequences.
        """
        data, size, header, opened = self._data, len(self._data), self._header.unpack_from, self._open
        while (start := self.position) + _HEADER_BYTES <= size:
            group, element, vr, length = header(data, start)
            tag, begin = group << 16 | element, start + _HEADER_BYTES
            if tag > last and len(opened) == 1:
                return
            # Done for every element of every instance: of most this is all there is to know.
            if vr not in _SHORT_VRS or opened[-1] or group == _DELIMITERS:
                begin, length = self._value(start, tag, vr)
            if begin + length > size:
                raise CannotUnderstandError(_ENDS.format(f"({group:04X},{element:04X})"))
            self.position = begin + length
            if tag in wanted and len(opened) == 1:
                yield tag, data[begin : self.position]
        self._check_end(last)

    def _value(self, start: int, tag: int, vr: bytes) -> tuple[int, int]:
        """Where the value of an element begins and its length, 0 where it has elements in it or is the end of some."""
        begin = start + _HEADER_BYTES
        if self._open[-1] or tag >> 16 == _DELIMITERS:
            vr, length = b"", self._long.unpack_from(self._data, start + 4)[0]
        elif vr in _LONG_VRS:
            if begin + 4 > len(self._data):
                raise CannotUnderstandError(_ENDS.format("an element"))
            begin, length = begin + 4, self._long.unpack_from(self._data, begin)[0]
        elif vr.isalpha() and vr.isupper():  # one that the standard does not have (yet)
            length = self._short.unpack_from(self._data, start + 6)[0]
        else:
            raise CannotUnderstandError(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) has no VR (PS3.5 7.1.2)")
        if length == _UNDEFINED:
            self._enter(vr)
        elif tag in (_ITEM_END, _SEQUENCE_END):
            self._open.pop()
        else:
            return begin, length
        return begin, 0

    def _check_end(self, last: int) -> None:
        """Raise unless the data may end here."""
        rest = self._data[self.position :]
        if len(self._open) == 1 and len(rest) >= 4:
            group, element = (self._short.unpack_from(rest, offset)[0] for offset in (0, 2))
            if group << 16 | element > last:
                return
        if rest:
            raise CannotUnderstandError(_ENDS.format("an element"))
        if len(self._open) > 1:
            raise CannotUnderstandError(_ENDS.format("a sequence"))

    def _enter(self, vr: bytes) -> None:
        # An undefined length in UN holds implicit VR whatever is around it (PS3.5 6.2.2). A level is a sequence and
        # its item, so there are two entries a level.
        if len(self._open) > 2 * DEEPEST:
            raise CannotUnderstandError(f"sequences are nested deeper than {DEEPEST} levels")
        self._open.append(self._open[-1] or vr == b"UN")
