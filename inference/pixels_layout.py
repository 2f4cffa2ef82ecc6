"""How the pixels of one image are stored, taken from the header once, and whether they may be decoded at all."""

from dataclasses import dataclass
from typing import Any, Final

from pydicom.dataset import Dataset

from inference.elements import Attribute, Elements, attribute
from inference.parsing import PixelElement
from inference.reasons import Reason


class PixelError(Exception):
    """Pixels that cannot be shown to a model; `reason` says why, with a code of inference.reasons."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.reason = Reason(code=code, message=message)


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelLimits:
    """What is decoded at most; a bomb says more in a few bytes of header."""

    frame_bytes: int = 64 << 20  # Rows x Columns x Samples per Pixel x Bits Allocated; 5,792 x 5,792 at 16 bits
    image_bytes: int = 16 << 30  # of all frames


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelLayout:
    """The Image Pixel Module (PS3.3 C.7.6.3) and where the value lies; None where the header does not say."""

    element: PixelElement
    rows_px: int | None
    columns_px: int | None
    frames: int
    samples_per_pixel: int | None
    photometric_interpretation: str | None
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    pixel_representation: int | None  # 0 unsigned, 1 two's complement
    padding: tuple[int, int] | None  # first and last stored value that means "no image here"
    offset_table: tuple[bytes, bytes] | None  # Extended Offset Table (7FE0,0001) and its lengths (7FE0,0002)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one decoded frame."""
        pixels = (self.rows_px or 0) * (self.columns_px or 0) * (self.samples_per_pixel or 0)
        return -(-pixels * (self.bits_allocated or 0) // 8)


_INTEGERS: Final = {
    "rows_px": attribute("Rows"),
    "columns_px": attribute("Columns"),
    "samples_per_pixel": attribute("SamplesPerPixel"),
    "bits_allocated": attribute("BitsAllocated"),
    "bits_stored": attribute("BitsStored"),
    "high_bit": attribute("HighBit"),
    "pixel_representation": attribute("PixelRepresentation"),
}
_OPTIONAL: Final = frozenset({"high_bit"})
_WHOLE_NUMBERS_ONLY: Final = frozenset({"bits_stored", "pixel_representation"})  # float pixels have neither
_FRAMES: Final = attribute("NumberOfFrames")
_PHOTOMETRIC: Final = attribute("PhotometricInterpretation")
_PADDING: Final = attribute("PixelPaddingValue")
_PADDING_LIMIT: Final = attribute("PixelPaddingRangeLimit")
_OFFSETS: Final = (attribute("ExtendedOffsetTable"), attribute("ExtendedOffsetTableLengths"))


def pixel_layout(dataset: Dataset, element: PixelElement) -> PixelLayout:
    """The layout of the pixel data found at `element`; nothing is checked here."""
    elements = Elements(dataset)
    integers = {name: elements.integer(one) for name, one in _INTEGERS.items()}
    first = elements.integer(_PADDING)
    last = elements.integer(_PADDING_LIMIT)
    ends = sorted(_signed(end, integers) for end in (first, first if last is None else last) if end is not None)
    tables = [_bytes(dataset, one) for one in _OFFSETS]
    return PixelLayout(
        element=element,
        **integers,
        frames=max(1, elements.integer(_FRAMES) or 1),
        photometric_interpretation=elements.text(_PHOTOMETRIC),
        padding=(ends[0], ends[-1]) if ends else None,
        offset_table=(tables[0], tables[1]) if all(tables) else None,
    )


def check_layout(layout: PixelLayout, *, encapsulated: bool, limits: PixelLimits) -> None:
    """Refuse, before anything is decoded, what is no grey image, what is incomplete and what is too large.

    Raises:
        PixelError: colour, broken-pixels or pixel-limit.
    """
    if (layout.samples_per_pixel or 1) > 1 or layout.photometric_interpretation == "PALETTE COLOR":
        shown = _quoted(layout.photometric_interpretation)
        raise PixelError("colour", f"{_PHOTOMETRIC.keyword} {_PHOTOMETRIC.text} is {shown}; must be monochrome")
    _check_present(layout)
    if layout.photometric_interpretation not in ("MONOCHROME1", "MONOCHROME2"):
        shown = _quoted(layout.photometric_interpretation)
        rule = "must be MONOCHROME1 or MONOCHROME2"
        raise PixelError("broken-pixels", f"{_PHOTOMETRIC.keyword} {_PHOTOMETRIC.text} is {shown}; {rule}")
    size, whole = layout.frame_bytes, layout.frame_bytes * layout.frames
    dimensions = (
        f"{layout.rows_px} x {layout.columns_px} pixels x {layout.frames} frames x {layout.bits_allocated} bits"
    )
    if size > limits.frame_bytes or whole > limits.image_bytes:
        rule = f"a frame may have {limits.frame_bytes >> 20} MiB, an image {limits.image_bytes >> 20} MiB"
        raise PixelError("pixel-limit", f"the image has {dimensions}; {rule}")
    length = layout.element.length_bytes
    if encapsulated != (length is None):
        stored = "encapsulated" if length is None else "native"
        raise PixelError("broken-pixels", f"PixelData (7FE0,0010) is {stored}; its transfer syntax says otherwise")
    if length is not None and length < whole:
        raise PixelError("broken-pixels", f"PixelData (7FE0,0010) has {length} bytes; {dimensions} need {whole}")


def _quoted(value: str | None) -> str:
    """A text of the header inside a sentence: short, and without characters that nobody can see."""
    return "absent" if value is None else repr(value[:64])


def _check_present(layout: PixelLayout) -> None:
    floating = layout.element.keyword != "PixelData"
    for name, one in _INTEGERS.items():
        value = getattr(layout, name)
        if name in _OPTIONAL or (floating and name in _WHOLE_NUMBERS_ONLY):
            continue
        if value is None or value < (0 if name == "pixel_representation" else 1):
            shown = "absent" if value is None else value
            raise PixelError(
                "broken-pixels", f"{one.keyword} {one.text} is {shown}; pixels cannot be decoded without it"
            )


def _bytes(dataset: Dataset, one: Attribute) -> bytes:
    """The value as it is encoded, whatever its VR is said to be; empty if there is none."""
    found: Any = dataset.get_item(one.tag, keep_deferred=True)  # None where it is absent
    value = None if found is None else found.value
    return value if isinstance(value, bytes) else b""


def _signed(value: int, integers: dict[str, int | None]) -> int:
    """Pixel Padding Value is US or SS as Pixel Representation says, which Implicit VR does not repeat."""
    signed = integers["pixel_representation"] == 1
    return value - 0x10000 if signed and value > 0x7FFF else value
