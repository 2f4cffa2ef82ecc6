"""Bytes that are no usable data set: every way of being cut, nested, deflated or disguised has its code."""

import io
import struct
import zlib
from contextlib import suppress

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicom_factory import enhanced_mr, mr_image
from inference import parsing
from inference.nesting import MAX_NESTING
from inference.parsing import Parsed, ParseError, parse

MAGIC = bytes(128) + b"DICM"
UNDEFINED = 0xFFFFFFFF
# What pydicom adds on reading that a test may meet: a warning about a value is no failure to parse.


def part10(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def parsed(data: bytes) -> Parsed:
    return parse(io.BytesIO(data), len(data))


def code(data: bytes) -> str:
    with pytest.raises(ParseError) as error:
        parsed(data)
    return error.value.code


def meta(transfer_syntax: str) -> bytes:
    uid = transfer_syntax.encode() + b"\0" * (len(transfer_syntax) % 2)
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
    return MAGIC + element


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    long = vr in (b"OB", b"OW", b"SQ", b"UN")
    size = len(value) if length is None else length
    header = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    return header + (struct.pack("<HI", 0, size) if long else struct.pack("<H", size)) + value


def nested(levels: int, *, undefined: bool) -> bytes:
    """A data set with that many sequences inside each other."""
    inner = b""
    for _ in range(levels):
        if undefined:
            item = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED) + inner + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
            inner = element(0x00081140, b"SQ", item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), UNDEFINED)
        else:
            inner = element(0x00081140, b"SQ", struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner)
    return meta("1.2.840.10008.1.2.1") + inner + element(0x0020000D, b"UI", b"1.2.3\0")


def test_the_pixels_are_located_and_not_read() -> None:
    image = mr_image()
    result = parsed(part10(image))
    assert "PixelData" not in result.dataset
    assert result.dataset.EchoTime == 12
    assert result.pixels is not None
    assert (result.pixels.keyword, result.pixels.vr, result.pixels.length_bytes) == ("PixelData", "OW", 64 * 64 * 2)
    result.stream.seek(result.pixels.offset_bytes)
    assert result.stream.read(result.pixels.length_bytes) == image.PixelData


@pytest.mark.parametrize("transfer_syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_every_encoding(transfer_syntax: str) -> None:
    image = mr_image(transfer_syntax=transfer_syntax)
    result = parsed(part10(image))
    assert result.transfer_syntax_uid == transfer_syntax
    assert result.dataset.EchoTime == 12
    assert result.pixels is not None
    result.stream.seek(result.pixels.offset_bytes)
    assert result.stream.read(result.pixels.length_bytes) == image.PixelData


@pytest.mark.parametrize("with_meta", [True, False])
@pytest.mark.parametrize("transfer_syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"])
def test_a_data_set_without_preamble(transfer_syntax: str, with_meta: bool) -> None:
    data = part10(mr_image(transfer_syntax=transfer_syntax))
    start = parsed(data).dataset_offset_bytes
    result = parsed(data[132:] if with_meta else data[start:])
    assert result.dataset.EchoTime == 12
    assert result.transfer_syntax_uid == transfer_syntax


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"hello world, this is no DICOM file at all",
        b"\x89PNG\r\n\x1a\n" + bytes(200),
        bytes(500),
        b"%PDF-1.7" * 40,
    ],
)
def test_not_dicom(data: bytes) -> None:
    assert code(data) == "not-dicom"


def test_a_file_cut_anywhere_is_truncated() -> None:
    """Wherever the cut is, nothing else is raised; only a cut between elements before the pixels leaves no trace."""
    data = part10(enhanced_mr(2))
    whole = parsed(data)
    assert whole.pixels is not None
    header_end = whole.pixels.offset_bytes
    seen: set[str] = set()
    for length in [*range(132, header_end, 3), header_end, header_end + 1, len(data) - 1]:
        try:
            result = parsed(data[:length])
        except ParseError as error:
            seen.add(error.code)
        else:
            assert result.pixels is None
            assert length < header_end
    assert seen == {"truncated", "not-dicom"}  # the latter where nothing follows the file meta information


def test_truncated_pixels_say_what_is_missing() -> None:
    data = part10(mr_image())
    with pytest.raises(ParseError, match=r"\(7FE0,0010\) says 8192 bytes; the file has 8092 more") as error:
        parsed(data[:-100])
    assert error.value.code == "truncated"


def test_a_claimed_length_is_not_believed() -> None:
    data = meta("1.2.840.10008.1.2.1") + element(0x00080008, b"OB", b"x" * 10, 0xFFFFFFF0)
    assert code(data) == "truncated"


def test_too_much_before_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MAX_HEADER_BYTES", 1000)
    data = meta("1.2.840.10008.1.2.1") + element(0x00080008, b"CS", b"M ") + element(0x00090010, b"OB", bytes(2000))
    assert code(data) == "too-large"


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("levels", [MAX_NESTING + 1, 200, 3000])
def test_deep_nesting_is_refused(levels: int, undefined: bool) -> None:
    assert code(nested(levels, undefined=undefined)) == "nested-too-deep"


@pytest.mark.parametrize("undefined", [True, False])
def test_nesting_within_the_limit(undefined: bool) -> None:
    assert parsed(nested(MAX_NESTING, undefined=undefined)).dataset.StudyInstanceUID == "1.2.3"


def test_many_items_are_not_deep() -> None:
    item = element(0x00081150, b"UI", b"1.2.3\0")
    items = (struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item) * 500
    data = meta("1.2.840.10008.1.2.1") + element(0x00081140, b"SQ", items) + element(0x0020000D, b"UI", b"1.2.3\0")
    assert len(parsed(data).dataset.ReferencedImageSequence) == 500


def deflated(dataset: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return meta(DeflatedExplicitVRLittleEndian) + packer.compress(dataset) + packer.flush()


def test_deflated() -> None:
    data = part10(mr_image())
    body = data[parsed(data).dataset_offset_bytes :]
    result = parsed(deflated(body))
    assert result.dataset.EchoTime == 12
    assert result.pixels is not None
    result.stream.seek(result.pixels.offset_bytes)
    assert result.stream.read() == mr_image().PixelData


def test_a_deflated_bomb_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MAX_INFLATED_BYTES", 1 << 20)
    assert code(deflated(element(0x00090010, b"OB", bytes(8 << 20)))) == "too-large"


@pytest.mark.parametrize(("data", "expected"), [(b"\xff" * 100, "not-dicom"), (b"", "truncated")])
def test_broken_deflated_data(data: bytes, expected: str) -> None:
    assert code(meta(DeflatedExplicitVRLittleEndian) + data) == expected


@pytest.mark.parametrize("syntax", ["1.2.840.113619.5.2", "1.2.3.4", "1.2.840.10008.5.1.4.1.1.4"])
def test_an_unknown_transfer_syntax_is_refused(syntax: str) -> None:
    data = part10(mr_image())
    assert code(meta(syntax) + data[parsed(data).dataset_offset_bytes :]) == "transfer-syntax"


def encapsulated(fragments: bytes) -> bytes:
    body = element(0x00080060, b"CS", b"MR") + element(0x7FE00010, b"OB", fragments, UNDEFINED)
    return meta("1.2.840.10008.1.2.4.90") + body


ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 8) + b"fragment"
TABLE = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def test_encapsulated_pixels() -> None:
    pixels = parsed(encapsulated(TABLE + ITEM + END)).pixels
    assert pixels is not None
    assert pixels.length_bytes is None


def test_a_missing_delimiter_is_forgiven() -> None:
    assert parsed(encapsulated(TABLE + ITEM)).pixels is not None


@pytest.mark.parametrize("fragments", [b"", TABLE, TABLE + ITEM[:-1], TABLE + ITEM + END[:4]])
def test_encapsulated_pixels_that_end_early(fragments: bytes) -> None:
    assert code(encapsulated(fragments)) == "truncated"


def test_zeros_after_the_last_element_are_padding() -> None:
    image = mr_image()
    del image.PixelData
    data = part10(image)
    assert parsed(data + bytes(6)).pixels is None
    assert code(data + b"abcdef") == "truncated"


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom says what it thinks of such a character set
@pytest.mark.parametrize("value", [b"ISO_IR 100      ", bytes(8), b"\\" * 4, b"1\\2 "])
@pytest.mark.parametrize("vr", ["AT", "CS", "DS", "FD", "IS", "OB", "OW", "PN", "SL", "SQ", "UI", "UN", "US"])
def test_a_character_set_of_another_vr_is_refused_or_forgiven(vr: str, value: bytes) -> None:
    data = meta("1.2.840.10008.1.2.1") + element(0x00080005, vr.encode(), value)
    with suppress(ParseError):
        assert parsed(data + element(0x0020000D, b"UI", b"1.2.3\0")).dataset.StudyInstanceUID == "1.2.3"
