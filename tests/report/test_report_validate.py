"""Reports that a receiver would refuse do not leave."""

from collections.abc import Callable

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from dicom_factory import series
from dicom_node.report import sr, validate
from reading_factory import report_context, series_reading


@pytest.fixture
def report() -> Dataset:
    images = series(3)
    return sr.build(series_reading(images), images, context=report_context())


def test_a_sound_report_has_no_problems(report: Dataset) -> None:
    assert validate.problems(report, size_bytes=len(sr.encode(report))) == ()


def without(keyword: str) -> Callable[[Dataset], None]:
    return lambda report: delattr(report, keyword)


def with_value(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda report: setattr(report, keyword, value)


def cut_evidence(report: Dataset) -> None:
    del report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]


def rename_template(report: Dataset) -> None:
    report.ContentTemplateSequence[0].TemplateIdentifier = "2000"


def drop_groups(report: Dataset) -> None:
    report.ContentSequence = [item for item in report.ContentSequence if item.ValueType != "CONTAINER"]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (without("CompletionFlag"), "CompletionFlag (0040,A491) must have a value"),
        (with_value("Manufacturer", ""), "Manufacturer (0008,0070) must have a value"),
        (without("PatientName"), "PatientName (0010,0010) must be present, if need be empty"),
        (with_value("SOPClassUID", MRImageStorage), "SOPClassUID (0008,0016) must be Comprehensive 3D SR Storage"),
        (with_value("SOPInstanceUID", "1..2"), "SOPInstanceUID (0008,0018) must have the form of a UID (PS3.5 9.1)"),
        (rename_template, "ContentTemplateSequence (0040,A504) must name TID 1500"),
        (drop_groups, "ContentSequence (0040,A730) must hold a measurement group (TID 1501)"),
        (cut_evidence, "1 referenced instances are not in CurrentRequestedProcedureEvidenceSequence (0040,A375)"),
    ],
)
def test_each_damage_is_one_problem(report: Dataset, damage: Callable[[Dataset], None], problem: str) -> None:
    damage(report)
    assert validate.problems(report) == (problem,)


def test_a_report_has_a_size_it_must_not_exceed(report: Dataset) -> None:
    assert validate.problems(report, size_bytes=validate.LARGEST_BYTES) == ()
    assert validate.problems(report, size_bytes=validate.LARGEST_BYTES + 1) == (
        "the report has 16777217 bytes; must have at most 16777216",
    )


def test_problems_name_nobody(report: Dataset) -> None:
    damaged = Dataset()
    damaged.PatientName, damaged.PatientID = "Doe^Jane", "4711"
    assert "Doe" not in " ".join(validate.problems(damaged))
