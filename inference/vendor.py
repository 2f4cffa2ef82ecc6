"""What the vendors write in private elements: b-values, kind of image, mosaics.

Every element is read only below its creator (PS3.5 7.8.1). Sources: the vendors' conformance statements as dcm2niix
documents them (GE/, UIH/, Philips/, Canon/README.md; its issues 149, 501, 602, 690). Canon and Toshiba write the public
DiffusionBValue (0018,9087), Toshiba only where a gradient is on. No private element is known for Hitachi.
"""

import struct
from math import ceil, sqrt
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from inference.elements import Attribute, Elements

_GE_BIAS: Final = 1_000_000_000  # added to the b-value in multi-b and synthetic series (dcm2niix issue 602)
_LARGEST_B_S_MM2: Final = 100_000  # Philips marks "no b-value" with about 1.7e38
_GE_COMPLEX: Final = ("MAGNITUDE", "PHASE", "REAL", "IMAGINARY")  # (0043,102F) 0 to 3
_PHILIPS_COMPLEX: Final = {"M": "MAGNITUDE", "P": "PHASE", "R": "REAL", "I": "IMAGINARY"}  # (2005,1011)
_GE_FIELD_MAPS: Final = frozenset({"B0map", "B0rf", "3db0map"})  # pulse sequences, dcm2niix issue 501
_CSA_MOSAIC: Final = b"NumberOfImagesInMosaic\0"
_MOST_TILES: Final = 4096  # 64 x 64; a header can say more than the memory holds


class Private:
    """The private blocks of one data set, found by their creators."""

    def __init__(self, elements: Elements) -> None:
        self._elements = elements
        self._dataset: Dataset = elements.datasets[0]
        self._blocks: dict[tuple[int, str], int] = {}
        for tag in self._dataset.keys():  # noqa: SIM118 - iterating a data set converts its elements
            if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF:
                creator = elements.text(Attribute("PrivateCreator", tag, "LO"))
                if creator:
                    self._blocks.setdefault((tag >> 16, creator), tag & 0xFF)

    def attribute(self, group: int, creator: str, element: int, vr: str) -> Attribute | None:
        """The attribute (group,xxee) of `creator`, None where that creator reserved no block."""
        block = self._blocks.get((group, creator))
        return None if block is None else Attribute(f"{creator} {element:02X}", Tag(group, block << 8 | element), vr)

    def first(self, group: int, creator: str, element: int, vr: str) -> float | None:
        """The first number of a private element."""
        one = self.attribute(group, creator, element, vr)
        return None if one is None else self._elements.first(one)

    def text(self, group: int, creator: str, element: int, vr: str) -> str | None:
        """The text of a private element."""
        one = self.attribute(group, creator, element, vr)
        return None if one is None else self._elements.text(one)

    def vector(self, group: int, creator: str, element: int, vr: str) -> tuple[float, ...] | None:
        """Three numbers of a private element."""
        one = self.attribute(group, creator, element, vr)
        return None if one is None else self._elements.numbers(one, 3)

    def data(self, group: int, creator: str, element: int) -> bytes:
        """The bytes of a private element."""
        one = self.attribute(group, creator, element, "OB")
        found = None if one is None else self._dataset.get_item(one.tag, keep_deferred=True)
        value: Any = None if found is None else found.value
        return value if isinstance(value, bytes) else b""


def vendor_fields(elements: Elements, image_type: tuple[str, ...]) -> dict[str, Any]:
    """Fields of FrameHeader that a private element of this image fills; public elements go before them."""
    private = Private(elements)
    fields: dict[str, Any] = {
        "b_value_s_mm2": _b_value(private),
        "complex_image_component": _complex_component(private),
        "diffusion_directionality": private.text(0x0019, "SIEMENS MR HEADER", 0x0D, "CS"),
        "diffusion_gradient": private.vector(0x0019, "SIEMENS MR HEADER", 0x0E, "FD")
        or private.vector(0x0065, "Image Private Header", 0x37, "FD"),
    }
    fields |= _mosaic(private, image_type)
    return {name: value for name, value in fields.items() if value is not None}


def _b_value(private: Private) -> float | None:
    b = private.first(0x0019, "SIEMENS MR HEADER", 0x0C, "IS")
    if b is None:
        b = _ge_b_value(private)
    if b is None:
        b = private.first(0x2001, "Philips Imaging DD 001", 0x03, "FL")
    if b is None:
        # UIH: the value that was asked for; the actual one beside it differs from direction to direction.
        b = private.first(0x0065, "Image Private Header", 0x0A, "FD")
    if b is None:
        b = private.first(0x0065, "Image Private Header", 0x09, "FD")
    return b if b is not None and 0 <= b <= _LARGEST_B_S_MM2 else None


def _ge_b_value(private: Private) -> float | None:
    b = private.first(0x0043, "GEMS_PARM_01", 0x39, "IS")
    if b is None or b < 0:
        return None
    b %= _GE_BIAS
    # Every GE image has this element; zero means b = 0 only where the Vas collapse flag (0043,1030) names a
    # diffusion image, 14 for b = 0 and 16 for a tensor's (dcm2niix issue 690).
    return b if b > 0 or private.first(0x0043, "GEMS_PARM_01", 0x30, "SS") in (14, 16) else None


def _complex_component(private: Private) -> str | None:
    philips = private.text(0x2005, "Philips MR Imaging DD 001", 0x11, "CS")
    if philips in _PHILIPS_COMPLEX:
        return _PHILIPS_COMPLEX[philips]
    # A GE field map says magnitude for both of its volumes; the one in Hz has flag 0, the magnitude has flag 2.
    sequence = private.text(0x0019, "GEMS_ACQU_01", 0x9C, "LO")
    if sequence in _GE_FIELD_MAPS and private.first(0x0043, "GEMS_PARM_01", 0x30, "SS") == 0:
        return "PHASE"
    ge = private.first(0x0043, "GEMS_PARM_01", 0x2F, "SS")
    return _GE_COMPLEX[int(ge)] if ge in (0, 1, 2, 3) else None


def _mosaic(private: Private, image_type: tuple[str, ...]) -> dict[str, Any]:
    siemens, uih = "MOSAIC" in image_type, "VFRAME" in image_type
    if not siemens and not uih:
        return {}
    if siemens:
        tiles = private.first(0x0019, "SIEMENS MR HEADER", 0x0A, "US") or _csa_tiles(private)
    else:
        tiles = private.first(0x0065, "Image Private Header", 0x50, "DS")
    if tiles is None or not 1 <= tiles <= _MOST_TILES or not tiles.is_integer():
        return {"mosaic": True}
    columns = ceil(sqrt(tiles))  # Siemens tiles a square, UIH as many rows as it takes
    rows = columns if siemens else ceil(tiles / columns)
    return {"mosaic": True, "mosaic_tiles": int(tiles), "mosaic_grid": (rows, columns)}


def _csa_tiles(private: Private) -> float | None:
    """NumberOfImagesInMosaic of the CSA image header: a name of 64 bytes, 20 bytes of type, then items with lengths."""
    csa = private.data(0x0029, "SIEMENS CSA HEADER", 0x10)
    start = csa.find(_CSA_MOSAIC)
    if not csa.startswith(b"SV10") or start < 0 or len(csa) < start + 84 + 16:
        return None
    length: int = struct.unpack_from("<i", csa, start + 84 + 4)[0]
    text = csa[start + 100 : start + 100 + max(0, min(length, 16))].split(b"\0")[0].strip()
    return float(text) if text.isdigit() else None
