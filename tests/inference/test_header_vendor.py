"""Private elements: read below their creator only, with the conventions of each vendor."""

import io
import struct
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from dicom_factory import mr_image
from inference.header import FrameHeader, frame_headers

SIEMENS, GE, PHILIPS, UIH = "SIEMENS MR HEADER", "GEMS_PARM_01", "Philips Imaging DD 001", "Image Private Header"


def image(*elements: tuple[int, str, int, str, Any], **attributes: Any) -> Dataset:
    """An image with private elements (group, creator, element, VR, value)."""
    dataset = mr_image(**attributes)
    for group, creator, element, vr, value in elements:
        dataset.private_block(group, creator, create=True).add_new(element, vr, value)
    return dataset


def read(dataset: Dataset) -> FrameHeader:
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    (header,) = frame_headers(dcmread(io.BytesIO(file.getvalue())))
    return header


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ([(0x19, SIEMENS, 0x0C, "IS", 1000)], 1000),
        ([(0x43, GE, 0x39, "IS", [1000, 8, 0, 0])], 1000),
        ([(0x43, GE, 0x39, "IS", [1000000800, 8, 0, 0])], 800),
        ([(0x43, GE, 0x39, "IS", [0, 8, 0, 0]), (0x43, GE, 0x30, "SS", 14)], 0),
        ([(0x43, GE, 0x39, "IS", [0, 8, 0, 0]), (0x43, GE, 0x30, "SS", 0)], None),
        ([(0x2001, PHILIPS, 0x03, "FL", 600.0)], 600),
        ([(0x2001, PHILIPS, 0x03, "FL", 1.7e38)], None),
        ([(0x65, UIH, 0x09, "FD", 928.29), (0x65, UIH, 0x0A, "FD", 1000.0)], 1000),
        ([(0x65, UIH, 0x09, "FD", 928.29)], 928.29),
        ([(0x19, "SOMEBODY ELSE", 0x0C, "IS", 1000)], None),
        ([(0x43, "GEMS_OTHER", 0x39, "IS", [1000, 8, 0, 0])], None),
    ],
)
def test_b_value(elements: list[tuple[int, str, int, str, Any]], expected: float | None) -> None:
    assert read(image(*elements)).b_value_s_mm2 == expected


def test_the_public_b_value_goes_first() -> None:
    assert read(image((0x19, SIEMENS, 0x0C, "IS", 1000), DiffusionBValue=50.0)).b_value_s_mm2 == 50


def test_the_block_is_found_wherever_it_was_reserved() -> None:
    dataset = image((0x19, "ANOTHER CREATOR", 0x0C, "IS", 7), (0x19, SIEMENS, 0x0C, "IS", 1000))
    assert (0x0019, 0x110C) in dataset
    assert read(dataset).b_value_s_mm2 == 1000


def test_an_element_of_unknown_vr_is_read_as_what_it_is() -> None:
    dataset = image((0x2001, PHILIPS, 0x03, "UN", struct.pack("<f", 600.0)))
    assert read(dataset).b_value_s_mm2 == 600


def test_implicit_vr() -> None:
    elements = [(0x19, SIEMENS, 0x0C, "IS", 1000), (0x19, SIEMENS, 0x0E, "FD", [0.0, 0.6, 0.8])]
    header = read(image(*elements, transfer_syntax=ImplicitVRLittleEndian))
    assert header.b_value_s_mm2 == 1000
    assert header.diffusion_gradient == (0, 0.6, 0.8)


@pytest.mark.parametrize(("value", "expected"), list(enumerate(("MAGNITUDE", "PHASE", "REAL", "IMAGINARY"))))
def test_ge_complex_component(value: int, expected: str) -> None:
    assert read(image((0x43, GE, 0x2F, "SS", value))).complex_image_component == expected


def test_ge_field_map_in_hertz_is_no_magnitude() -> None:
    common = [(0x43, GE, 0x2F, "SS", 0), (0x19, "GEMS_ACQU_01", 0x9C, "LO", "B0map")]
    assert read(image(*common, (0x43, GE, 0x30, "SS", 0))).complex_image_component == "PHASE"
    assert read(image(*common, (0x43, GE, 0x30, "SS", 2))).complex_image_component == "MAGNITUDE"


@pytest.mark.parametrize(("value", "expected"), [("M", "MAGNITUDE"), ("P", "PHASE"), ("R", "REAL"), ("I", "IMAGINARY")])
def test_philips_complex_component(value: str, expected: str) -> None:
    assert read(image((0x2005, "Philips MR Imaging DD 001", 0x11, "CS", value))).complex_image_component == expected


@pytest.mark.parametrize(("tiles", "grid"), [(1, (1, 1)), (5, (3, 3)), (20, (5, 5)), (35, (6, 6)), (36, (6, 6))])
def test_siemens_mosaic(tiles: int, grid: tuple[int, int]) -> None:
    image_type = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    header = read(image((0x19, SIEMENS, 0x0A, "US", tiles), ImageType=image_type))
    assert header.mosaic
    assert (header.mosaic_tiles, header.mosaic_grid) == (tiles, grid)


@pytest.mark.parametrize(("tiles", "grid"), [(1, (1, 1)), (20, (4, 5)), (27, (5, 6)), (36, (6, 6))])
def test_uih_mosaic_is_not_square(tiles: int, grid: tuple[int, int]) -> None:
    header = read(image((0x65, UIH, 0x50, "DS", tiles), ImageType=["ORIGINAL", "PRIMARY", "M", "VFRAME"]))
    assert (header.mosaic, header.mosaic_tiles, header.mosaic_grid) == (True, tiles, grid)


def test_tiles_from_the_csa_header() -> None:
    item = struct.pack("<4i", 6, 6, 77, 6) + b"35\0\0\0\0\0\0"
    csa = (
        b"SV10"
        + bytes(12)
        + b"NumberOfImagesInMosaic".ljust(64, b"\0")
        + struct.pack("<i4siii", 1, b"US", 10, 6, 77)
        + item
    )
    image_type = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
    header = read(image((0x29, "SIEMENS CSA HEADER", 0x10, "OB", csa), ImageType=image_type))
    assert (header.mosaic_tiles, header.mosaic_grid) == (35, (6, 6))


@pytest.mark.parametrize("tiles", ["1E10", "4097", "0", "2.5"])
def test_tiles_that_no_mosaic_has_are_an_unknown_layout(tiles: str) -> None:
    header = read(image((0x65, UIH, 0x50, "DS", tiles), ImageType=["ORIGINAL", "PRIMARY", "M", "VFRAME"]))
    assert (header.mosaic, header.mosaic_tiles, header.mosaic_grid) == (True, None, None)


@pytest.mark.parametrize(
    "csa", [b"", b"SV10NumberOfImagesInMosaic\0", b"SV10" + b"NumberOfImagesInMosaic".ljust(200, b"\xff")]
)
def test_a_mosaic_of_unknown_layout_is_still_one(csa: bytes) -> None:
    image_type = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
    header = read(image((0x29, "SIEMENS CSA HEADER", 0x10, "OB", csa + b"\0" * (len(csa) % 2)), ImageType=image_type))
    assert (header.mosaic, header.mosaic_tiles, header.mosaic_grid) == (True, None, None)
