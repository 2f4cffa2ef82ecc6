"""An archive over C-FIND and C-GET or C-MOVE: Debian's Orthanc, and one with bad manners."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR
from pydicom.uid import MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from dicom_factory import mr_image
from dicom_node.backfill.archive import ArchiveError, RemoteSeries
from dicom_node.backfill.dimse import DimseArchive
from dicom_node.commands.backfill import command
from dicom_node.deliver.scu import Peer
from dicom_node.receive.spool import Spool
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from orthanc_server import orthanc
from peers import free_port
from pulled_archive import assert_kept_as_it_was, fill, pull_twice
from serving import write_settings

# pynetdicom leaves a socket that never connected to the garbage collector, which closes it and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
DAY = date(2024, 3, 1)
IMAGE = mr_image(seed="archive")
REMOTE = RemoteSeries(
    study_instance_uid=StudyInstanceUid(IMAGE.StudyInstanceUID),
    series_instance_uid=SeriesInstanceUid(IMAGE.SeriesInstanceUID),
    instances=None,
)
INSTANCE = SopInstanceUid(IMAGE.SOPInstanceUID)


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Such sockets are closed while the warning is expected."""
    yield
    gc.collect()


@pytest.mark.peer("Orthanc")
@pytest.mark.parametrize("by", ["C-GET", "C-MOVE"])
def test_an_orthanc_is_pulled_as_it_keeps_its_files(tmp_path: Path, by: str) -> None:
    ours, theirs = free_port(), free_port()
    settings = {"DicomAet": "ORTHANC", "DicomModalities": {"us": ["MRCLIP-BACKFILL", "127.0.0.1", ours]}}
    config = write_settings(tmp_path)
    with orthanc(tmp_path / "orthanc", settings=settings, dicom_port=theirs) as archive:
        studies = fill(archive)
        options = ("--move-port", str(ours)) if by == "C-MOVE" else ()
        pull_twice(config, f"dicom://ORTHANC@127.0.0.1:{theirs}", *options)
    assert_kept_as_it_was(Spool(tmp_path / "data" / "spool"), studies)


class Script:
    """What the archive with bad manners does."""

    def __init__(self, *, find: list[tuple[int, Dataset | None]] | None = None, get: list[Any] | None = None) -> None:
        self.find, self.get = find or [], get or []

    def on_find(self, _event: evt.Event) -> Iterator[Any]:
        yield from self.find

    def on_get(self, _event: evt.Event) -> Iterator[Any]:
        yield from self.get


@contextmanager
def scripted(script: Script, *services: str) -> Iterator[Peer]:
    """The archive, which offers some services."""
    entity = AE(ae_title="ARCHIVE")
    for service in services:
        entity.add_supported_context(service)
    storage = build_context(MRImageStorage)
    entity.add_supported_context(MRImageStorage, storage.transfer_syntax, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_C_FIND, script.on_find), (evt.EVT_C_GET, script.on_get)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield Peer(ae_title="ARCHIVE", host="127.0.0.1", port=server.server_address[1], calling_ae_title="US")
    finally:
        server.shutdown()


@contextmanager
def opened(script: Script, *services: str, **options: Any) -> Iterator[DimseArchive]:
    with (
        scripted(script, *(services or (FIND, GET))) as peer,
        DimseArchive(peer, **{"max_instance_bytes": 1 << 20, **options}) as archive,
    ):
        yield archive


def match(**values: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        vr = dictionary_VR(keyword)
        dataset[keyword] = DataElement(keyword, vr, value, validation_mode=config.IGNORE)
    return dataset


def test_an_instance_comes_with_its_bytes_as_they_were_sent() -> None:
    with opened(Script(get=[1, (0xFF00, IMAGE)])) as archive:
        file = archive.fetch(REMOTE, INSTANCE)
    assert file[128:132] == b"DICM"
    assert IMAGE.PixelData[-64:] in file


@pytest.mark.parametrize(("status", "retry"), [(0xA701, True), (0xC000, True), (0xA900, False), (0x0122, False)])
def test_a_failure_says_whether_to_ask_again(status: int, retry: bool) -> None:
    with opened(Script(find=[(status, None)], get=[1, (status, None)])) as archive:
        for ask in (lambda: archive.instances(REMOTE), lambda: archive.fetch(REMOTE, INSTANCE)):
            with pytest.raises(ArchiveError, match=f"0x{status:04X}") as caught:
                ask()
            assert caught.value.retry is retry


def test_an_instance_that_is_said_to_be_sent_and_is_not_is_an_error() -> None:
    with opened(Script(get=[0])) as archive, pytest.raises(ArchiveError, match="did not") as caught:
        archive.fetch(REMOTE, INSTANCE)
    assert caught.value.retry is False


def test_another_instance_than_the_one_that_was_asked_for_is_not_taken() -> None:
    with opened(Script(get=[1, (0xFF00, mr_image(seed="other"))])) as archive, pytest.raises(ArchiveError):
        archive.fetch(REMOTE, INSTANCE)


def test_an_instance_that_is_too_large_is_not_kept() -> None:
    script = Script(get=[1, (0xFF00, IMAGE)])
    with opened(script, max_instance_bytes=100) as archive, pytest.raises(ArchiveError, match="more than 100 bytes"):
        archive.fetch(REMOTE, INSTANCE)


@pytest.mark.parametrize("found", ["", "../../etc", None])
def test_a_match_without_a_uid_is_not_followed(found: str | None) -> None:
    answer = match(QueryRetrieveLevel="IMAGE") if found is None else match(SOPInstanceUID=found)
    with (
        opened(Script(find=[(0xFF00, answer)])) as archive,
        pytest.raises(ArchiveError, match="no valid SOPInstanceUID"),
    ):
        archive.instances(REMOTE)


@pytest.mark.parametrize(("said", "count"), [("2 ", 2), ("abc", None), ("2\\3", None), ("", None)])
def test_an_odd_count_of_instances_is_none(said: str, count: int | None) -> None:
    answer = match(StudyInstanceUID="1.2", SeriesInstanceUID="1.3", Modality="MR")
    answer.add(DataElement("NumberOfSeriesRelatedInstances", "LO", said))  # of IS pydicom sends nothing odd
    with opened(Script(find=[(0xFF00, answer)])) as archive:
        assert [one.instances for one in archive.series(DAY)] == [count]


def test_an_archive_without_the_service_is_told_once_and_one_that_is_away_again() -> None:
    with opened(Script(), FIND) as archive, pytest.raises(ArchiveError, match="C-GET") as caught:
        archive.fetch(REMOTE, INSTANCE)
    assert caught.value.retry is False
    nobody = Peer(ae_title="ARCHIVE", host="127.0.0.1", port=free_port(), calling_ae_title="US")
    with DimseArchive(nobody, max_instance_bytes=1) as archive, pytest.raises(ArchiveError, match="reached") as caught:
        archive.instances(REMOTE)
    assert caught.value.retry is True


def test_an_error_is_not_the_end_of_the_archive() -> None:
    script = Script(find=[(0xA700, None)])
    with opened(script) as archive:
        with pytest.raises(ArchiveError):
            archive.instances(REMOTE)
        script.find = [(0xFF00, match(SOPInstanceUID=INSTANCE))]
        assert archive.instances(REMOTE) == [INSTANCE]


@pytest.mark.parametrize(
    "url",
    ["ftp://x", "dicom://host:104", "dicom://A@host", "dicom://A@host:x", "http://host:99999", "http://me:hush@host"],
)
def test_an_archive_is_named_in_full(url: str, tmp_path: Path) -> None:
    given = ["--config", str(write_settings(tmp_path)), "--from", url, "--since", "2024-01-01"]
    asked = CliRunner().invoke(command, given)
    assert asked.exit_code == 2
    assert "dicom://AE_TITLE@HOST:PORT" in asked.output
    assert "hush" not in asked.output
