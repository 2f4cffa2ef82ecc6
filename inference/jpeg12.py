"""A plugin of pydicom's decoders: JPEG Extended at 12 bits, which GDCM decodes and pydicom's own plugin leaves out."""

from typing import Any, Final, cast

import gdcm  # pyright: ignore[reportMissingTypeStubs] - GDCM has none
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import JPEGExtended12Bit

DECODER_DEPENDENCIES: Final = {JPEGExtended12Bit: ("gdcm>=3.0.10",)}

_gdcm: Final = cast("Any", gdcm)


def is_available(uid: str) -> bool:
    """True for the one transfer syntax this is for."""
    return uid == JPEGExtended12Bit


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """One grey frame as uint16 in native order; ValueError for what is not grey or has not 9 to 12 bits."""
    if runner.samples_per_pixel != 1 or runner.bits_allocated != 16 or not 8 < runner.bits_stored <= 12:
        raise ValueError("only grey frames with 9 to 12 of 16 bits are decoded here")
    fragment = _gdcm.Fragment()
    fragment.SetByteStringValue(src)
    fragments = _gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = _gdcm.DataElement(_gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = _gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(element)
    grey = _gdcm.PhotometricInterpretation.GetPIType(str(runner.photometric_interpretation))
    image.SetPhotometricInterpretation(_gdcm.PhotometricInterpretation(grey))
    image.SetTransferSyntax(_gdcm.TransferSyntax(_gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    bits = runner.bits_stored
    image.SetPixelFormat(_gdcm.PixelFormat(1, 16, bits, bits - 1, runner.pixel_representation))
    decoded: str = image.GetBuffer()  # GDCM gives bytes as text
    return decoded.encode("utf-8", "surrogateescape")
