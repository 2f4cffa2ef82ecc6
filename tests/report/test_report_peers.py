"""What others who know the standard say about our reports: dicom3tools, DCMTK and highdicom."""

import subprocess
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom.sr
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import MRSpectroscopyStorage

from dicom_factory import enhanced_mr, legacy_enhanced_mr, mr_image, series
from dicom_node.report import sr
from peers import program
from reading_factory import finding, read_stack, report_context, series_reading, unread_stack

pytestmark = pytest.mark.peer("dciodvfy", "dsrdump")

UNKNOWN = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName", "Manufacturer", "SeriesNumber",
)  # fmt: skip


def written(images: Sequence[Dataset], path: Path, **context: Any) -> Path:
    """A report with a stack that was read, one that was not, and findings in words of several scripts."""
    stacks = [
        read_stack(
            images[:16], findings=(finding(), finding(message="SeriesDescription: „T1 größer“ 頭部 머리 T1強調"))
        ),
        unread_stack(index=1, selector={}),
    ]
    reading = series_reading(images, stacks)
    path.write_bytes(sr.encode(sr.build(reading, images, context=report_context(**context))))
    return path


def accept(report: Path, images: Sequence[Dataset]) -> None:
    """No error of dciodvfy, a clean dump of dsrdump, and highdicom finds the groups and every encoded image."""
    verdict = subprocess.run([program("dciodvfy"), str(report)], capture_output=True, text=True, check=False)
    errors = [line for line in (verdict.stdout + verdict.stderr).splitlines() if line.startswith("Error")]
    assert errors == []
    assert "Comprehensive3DSR" in verdict.stdout + verdict.stderr
    dump = subprocess.run([program("dsrdump"), "+Pl", str(report)], capture_output=True, text=True, check=False)
    assert dump.returncode == 0, dump.stderr
    assert dump.stdout.count("Measurement Group") == 2
    assert "EchoTime (0018,0081) is 0.098 ms" in dump.stdout
    opened: Any = highdicom.sr.srread(report)
    groups = opened.content.get_image_measurement_groups()
    found = [[image.referenced_sop_instance_uid for image in group.source_images] for group in groups]
    assert found[0] == [image.SOPInstanceUID for image in images[:16]]
    assert len(found) == 2


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(series(20), id="classic"),
        pytest.param([enhanced_mr(4)], id="enhanced"),
        pytest.param([legacy_enhanced_mr(series(4))], id="legacy converted"),
        pytest.param([mr_image(**dict.fromkeys(UNKNOWN))], id="nothing known"),
        pytest.param(
            [mr_image(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎")], id="Japanese"
        ),
        pytest.param([mr_image(SpecificCharacterSet=["", "ISO 2022 IR 149"], PatientName="Hong=洪=홍")], id="Korean"),
        pytest.param([mr_image(SpecificCharacterSet="GB18030", PatientName="Wang=王^小东")], id="Chinese"),
        pytest.param([mr_image(TimezoneOffsetFromUTC="+0900")], id="time zone"),
    ],
)
def test_peers_accept_the_report(images: list[Dataset], tmp_path: Path) -> None:
    accept(written(images, tmp_path / "report.dcm"), images)


def test_peers_accept_a_revision_by_rules_alone(tmp_path: Path) -> None:
    images = series(3)
    accept(written(images, tmp_path / "r.dcm", model=None, predecessor_sop_instance_uid="1.2.3"), images)


@pytest.mark.parametrize("sop_class", [MRSpectroscopyStorage, "1.3.12.2.1107.5.9.1"])
def test_peers_accept_a_report_about_what_is_no_image(sop_class: str, tmp_path: Path) -> None:
    image = mr_image(SOPClassUID=sop_class)
    path = tmp_path / "report.dcm"
    reading = series_reading([image], [unread_stack(findings=(finding(),))])
    path.write_bytes(sr.encode(sr.build(reading, [image], context=report_context())))
    verdict = subprocess.run([program("dciodvfy"), str(path)], capture_output=True, text=True, check=False)
    assert "Error" not in verdict.stdout + verdict.stderr
    assert subprocess.run([program("dsrdump"), str(path)], capture_output=True, check=False).returncode == 0


@pytest.mark.shared_data
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_peers_accept_the_reports_on_all_real_series(shared: Path, tmp_path: Path) -> None:
    found: dict[str, dict[str, Dataset]] = defaultdict(dict)
    for path in sorted((shared / "data" / "real-mr").rglob("*")):
        if path.is_file() and (image := _header(path)) is not None:
            found[image.SeriesInstanceUID].setdefault(image.SOPInstanceUID, image)
    assert len(found) >= 70
    for images in found.values():
        shown = list(images.values())
        report = written(shown, tmp_path / "report.dcm")
        if shown[0].SOPClassUID != MRSpectroscopyStorage:
            accept(report, shown)


def _header(path: Path) -> Dataset | None:
    try:
        image = dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        return None
    return image if "SOPInstanceUID" in image else None
