"""How the pixels of one image are stored: all that decoding needs to know, taken from the header once."""

from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from inference.elements import Elements, attribute
from inference.parsing import PixelElement


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelLayout:
    """The Image Pixel Module (PS3.3 C.7.6.3) and where the value lies; None where the header does not say."""

    element: PixelElement
    rows_px: int | None
    columns_px: int | None
    frames: int
    samples_per_pixel: int | None
    photometric_interpretation: str | None
    planar_configuration: int | None
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    pixel_representation: int | None  # 0 unsigned, 1 two's complement
    padding: tuple[int, int] | None  # first and last stored value that means "no image here"
    offset_table: tuple[bytes, bytes] | None  # Extended Offset Table (7FE0,0001) and its lengths (7FE0,0002)


_INTEGERS: Final = {
    "rows_px": attribute("Rows"),
    "columns_px": attribute("Columns"),
    "samples_per_pixel": attribute("SamplesPerPixel"),
    "planar_configuration": attribute("PlanarConfiguration"),
    "bits_allocated": attribute("BitsAllocated"),
    "bits_stored": attribute("BitsStored"),
    "high_bit": attribute("HighBit"),
    "pixel_representation": attribute("PixelRepresentation"),
}
_FRAMES: Final = attribute("NumberOfFrames")
_PHOTOMETRIC: Final = attribute("PhotometricInterpretation")
_PADDING: Final = attribute("PixelPaddingValue")
_PADDING_LIMIT: Final = attribute("PixelPaddingRangeLimit")
_OFFSETS: Final = (attribute("ExtendedOffsetTable"), attribute("ExtendedOffsetTableLengths"))


def pixel_layout(dataset: Dataset, element: PixelElement) -> PixelLayout:
    """The layout of the pixel data found at `element`; nothing is checked here."""
    elements = Elements(dataset)
    first, last = elements.integer(_PADDING), elements.integer(_PADDING_LIMIT)
    tables = [dataset[one.tag].value for one in _OFFSETS if one.tag in dataset]
    return PixelLayout(
        element=element,
        **{name: elements.integer(one) for name, one in _INTEGERS.items()},
        frames=max(1, elements.integer(_FRAMES) or 1),
        photometric_interpretation=elements.text(_PHOTOMETRIC),
        padding=None if first is None else (min(first, last or first), max(first, last or first)),
        offset_table=(tables[0], tables[1]) if len(tables) == 2 else None,
    )
