"""A folder arrives at a real storage SCP, whatever its classes and transfer syntaxes, and what does not is named."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
)
from pynetdicom import AE, evt

from dicom_factory import enhanced_mr, mr_image, series, write, write_series
from dicom_node.deliver.scu import Peer
from dicom_node.send import send
from inference.archives import MAX_MEMBER_RATIO, SMALL_MEMBER_BYTES
from peers import StoreScp, free_port, storescp

pytestmark = [
    pytest.mark.peer("storescp"),
    # pynetdicom leaves a socket that never connected to the garbage collector, which closes it and says so.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]


def peer_of(scp: StoreScp) -> Peer:
    return Peer(ae_title=scp.ae_title, host=scp.host, port=scp.port)


def compressed(path: Path, index: int = 0) -> Path:
    image = mr_image(index=index, seed="compressed")
    image.compress(RLELossless, generate_instance_uid=False)
    image.save_as(path, enforce_file_format=True)
    return path


def test_a_folder_of_many_kinds_arrives(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    write_series(series(3), folder / "plain")
    write(enhanced_mr(2, seed="e"), folder / "enhanced.dcm")
    write(mr_image(seed="i", transfer_syntax=ImplicitVRLittleEndian), folder / "implicit.dcm")
    write(mr_image(seed="b", transfer_syntax=ExplicitVRBigEndian), folder / "big.dcm")
    write(mr_image(seed="d", transfer_syntax=DeflatedExplicitVRLittleEndian), folder / "deflated.dcm")
    compressed(folder / "rle.dcm")
    (folder / "notes.txt").write_text("not DICOM")
    (folder / "empty.dcm").touch()
    counted: list[int] = []
    with storescp(tmp_path) as scp:
        result = send([folder], peer_of(scp), advance=counted.append)
        received = {dcmread(path).SOPInstanceUID: dcmread(path) for path in scp.files()}
    assert (result.sent, result.failures, result.left_out, result.complete) == (8, (), 2, True)
    assert sum(counted) == 8
    for path in folder.rglob("*.dcm"):
        if path.stat().st_size:
            sent = dcmread(path)
            assert received[sent.SOPInstanceUID] == sent, path.name
    assert received[dcmread(folder / "rle.dcm").SOPInstanceUID].file_meta.TransferSyntaxUID == RLELossless


def test_an_archive_arrives_and_what_is_refused_of_it_is_named(tmp_path: Path) -> None:
    paths = write_series(series(2), tmp_path / "series")
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for number, path in enumerate(paths):
            packed.write(path, f"study/{number}.dcm")
        packed.writestr("study/notes.txt", "not DICOM")
        packed.writestr("study/bomb.dcm", bytes(MAX_MEMBER_RATIO * SMALL_MEMBER_BYTES // 100))
    with storescp(tmp_path) as scp:
        result = send([archive], peer_of(scp))
        received = {dcmread(path).SOPInstanceUID for path in scp.files()}
    assert received == {dcmread(path).SOPInstanceUID for path in paths}
    assert (result.sent, result.left_out, result.complete) == (2, 1, False)
    (failure,) = result.failures
    assert failure.label == f"{archive}!study/bomb.dcm"
    assert "are unpacked" in failure.reason


def test_pixels_are_decompressed_only_where_the_peer_wants_them_so(tmp_path: Path) -> None:
    path = compressed(tmp_path / "rle.dcm")
    with storescp(tmp_path, "--implicit") as scp:
        result = send([path], peer_of(scp))
        (received,) = scp.files()
    assert result.complete
    got, sent = dcmread(received), dcmread(path)
    assert got.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert got.SOPInstanceUID == sent.SOPInstanceUID
    np.testing.assert_array_equal(got.pixel_array, mr_image(seed="compressed").pixel_array)


def test_more_kinds_than_an_association_can_have_take_two(tmp_path: Path) -> None:
    paths = [
        write(mr_image(seed=index, SOPClassUID=UID(f"1.2.840.10008.5.1.4.1.1.999.{index}")), tmp_path / f"{index}.dcm")
        for index in range(130)
    ]
    with storescp(tmp_path, "--promiscuous") as scp:
        result = send(paths, peer_of(scp))
        assert len(scp.files()) == 130
    assert result.sent == 130


def test_what_the_peer_does_not_take_is_named(tmp_path: Path) -> None:
    good = write(mr_image(), tmp_path / "good.dcm")
    private = write(mr_image(seed="private", SOPClassUID="1.2.3.4.5"), tmp_path / "private.dcm")
    broken = compressed(tmp_path / "broken.dcm")
    dataset = dcmread(broken)
    dataset.PixelData = dataset.PixelData[:40] + b"\0" * 40
    dataset.save_as(broken)
    with storescp(tmp_path, "--implicit") as scp:
        result = send([good, private, broken], peer_of(scp))
    assert result.sent == 1
    assert {failure.label: failure.reason for failure in result.failures} == {
        str(private): "the peer accepts neither this SOP class nor its transfer syntax",
        str(broken): "the pixels cannot be decoded: RuntimeError",
    }


def test_nobody_there_is_a_failure_of_every_file(tmp_path: Path) -> None:
    paths = write_series(series(2), tmp_path)
    result = send(paths, Peer(ae_title="ANY", host="127.0.0.1", port=free_port()))
    assert [failure.label for failure in result.failures] == [str(path) for path in paths]
    assert not result.complete


def test_nothing_to_send_is_not_complete(tmp_path: Path) -> None:
    result = send([tmp_path], Peer(ae_title="ANY", host="127.0.0.1", port=free_port()))
    assert (result.sent, result.left_out, result.complete) == (0, 0, False)


@contextmanager
def hanging_up_at(bad: set[str], received: list[str]) -> Iterator[Peer]:
    """A peer that aborts the association whenever one of the `bad` instances comes."""

    def answer(event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if uid in bad:
            event.assoc.abort()
        else:
            received.append(uid)
        return 0x0000

    entity = AE(ae_title="MOODY")
    entity.add_supported_context(MRImageStorage)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, answer)])
    assert server is not None
    try:
        yield Peer(ae_title="MOODY", host="127.0.0.1", port=server.socket.getsockname()[1])
    finally:
        server.shutdown()


def test_a_file_that_ends_associations_does_not_keep_the_others(tmp_path: Path) -> None:
    images = series(5)
    paths = write_series(images, tmp_path)
    received: list[str] = []
    bad = {str(images[1].SOPInstanceUID), str(images[2].SOPInstanceUID)}
    with hanging_up_at(bad, received) as peer:
        result = send(paths, peer)
    assert [failure.label for failure in result.failures] == [str(paths[1]), str(paths[2])]
    assert received == [str(images[index].SOPInstanceUID) for index in (0, 3, 4)]
