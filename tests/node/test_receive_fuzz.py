"""Data sets that mean harm: whatever the bytes, there is an identity or a reason, and soon."""

import re
import time
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from dicom_factory import mr_image
from dicom_node.errors import CannotUnderstandError
from dicom_node.receive.part10 import DEEPEST, FileMeta, Identity, file_meta, identify, read_file_meta
from inference.identifiers import is_uid

SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)


def sane(syntax: Any) -> bytes:
    dataset = mr_image(PixelData=None)
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    dataset.ReferencedImageSequence = [item, item]
    dataset["ReferencedImageSequence"].is_undefined_length = True
    encoded = encode(dataset, syntax.is_implicit_VR, syntax.is_little_endian)
    assert encoded is not None
    return encoded


SANE = {syntax: sane(syntax) for syntax in SYNTAXES}


def plainly(data: bytes, syntax: str) -> dict[int, bytes] | str:
    """The elements that say who a data set is, or why it cannot be read: one step after the other (PS3.5 7)."""
    order = "big" if syntax == ExplicitVRBigEndian else "little"
    opened, found, at = [syntax == ImplicitVRLittleEndian], dict[int, bytes](), 0
    while at < len(data):
        group, element = (int.from_bytes(data[at + two : at + two + 2], order) for two in (0, 2))
        if at + 4 <= len(data) and len(opened) == 1 and group << 16 | element > 0x0020000E:
            return found
        begin, vr, length = header(data, at, opened[-1] or group == 0xFFFE)
        if vr is None:
            return f"({group:04X},{element:04X}) has no VR (PS3.5 7.1.2)"
        if begin > len(data):
            return "the data set ends inside an element"
        at = begin
        if length == b"\xff" * 4:
            if len(opened) > 2 * DEEPEST:
                return f"sequences are nested deeper than {DEEPEST} levels"
            opened.append(opened[-1] or vr == b"UN")
        elif group == 0xFFFE and element in (0xE00D, 0xE0DD):
            opened.pop()
        else:
            at += int.from_bytes(length, order)
            if at > len(data):
                return f"the data set ends inside ({group:04X},{element:04X})"
            if len(opened) == 1:
                found[group << 16 | element] = data[begin:at]
    return "the data set ends inside a sequence" if len(opened) > 1 else found


def header(data: bytes, at: int, implicit: bool) -> tuple[int, bytes | None, bytes]:
    """Where the value begins, the VR (None where it is none), and the encoded length of the element at `at`."""
    vr = data[at + 4 : at + 6]
    if implicit or at + 8 > len(data):
        return at + 8, b"", data[at + 4 : at + 8]
    if vr in (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"):
        return at + 12, vr, data[at + 8 : at + 12]
    return at + 8, vr if re.fullmatch(b"[A-Z]{2}", vr) else None, data[at + 6 : at + 8]


def check(data_set: bytes, syntax: str) -> None:
    expected = plainly(data_set, syntax)
    begun = time.monotonic()
    said: Identity | str
    try:
        said = identify(data_set, syntax)
    except CannotUnderstandError as error:
        said = str(error)
    assert time.monotonic() - begun < 10
    if isinstance(said, Identity):
        assert is_uid(said.study_instance_uid)
        assert is_uid(said.series_instance_uid)
        assert isinstance(expected, dict)
        for tag, uid in ((0x0020000E, said.series_instance_uid), (0x00080018, said.sop_instance_uid)):
            assert expected[tag].strip(b" \x00") == uid.encode()
    else:
        assert said.isascii()
        assert said == expected or (isinstance(expected, dict) and "UID (" in said)


@given(data=st.binary(max_size=2000), syntax=st.sampled_from(SYNTAXES))
@settings(deadline=None, max_examples=200)
def test_any_bytes(data: bytes, syntax: str):
    check(data, syntax)


@given(
    syntax=st.sampled_from(SYNTAXES),
    changes=st.lists(st.tuples(st.integers(0, 1000), st.binary(min_size=1, max_size=8)), min_size=1, max_size=5),
    cut=st.integers(0, 2000),
)
@example(syntax=ExplicitVRLittleEndian, changes=[(0, b"\xfe\xff\xdd\xe0")], cut=2000)
@settings(deadline=None, max_examples=400)
def test_a_sane_data_set_with_damage(syntax: str, changes: list[tuple[int, bytes]], cut: int):
    damaged = bytearray(SANE[syntax])
    for position, content in changes:
        damaged[position : position + len(content)] = content
    check(bytes(damaged[:cut]), syntax)


@given(
    headers=st.lists(
        st.sampled_from(
            [
                b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff",
                b"\x08\x00\x05\x00UN\x00\x00\xff\xff\xff\xff",
                b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
                b"\xfe\xff\x00\xe0\x00\x00\x00\x00",
                b"\xfe\xff\x0d\xe0\x00\x00\x00\x00",
                b"\xfe\xff\xdd\xe0\x00\x00\x00\x00",
                b"\x08\x00\x16\x00UI\x04\x001.2\x00",
            ]
        ),
        max_size=300,
    )
)
@settings(deadline=None, max_examples=200)
def test_delimiters_in_any_order(headers: list[bytes]):
    check(b"".join(headers), ExplicitVRLittleEndian)


@given(file=st.binary(max_size=300))
@settings(deadline=None, max_examples=100)
def test_any_file(file: bytes):
    try:
        meta = read_file_meta(memoryview(bytes(128) + b"DICM" + file))
    except CannotUnderstandError:
        return
    assert 132 <= meta.data_set_offset <= 132 + len(file)


@given(data_set=st.binary(max_size=40))
@example(data_set=b"\x08\x00\x05")  # ends inside an element
@example(data_set=b"\x02\x00\x10\x00UI\x04\x001.2\x00")  # looks like another Transfer Syntax UID (0002,0010)
@settings(deadline=None, max_examples=200)
def test_file_meta_information_is_read_whatever_follows_it(data_set: bytes):
    meta = file_meta(
        sop_class_uid="1.2.3",
        sop_instance_uid="1.2.4",
        transfer_syntax_uid=ImplicitVRLittleEndian,
        sending_aet="SENDER",
    )
    said = read_file_meta(memoryview(meta + data_set))
    assert said == FileMeta(
        sop_class_uid="1.2.3",
        sop_instance_uid="1.2.4",
        transfer_syntax_uid=ImplicitVRLittleEndian,
        sending_aet="SENDER",
        data_set_offset=len(meta),
    )


def test_a_large_data_set_of_tiny_items_takes_no_memory_and_little_time():
    items = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 200_000
    check(items + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00" + SANE[ExplicitVRLittleEndian], ExplicitVRLittleEndian)
