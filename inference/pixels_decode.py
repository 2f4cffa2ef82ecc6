"""Frames of images to float32 arrays in the units of the image (PS3.3 C.11.1), only those that are asked for."""

import io
import struct
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import JPEGExtended12BitDecoder, get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from inference.codestream import read_codestream
from inference.header import FrameHeader
from inference.identifiers import SopInstanceUid
from inference.pixels_layout import PixelError, PixelLayout, PixelLimits, check_layout
from inference.sources import Instance
from inference.stacks import ChosenSlice

JPEGExtended12BitDecoder.add_plugin("gdcm-12", ("inference.jpeg12", "decode_frame"))

LIMITS: Final = PixelLimits()
_SMALL_BYTES: Final = 1 << 16
_PLUGINS: Final = {
    JPEGBaseline8Bit: "pillow",
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), "pyjpegls"),
    **dict.fromkeys((JPEG2000, JPEG2000Lossless), "pylibjpeg"),
}

# What pydicom's decoders and its encapsulation raise for pixels that are not as their header says: ValueError and
# RuntimeError (every plugin failed), struct.error and EOFError (items end early), AttributeError and KeyError (an
# option is missing), NotImplementedError (no decoder for the transfer syntax), OverflowError (no file has that offset).
_DECODER_ERRORS: Final = (
    ValueError, RuntimeError, struct.error, EOFError, AttributeError, KeyError, OverflowError,
)  # fmt: skip

_Stored = npt.NDArray[Any]


def read_slices(
    chosen: Sequence[ChosenSlice], instances: Mapping[SopInstanceUid, Instance], *, limits: PixelLimits = LIMITS
) -> list[Float32[np.ndarray, "_ _"]]:
    """The chosen slices of the images in `instances`, in order: rescaled, MONOCHROME1 inverted, padding made dark.

    Raises:
        PixelError: the first that cannot be decoded: no-pixels, colour, broken-pixels or pixel-limit.
    """
    wanted: defaultdict[SopInstanceUid, set[int]] = defaultdict(set)
    for one in chosen:
        wanted[one.sop_instance_uid].add(one.frame)
    stored: dict[SopInstanceUid, dict[int, _Stored]] = {
        uid: _decode(instances[uid], frames, limits) for uid, frames in wanted.items()
    }
    return [_slice(one, instances[one.sop_instance_uid], stored[one.sop_instance_uid][one.frame]) for one in chosen]


def _decode(instance: Instance, frames: Collection[int], limits: PixelLimits) -> dict[int, _Stored]:
    """Stored values (rows, columns) of some frames, numbered from 1."""
    layout = instance.pixels
    if layout is None:
        raise PixelError("no-pixels", "the object has no PixelData (7FE0,0010)")
    try:
        with instance.stream() as stream:
            return stored_values(stream, layout, UID(instance.transfer_syntax_uid), frames, limits=limits)
    except OSError as error:
        raise PixelError("broken-pixels", f"the file cannot be read again: {error.strerror or error}") from error


def stored_values(
    stream: BinaryIO, layout: PixelLayout, syntax: UID, frames: Collection[int], *, limits: PixelLimits = LIMITS
) -> dict[int, _Stored]:
    """Stored values (rows, columns) of some frames, numbered from 1, as the data set of `stream` holds them.

    Raises:
        PixelError: colour, broken-pixels or pixel-limit.
        OSError: the stream could not be read.
    """
    check_layout(layout, encapsulated=syntax.is_encapsulated, limits=limits)
    if max(frames) > layout.frames:
        raise PixelError(
            "broken-pixels", f"frame {max(frames)} is wanted; NumberOfFrames (0028,0008) is {layout.frames}"
        )
    try:
        return _decode_stream(stream, layout, syntax, sorted(frames))
    except _DECODER_ERRORS as error:
        message = " ".join(str(error).split())[:500]
        raise PixelError(
            "broken-pixels", f"PixelData (7FE0,0010) in {syntax.name} cannot be decoded: {message}"
        ) from error


def _decode_stream(stream: BinaryIO, layout: PixelLayout, syntax: UID, frames: Sequence[int]) -> dict[int, _Stored]:
    stream.seek(layout.element.offset_bytes)
    indices = [frame - 1 for frame in frames]
    options = _options(layout, syntax)
    if syntax.is_encapsulated:
        # Only the wanted frames, each checked, in a capsule of their own.
        encoded = [_encoded(stream, layout, frame) for frame in frames]
        stream, indices = io.BytesIO(encapsulate(encoded)), list(range(len(frames)))
        options |= {"number_of_frames": len(frames), "decoding_plugin": _plugin(layout, syntax)}
    decoded = get_decoder(syntax).iter_array(stream, indices=indices, raw=True, **options)
    return {frame: _shifted(array, layout, syntax) for frame, (array, _) in zip(frames, decoded, strict=True)}


def _plugin(layout: PixelLayout, syntax: UID) -> str:
    """The decoder of pydicom's that is sturdiest for a syntax; GDCM for what only it decodes."""
    if syntax == JPEGExtended12Bit:
        return "pillow" if layout.bits_stored == 8 else "gdcm-12"
    return _PLUGINS.get(syntax, "")


def _options(layout: PixelLayout, syntax: UID) -> dict[str, Any]:
    options: dict[str, Any] = {
        "rows": layout.rows_px,
        "columns": layout.columns_px,
        "number_of_frames": layout.frames,
        "samples_per_pixel": layout.samples_per_pixel,
        "photometric_interpretation": layout.photometric_interpretation,
        "bits_allocated": layout.bits_allocated,
        "pixel_keyword": layout.element.keyword,
        "pixel_vr": layout.element.vr,
    }
    if layout.element.keyword == "PixelData":
        options |= {"bits_stored": layout.bits_stored, "pixel_representation": layout.pixel_representation}
    if _is_shifted(layout, syntax):
        options["correct_unused_bits"] = False
    return options


def _is_shifted(layout: PixelLayout, syntax: UID) -> bool:
    """True where the stored bits are not the lowest ones, which pydicom takes them to be (PS3.5 8.1.1)."""
    if layout.high_bit is None or layout.bits_stored is None or layout.element.keyword != "PixelData":
        return False
    shifted = layout.bits_stored - 1 < layout.high_bit < (layout.bits_allocated or 0)
    return shifted and (not syntax.is_encapsulated or syntax == RLELossless)


def _shifted(array: _Stored, layout: PixelLayout, syntax: UID) -> _Stored:
    if not _is_shifted(layout, syntax):
        return array
    bits, high, stored = layout.bits_allocated or 0, layout.high_bit or 0, layout.bits_stored or 0
    return (array << (bits - 1 - high)) >> (bits - stored)


def _encoded(stream: BinaryIO, layout: PixelLayout, frame: int) -> bytes:
    """One encoded frame, refused where it is something else inside than the header says."""
    header = f"Rows (0028,0010) is {layout.rows_px} and Columns (0028,0011) {layout.columns_px}"
    longest = 2 * layout.frame_bytes + _SMALL_BYTES  # two bytes of RLE stand for up to 128
    if layout.offset_table is not None:
        said = layout.offset_table[1][8 * frame - 8 : 8 * frame]
        length = int.from_bytes(said, "little")
        if len(said) < 8 or length > longest:  # so much would be read at once
            raise ValueError(f"ExtendedOffsetTableLengths (7FE0,0002) has {length} for frame {frame}; {header}")
    data = get_frame(stream, frame - 1, number_of_frames=layout.frames, extended_offsets=layout.offset_table)
    stream.seek(layout.element.offset_bytes)
    if len(data) > longest:
        raise ValueError(f"frame {frame} has {len(data)} bytes encoded; {header}")
    codestream = read_codestream(data)
    if codestream is None:
        return data
    if (codestream.rows_px, codestream.columns_px) != (layout.rows_px, layout.columns_px):
        raise ValueError(f"frame {frame} has {codestream.rows_px} x {codestream.columns_px} pixels; {header}")
    bits = layout.bits_allocated or 0
    if codestream.components != 1 or not 2 <= codestream.precision_bits <= bits:
        said = f"{codestream.components} components of {codestream.precision_bits} bits"
        raise ValueError(f"frame {frame} has {said}; BitsAllocated (0028,0100) is {bits}")
    return codestream.data


def _slice(one: ChosenSlice, instance: Instance, stored: _Stored) -> Float32[np.ndarray, "_ _"]:
    layout = instance.pixels
    part = stored if one.tile is None else _tile(stored, one.header, one.tile)
    values = part.astype(np.float32)
    slope = one.header.rescale_slope or 1.0  # a slope of zero would leave no image
    values *= np.float32(slope)
    values += np.float32(one.header.rescale_intercept or 0.0)
    if layout is not None and layout.photometric_interpretation == "MONOCHROME1":
        np.negative(values, out=values)
    if layout is not None and layout.padding is not None:
        outside = (part >= layout.padding[0]) & (part <= layout.padding[1])
        if outside.any() and not outside.all():
            values[outside] = values[~outside].min()
    return values


def _tile(mosaic: _Stored, header: FrameHeader, tile: int) -> _Stored:
    rows, columns = header.mosaic_grid or (1, 1)
    height, width = mosaic.shape[0] // rows, mosaic.shape[1] // columns
    row, column = divmod(tile, columns)
    if not 0 <= row < rows or height == 0 or width == 0:
        raise PixelError("broken-pixels", f"tile {tile} is outside the mosaic of {rows} x {columns} tiles")
    return mosaic[row * height : (row + 1) * height, column * width : (column + 1) * width]
