"""A folder never shows half a report."""

from pathlib import Path

import pytest

from dicom_factory import mr_image, write
from dicom_node.deliver import DeliveryError
from dicom_node.deliver.folder import FolderDestination


def test_the_file_is_the_report_byte_for_byte_and_nothing_else_is_left(tmp_path: Path) -> None:
    report = write(mr_image(SOPInstanceUID="1.2.3"), tmp_path / "report.dcm")
    FolderDestination(name="folder", folder=tmp_path / "out").deliver(report)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["1.2.3.dcm"]
    assert (tmp_path / "out" / "1.2.3.dcm").read_bytes() == report.read_bytes()


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = write(mr_image(SOPInstanceUID="1.2.3"), tmp_path / "report.dcm")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DeliveryError, match="No space left on device") as caught:
        FolderDestination(name="folder", folder=tmp_path / "out").deliver(report)
    assert caught.value.retry
    assert list((tmp_path / "out").iterdir()) == []
