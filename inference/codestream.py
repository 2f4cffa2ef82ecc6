"""What a compressed frame says about itself, read from its markers before any decoder sees it.

Decoders written in C trust these markers: GDCM ends the process on a sample precision or a marker that makes no sense.
"""

import struct
from dataclasses import dataclass
from typing import Final

_SOI: Final = b"\xff\xd8"
_J2K_SOC_SIZ: Final = b"\xff\x4f\xff\x51"
_FRAMES: Final = {0xC0, 0xC1, 0xC3, 0xF7}  # SOF of baseline, extended, lossless (ISO/IEC 10918-1 B.1.1.3) and JPEG-LS
_TABLES: Final = {0xC4, 0xDB, 0xDD, 0xF8}  # Huffman, quantisation, restart interval, JPEG-LS presets
_COMMENTS: Final = {0xFE, *range(0xE0, 0xF0)}  # COM and APPn
_SCAN: Final = 0xDA


@dataclass(frozen=True, kw_only=True, slots=True)
class Codestream:
    """The header of one encoded frame."""

    rows_px: int
    columns_px: int
    components: int
    precision_bits: int
    data: bytes  # the frame without comments and application segments, which say nothing about grey pixels


def read_codestream(data: bytes) -> Codestream | None:
    """The header of a JPEG, JPEG-LS or JPEG 2000 frame; None for what begins like none of them (RLE).

    Raises:
        ValueError: the markers are broken.
    """
    if data.startswith(_SOI):
        return _read_jpeg(data)
    # JP2 boxes around the codestream are wrong in DICOM (PS3.5 A.4.4), and met.
    start = data.find(_J2K_SOC_SIZ, 0, 256) if data[4:8] == b"jP  " else 0
    if start >= 0 and data.startswith(_J2K_SOC_SIZ, start) and len(data) >= start + 43:
        # Xsiz, Ysiz, XOsiz, YOsiz; then, after the tiles, Csiz and the first Ssiz (ISO/IEC 15444-1 A.5.1)
        width, height, x, y = struct.unpack_from(">IIII", data, start + 8)
        components, depth = struct.unpack_from(">HB", data, start + 40)
        return Codestream(
            rows_px=height - y,
            columns_px=width - x,
            components=components,
            precision_bits=(depth & 0x7F) + 1,
            data=data,
        )
    return None


def _read_jpeg(data: bytes) -> Codestream:
    frame: tuple[int, int, int, int] | None = None
    kept = [_SOI]
    position = 2
    while True:
        if position + 4 > len(data) or data[position] != 0xFF:
            raise ValueError(f"byte {position} of the codestream is no marker")
        marker = data[position + 1]
        if marker == 0xFF:  # fill
            position += 1
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        segment = data[position:end]
        if end > len(data) or len(segment) < 4 or marker not in _FRAMES | _TABLES | _COMMENTS | {_SCAN}:
            raise ValueError(f"marker {marker:02X} at byte {position} of the codestream is broken or unknown")
        if marker in _FRAMES:
            if frame is not None or len(segment) < 10:
                raise ValueError("the codestream has a second or a short frame header")
            frame = struct.unpack_from(">BHHB", segment, 4)
        if marker == _SCAN:
            break
        if marker not in _COMMENTS:
            kept.append(segment)
        position = end
    if frame is None:
        raise ValueError("the codestream has no frame header before its scan")
    precision, rows, columns, components = frame
    return Codestream(
        rows_px=rows,
        columns_px=columns,
        components=components,
        precision_bits=precision,
        data=b"".join([*kept, data[position:]]),
    )
