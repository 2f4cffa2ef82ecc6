"""Whole blocks go past the page cache, and are the same bytes whatever the disk can do."""

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from dicom_factory import mr_image
from dicom_node.receive import files
from dicom_node.receive.files import BLOCK_BYTES, write_sealed, write_whole
from dicom_node.receive.part10 import file_meta, read_file_meta
from dicom_node.receive.spool import EncodedInstance, Spool
from dicom_node.report.uids import IMPLEMENTATION_CLASS_UID
from inference.identifiers import SeriesInstanceUid, SopInstanceUid
from peers import program

MIB = 1 << 20
BLOCKS = (0, 1, 33, 255, 256, 257, 700)  # of a file; 256 of them are what is written at once


def noise(size: int) -> bytes:
    """No two blocks are the same, so that one at the wrong place shows."""
    return b"".join(number.to_bytes(8, "big") for number in range(-(-size // 8)))[:size]


def meta(data_set_bytes: int | None) -> bytes:
    return file_meta(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        sop_instance_uid="1.2.3.4",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        sending_aet="SCANNER",
        data_set_bytes=data_set_bytes,
    )


def refused(*_: Any) -> None:
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each write to a file, whether it goes past the page cache."""
    seen: list[bool] = []

    def on(call: Callable[..., int]) -> Callable[..., int]:
        def recorded(descriptor: int, *arguments: Any) -> int:
            seen.append(bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT))
            return call(descriptor, *arguments)

        return recorded

    monkeypatch.setattr(os, "write", on(os.write))
    monkeypatch.setattr(os, "writev", on(os.writev))
    return seen


@pytest.mark.parametrize("blocks", BLOCKS)
def test_whole_blocks_are_written_as_they_are(tmp_path: Path, blocks: int, direct: list[bool]):
    content = noise(blocks * BLOCK_BYTES)
    path = tmp_path / "file"
    assert write_whole(path, [content[:1000], content[1000:1000], content[1000:]], replace=False)
    assert path.read_bytes() == content
    assert len(direct) == -(-len(content) // MIB)
    assert all(direct)


@pytest.mark.parametrize("size", [1, 4095, 4097, MIB + 1])
def test_what_is_no_whole_blocks_goes_through_the_page_cache(tmp_path: Path, size: int, direct: list[bool]):
    path = tmp_path / "file"
    assert write_whole(path, [noise(size)], replace=False)
    assert path.read_bytes() == noise(size)
    assert direct == [False]


@pytest.mark.parametrize("blocks", BLOCKS)
def test_a_disk_that_cannot_go_past_its_cache_keeps_the_same(
    tmp_path: Path, blocks: int, monkeypatch: pytest.MonkeyPatch
):
    call = fcntl.fcntl
    monkeypatch.setattr(
        fcntl, "fcntl", lambda fd, what, *more: (refused if what == fcntl.F_SETFL else call)(fd, what, *more)
    )
    path = tmp_path / "file"
    assert write_whole(path, [noise(blocks * BLOCK_BYTES)], replace=False)
    assert path.read_bytes() == noise(blocks * BLOCK_BYTES)


def test_a_disk_that_says_so_late_keeps_the_same(tmp_path: Path, direct: list[bool], monkeypatch: pytest.MonkeyPatch):
    call = os.write

    def write(descriptor: int, data: memoryview) -> int:
        written = call(descriptor, data)
        if not direct[-1]:
            return written
        os.lseek(descriptor, -written, os.SEEK_CUR)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "write", write)
    path = tmp_path / "file"
    assert write_whole(path, [noise(2 * MIB)], replace=False)
    assert path.read_bytes() == noise(2 * MIB)
    assert direct == [True, False, False]


def test_any_other_error_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "write", refused)
    monkeypatch.setattr(files, "_DIRECT", 0)
    with pytest.raises(files.OutOfResourcesError, match="EINVAL"):
        write_whole(tmp_path / "file", [bytes(BLOCK_BYTES)], replace=False)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_is_there_is_an_error_and_not_taken_for_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "urandom", bytes)
    name, content = f"{tmp_path}/file", bytes(BLOCK_BYTES)
    part = write_sealed(name, [content])
    assert part is not None
    assert write_sealed(name, [b"other"]) is None
    Path(name).unlink()
    with pytest.raises(files.OutOfResourcesError, match="EEXIST"):
        write_sealed(name, [content])
    assert [str(path) for path in tmp_path.iterdir()] == [part]


@pytest.mark.parametrize("most", [BLOCK_BYTES, 5 * BLOCK_BYTES, 100])
def test_a_write_that_comes_short_is_gone_on_with(tmp_path: Path, most: int, monkeypatch: pytest.MonkeyPatch):
    call = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: call(descriptor, data[:most]))
    content = noise(7 * BLOCK_BYTES)
    assert write_whole(tmp_path / "file", [content], replace=False)
    assert (tmp_path / "file").read_bytes() == content


def test_nobody_writes_what_another_is_writing(tmp_path: Path):
    def write(number: int) -> bool:
        content = bytes([number]) * (40 * BLOCK_BYTES)
        assert write_sealed(f"{tmp_path}/{number}", [content]) is not None
        return (tmp_path / str(number)).read_bytes() == content

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(write, range(200)))


FORKS = """
import os, sys
from pathlib import Path
from dicom_node.receive import files

content = os.urandom(files.BLOCK_BYTES)
files.write_whole(Path(sys.argv[1]), [content], replace=False)
(buffer,) = files._buffers
if os.fork() == 0:
    buffer[: len(content)] = bytes(len(content))
    os._exit(0)
os.wait()
sys.exit(buffer[: len(content)] != content)
"""


def test_a_fork_has_memory_of_its_own(tmp_path: Path):
    subprocess.run([sys.executable, "-c", FORKS, str(tmp_path / "file")], check=True)


@pytest.mark.parametrize("size", [0, 2, 3500, 3700, 4096, 131_666])
def test_a_file_ends_where_a_block_does(size: int):
    head = meta(size)
    assert (len(head) + size) % BLOCK_BYTES == 0
    assert len(head) - len(meta(None)) < BLOCK_BYTES + 100
    said = read_file_meta(memoryview(head + bytes(size)))
    assert said.data_set_offset == len(head)
    assert (said.transfer_syntax_uid, said.sending_aet) == (ExplicitVRLittleEndian, "SCANNER")
    read = dcmread(BytesIO(head), force=False).file_meta
    assert read.PrivateInformationCreatorUID == IMPLEMENTATION_CLASS_UID
    assert not read.PrivateInformation.strip(b"\0")
    assert read.FileMetaInformationGroupLength == len(head) - 144


def test_an_odd_length_cannot_be_filled_up():
    assert meta(4097) == meta(None)


@pytest.mark.peer("dcmdump")
def test_a_filled_up_file_is_one_for_others(tmp_path: Path, direct: list[bool]):
    image = mr_image(PatientName="Doe^Jane")
    image.save_as(tmp_path / "sent.dcm", enforce_file_format=True)
    sent = memoryview((tmp_path / "sent.dcm").read_bytes())
    stored = Spool(tmp_path / "spool", settled=False).store(
        EncodedInstance(
            series_instance_uid=SeriesInstanceUid(image.SeriesInstanceUID),
            sop_instance_uid=SopInstanceUid(image.SOPInstanceUID),
            sop_class_uid=image.SOPClassUID,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            data_set=sent[read_file_meta(sent).data_set_offset :],
        )
    )
    assert direct == [True]
    assert stored.path.stat().st_size % BLOCK_BYTES == 0
    dumped = [_dumped(path) for path in (tmp_path / "sent.dcm", stored.path)]
    assert dumped[0] == dumped[1]
    assert any("Doe^Jane" in line for line in dumped[0])
    read = dcmread(stored.path)
    assert Dataset(read) == Dataset(image)


def _dumped(path: Path) -> list[str]:
    """The data set as DCMTK reads it."""
    said = subprocess.run([program("dcmdump"), "-q", str(path)], check=True, capture_output=True, text=True)
    assert said.stderr == ""
    return [line for line in said.stdout.splitlines() if line.startswith("(") and not line.startswith("(0002,")]
