"""Instances come in from real senders and from scripted ones; every outcome is a status, and 0000 means safe."""

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RTPlanStorage,
)
from pynetdicom import AE, Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context
from sqlalchemy import text

from dicom_factory import enhanced_mr, mr_image, series, write, write_series
from dicom_node.errors import LedgerUnavailableError, SettingsError
from dicom_node.receive.server import Senders
from dicom_node.receive.spool import Spool
from dicom_node.receive.storage_classes import MR_CLASSES, TRANSFER_SYNTAXES
from inference.identifiers import SeriesInstanceUid, SopInstanceUid
from peers import listens, program, wait_for

Start = Callable[..., Any]
Associate = Callable[..., Association]


@pytest.fixture
def associate() -> Iterator[Associate]:
    """Associations with a node, released when the test ends."""
    made: list[Association] = []
    links: list[socket.socket] = []

    def begin(
        port: int, *classes: str, syntax: str | None = None, aet: str = "GOOD", called: str = "MRCLIP"
    ) -> Association:
        entity = AE(ae_title=aet)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 30
        contexts = [build_context(one, syntax or ImplicitVRLittleEndian) for one in classes or (MRImageStorage,)]
        association = entity.associate("127.0.0.1", port, contexts, ae_title=called)
        made.append(association)
        if association.dul.socket is not None and association.dul.socket.socket is not None:
            links.append(association.dul.socket.socket)
        return association

    yield begin
    for association in made:
        if association.is_established:
            association.release()
    for link in links:  # pynetdicom leaves it open where the peer was the first to close
        link.close()


def send(association: Association, data_set: bytes | None, *, sop_class: str, instance: str) -> int:
    """A C-STORE request that says what it is told to say, whatever its data set holds; the status that answers it."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sop_class, instance
    if data_set is not None:
        request.DataSet = BytesIO(data_set)
    (context,) = association.accepted_contexts
    association._reactor_checkpoint.clear()  # or the association would take the response for itself
    wait_for(lambda: association._is_paused, what="the reactor pausing")
    association.dimse.send_msg(request, context.context_id)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    wait_for(lambda: not association._is_paused, what="the reactor going on")  # or it would take the next response
    assert isinstance(response, C_STORE), "the association ended without an answer"
    assert response.Status is not None
    return response.Status


def encoded(dataset: Dataset) -> bytes:
    data_set = encode(dataset, True, True)
    assert data_set is not None
    return data_set


def stored(spool: Spool) -> list[Path]:
    return sorted(spool.root.rglob("*.dcm"))


def dcmtk(name: str, port: int, *arguments: object, called: str = "MRCLIP") -> subprocess.CompletedProcess[str]:
    """Run one of DCMTK's senders to its end."""
    command = [program(name), "-aec", called, "127.0.0.1", str(port), *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


@pytest.mark.peer("echoscu")
def test_dcmtk_is_answered_and_the_called_title_is_required(receiver: Start):
    node = receiver()
    assert dcmtk("echoscu", node.port).returncode == 0
    wrong = dcmtk("echoscu", node.port, called="SOMEBODY")
    assert wrong.returncode != 0
    assert "Called AE Title Not Recognized" in wrong.stdout + wrong.stderr


@pytest.mark.peer("echoscu")
def test_only_peers_on_the_list_may_call(receiver: Start):
    node = receiver(calling_ae_titles=("SCANNER1",))
    assert dcmtk("echoscu", node.port, "-aet", "SCANNER1").returncode == 0
    wrong = dcmtk("echoscu", node.port, "-aet", "SCANNER2")
    assert wrong.returncode != 0
    assert "Calling AE Title Not Recognized" in wrong.stdout + wrong.stderr


@pytest.mark.peer("storescu", "dcmsend")
@pytest.mark.parametrize("sender", [("storescu", "+sd"), ("dcmsend", "+sd")])
def test_dcmtk_sends_a_series(receiver: Start, tmp_path: Path, sender: tuple[str, str]):
    node = receiver()
    images = series(6, EchoTime=98)
    write_series(images, tmp_path / "out")
    sent = dcmtk(sender[0], node.port, sender[1], tmp_path / "out")
    assert sent.returncode == 0, sent.stdout + sent.stderr
    uid_ = SeriesInstanceUid(images[0].SeriesInstanceUID)
    received = {dcmread(path).SOPInstanceUID: dcmread(path) for path in node.spool.instances(uid_)}
    assert received == {image.SOPInstanceUID: image for image in images}
    record = node.ledger.series(uid_)
    assert (record.summary.instances, record.summary.state, record.summary.modality) == (6, "receiving", "MR")


@pytest.mark.peer("storescu")
def test_many_senders_at_once_store_everything_once(receiver: Start, tmp_path: Path):
    node = receiver()
    for name in ("a", "b"):
        write_series(series(8, seed=name), tmp_path / name)
    folders = ["a", "a", "b", "b"]
    results: list[int] = []

    def run(name: str) -> None:
        results.append(dcmtk("storescu", node.port, "+sd", tmp_path / name).returncode)

    threads = [threading.Thread(target=run, args=(name,)) for name in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0, 0, 0, 0]
    assert len(stored(node.spool)) == 16
    assert sum(line.instances for line in node.ledger.page()) == 16
    assert list(node.spool.root.rglob("*.part")) == []


@pytest.mark.peer("storescu", "dcmcrle", "dcmcjpeg", "dcmcjpls")
@pytest.mark.parametrize(
    ("encoder", "option"), [("dcmcrle", "-xr"), ("dcmcjpeg", "-xs"), ("dcmcjpls", "-xt"), ("dcmcjpeg", "-xx")]
)
def test_compressed_images_are_kept_as_they_came(receiver: Start, tmp_path: Path, encoder: str, option: str):
    node = receiver()
    plain, compressed = write(mr_image(), tmp_path / "plain.dcm"), tmp_path / "compressed.dcm"
    encode_options = ["+ee"] if option == "-xx" else []
    subprocess.run([program(encoder), *encode_options, str(plain), str(compressed)], check=True, capture_output=True)
    sent = dcmtk("storescu", node.port, option, compressed)
    assert sent.returncode == 0, sent.stdout + sent.stderr
    (path,) = stored(node.spool)
    assert dcmread(path) == dcmread(compressed)
    assert dcmread(path).file_meta.TransferSyntaxUID == dcmread(compressed).file_meta.TransferSyntaxUID


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_every_transfer_syntax_that_is_offered_is_taken(receiver: Start, associate: Associate, syntax: Any):
    node = receiver()
    dataset = mr_image()
    if syntax.is_compressed:
        dataset.PixelData = encapsulate([b"\x01\x02\x03\x04"])
        dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax
    data_set = encode(dataset, syntax.is_implicit_VR, syntax.is_little_endian)
    association = associate(node.port, MRImageStorage, syntax=syntax)
    assert send(association, data_set, sop_class=MRImageStorage, instance=dataset.SOPInstanceUID) == 0x0000
    (path,) = stored(node.spool)
    assert path.read_bytes().endswith(data_set)
    assert dcmread(path).file_meta.TransferSyntaxUID == syntax


def test_deflated_is_not_taken(receiver: Start, associate: Associate):
    assert not associate(receiver().port, MRImageStorage, syntax=DeflatedExplicitVRLittleEndian).is_established


@pytest.mark.parametrize("sop_class", MR_CLASSES)
def test_every_mr_class_is_taken(receiver: Start, associate: Associate, sop_class: Any):
    node = receiver()
    dataset = enhanced_mr(2, SOPClassUID=sop_class)
    association = associate(node.port, sop_class)
    assert association.send_c_store(dataset).Status == 0x0000
    assert len(stored(node.spool)) == 1


@pytest.mark.peer("storescu")
def test_other_classes_are_refused_aloud_or_stored(receiver: Start, tmp_path: Path):
    path = write(mr_image(SOPClassUID=CTImageStorage, Modality="CT"), tmp_path / "ct.dcm")
    refusing = receiver()
    refused = dcmtk("storescu", refusing.port, path)
    assert refused.returncode != 0
    assert "No presentation context for: (CT)" in refused.stdout + refused.stderr
    assert stored(refusing.spool) == []
    storing = receiver(accept_other_storage="store")
    assert dcmtk("storescu", storing.port, path).returncode == 0
    assert len(stored(storing.spool)) == 1
    assert [line.modality for line in storing.ledger.page()] == ["CT"]


def test_a_class_without_pixels_can_be_stored_too(receiver: Start, associate: Associate):
    node = receiver(accept_other_storage="store")
    association = associate(node.port, RTPlanStorage)
    plan = mr_image(SOPClassUID=RTPlanStorage, Modality="RTPLAN", PixelData=None)
    assert association.send_c_store(plan).Status == 0x0000


def test_what_is_not_what_it_says_is_a900_and_kept(receiver: Start, associate: Associate):
    node = receiver()
    association = associate(node.port)
    image = mr_image()
    assert send(association, encoded(image), sop_class=MRImageStorage, instance="1.2.3") == 0xA900
    other = mr_image(index=1, SOPClassUID=CTImageStorage)
    assert send(association, encoded(other), sop_class=MRImageStorage, instance=other.SOPInstanceUID) == 0xA900
    reasons = sorted(entry.reason for entry in node.quarantine.entries())
    assert reasons == [
        f"SOP Class UID (0008,0016) is {CTImageStorage}; the request says {MRImageStorage}",
        f"SOP Instance UID (0008,0018) is {image.SOPInstanceUID}; the request says 1.2.3",
    ]
    assert node.ledger.page() == []


@pytest.mark.parametrize(
    ("data_set", "reason"),
    [
        (b"this is not a data set at all", "(0020,000D) is missing"),
        (encoded(mr_image())[:100], "ends inside"),
        (encoded(mr_image(SeriesInstanceUID=None)), "Series Instance UID (0020,000E) is missing"),
        (b"\x08\x00\x40\x11\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 200, "nested deeper"),
    ],
    ids=["garbage", "truncated", "no series", "nested"],
)
def test_what_cannot_be_understood_is_c000_and_kept(
    receiver: Start, associate: Associate, data_set: bytes, reason: str
):
    node = receiver()
    association = associate(node.port)
    assert send(association, data_set, sop_class=MRImageStorage, instance="1.2.3") == 0xC000
    (entry,) = node.quarantine.entries()
    assert reason in entry.reason
    assert (entry.status, bytes(entry.request.data_set), entry.request.calling_aet) == (0xC000, data_set, "GOOD")
    # and the association goes on
    assert association.send_c_store(mr_image()).Status == 0x0000


def test_a_request_without_a_data_set_or_with_another_class_is_answered(receiver: Start, associate: Associate):
    node = receiver()
    association = associate(node.port)
    image = mr_image()
    assert send(association, encoded(image), sop_class=CTImageStorage, instance=image.SOPInstanceUID) == 0x0122
    assert stored(node.spool) == []


def test_a_full_spool_is_a700_with_nothing_left_behind(receiver: Start, associate: Associate, tmp_path: Path):
    node = receiver(spool=Spool(tmp_path / "full", reserve_bytes=1 << 60))
    association = associate(node.port)
    assert association.send_c_store(mr_image()).Status == 0xA700
    # what cannot be understood cannot be kept either, and its sender still has it
    assert send(association, b"garbage", sop_class=MRImageStorage, instance="1.2.3") == 0xA700
    assert [path for path in node.spool.root.rglob("*") if path.is_file()] == []


def test_a_ledger_that_does_not_answer_is_a700_and_the_next_try_is_taken(
    receiver: Start, associate: Associate, monkeypatch: pytest.MonkeyPatch
):
    node = receiver()
    association = associate(node.port)

    def unavailable(*_: Any, **__: Any) -> None:
        raise LedgerUnavailableError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(node.ledger, "record_instance", unavailable)
        assert association.send_c_store(mr_image()).Status == 0xA700
    assert association.send_c_store(mr_image()).Status == 0x0000
    assert len(stored(node.spool)) == 1
    assert [line.instances for line in node.ledger.page()] == [1]


def test_another_data_set_under_a_known_uid_is_kept_aside(receiver: Start, associate: Associate):
    node = receiver()
    association = associate(node.port)
    first, second = mr_image(EchoTime=10), mr_image(EchoTime=20)
    for image in (first, second, first):
        assert association.send_c_store(image).Status == 0x0000
    path = node.spool.instance_path(SeriesInstanceUid(first.SeriesInstanceUID), SopInstanceUid(first.SOPInstanceUID))
    assert dcmread(path).EchoTime == 10
    (aside,) = node.spool.conflicts()
    assert dcmread(aside).EchoTime == 20
    assert [line.instances for line in node.ledger.page()] == [1]


def test_uids_that_are_paths_stay_uids(receiver: Start, associate: Associate, tmp_path: Path):
    node = receiver()
    association = associate(node.port)
    image = mr_image()
    for evil in ("../../evil", "/tmp/evil", "1.2.3/../../evil"):
        image["SeriesInstanceUID"]._value = evil
        assert send(association, encoded(image), sop_class=MRImageStorage, instance=image.SOPInstanceUID) == 0xC000
    assert list(tmp_path.rglob("*evil*")) == []
    assert {path.parent.name for path in stored(node.spool)} == {"quarantine"}


def test_an_association_that_ends_makes_its_series_due_soon(receiver: Start, associate: Associate):
    node = receiver()
    association = associate(node.port)
    image = mr_image()
    assert association.send_c_store(image).Status == 0x0000
    series_uid = SeriesInstanceUid(image.SeriesInstanceUID)
    later = datetime.now(UTC) + timedelta(seconds=20)
    assert node.ledger.series(series_uid).summary.due_at > later
    association.release()
    wait_for(lambda: node.ledger.series(series_uid).summary.due_at < later, what="the series being due soon")


def test_an_abort_in_the_middle_of_a_data_set_leaves_nothing_of_it(receiver: Start, associate: Associate):
    node = receiver()
    association = associate(node.port)
    image, cut = mr_image(), mr_image(index=1, pixels=np.zeros((512, 512), np.uint16))
    assert association.send_c_store(image).Status == 0x0000
    request = C_STORE()
    request.MessageID, request.Priority = 2, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = MRImageStorage, cut.SOPInstanceUID
    request.DataSet = BytesIO(encoded(cut))
    (context,) = association.accepted_contexts
    parts: list[Any] = []
    association.dul.send_pdu = parts.append  # type: ignore[method-assign]
    association.dimse.send_msg(request, context.context_id)
    del association.dul.send_pdu
    assert len(parts) > 2
    for part in parts[: len(parts) // 2]:
        association.dul.send_pdu(part)
    association.abort()
    series_uid = SeriesInstanceUid(image.SeriesInstanceUID)
    soon = datetime.now(UTC) + timedelta(seconds=20)
    wait_for(lambda: node.ledger.series(series_uid).summary.due_at < soon, what="the series being due soon")
    assert len(stored(node.spool)) == 1
    assert list(node.spool.root.rglob("*.part")) == []
    assert node.ledger.series(series_uid).summary.instances == 1


def test_a_series_that_another_association_sends_is_not_hurried():
    senders, one, two = Senders(), Association(AE(), "acceptor"), Association(AE(), "acceptor")
    both, mine = SeriesInstanceUid("1.1"), SeriesInstanceUid("1.2")
    for association, series_uid in ((one, both), (two, both), (one, mine)):
        senders.seen(association, series_uid)
    assert senders.ended(one) == {mine}
    assert senders.ended(one) == frozenset()
    assert senders.ended(two) == {both}


def test_quarantine_is_replayed_once_its_cause_is_gone(
    receiver: Start, associate: Associate, monkeypatch: pytest.MonkeyPatch
):
    from dicom_node.receive import part10

    node = receiver()
    association = associate(node.port)
    with monkeypatch.context() as patch:
        patch.setattr(part10, "DEEPEST", -1)  # a fault of ours, say
        deep = mr_image()
        deep.ReferencedImageSequence = [Dataset()]
        deep["ReferencedImageSequence"].is_undefined_length = True
        assert association.send_c_store(deep).Status == 0xC000
    assert send(association, b"garbage", sop_class=MRImageStorage, instance="1.2.3") == 0xC000
    (staying,) = (path for path in stored(node.spool) if path.read_bytes().endswith(b"garbage"))
    os.utime(staying, (1, 1))  # retention goes by when it was refused
    noted = staying.with_suffix(".json").read_bytes()
    assert node.intake.replay() == (1, 1)
    assert node.quarantine.count() == 1
    assert (staying.stat().st_mtime, staying.with_suffix(".json").read_bytes()) == (1, noted)
    assert [line.series_instance_uid for line in node.ledger.page()] == [deep.SeriesInstanceUID]


def test_stopping_lets_running_associations_end_and_aborts_the_rest(receiver: Start, associate: Associate):
    node = receiver(stop_timeout_s=3)
    ending, staying = associate(node.port), associate(node.port)
    assert ending.send_c_store(mr_image()).Status == 0x0000
    stopper = threading.Thread(target=node.scp.stop)
    stopper.start()
    wait_for(lambda: not listens(node.port), what="the listener being closed")
    assert ending.send_c_store(mr_image(index=1)).Status == 0x0000
    ending.release()
    assert ending.is_released
    stopper.join(10)
    assert not stopper.is_alive()
    wait_for(lambda: staying.is_aborted, what="the idle association being aborted")
    node.scp.stop()
    assert len(stored(node.spool)) == 2


def test_a_port_in_use_is_an_error(receiver: Start):
    node = receiver()
    said = f"scp.host and scp.port: cannot listen on 127.0.0.1:{node.port}: Address already in use"
    with pytest.raises(SettingsError, match=f"^{said}$"):
        receiver(port=node.port)


@pytest.mark.parametrize(
    ("host", "why"), [("192.0.2.1", "Cannot assign requested address"), ("a" * 70, "it is no name of a host")]
)
def test_a_host_that_is_not_this_machine_is_an_error(receiver: Start, host: str, why: str):
    with pytest.raises(SettingsError, match=rf"^scp\.host and scp\.port: cannot listen on {host}:0: {why}$"):
        receiver(host=host)


@pytest.mark.shared_data
@pytest.mark.peer("dcmsend")
def test_real_series_are_received_byte_for_byte(receiver: Start, shared: Path):
    node = receiver()
    folders = sorted(path for path in (shared / "data" / "real-mr").iterdir() if path.is_dir())[:4]
    sent = [path for folder in folders for path in sorted(folder.rglob("*.dcm"))]
    result = dcmtk("dcmsend", node.port, "--no-halt", *sent)
    assert result.returncode == 0, result.stderr
    classes = {dcmread(path, stop_before_pixels=True).SOPInstanceUID: path for path in sent}
    received = {dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in stored(node.spool)}
    assert received == set(classes)


def test_the_ledger_has_no_patient(receiver: Start, associate: Associate):
    node = receiver()
    association = associate(node.port)
    assert association.send_c_store(mr_image(PatientName="MARKED^NAME", PatientID="MARKED")).Status == 0x0000
    with node.ledger._transactions.read() as session:
        for table in ("series", "instances", "readings", "deliveries"):
            assert "MARKED" not in str(session.execute(text(f"SELECT * FROM {table}")).all())
