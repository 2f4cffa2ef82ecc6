"""What a series goes by in worklists and statistics."""

import pytest

from dicom_node.work.profile import scanner
from inference.header import FrameHeader
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid


def header(**fields: str) -> FrameHeader:
    return FrameHeader(
        study_instance_uid=StudyInstanceUid("1.1"),
        series_instance_uid=SeriesInstanceUid("1.2"),
        sop_instance_uid=SopInstanceUid("1.3"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        **fields,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"manufacturer_model_name": "Prisma", "manufacturer": "SIEMENS", "station_name": "MR1"}, "Prisma MR1"),
        ({"manufacturer": "SIEMENS", "device_serial_number": "12345"}, "SIEMENS 12345"),
        ({"manufacturer_model_name": " Prisma  fit ", "station_name": " "}, "Prisma fit"),
        ({}, None),
        # PostgreSQL takes no NUL and no half of a surrogate pair; people cannot see the others.
        ({"manufacturer_model_name": "Mod\0el", "station_name": "st\0at"}, "Mod el st at"),
        ({"manufacturer_model_name": "Mod\x1b[31mel\r\nX", "station_name": "a\ud800\u202eb"}, "Mod [31mel X a b"),
        ({"manufacturer_model_name": "\x01", "station_name": "\x02"}, None),
        ({"manufacturer_model_name": "日" * 64, "station_name": "本" * 70}, "日" * 64 + " " + "本" * 63),
    ],
)
def test_a_scanner_has_a_name_that_any_ledger_keeps(fields: dict[str, str], named: str | None) -> None:
    assert scanner(header(**fields)) == named
