"""Data sets that mean harm: whatever the bytes, there is an identity or a reason, and soon."""

import time
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from dicom_factory import mr_image
from dicom_node.errors import CannotUnderstandError
from dicom_node.receive.part10 import FileMeta, Identity, file_meta, identify, read_file_meta
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


def check(data_set: bytes, syntax: str) -> None:
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
    else:
        assert said.isascii()


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
    assert said == FileMeta(transfer_syntax_uid=ImplicitVRLittleEndian, sending_aet="SENDER", data_set_offset=len(meta))


def test_a_large_data_set_of_tiny_items_takes_no_memory_and_little_time():
    items = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 200_000
    check(items + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00" + SANE[ExplicitVRLittleEndian], ExplicitVRLittleEndian)
