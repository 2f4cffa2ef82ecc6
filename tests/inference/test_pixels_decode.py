"""Stored pixels to image values: every encoding and codec, and every way in which pixels can be refused."""

import base64
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    UID,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_factory import enhanced_mr, mr_image, object_pixels, uid, write
from inference.pixels import PixelError, PixelLimits, read_slices
from inference.reasons import Refused
from inference.sources import Instance, SourceFile, find, load
from inference.stacks import ChosenSlice
from peers import program

RAMP = np.arange(16 * 12, dtype=np.uint16).reshape(16, 12) * 20


def instance(dataset: Dataset, folder: Path) -> Instance:
    loaded = load(SourceFile(path=write(dataset, folder / "image.dcm")))
    assert not isinstance(loaded, Refused), loaded
    return loaded


def image_values(one: Instance, *, limits: PixelLimits | None = None) -> list[np.ndarray[Any, Any]]:
    chosen = [ChosenSlice(header=header) for header in one.headers]
    instances = {one.sop_instance_uid: one}
    return read_slices(chosen, instances, **({"limits": limits} if limits else {}))


def decoded(dataset: Dataset, folder: Path) -> np.ndarray[Any, Any]:
    (values,) = image_values(instance(dataset, folder))
    assert values.dtype == np.float32
    return values


def reason(dataset: Dataset, folder: Path, *, limits: PixelLimits | None = None) -> str:
    with pytest.raises(PixelError) as error:
        image_values(instance(dataset, folder), limits=limits)
    assert str(error.value) == error.value.reason.message
    return error.value.reason.code


@pytest.mark.parametrize("transfer_syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4"])
def test_native(dtype: str, transfer_syntax: str, tmp_path: Path) -> None:
    pixels = (RAMP // 20 if dtype == "u1" else RAMP).astype(dtype) - (100 if dtype == "i2" else 0)
    if transfer_syntax.endswith(".2.2") and dtype == "u4":
        dataset = mr_image(pixels=pixels.astype(">u4"), transfer_syntax=transfer_syntax)
    elif transfer_syntax.endswith(".2.2") and dtype == "u1":
        dataset = mr_image(pixels=pixels, transfer_syntax=transfer_syntax)
        dataset["PixelData"].VR = "OB"
    else:
        dataset = mr_image(pixels=pixels, transfer_syntax=transfer_syntax)
    np.testing.assert_array_equal(decoded(dataset, tmp_path), pixels.astype(np.float32))


def test_rescale_goes_before_everything(tmp_path: Path) -> None:
    values = decoded(mr_image(pixels=RAMP, RescaleSlope="0.5", RescaleIntercept="-10"), tmp_path)
    np.testing.assert_allclose(values, RAMP * 0.5 - 10)


def test_a_slope_of_zero_is_passed_over(tmp_path: Path) -> None:
    np.testing.assert_array_equal(decoded(mr_image(pixels=RAMP, RescaleSlope=0), tmp_path), RAMP)


def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    values = decoded(mr_image(pixels=RAMP, PhotometricInterpretation="MONOCHROME1", RescaleSlope=2), tmp_path)
    np.testing.assert_array_equal(values, RAMP * -2.0)


def test_bits_above_high_bit_are_no_pixels(tmp_path: Path) -> None:
    """Old images keep overlays there (PS3.5 8.1.1)."""
    values = decoded(mr_image(pixels=RAMP | 0xF000, BitsStored=12, HighBit=11), tmp_path)
    np.testing.assert_array_equal(values, RAMP)


def test_stored_bits_need_not_be_the_lowest(tmp_path: Path) -> None:
    values = decoded(mr_image(pixels=(RAMP << 4) | 5, BitsStored=12, HighBit=15), tmp_path)
    np.testing.assert_array_equal(values, RAMP)


def test_signed_values_of_12_bits_are_extended(tmp_path: Path) -> None:
    stored = (RAMP.astype(np.int16) - 2000) & 0x0FFF
    dataset = mr_image(pixels=stored.astype(np.uint16), BitsStored=12, HighBit=11, PixelRepresentation=1)
    np.testing.assert_array_equal(decoded(dataset, tmp_path), RAMP.astype(np.float32) - 2000)


def test_padding_is_dark(tmp_path: Path) -> None:
    pixels = RAMP + 100
    pixels[:4] = 60000
    values = decoded(mr_image(pixels=pixels, PixelPaddingValue=60000), tmp_path)
    assert (values[:4] == values[4:].min()).all()
    np.testing.assert_array_equal(values[4:], pixels[4:])


def test_padding_of_a_signed_image(tmp_path: Path) -> None:
    pixels = RAMP.astype(np.int16)
    pixels[0] = -2000
    dataset = mr_image(pixels=pixels, transfer_syntax="1.2.840.10008.1.2")
    dataset.PixelPaddingValue = -2000
    assert decoded(dataset, tmp_path).min() == RAMP[1].min()


def test_float_pixels(tmp_path: Path) -> None:
    dataset = mr_image(PixelRepresentation=None, BitsStored=None, HighBit=None, BitsAllocated=32, Rows=16, Columns=12)
    del dataset.PixelData
    dataset.FloatPixelData = (RAMP / 7).astype("<f4").tobytes()
    np.testing.assert_array_equal(decoded(dataset, tmp_path), (RAMP / 7).astype(np.float32))


def test_only_the_frames_that_are_asked_for(tmp_path: Path) -> None:
    frames = np.stack([RAMP + step for step in range(5)])
    per_frame = [{"RescaleSlope": step + 1, "RescaleIntercept": 0} for step in range(5)]
    one = instance(enhanced_mr(5, pixels=frames, per_frame=per_frame), tmp_path)
    chosen = [ChosenSlice(header=one.headers[index]) for index in (3, 0, 3)]
    values = read_slices(chosen, {one.sop_instance_uid: one})
    for found, index in zip(values, (3, 0, 3), strict=True):
        np.testing.assert_array_equal(found, (RAMP + index) * (index + 1.0))


def test_tiles_of_a_mosaic(tmp_path: Path) -> None:
    mosaic = np.block([[np.full((4, 5), 10 * row + column, np.uint16) for column in range(3)] for row in range(2)])
    dataset = mr_image(pixels=mosaic, ImageType=["ORIGINAL", "PRIMARY", "M", "VFRAME"])
    dataset.private_block(0x0065, "Image Private Header", create=True).add_new(0x50, "DS", 5)
    one = instance(dataset, tmp_path)
    tiles = read_slices([ChosenSlice(header=one.header, tile=tile) for tile in range(5)], {one.sop_instance_uid: one})
    assert [tile.shape for tile in tiles] == [(4, 5)] * 5
    assert [np.unique(tile).tolist() for tile in tiles] == [[0], [1], [2], [10], [11]]
    with pytest.raises(PixelError, match="outside the mosaic"):
        read_slices([ChosenSlice(header=one.header, tile=6)], {one.sop_instance_uid: one})


def test_a_deflated_file(tmp_path: Path) -> None:
    dataset = mr_image(pixels=RAMP, transfer_syntax="1.2.840.10008.1.2.1.99")
    np.testing.assert_array_equal(decoded(dataset, tmp_path), RAMP)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("signed", [False, True])
def test_lossless_codecs(syntax: UID, signed: bool, tmp_path: Path) -> None:
    pixels = object_pixels(40, 36).astype(np.int16) - 500 if signed else object_pixels(40, 36)
    dataset = mr_image(pixels=pixels)
    dataset.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(decoded(dataset, tmp_path), pixels.astype(np.float32))


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_frames_of_a_compressed_image(syntax: UID, tmp_path: Path) -> None:
    frames = np.stack([object_pixels(64, 48, seed=seed) for seed in range(4)])
    dataset = enhanced_mr(4, pixels=frames)
    dataset.compress(syntax, generate_instance_uid=False)
    one = instance(dataset, tmp_path)
    chosen = [ChosenSlice(header=one.headers[index]) for index in (2, 1)]
    for found, index in zip(read_slices(chosen, {one.sop_instance_uid: one}), (2, 1), strict=True):
        np.testing.assert_array_equal(found, frames[index])


@pytest.mark.parametrize("vr", [b"OV", b"UV", b"UL", b"SQ"])
def test_an_empty_extended_offset_table_is_none(vr: bytes, tmp_path: Path) -> None:
    (values,) = image_values(with_offset_tables(vr, b"", b"", tmp_path))
    np.testing.assert_array_equal(values, RAMP)


@pytest.mark.parametrize(
    ("vr", "offsets", "lengths"),
    [
        (b"US", b"\1", b"\1"), (b"XX", b"\1\0", b"\1\0"), (b"UL", bytes(4), bytes(4)), (b"DS", b"abc ", b"abc "),
        (b"OV", bytes(7), bytes(7)), (b"OV", bytes(4), bytes(8)), (b"OV", bytes(8), bytes(4)),
        (b"OV", bytes(8), bytes(8)),
        (b"OV", b"\xff" * 8, bytes(8)), (b"OV", bytes(8), b"\xff" * 8), (b"OV", bytes(8), b"\0\0\0\0\0\1\0\0"),
    ],
)  # fmt: skip
def test_an_extended_offset_table_that_is_none_is_refused(
    vr: bytes, offsets: bytes, lengths: bytes, tmp_path: Path
) -> None:
    one = with_offset_tables(vr, offsets, lengths, tmp_path)
    archive = tmp_path / "image.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(one.source.path, "image.dcm")
    (zipped,) = map(load, find([archive]))
    assert isinstance(zipped, Instance)
    for where in (one, zipped):
        with pytest.raises(PixelError, match="cannot be decoded"):
            image_values(where)


def with_offset_tables(vr: bytes, offsets: bytes, lengths: bytes, folder: Path) -> Instance:
    """RAMP in run lengths, below an Extended Offset Table and its lengths as they are given."""
    dataset = mr_image(pixels=RAMP)
    dataset.compress(RLELossless, generate_instance_uid=False)
    path = write(dataset, folder / "image.dcm")
    head, pixels, rest = path.read_bytes().partition(struct.pack("<HH", 0x7FE0, 0x0010))
    size = "<HH2s2xI" if vr in (b"OV", b"UV", b"SQ") else "<HH2sH"
    tables = ((0x0001, offsets), (0x0002, lengths))
    added = b"".join(struct.pack(size, 0x7FE0, element, vr, len(value)) + value for element, value in tables)
    path.write_bytes(head + added + pixels + rest)
    loaded = load(SourceFile(path=path))
    assert isinstance(loaded, Instance)
    return loaded


# Made once with OpenJPH from the formula below: 32 x 24 pixels of 16 bits.
HTJ2K = base64.b64decode(
    "/0//UQApQAAAAAAYAAAAIAAAAAAAAAAAAAAAGAAAACAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJ"
    "CQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAALgAAf+TwAAmGfcFB3QAwAATQAATAPL8Aod0AP78Awd0AMAAE0AAE4Bp"
    "+gALdAB+9vMAo1QAwAAVUAAFUFChoKD+l+GLdQA88+T5wCEAjLYAwAAV8AAFeCQSiUQikUjeCnp6cQJ4AJgxMTExMfwAGPYxgey5AMAALZgABb"
    "QIgiAIgiAIgiAIgiDz/gp6enp6enpwgn0AtDQajUaj0Wg0Gu3/coIQHv2IQHv2IQHsvwD/2Q=="
)


@pytest.mark.parametrize("suffix", ["201", "202", "203"])
def test_high_throughput_jpeg_2000(suffix: str, tmp_path: Path) -> None:
    y, x = np.mgrid[0:32, 0:24]
    expected = (x * 37 + y * 91) % 4096
    dataset = mr_image(pixels=expected.astype(np.uint16), BitsStored=16, HighBit=15)
    dataset.PixelData = encapsulate([HTJ2K])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = UID(HTJ2KLossless[:-3] + suffix)
    np.testing.assert_array_equal(decoded(dataset, tmp_path), expected)


def compressed(tool: str, *options: str) -> Callable[[Dataset, Path], Dataset]:
    def compress(dataset: Dataset, folder: Path) -> Dataset:
        source, target = write(dataset, folder / "native.dcm"), folder / "compressed.dcm"
        subprocess.run([program(tool), *options, str(source), str(target)], check=True, capture_output=True)
        return dcmread(target)

    return compress


@pytest.mark.peer("dcmcjpeg", "dcmcjpls", "dcmcrle")
@pytest.mark.parametrize(
    ("compress", "syntax", "bits", "tolerance"),
    [
        (compressed("dcmcrle"), "1.2.840.10008.1.2.5", 12, 0),
        (compressed("dcmcjpls"), "1.2.840.10008.1.2.4.80", 12, 0),
        (compressed("dcmcjpls", "+en", "+md", "2"), "1.2.840.10008.1.2.4.81", 12, 2),
        (compressed("dcmcjpeg", "+e1"), JPEGLosslessSV1, 12, 0),
        (compressed("dcmcjpeg", "+e1"), JPEGLosslessSV1, 16, 0),
        (compressed("dcmcjpeg", "+el"), "1.2.840.10008.1.2.4.57", 12, 0),
        (compressed("dcmcjpeg", "+eb", "+q", "95"), JPEGBaseline8Bit, 8, 12),
        (compressed("dcmcjpeg", "+ee", "+q", "95"), JPEGExtended12Bit, 12, 40),
        (compressed("dcmcjpeg", "+ee", "+q", "95"), JPEGExtended12Bit, 8, 12),
    ],
)
def test_codecs_of_a_peer(
    compress: Callable[[Dataset, Path], Dataset], syntax: str, bits: int, tolerance: float, tmp_path: Path
) -> None:
    largest = min(2**bits - 1, 40000)
    pixels = object_pixels(60, 48, largest=largest)
    dataset = mr_image(pixels=pixels.astype(np.uint8) if bits == 8 else pixels, BitsStored=bits, HighBit=bits - 1)
    encoded = compress(dataset, tmp_path)
    assert encoded.file_meta.TransferSyntaxUID == syntax
    encoded.SOPInstanceUID = encoded.file_meta.MediaStorageSOPInstanceUID = uid("compressed")
    assert np.abs(decoded(encoded, tmp_path) - pixels).max() <= tolerance


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"PhotometricInterpretation": "SOMETHING"}, "broken-pixels"),
        ({"PhotometricInterpretation": None}, "broken-pixels"),
        ({"Rows": None}, "broken-pixels"),
        ({"Rows": 0}, "broken-pixels"),
        ({"BitsAllocated": None}, "broken-pixels"),
        ({"BitsAllocated": 24}, "broken-pixels"),
        ({"BitsStored": 17}, "broken-pixels"),
        ({"PixelRepresentation": None}, "broken-pixels"),
        ({"Rows": 65}, "broken-pixels"),
        ({"Rows": 65535, "Columns": 65535}, "pixel-limit"),
        ({"NumberOfFrames": 2_000_000_000}, "pixel-limit"),
        ({"NumberOfFrames": 2}, "broken-pixels"),
    ],
)
def test_refusals(attributes: dict[str, Any], code: str, tmp_path: Path) -> None:
    assert reason(mr_image(**attributes), tmp_path) == code


def test_no_pixels(tmp_path: Path) -> None:
    assert reason(mr_image(PixelData=None), tmp_path) == "no-pixels"


def test_the_limits_are_an_argument(tmp_path: Path) -> None:
    assert reason(mr_image(), tmp_path, limits=PixelLimits(frame_bytes=1000)) == "pixel-limit"
    assert reason(enhanced_mr(4), tmp_path, limits=PixelLimits(image_bytes=20000)) == "pixel-limit"


def test_messages_name_attribute_tag_value_and_rule(tmp_path: Path) -> None:
    one = instance(mr_image(PhotometricInterpretation="SOMETHING"), tmp_path)
    rule = r"PhotometricInterpretation \(0028,0004\) is 'SOMETHING'; must be MONOCHROME1 or MONOCHROME2"
    with pytest.raises(PixelError, match=rule):
        image_values(one)


def test_messages_hold_what_can_be_seen_only(tmp_path: Path) -> None:
    for shape in ({}, {"SamplesPerPixel": 3}):
        image = mr_image(**shape)
        image["PhotometricInterpretation"]._value = "R\0B"
        with pytest.raises(PixelError, match=r"\(0028,0004\) is 'R\\x00B'; must be"):
            image_values(instance(image, tmp_path))


def encapsulated(frame: bytes, syntax: str = JPEG2000Lossless, **attributes: Any) -> Dataset:
    dataset = mr_image(pixels=object_pixels(32, 24), **attributes)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    return dataset


@pytest.mark.parametrize(
    "syntax", [JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1, JPEGBaseline8Bit, RLELossless, HTJ2KLossless]
)
@pytest.mark.parametrize("frame", [b"no codestream at all", b"\xff\xd8\xff\xd9", HTJ2K[:100], b"\0" * 64])
def test_broken_codestreams(syntax: str, frame: bytes, tmp_path: Path) -> None:
    assert reason(encapsulated(frame, syntax), tmp_path) == "broken-pixels"


def test_a_codestream_of_another_size_is_not_decoded(tmp_path: Path) -> None:
    one = instance(encapsulated(HTJ2K, HTJ2KLossless, Columns=25, BitsStored=16, HighBit=15), tmp_path)
    with pytest.raises(PixelError, match=r"32 x 24 pixels; Rows \(0028,0010\) is 32 and Columns \(0028,0011\) 25"):
        image_values(one)


def test_a_run_length_bomb_is_not_decoded(tmp_path: Path) -> None:
    bomb = struct.pack("<16I", 2, 64, 200_000, *[0] * 13) + b"\x81\0" * 200_000
    one = instance(encapsulated(bomb, RLELossless), tmp_path)
    with pytest.raises(PixelError, match="400064 bytes encoded"):
        image_values(one)


def test_a_transfer_syntax_that_nothing_decodes(tmp_path: Path) -> None:
    assert reason(encapsulated(b"video", MPEG2MPML), tmp_path) == "broken-pixels"


def test_broken_encapsulation(tmp_path: Path) -> None:
    path = write(encapsulated(HTJ2K, HTJ2KLossless, BitsStored=16, HighBit=15), tmp_path / "image.dcm")
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<HH", 0xFFFE, 0xE000), struct.pack("<HH", 0xFFFE, 0xE00F)))
    one = load(SourceFile(path=path))
    assert isinstance(one, Instance)
    with pytest.raises(PixelError) as error:
        image_values(one)
    assert error.value.reason.code == "broken-pixels"


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    one = instance(mr_image(), tmp_path)
    one.source.path.unlink()
    with pytest.raises(PixelError, match="cannot be read again") as error:
        image_values(one)
    assert error.value.reason.code == "broken-pixels"


def test_a_deflated_file_that_has_changed(tmp_path: Path) -> None:
    one = instance(mr_image(transfer_syntax="1.2.840.10008.1.2.1.99"), tmp_path)
    one.source.path.write_bytes(b"something else")
    with pytest.raises(PixelError, match="cannot be read again: the file has neither") as error:
        image_values(one)
    assert error.value.reason.code == "broken-pixels"
