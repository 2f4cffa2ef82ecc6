"""What a compressed frame says about its own size, read from its markers before any decoder sees it."""

import struct
from typing import Final

_JPEG_SOI: Final = b"\xff\xd8"
_J2K_SOC_SIZ: Final = b"\xff\x4f\xff\x51"
_NO_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xDA)})  # TEM, RSTn, SOI, EOI (ISO/IEC 10918-1 B.1.1.3)
_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}  # SOFn, and SOF55 of JPEG-LS


def codestream_size(data: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG, JPEG-LS or JPEG 2000 codestream; None where there is no such header (RLE)."""
    if data.startswith(_JPEG_SOI):
        return _jpeg_size(data)
    start = data.find(_J2K_SOC_SIZ, 0, 256) if data[4:8] == b"jP  " else 0  # JP2 boxes around it are wrong and common
    if start >= 0 and data.startswith(_J2K_SOC_SIZ, start) and len(data) >= start + 24:
        width, height, x, y = struct.unpack_from(">IIII", data, start + 8)  # Xsiz, Ysiz, XOsiz, YOsiz (15444-1 A.5.1)
        return height - y, width - x
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF or marker in _NO_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAME_HEADERS:
            rows, columns = struct.unpack_from(">HH", data, position + 5)
            return rows, columns
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None
