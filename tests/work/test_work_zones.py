"""A report is dated in the zone of its images, else in that of the settings; made twice, it is the same bytes."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_factory import series
from dicom_node.settings import Settings
from dicom_node.wiring import make_pipeline, make_readers
from dicom_node.work.files import SpoolFiles
from web_node import Node, make_site

NIGHT = datetime(2026, 1, 2, 23, 30, tzinfo=UTC)


def reported(folder: Path, timezone: str, at: datetime = NIGHT, **image: Any) -> list[Dataset]:
    """The report on a series that came at `at`, and its picture; both are made twice."""
    site = make_site(folder)
    node = Node(site, port=0)
    shown = series(1, **image)
    node.keep(shown)
    settings = Settings.model_validate({
        "report": {"timezone": timezone, "send": "all", "secondary_capture": True}, "reader": {"bundle": "none"},
    })  # fmt: skip
    pipeline = make_pipeline(settings, ledger=site.ledger, files=SpoolFiles(site.spool), readers=make_readers(settings))
    uid, made = node.receive(shown, at=at), []
    pipeline._clock = lambda: at  # instead of the machine's
    for _ in range(2):
        pipeline.read(uid)
        record = site.ledger.series(uid)
        assert record is not None
        report = record.reports[-1].sop_instance_uid
        paths = [site.spool.report_path(report), *site.spool.companions(report)]
        made.append([path.read_bytes() for path in paths])
        for path in paths:
            path.unlink()
        site.ledger.request(uid, now=at)
    assert made[0] == made[1]
    return [dcmread(BytesIO(file)) for file in made[0]]


@pytest.mark.parametrize(
    ("timezone", "image", "date", "time", "offset"),
    [
        ("UTC", {}, "20260102", "2330", "+0000"),
        ("Asia/Tokyo", {}, "20260103", "0830", "+0900"),
        ("America/St_Johns", {}, "20260102", "2000", "-0330"),
        ("Asia/Tokyo", {"TimezoneOffsetFromUTC": "+0100"}, "20260103", "0030", "+0100"),
    ],
)
def test_a_report_is_dated_where_its_images_are(
    tmp_path: Path, timezone: str, image: dict[str, Any], date: str, time: str, offset: str
) -> None:
    for one in reported(tmp_path, timezone, **image):
        assert (one.ContentDate, one.ContentTime[:4]) == (date, time)
        (equipment,) = one.ContributingEquipmentSequence
        assert equipment.ContributionDateTime == f"{one.ContentDate}{one.ContentTime}{offset}"
        assert one.get("TimezoneOffsetFromUTC") == image.get("TimezoneOffsetFromUTC")


@pytest.mark.parametrize(("month", "time"), [(1, "1300"), (7, "1400")])
def test_summer_time_is_that_of_the_day(tmp_path: Path, month: int, time: str) -> None:
    for one in reported(tmp_path, "Europe/Berlin", datetime(2026, month, 2, 12, tzinfo=UTC)):
        assert one.ContentTime[:4] == time
