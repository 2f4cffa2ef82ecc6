"""A UID says what it stands for, always in the same way."""

from uuid import UUID

from dicom_node.report import uids
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, is_uid

SERIES, A, B = SeriesInstanceUid("1.2.3"), SopInstanceUid("1.2.3.1"), SopInstanceUid("1.2.3.2")


def test_uids_are_version_5_uuids_under_2_25() -> None:
    for uid in (
        uids.report_uid(SERIES, [A, B], "ab"),
        uids.report_series_uid(SERIES),
        uids.device_uid("ab"),
        uids.tracking_uid(SERIES, 0),
        uids.IMPLEMENTATION_CLASS_UID,
    ):
        assert is_uid(uid)
        root, number = uid.rsplit(".", 1)
        assert root == "2.25"
        assert UUID(int=int(number)).version == 5


def test_uids_never_change() -> None:
    """A node that is updated must not report again what it has reported."""
    assert uids.report_uid(SERIES, [A, B], "ab") == "2.25.101608763904883308409756043774553390944"
    assert uids.report_series_uid(SERIES) == "2.25.259793789042352665556814810719661581601"
    assert uids.device_uid("ab") == "2.25.319691177099176552966835831318283664226"
    assert uids.tracking_uid(SERIES, 0) == "2.25.189803312224074286820854302089843723457"


def test_a_report_is_known_by_series_instances_and_reader() -> None:
    report = uids.report_uid(SERIES, [A, B], "ab")
    assert uids.report_uid(SERIES, [B, A], "ab") == report
    assert uids.report_uid(SERIES, [A], "ab") != report
    assert uids.report_uid(SERIES, [A, B], "cd") != report
    assert uids.report_uid(SeriesInstanceUid("1.2.4"), [A, B], "ab") != report


def test_parts_do_not_run_into_each_other() -> None:
    assert uids.tracking_uid(SeriesInstanceUid("1.2"), 31) != uids.tracking_uid(SeriesInstanceUid("1.23"), 1)
