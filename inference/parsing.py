"""One DICOM stream to a data set without its pixels, within stated bounds; every way it can fail has a code."""

import io
import itertools
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from inference.elements import Elements, attribute
from inference.nesting import MAX_NESTING, is_too_deep

MAX_HEADER_BYTES: Final = 256 << 20  # everything before the pixel data; 30,000 frames of an Enhanced image need 100 MB
MAX_INFLATED_BYTES: Final = 512 << 20  # of a deflated data set, pixels included

_PIXELS: Final = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
_TRANSFER_SYNTAX: Final = attribute("TransferSyntaxUID")
_UNDEFINED: Final = 0xFFFFFFFF
_MAGIC_END: Final = 132  # 128 bytes of preamble and "DICM" (PS3.10 section 7.1)
_LONG_VRS: Final = frozenset({b"OB", b"OD", b"OF", b"OV", b"OW", b"UN"})
_VRS: Final = frozenset({b"UI", b"CS", b"SH", b"LO", b"UL", b"DA", b"TM", b"OB", b"SQ"})  # that a data set begins with


class ParseError(Exception):
    """Bytes that are no usable data set; `code` is one of inference.reasons.REFUSED."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelElement:
    """Where the pixel data lie in the stream that was parsed."""

    keyword: str  # PixelData, FloatPixelData or DoubleFloatPixelData
    vr: str
    offset_bytes: int  # of the value
    length_bytes: int | None  # None: undefined, as encapsulated pixel data have it


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """A data set without its pixels, and where those are."""

    dataset: Dataset
    transfer_syntax_uid: UID
    pixels: PixelElement | None
    stream: BinaryIO  # what the offsets count in: the stream that was given, or the inflated data set
    dataset_offset_bytes: int  # where the data set begins in it


def parse(stream: BinaryIO, size_bytes: int) -> Parsed:
    """Read the data set of `stream` up to its pixel data.

    Raises:
        ParseError: with code not-dicom, truncated, too-large, nested-too-deep or transfer-syntax.
        OSError: the stream could not be read.
    """
    meta, start = _file_meta(stream, size_bytes)
    syntax = _transfer_syntax(stream, meta, start)
    if syntax == DeflatedExplicitVRLittleEndian:
        stream.seek(start)
        stream, start = _inflate(stream), 0
        size_bytes = stream.seek(0, io.SEEK_END)
    stream.seek(start)
    watch = _Watch(stream, size_bytes, start)
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    dataset = _read(stream, implicit, little, watch)
    dataset.file_meta = meta
    if not dataset:
        raise ParseError("not-dicom", "the file has no data elements after its file meta information")
    if is_too_deep(dataset):
        raise ParseError("nested-too-deep", f"sequences are nested more than {MAX_NESTING} levels deep")
    pixels = _pixel_element(stream, size_bytes, watch)
    if pixels is None:
        watch.check_end()
    return Parsed(dataset=dataset, transfer_syntax_uid=syntax, pixels=pixels, stream=stream, dataset_offset_bytes=start)


class _Watch:
    """Sees every top-level element before it is read: stops at the pixels, refuses what does not fit."""

    def __init__(self, stream: BinaryIO, size_bytes: int, start: int) -> None:
        self._stream, self._size, self._start = stream, size_bytes, start
        self._end: int | None = start  # of the last element, None where its length is undefined
        self.pixels: tuple[BaseTag, str | None, int] | None = None

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag in _PIXELS:
            self.pixels = tag, vr, length
            return True
        position = self._stream.tell()
        if length == _UNDEFINED:
            self._end = None
        else:
            self._end = position + length
            if self._end > self._size:
                raise _truncated(tag, length, self._size - position)
        if max(position, self._end or 0) - self._start > MAX_HEADER_BYTES:
            raise ParseError(
                "too-large", f"{_name(tag)}: more than {MAX_HEADER_BYTES >> 20} MiB precede the pixel data"
            )
        return False

    def check_end(self) -> None:
        """Refuse a stream that ends inside the header of an element; zeros after the last one are padding."""
        if self._end is None or self._size == self._end:
            return
        self._stream.seek(self._end)
        if self._stream.read(8).strip(b"\0"):
            raise ParseError("truncated", f"the file ends inside an element header, {self._size - self._end} bytes in")


def _file_meta(stream: BinaryIO, size_bytes: int) -> tuple[FileMetaDataset, int]:
    """The file meta information and where the data set begins."""
    stream.seek(0)
    head = stream.read(_MAGIC_END)
    headless = head[128:] != b"DICM"
    if headless and not _plausible(head):
        raise ParseError("not-dicom", "the file has neither the DICM prefix nor a data element at its start")
    stream.seek(0 if headless else _MAGIC_END)

    def after_group_2(tag: BaseTag, _vr: str | None, length: int) -> bool:
        if tag >> 16 == 2 and length != _UNDEFINED and stream.tell() + length > size_bytes:
            raise _truncated(tag, length, size_bytes - stream.tell())
        return tag >> 16 != 2

    meta = _read(stream, False, True, after_group_2)
    return FileMetaDataset(meta), stream.tell()


def _plausible(head: bytes) -> bool:
    """True if bytes without a preamble begin like a data set: with an element of group 2 or 8."""
    if len(head) < 8:
        return False
    group, element, length = struct.unpack_from("<HHI", head)
    if head[4:6] in _VRS:
        return group in (0x0002, 0x0008, 0x0200, 0x0800)
    return group == 0x0008 and element <= 0x0018 and length <= 64


def _transfer_syntax(stream: BinaryIO, meta: FileMetaDataset, start: int) -> UID:
    """Transfer Syntax UID (0002,0010), or what the first element looks like where there is none."""
    value = Elements(meta).text(_TRANSFER_SYNTAX)
    if value is not None:
        syntax = UID(value)
        if syntax.is_private or not syntax.is_transfer_syntax:
            raise ParseError("transfer-syntax", f"TransferSyntaxUID (0002,0010) is {value[:64]!r}; it is not in PS3.6")
        return syntax
    stream.seek(start)
    head = stream.read(6)
    if head[4:6] not in _VRS:
        return ImplicitVRLittleEndian
    return ExplicitVRBigEndian if head[:2] == b"\0\x08" else ExplicitVRLittleEndian


def _inflate(stream: BinaryIO) -> BinaryIO:
    """The data set of a deflated file (PS3.5 A.5), which may be a thousand times what was read."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(stream.read(MAX_INFLATED_BYTES), MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise ParseError("not-dicom", f"the deflated data set cannot be inflated: {error}") from error
    if inflater.unconsumed_tail:
        raise ParseError("too-large", f"the deflated data set is larger than {MAX_INFLATED_BYTES >> 20} MiB")
    if not inflater.eof:
        raise ParseError("truncated", "the deflated data set ends early")
    return io.BytesIO(data)


# What pydicom raises for a Specific Character Set (0008,0005) that is no text, or has another VR than CS.
_NO_CHARACTER_SET: Final = (ValueError, NotImplementedError, TypeError, AttributeError, BytesLengthException)


def _read(
    stream: BinaryIO, implicit: bool, little: bool, stop_when: Callable[[BaseTag, str | None, int], bool]
) -> Dataset:
    try:
        return read_dataset(stream, implicit, little, stop_when=stop_when)
    except RecursionError as error:
        raise ParseError("nested-too-deep", "sequences are nested deeper than they can be parsed") from error
    except (EOFError, struct.error) as error:
        raise ParseError("truncated", "the file ends inside a sequence or an element header") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ParseError("truncated", "the file ends inside a sequence") from error  # pydicom: no tag to read
    except _NO_CHARACTER_SET as error:
        raise ParseError("not-dicom", f"the data set cannot be parsed: {error}") from error


def _pixel_element(stream: BinaryIO, size_bytes: int, watch: _Watch) -> PixelElement | None:
    if watch.pixels is None:
        return None
    tag, vr, length = watch.pixels
    # pydicom has gone back to the start of the element (PS3.5 section 7.1: 12 bytes of header for these VRs).
    offset = stream.tell() + (8 if vr is None or vr.encode() not in _LONG_VRS else 12)
    if length == _UNDEFINED:
        _check_fragments(stream, offset, size_bytes)
    elif offset + length > size_bytes:
        raise _truncated(tag, length, size_bytes - offset)
    if length == 0:
        return None
    undefined = length == _UNDEFINED
    return PixelElement(
        keyword=_PIXELS[tag], vr=vr or "OW", offset_bytes=offset, length_bytes=None if undefined else length
    )


def _check_fragments(stream: BinaryIO, offset: int, size_bytes: int) -> None:
    """Refuse encapsulated pixel data that end early (PS3.5 A.4); whatever else is wrong there the decoder will say."""
    for items in itertools.count():
        stream.seek(offset)
        header = stream.read(8)
        if not header and items > 1:
            return  # some writers leave out the delimiter after the last fragment
        if len(header) < 8:
            raise ParseError("truncated", "PixelData (7FE0,0010): the file ends before the sequence delimiter")
        group, element, length = struct.unpack("<HHI", header)
        if (group, element) != (0xFFFE, 0xE000) or length == _UNDEFINED:
            return
        offset += 8 + length
        if offset > size_bytes:
            raise ParseError(
                "truncated", f"PixelData (7FE0,0010): a fragment lacks its last {offset - size_bytes} bytes"
            )


def _truncated(tag: BaseTag, length: int, available: int) -> ParseError:
    return ParseError("truncated", f"{_name(tag)} says {length} bytes; the file has {max(0, available)} more")


def _name(tag: BaseTag) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
