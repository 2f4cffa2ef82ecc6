"""Every destination keeps the same promises: a report arrives, again changes nothing, failures say if to retry."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_factory import mr_image, write
from dicom_node.deliver import DeliveryError, Destination
from dicom_node.deliver.dicom import DicomDestination
from dicom_node.deliver.folder import FolderDestination
from dicom_node.deliver.memory import MemoryDestination
from dicom_node.deliver.scu import Peer
from peers import free_port, storescp

# pynetdicom leaves a socket that never connected to the garbage collector, which closes it and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")

Arrived = Callable[[], list[str]]  # SOP Instance UIDs at the destination


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return write(mr_image(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.34", SOPInstanceUID="1.2.3.4"), tmp_path / "out.dcm")


@pytest.fixture(params=["memory", "folder", pytest.param("dicom", marks=pytest.mark.peer("storescp"))])
def working(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Destination, Arrived]]:
    if request.param == "memory":
        memory = MemoryDestination(name="memory")
        yield memory, lambda: list(memory.reports)
    elif request.param == "folder":
        folder = tmp_path / "new" / "folder"
        yield FolderDestination(name="folder", folder=folder), lambda: _uids(folder)
    else:
        with storescp(tmp_path) as scp:
            peer = Peer(ae_title=scp.ae_title, host=scp.host, port=scp.port)
            yield DicomDestination(name="archive", peer=peer), lambda: _uids(scp.folder)


@pytest.fixture(params=["memory", "folder", "dicom"])
def down(request: pytest.FixtureRequest, tmp_path: Path) -> Destination:
    """A destination that may come back: no disk, no peer."""
    if request.param == "memory":
        return MemoryDestination(name="memory", failures=[DeliveryError("down", retry=True)])
    if request.param == "folder":
        (tmp_path / "file").touch()
        return FolderDestination(name="folder", folder=tmp_path / "file" / "below")
    return DicomDestination(name="archive", peer=Peer(ae_title="ANY", host="127.0.0.1", port=free_port(), connect_s=5))


def test_a_report_arrives_and_arrives_once(working: tuple[Destination, Arrived], report: Path) -> None:
    destination, arrived = working
    destination.deliver(report)
    assert arrived() == ["1.2.3.4"]
    destination.deliver(report)
    assert arrived() == ["1.2.3.4"]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_file_that_is_no_report_is_a_dead_letter(
    working: tuple[Destination, Arrived], report: Path, tmp_path: Path
) -> None:
    destination, arrived = working
    (tmp_path / "text.dcm").write_text("no report")
    for path in (tmp_path / "text.dcm", tmp_path / "absent.dcm", write(mr_image(SOPInstanceUID="../x"), report)):
        with pytest.raises(DeliveryError) as caught:
            destination.deliver(path)
        assert not caught.value.retry
    destination.deliver(write(mr_image(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.34", SOPInstanceUID="1.2.5"), report))
    assert arrived() == ["1.2.5"]


def test_a_destination_that_is_down_is_tried_again(down: Destination, report: Path) -> None:
    with pytest.raises(DeliveryError) as caught:
        down.deliver(report)
    assert caught.value.retry
    assert "TEST^PHANTOM" not in str(caught.value)


def _uids(folder: Path) -> list[str]:
    if not folder.exists():
        return []
    return [str(dcmread(path).SOPInstanceUID) for path in sorted(folder.iterdir())]
