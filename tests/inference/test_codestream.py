"""Headers of compressed frames: read before a decoder sees them, and no change of one may end the process."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from dicom_factory import mr_image, object_pixels, write
from inference.codestream import read_codestream
from inference.pixels import PixelError, read_slices
from inference.sources import Instance, SourceFile, load
from inference.stacks import ChosenSlice
from peers import program


def test_header_of_a_codestream() -> None:
    siz = struct.pack(">HHIIIIIIIIHBBB", 41, 0, 26, 35, 2, 3, 26, 35, 0, 0, 1, 0x8B, 1, 1)
    for boxes in (b"", b"\0\0\0\x0cjP  \r\n\x87\n"):
        j2k = read_codestream(boxes + b"\xff\x4f\xff\x51" + siz)
        assert j2k is not None
        assert (j2k.rows_px, j2k.columns_px, j2k.components, j2k.precision_bits) == (32, 24, 1, 12)
    for marker in (0xFFC0, 0xFFC1, 0xFFC3, 0xFFF7):
        frame = struct.pack(">HHBHHBBBB", marker, 11, 12, 300, 200, 1, 1, 17, 0)
        jpeg = read_codestream(b"\xff\xd8" + b"\xff\xe0\x00\x04ab" + frame + b"\xff\xff\xda\x00\x08scanned")
        assert jpeg is not None
        assert (jpeg.rows_px, jpeg.columns_px, jpeg.components, jpeg.precision_bits) == (300, 200, 1, 12)
        assert jpeg.data == b"\xff\xd8" + frame + b"\xff\xda\x00\x08scanned"
    assert read_codestream(b"\x02\0\0\0run length") is None
    assert read_codestream(b"") is None


FRAME = struct.pack(">HHBHHBBBB", 0xFFC3, 11, 12, 300, 200, 1, 1, 17, 0)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"\xff\xd9", b"\xfe\xc4\0\4ab", b"\xff\xc4\0\1ab", b"\xff\xc4\xff\xffab", FRAME + FRAME,
     b"\xff\xc2" + FRAME[2:], b"\xff\xc3\0\5abc", b"\xff\xda\0\4ab"],
)  # fmt: skip
def test_broken_markers(data: bytes) -> None:
    with pytest.raises(ValueError, match="codestream"):
        read_codestream(b"\xff\xd8" + data)


@pytest.mark.parametrize("precision", [1, 17, 28, 128])
def test_a_precision_that_makes_no_sense_does_not_reach_the_decoder(precision: int, tmp_path: Path) -> None:
    """GDCM ends the process on some of these."""
    frame = struct.pack(">HHBHHBBBB", 0xFFC3, 11, precision, 32, 24, 1, 1, 17, 0)
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x00\x00" + bytes(200) + b"\xff\xd9"
    dataset = mr_image(pixels=object_pixels(32, 24))
    dataset.PixelData = encapsulate([b"\xff\xd8" + frame + scan])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    one = load(SourceFile(path=write(dataset, tmp_path / "image.dcm")))
    assert isinstance(one, Instance)
    with pytest.raises(PixelError, match=rf"1 components of {precision} bits; BitsAllocated \(0028,0100\) is 16"):
        read_slices([ChosenSlice(header=one.header)], {one.sop_instance_uid: one})


def break_every_byte(dataset: Dataset, folder: Path, *, header_bytes: int) -> None:
    """Read it with every byte of its codestream's header changed, in a process of its own that must survive."""
    path = write(dataset, folder / "image.dcm")
    command = [sys.executable, "-c", BREAK_EVERY_BYTE, str(path), str(header_bytes)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert result.returncode == 0, result.stderr[-500:]


@pytest.mark.peer("dcmcjpeg")
@pytest.mark.parametrize("option", ["+e1", "+ee", "+eb"])
def test_no_broken_jpeg_header_ends_the_process(option: str, tmp_path: Path) -> None:
    source, target = write(mr_image(pixels=object_pixels(32, 24)), tmp_path / "native.dcm"), tmp_path / "encoded.dcm"
    subprocess.run([program("dcmcjpeg"), option, str(source), str(target)], check=True, capture_output=True)
    encoded = dcmread(target)
    break_every_byte(encoded, tmp_path, header_bytes=encoded.PixelData.index(b"\xff\xda") - 6)


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
def test_no_broken_header_ends_the_process(syntax: UID, tmp_path: Path) -> None:
    dataset = mr_image(pixels=object_pixels(64, 48))
    dataset.compress(syntax, generate_instance_uid=False)
    break_every_byte(dataset, tmp_path, header_bytes=90)


BREAK_EVERY_BYTE = """
import sys
from pathlib import Path
from inference.pixels import PixelError, read_slices
from inference.sources import Instance, SourceFile, load
from inference.stacks import ChosenSlice

path = Path(sys.argv[1])
data = path.read_bytes()
start = max(data.rfind(b"\\xff\\xd8\\xff"), data.rfind(b"\\xff\\x4f\\xff\\x51"))
for position in range(start, start + int(sys.argv[2])):
    for value in (0, 28, 255, data[position] ^ 1):
        path.write_bytes(data[:position] + bytes([value]) + data[position + 1 :])
        one = load(SourceFile(path=path))
        if isinstance(one, Instance):
            try:
                read_slices([ChosenSlice(header=one.header)], {one.sop_instance_uid: one})
            except PixelError as error:
                assert error.reason.code == "broken-pixels"
"""
