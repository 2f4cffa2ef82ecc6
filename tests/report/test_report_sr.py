"""The report says what the reading says, about the images it says, and is the same bytes every time."""

import time
from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Any

import highdicom.sr
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import MRSpectroscopyStorage

from dicom_factory import enhanced_mr, legacy_enhanced_mr, mr_image, series, uid
from dicom_node.report import sr, uids, validate
from inference.identifiers import SopInstanceUid
from inference.reading import EncodedImage, Inconsistency, SeriesReading, StackReading
from reading_factory import MODEL, contrast, finding, read_stack, report_context, series_reading, unread_stack

FLAGGED = Inconsistency(score=0.99, p_value=0.004, flagged=True)
UNCALIBRATED = Inconsistency(score=0.1, p_value=None, flagged=False)


def build(images: list[Dataset], stacks: list[StackReading] | None = None, **context: Any) -> Dataset:
    report = sr.build(series_reading(images, stacks), images, context=report_context(**context))
    assert validate.problems(report, size_bytes=len(sr.encode(report))) == ()
    return dcmread(BytesIO(sr.encode(report)))


def groups(report: Dataset) -> list[Any]:
    opened = highdicom.sr.srread(BytesIO(sr.encode(report)))
    return opened.content.get_image_measurement_groups()  # type: ignore[attr-defined]


def items(report: Dataset, group: int = 0) -> list[tuple[str, str, Any]]:
    """Relationship, name and value of each item of a group, as a person reads them."""
    (measurements,) = [item for item in report.ContentSequence if item.ValueType == "CONTAINER"]
    return [
        (item.RelationshipType, item.ConceptNameCodeSequence[0].CodeMeaning, _value(item))
        for item in measurements.ContentSequence[group].ContentSequence
    ]


def _value(item: Dataset) -> Any:
    match item.ValueType:
        case "TEXT":
            return item.TextValue
        case "CODE":
            code = item.ConceptCodeSequence[0]
            return f"{code.CodeValue} {code.CodingSchemeDesignator}"
        case "NUM":
            return float(item.MeasuredValueSequence[0].NumericValue)
        case "UIDREF":
            return item.UID
        case _:
            return item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID


def evaluation(stack: StackReading, name: str) -> str:
    (found,) = [value for _, meaning, value in items(build(series(1), [stack])) if meaning == name]
    return found


def test_a_group_holds_the_algorithm_the_answer_and_the_images_of_its_stack() -> None:
    images = series(2)
    stack = read_stack(images, inconsistency=FLAGGED, findings=(finding(),))
    assert items(build(images, [stack])) == [
        ("HAS OBS CONTEXT", "Tracking Identifier", "stack 0 (EchoTime_ms 98.0)"),
        ("HAS OBS CONTEXT", "Tracking Unique Identifier", uids.tracking_uid(images[0].SeriesInstanceUID, 0)),
        ("HAS CONCEPT MOD", "Algorithm Name", "mrclip-atto"),
        ("HAS CONCEPT MOD", "Algorithm Version", "2026.1"),
        ("HAS CONCEPT MOD", "Algorithm Parameters", "bundle sha256 " + "5e" * 32),
        ("HAS CONCEPT MOD", "Algorithm Parameters", "calibration bundle"),
        ("HAS CONCEPT MOD", "Algorithm Parameters", "rules 1"),
        ("HAS CONCEPT MOD", "Algorithm Parameters", "reader sha256 " + "ab" * 32),
        ("HAS CONCEPT MOD", "Algorithm Family", "123110 DCM"),
        ("CONTAINS", "Probability", 0.97),
        ("CONTAINS", "Inconsistency score", 0.99),
        ("CONTAINS", "p-value", 0.004),
        ("CONTAINS", "Acquisition contrast", "110805 DCM"),
        ("CONTAINS", "Contrast claimed by the header", "110805 DCM"),
        ("CONTAINS", "Agreement", "INCONSISTENT 99MRCLIP"),
        (
            "CONTAINS",
            "Comment",
            (
                "error (rules, echo-time-unit): EchoTime (0018,0081) is 0.098 ms; a spin echo has 5 to 300 ms; "
                "0.098 reads like seconds; suggested value: 98.0"
            ),
        ),
        ("CONTAINS", "Source of Measurement", images[0].SOPInstanceUID),
        ("CONTAINS", "Source of Measurement", images[1].SOPInstanceUID),
    ]


def test_rules_alone_name_themselves_and_measure_what_they_can() -> None:
    names = {name: value for _, name, value in items(build(series(1), [unread_stack()], model=None))}
    assert names["Algorithm Name"] == "mrclip rules"
    assert names["Algorithm Version"] == "1"
    assert "Algorithm Family" not in names
    assert names["Acquisition contrast"] == "UNKNOWN 99MRCLIP"
    assert "Probability" not in names
    assert "p-value" not in names
    assert names["Inconsistency score"] == 0
    assert names["Comment"].startswith("abstained (no-model): ")


@pytest.mark.parametrize(
    ("stack", "agreement"),
    [
        (read_stack(), "CONSISTENT"),
        (read_stack(inconsistency=FLAGGED), "INCONSISTENT"),
        (read_stack(contrast=contrast("T1")), "UNDETERMINED"),
        (read_stack(contrast=contrast("T1"), inconsistency=FLAGGED), "INCONSISTENT"),
        (read_stack(claimed_contrast=None), "CONSISTENT"),
        (read_stack(claimed_contrast=None, inconsistency=UNCALIBRATED), "UNDETERMINED"),
        (read_stack(inconsistency=UNCALIBRATED), "CONSISTENT"),
        (unread_stack(), "UNDETERMINED"),
        (unread_stack(inconsistency=FLAGGED), "INCONSISTENT"),
    ],
)
def test_agreement_is_said_only_where_the_pixels_were_asked(stack: StackReading, agreement: str) -> None:
    assert evaluation(stack, "Agreement") == f"{agreement} 99MRCLIP"


def test_what_the_header_claims_is_unknown_where_it_claims_nothing() -> None:
    assert evaluation(read_stack(claimed_contrast=None), "Contrast claimed by the header") == "UNKNOWN 99MRCLIP"
    stack = read_stack(claimed_contrast="FLUID_ATTENUATED")
    assert evaluation(stack, "Contrast claimed by the header") == "FLUID_ATTENUATED 99MRCLIP"


def test_every_encoded_image_is_found_by_highdicom_in_its_group() -> None:
    images = series(6)
    report = build(images, [read_stack(images[:4]), read_stack(images[4:], index=1)])
    found = [[image.referenced_sop_instance_uid for image in group.source_images] for group in groups(report)]
    assert found == [[image.SOPInstanceUID for image in part] for part in (images[:4], images[4:])]


def test_all_instances_are_evidence() -> None:
    images = series(5)
    report = build(images, [read_stack(images[:2])])
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (source,) = study.ReferencedSeriesSequence
    assert (study.StudyInstanceUID, source.SeriesInstanceUID) == (
        images[0].StudyInstanceUID,
        images[0].SeriesInstanceUID,
    )
    listed = [item.ReferencedSOPInstanceUID for item in source.ReferencedSOPSequence]
    assert listed == sorted(image.SOPInstanceUID for image in images)


@pytest.mark.parametrize("make", [lambda: enhanced_mr(6), lambda: legacy_enhanced_mr(series(6))])
def test_frames_of_a_multi_frame_image_are_named_once_per_image(make: Any) -> None:
    image = make()
    encoded = tuple(EncodedImage(sop_instance_uid=image.SOPInstanceUID, frame=frame) for frame in (6, 1, 3, 3))
    (group,) = groups(build([image], [read_stack(images=encoded)]))
    (source,) = group.source_images
    assert source.referenced_frame_numbers == [1, 3, 6]
    assert source.referenced_sop_class_uid == image.SOPClassUID


def test_a_stack_that_was_not_read_points_at_the_image_that_stands_for_it() -> None:
    images = sorted(series(3), key=lambda image: str(image.SOPInstanceUID))
    example = EncodedImage(sop_instance_uid=SopInstanceUid(images[2].SOPInstanceUID))
    report = build(images, [unread_stack(example=example), unread_stack(index=1)])
    named = [group.source_images[0].referenced_sop_instance_uid for group in groups(report)]
    assert named == [images[2].SOPInstanceUID, images[0].SOPInstanceUID]


@pytest.mark.parametrize("sop_class", [MRSpectroscopyStorage, "1.3.12.2.1107.5.9.1"])
def test_an_object_that_is_no_image_is_referenced_as_composite(sop_class: str) -> None:
    image = mr_image(SOPClassUID=sop_class)
    report = build([image], [unread_stack()])
    assert items(report)[-1] == ("CONTAINS", "Source of Measurement", image.SOPInstanceUID)
    (measurements,) = [item for item in report.ContentSequence if item.ValueType == "CONTAINER"]
    assert measurements.ContentSequence[0].ContentSequence[-1].ValueType == "COMPOSITE"


def test_made_twice_in_any_order_it_is_the_same_bytes() -> None:
    images = series(12)
    first = sr.build(series_reading(images), images, context=report_context())
    again = sr.build(series_reading(images), images[::-1], context=report_context())
    assert sr.encode(first) == sr.encode(again)


def test_dates_and_times_are_those_of_the_context() -> None:
    report = build(series(1))
    assert (report.InstanceCreationDate, report.InstanceCreationTime) == ("20260102", "030405.000678")
    assert (report.ContentDate, report.ContentTime) == ("20260102", "030405.000678")
    (equipment,) = report.ContributingEquipmentSequence
    assert equipment.ContributionDateTime == "20260102030405.000678+0000"
    assert "2026010" not in str(report).replace("20260102", "")


@pytest.mark.parametrize(("offset", "date", "hour"), [("+0900", "20260102", "12"), ("-0330", "20260101", "23")])
def test_times_are_in_the_zone_of_the_study_where_it_names_one(offset: str, date: str, hour: str) -> None:
    report = build(series(1, TimezoneOffsetFromUTC=offset))
    assert report.TimezoneOffsetFromUTC == offset
    assert (report.ContentDate, report.ContentTime[:2]) == (date, hour)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        report_context(created_at=datetime(2026, 1, 2))  # noqa: DTZ001 - that is what is refused
    report_context(created_at=datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=9))))


def test_flags_say_complete_preliminary_and_unverified() -> None:
    report = build(series(1))
    assert (report.CompletionFlag, report.PreliminaryFlag, report.VerificationFlag) == (
        "COMPLETE",
        "PRELIMINARY",
        "UNVERIFIED",
    )


def test_series_and_equipment_name_the_reader() -> None:
    report = build(series(1, SeriesNumber=7))
    assert (report.SeriesDescription, report.SeriesNumber, report.Modality) == ("MR contrast check", 90007, "SR")
    (equipment,) = report.ContributingEquipmentSequence
    assert equipment.DeviceUID == uids.device_uid("ab" * 32)
    assert (equipment.ManufacturerModelName, equipment.SoftwareVersions[0]) == (MODEL.name, MODEL.version)
    (scheme,) = report.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99MRCLIP"
    assert report.file_meta.ImplementationClassUID == uids.IMPLEMENTATION_CLASS_UID


def test_a_model_trained_again_is_another_device_and_another_report_in_the_same_series() -> None:
    images = series(2)
    one, other = build(images), build(images, reader_digest="cd" * 32)
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert one.ContributingEquipmentSequence[0].DeviceUID != other.ContributingEquipmentSequence[0].DeviceUID
    assert one.SeriesInstanceUID == other.SeriesInstanceUID


def test_a_revision_names_its_predecessor() -> None:
    images = series(2)
    old, new = build(images[:1]), build(images, predecessor_sop_instance_uid=build(images[:1]).SOPInstanceUID)
    (study,) = new.PredecessorDocumentsSequence
    (source,) = study.ReferencedSeriesSequence
    (reference,) = source.ReferencedSOPSequence
    assert study.StudyInstanceUID == old.StudyInstanceUID
    assert source.SeriesInstanceUID == old.SeriesInstanceUID
    assert (reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID) == (
        old.SOPClassUID,
        old.SOPInstanceUID,
    )
    assert "PredecessorDocumentsSequence" not in old


def test_a_report_is_not_its_own_predecessor() -> None:
    images = series(1)
    report = build(images)
    assert "PredecessorDocumentsSequence" not in build(images, predecessor_sop_instance_uid=report.SOPInstanceUID)


def test_control_characters_of_a_header_do_not_get_into_a_text() -> None:
    report = build(series(1), [read_stack(findings=(finding(message="recorded a\x00b\x1b[c\nd"),))])
    assert "recorded a b [c d" in next(value for _, name, value in items(report) if name == "Comment")


def test_an_image_that_was_read_must_be_among_the_evidence() -> None:
    images = series(3)
    with pytest.raises(ValueError, match="is not among the evidence"):
        sr.build(series_reading(images), images[:2], context=report_context())


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_report_that_fails_its_checks_is_not_built() -> None:
    images = series(1, StudyInstanceUID="no uid")
    with pytest.raises(ValueError, match=r"StudyInstanceUID \(0020,000D\) must have the form of a UID"):
        sr.build(series_reading(images), images, context=report_context())


def test_there_is_no_report_about_nothing() -> None:
    images = series(1)
    nothing: SeriesReading = series_reading(images, [])
    for reading, evidence in ((nothing, images), (series_reading(images), [])):
        with pytest.raises(ValueError, match="no stack or no instance"):
            sr.build(reading, evidence, context=report_context())


def test_a_series_of_a_thousand_images_takes_less_than_two_seconds() -> None:
    image = mr_image(PixelData=None)
    images = [Dataset(dict(image.items())) for _ in range(1000)]
    for index, shallow in enumerate(images):
        shallow.add_new("SOPInstanceUID", "UI", uid("many", index))
    reading = series_reading(images, [read_stack(images[:16])])
    start = time.perf_counter()
    content = sr.encode(sr.build(reading, images, context=report_context()))
    assert time.perf_counter() - start < 2.0
    assert content.count(b"1.2.826.0.1.3680043.8.498.") >= 1000
    assert len(content) < 200_000
