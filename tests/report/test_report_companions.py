"""What goes with a report shows what the report says, belongs to it alone, and is the same bytes every time."""

import subprocess
from collections.abc import Sequence
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom.ko
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage, MRSpectroscopyStorage, SecondaryCaptureImageStorage

from dicom_factory import enhanced_mr, mr_image, series
from dicom_node.report import companions, drawing, sr
from dicom_node.report.context import Companions
from dicom_node.report.drawing import Picture
from inference.identifiers import SopInstanceUid
from inference.reading import Inconsistency, SeriesReading, StackReading
from peers import program
from reading_factory import finding, read_stack, report_context, series_reading, unread_stack

FLAGGED = Inconsistency(score=0.99, p_value=0.004, flagged=True)
BOTH = Companions(secondary_capture=True, key_objects=True)
REPORT = SopInstanceUid("1.2.3.4")
SLICES = [np.full((64, 64), 30 * number, np.uint8) for number in range(1, 8)]


def made(
    images: Sequence[Dataset],
    stacks: Sequence[StackReading],
    *,
    wanted: Companions = BOTH,
    pictures: Sequence[Picture] = SLICES,
    **context: Any,
) -> list[Dataset]:
    """What goes with the report, as a receiver reads it."""
    reading = series_reading(images, stacks)
    found = companions.companions(
        reading,
        images,
        pictures={stack.index: pictures for stack in reading.stacks},
        report=REPORT,
        context=report_context(**context),
        wanted=wanted,
    )
    return [dcmread(BytesIO(sr.encode(one))) for one in found]


def pixels(stack: StackReading, pictures: Sequence[Picture] = SLICES) -> np.ndarray:
    """The drawing of a stack."""
    reading: SeriesReading = series_reading(series(1), [stack])
    return drawing.draw(reading, stack, pictures, report_context())


def test_a_series_gets_a_picture_of_each_stack_and_its_images_marked() -> None:
    images = series(4)
    stacks = [read_stack(images[:2], inconsistency=FLAGGED, findings=(finding(),)), unread_stack(index=1)]
    first, second, marked = made(images, stacks)
    assert [one.SOPClassUID for one in (first, second, marked)] == [
        SecondaryCaptureImageStorage,
        SecondaryCaptureImageStorage,
        KeyObjectSelectionDocumentStorage,
    ]
    assert first.SeriesInstanceUID == second.SeriesInstanceUID != marked.SeriesInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)
    assert first.pixel_array.shape == (1024, 1024, 3)
    assert first.BurnedInAnnotation == "NO"
    assert (first.SeriesDescription, marked.SeriesDescription) == (
        "MR contrast check, picture",
        "MR contrast check, flagged",
    )
    title = marked.ConceptNameCodeSequence[0]
    assert (title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning) == ("113010", "DCM", "Quality Issue")
    references = [item for item in marked.ContentSequence if item.ValueType == "IMAGE"]
    shown = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in references}
    assert shown == {image.SOPInstanceUID for image in images[:2]}, "those of the flagged stack and no other"
    (why,) = [
        item.TextValue for item in marked.ContentSequence if item.ValueType == "TEXT" and "0.098" in item.TextValue
    ]
    assert why == finding().message
    for one in (first, marked):
        assert (one.PatientID, one.StudyInstanceUID) == (images[0].PatientID, images[0].StudyInstanceUID)
        assert one.Manufacturer == "mrclip"


def test_they_are_the_same_bytes_every_time_and_others_for_another_report() -> None:
    images = series(2)
    stacks = [read_stack(images, inconsistency=FLAGGED)]
    once, twice = made(images, stacks), made(list(reversed(images)), stacks)
    assert [sr.encode(one) for one in once] == [sr.encode(one) for one in twice]
    for one in once:
        assert (one.ContentDate, one.ContentTime) == ("20260102", "030405.000678")
    assert (once[0].DateOfSecondaryCapture, once[0].TimeOfSecondaryCapture) == ("20260102", "030405.000678")
    later = made(images, stacks, created_at=report_context().created_at + timedelta(days=1))
    assert [one.SOPInstanceUID for one in later] == [one.SOPInstanceUID for one in once]
    assert len({one.SOPInstanceUID for one in once} | {REPORT}) == 3


def test_only_what_is_wanted_is_made_and_key_objects_only_for_an_alarm() -> None:
    images = series(1)
    flagged, clean = read_stack(images, inconsistency=FLAGGED), read_stack(images)
    assert made(images, [flagged], wanted=Companions()) == []
    (picture,) = made(images, [flagged], wanted=Companions(secondary_capture=True))
    assert picture.Modality == "OT"
    (marked,) = made(images, [flagged], wanted=Companions(key_objects=True))
    assert marked.Modality == "KO"
    assert made(images, [clean], wanted=Companions(key_objects=True)) == []
    reading = series_reading(images, [clean])
    assert not Companions(key_objects=True).any_for(reading)
    assert Companions(secondary_capture=True).any_for(reading)


def test_of_many_stacks_those_to_be_checked_get_a_picture() -> None:
    images = series(1)
    stacks = [read_stack(images, index=index) for index in range(11)]
    stacks.append(read_stack(images, index=11, inconsistency=FLAGGED))
    found = made(images, stacks, wanted=Companions(secondary_capture=True))
    assert len(found) == companions.CAPTURES
    last = drawing.draw(series_reading(images, stacks), stacks[11], SLICES, report_context())
    assert np.array_equal(found[-1].pixel_array, last)


def test_a_picture_shows_slices_bars_and_the_alarm() -> None:
    bright = [np.full((64, 64), 255, np.uint8)] * 8
    clean, none = pixels(read_stack(), bright), pixels(read_stack(), [])
    white = (clean == 255).all(axis=2).sum()
    assert white > 8 * 195**2, "eight slices"
    assert (none == 255).all(axis=2).sum() == 0
    red = np.array([0xFF, 0x8F, 0x85])
    assert not (clean == red).all(axis=2).any()
    assert (pixels(read_stack(inconsistency=FLAGGED)) == red).all(axis=2).any()


def test_a_stack_has_the_number_that_report_page_and_json_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(drawing, "_plain", lambda text: written.append(text) or text)
    images = series(2)
    stacks = [read_stack(images, index=index) for index in range(2)]
    made(images, stacks, wanted=Companions(secondary_capture=True))
    said = [text.split(" · ")[:2] for text in written if text.startswith("Stack")]
    assert said == [["Stack 0", "2 stacks in all"], ["Stack 1", "2 stacks in all"]]


@pytest.mark.parametrize(
    "stack",
    [
        pytest.param(unread_stack(), id="not read"),
        pytest.param(read_stack(findings=(finding(),) * 40), id="forty findings"),
        pytest.param(read_stack(findings=(finding(message="x" * 5000),)), id="a word without end"),
        pytest.param(read_stack(findings=(finding(message="T1 größer 頭部 µs² \x00\n\u202e"),)), id="any letter"),
        pytest.param(read_stack(plane=None, claimed_contrast=None, header={}, estimates={}), id="nothing known"),
    ],
)
def test_whatever_is_said_stays_on_the_sheet(stack: StackReading) -> None:
    drawn = pixels(stack)
    ground = drawn[0, 0]
    for edge in (drawn[:, -20:], drawn[:, :20], drawn[:20], drawn[-8:]):
        assert (edge == ground).all()
    between = drawn[960:966]
    assert (between == ground).all(), "between what is said and the foot"


def accepted(path: Path) -> None:
    verdict = subprocess.run([program("dciodvfy"), str(path)], capture_output=True, text=True, check=False)
    assert [line for line in (verdict.stdout + verdict.stderr).splitlines() if line.startswith("Error")] == []


@pytest.mark.peer("dciodvfy", "dsrdump", "dcm2pnm")
@pytest.mark.parametrize(
    "images",
    [
        pytest.param(series(3), id="classic"),
        pytest.param([enhanced_mr(4)], id="enhanced"),
        pytest.param([mr_image(SOPClassUID=MRSpectroscopyStorage)], id="spectroscopy"),
        pytest.param(
            [mr_image(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎")], id="Japanese"
        ),
        pytest.param([mr_image(TimezoneOffsetFromUTC="+0900", PatientID=None, StudyDate=None)], id="little known"),
    ],
)
def test_peers_accept_both(images: list[Dataset], tmp_path: Path) -> None:
    stacks = [read_stack(images, inconsistency=FLAGGED, findings=(finding(message="T1 größer 頭部"),))]
    picture, marked = made(images, stacks)
    for name, one in (("picture", picture), ("marked", marked)):
        (tmp_path / name).write_bytes(sr.encode(one))
        accepted(tmp_path / name)
    subprocess.run([program("dcm2pnm"), str(tmp_path / "picture"), str(tmp_path / "picture.ppm")], check=True)
    dump = subprocess.run(
        [program("dsrdump"), "+Pl", "+Pc", str(tmp_path / "marked")], capture_output=True, text=True, check=True
    )
    assert '113010,DCM,"Quality Issue"' in dump.stdout
    opened: Any = highdicom.ko.KeyObjectSelectionDocument.from_dataset(dcmread(tmp_path / "marked"))
    found = [one.referenced_sop_instance_uid for one in opened.content.get_references()]
    assert sorted(found) == sorted(image.SOPInstanceUID for image in images)
