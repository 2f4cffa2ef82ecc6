"""What kind of image Image Type and the complex component make of a frame, as each vendor writes it."""

import pytest

from inference.header import FrameHeader
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from inference.kinds import kind_and_part


def header(image_type: str, component: str | None = None) -> FrameHeader:
    return FrameHeader(
        study_instance_uid=StudyInstanceUid("1.1"),
        series_instance_uid=SeriesInstanceUid("1.2"),
        sop_instance_uid=SopInstanceUid("1.3"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        image_type=tuple(image_type.split("\\")),
        complex_image_component=component,
    )


@pytest.mark.parametrize(
    ("image_type", "expected"),
    [
        (r"ORIGINAL\PRIMARY\M\ND\NORM", ("magnitude", None)),  # Siemens
        (r"ORIGINAL\PRIMARY\P\ND", ("phase", None)),
        (r"ORIGINAL\PRIMARY\R\NORM", ("real", None)),
        (r"ORIGINAL\PRIMARY\M\SWI\NORM", ("magnitude", None)),
        (r"DERIVED\PRIMARY\MNIP\M\SWI", ("magnitude", "MINIMUM")),
        (r"DERIVED\PRIMARY\DIFFUSION\ADC\ND", ("derived", "ADC")),
        (r"DERIVED\PRIMARY\DIFFUSION\FA\MB\ND\MFSPLIT", ("derived", "FA")),
        (r"DERIVED\PRIMARY\DIFFUSION\TRACEW\ND", ("magnitude", None)),
        (r"DERIVED\PRIMARY\DIFFUSION\TENSOR_B0", ("magnitude", None)),
        (r"DERIVED\PRIMARY\ASL\NORM\RELCBF\DIS2D\SUB\TTEST\MFSPLIT", ("derived", "CBF")),
        (r"DERIVED\PRIMARY\ASL\SUBTRACTION", ("derived", "SUBTRACTION")),
        (r"DERIVED\PRIMARY\T2_STAR MAP\ND", ("derived", "T2_STAR_MAP")),
        (r"DERIVED\PRIMARY\M\DIXON\WATER", ("magnitude", "WATER")),
        (r"DERIVED\SECONDARY\MPR\CSA MPR\\CSAPARALLEL\M\ND\NORM", ("magnitude", None)),
        (r"ORIGINAL\PRIMARY\M_FFE\M\FFE", ("magnitude", None)),  # Philips
        (r"ORIGINAL\PRIMARY\PHASE MAP\P\FFE", ("phase", None)),
        (r"ORIGINAL\PRIMARY\R_IR\R\IR", ("real", None)),
        (r"ORIGINAL\PRIMARY\I_SE\I\SE", ("imaginary", None)),
        (r"ORIGINAL\PRIMARY\VELOCITY MAP\P\PCA", ("phase", None)),
        (r"DERIVED\PRIMARY\W\W\DERIVED", ("magnitude", "WATER")),
        (r"DERIVED\PRIMARY\IP\IP\DERIVED", ("magnitude", "IN_PHASE")),
        (r"ORIGINAL\PRIMARY\T1\NONE", ("magnitude", None)),  # Enhanced MR: a contrast, not a map
        (r"ORIGINAL\PRIMARY\OTHER", ("magnitude", None)),  # GE
        (r"ORIGINAL\PRIMARY\GDC", ("magnitude", None)),  # Canon
        ("", ("magnitude", None)),
        (r"P\R", ("magnitude", None)),  # the first two values say something else
    ],
)
def test_image_type(image_type: str, expected: tuple[str, str | None]) -> None:
    assert kind_and_part(header(image_type)) == expected


@pytest.mark.parametrize(("component", "kind"), [("PHASE", "phase"), ("REAL", "real"), ("IMAGINARY", "imaginary")])
def test_the_complex_component_says_what_image_type_does_not(component: str, kind: str) -> None:
    assert kind_and_part(header(r"ORIGINAL\PRIMARY\OTHER", component)) == (kind, None)


def test_a_map_is_a_map_whatever_component_it_inherits() -> None:
    assert kind_and_part(header(r"DERIVED\PRIMARY\DIFFUSION\ADC", "MAGNITUDE")) == ("derived", "ADC")


@pytest.mark.parametrize("component", ["MAGNITUDE", "MIXED", "COMPLEX", ""])
def test_other_components_leave_it_to_image_type(component: str) -> None:
    assert kind_and_part(header(r"ORIGINAL\PRIMARY\P\ND", component)) == ("phase", None)
