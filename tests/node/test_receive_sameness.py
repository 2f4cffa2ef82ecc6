"""The same instance again: stored once whatever its encoding; another data set under its UID is kept aside."""

import subprocess
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE
from pynetdicom.presentation import build_context

from dicom_factory import enhanced_mr, mr_image, write
from dicom_node.receive.sameness import same_data_set
from dicom_node.receive.spool import EncodedInstance, Spool
from dicom_node.report.uids import IMPLEMENTATION_CLASS_UID
from inference.identifiers import SeriesInstanceUid, SopInstanceUid
from peers import program

Start = Callable[..., Any]

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)


def rich() -> Dataset:
    """An image with everything that encodings treat differently: words, private elements, sequences, ambiguous VRs."""
    dataset = mr_image(PatientName="Doe^Jane", SpecificCharacterSet="ISO_IR 100")
    dataset.SmallestImagePixelValue, dataset.PixelPaddingValue = 3, 0
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    dataset.ReferencedImageSequence = [item, Dataset()]
    block = dataset.private_block(0x0019, "TEST 1.0", create=True)
    block.add_new(0x10, "DS", ["1.5", "-20"])
    block.add_new(0x11, "UL", 70000)
    block.add_new(0x12, "LO", "odd")
    return dataset


def file_of(dataset: Dataset, syntax: Any, path: Path) -> bytes:
    dataset = dcmread(write(dataset, path))
    if syntax == ExplicitVRBigEndian:  # pydicom does not turn the words of pixels round
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    dcmwrite(path, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian,
             enforce_file_format=True)  # fmt: skip
    return path.read_bytes()


@pytest.mark.parametrize("one", NATIVE)
@pytest.mark.parametrize("other", NATIVE)
def test_the_byte_order_and_the_vrs_are_encoding(tmp_path: Path, one: Any, other: Any):
    first, second = (file_of(rich(), syntax, tmp_path / str(n)) for n, syntax in enumerate((one, other)))
    assert same_data_set(first, second)


def changed_item(dataset: Dataset) -> None:
    dataset.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.4"


def changed_private(dataset: Dataset) -> None:
    dataset[0x0019, 0x1010].value = ["1.5", "-21"]


def changed_pixel(dataset: Dataset) -> None:
    dataset.PixelData = dataset.PixelData[:-2] + b"\xff\x0f"


def one_item_less(dataset: Dataset) -> None:
    del dataset.ReferencedImageSequence[1]


def one_element_more(dataset: Dataset) -> None:
    dataset.ImageComments = "one more"


def without_pixels(dataset: Dataset) -> None:
    del dataset.PixelData


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize(
    "change", [changed_item, changed_private, changed_pixel, one_item_less, one_element_more, without_pixels]
)
def test_what_it_says_is_not(tmp_path: Path, syntax: Any, change: Callable[[Dataset], None]):
    first = file_of(rich(), ImplicitVRLittleEndian, tmp_path / "1")
    dataset = rich()
    change(dataset)
    if change is without_pixels:
        dataset = dcmread(write(dataset, tmp_path / "2"))
        path = tmp_path / "3"
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dcmwrite(path, dataset, enforce_file_format=True)
        assert not same_data_set(first, path.read_bytes())
    else:
        assert not same_data_set(first, file_of(dataset, syntax, tmp_path / "2"))


@pytest.mark.peer("dcmcrle", "dcmcjpeg", "dcmcjpls", "dcmconv")
@pytest.mark.parametrize(
    "command",
    [
        ("dcmcrle",),
        ("dcmcjpeg", "+e1"),
        ("dcmcjpeg", "+el"),
        ("dcmcjpls", "+el"),
        ("dcmconv", "-e", "+g", "+p", "64", "64"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("frames", [0, 3], ids=["one frame", "many frames"])
def test_dcmtk_encodes_it_otherwise(tmp_path: Path, command: tuple[str, ...], frames: int):
    image = enhanced_mr(frames) if frames else rich()
    plain, again, other = (tmp_path / name for name in ("plain", "again", "other"))
    write(image, plain)
    name, *options = command
    subprocess.run([program(name), *options, str(plain), str(again)], check=True, capture_output=True)
    assert again.read_bytes() != plain.read_bytes()
    assert same_data_set(plain.read_bytes(), again.read_bytes())
    assert same_data_set(again.read_bytes(), plain.read_bytes())
    changed_pixel(image)
    write(image, other)
    assert not same_data_set(other.read_bytes(), again.read_bytes())


@pytest.mark.peer("dcmcjpeg")
def test_pixels_that_were_compressed_with_loss_are_others(tmp_path: Path):
    plain, lossy = write(mr_image(), tmp_path / "plain"), tmp_path / "lossy"
    subprocess.run([program("dcmcjpeg"), "+ee", str(plain), str(lossy)], check=True, capture_output=True)
    assert not same_data_set(plain.read_bytes(), lossy.read_bytes())


def test_what_cannot_be_decoded_is_not_the_same(tmp_path: Path):
    file = file_of(rich(), ExplicitVRLittleEndian, tmp_path / "1")
    assert not same_data_set(file, file[:-100])
    assert not same_data_set(file, b"no DICOM")


def test_a_value_of_a_length_that_its_vr_cannot_have_is_not_the_same(tmp_path: Path):
    file = file_of(rich(), ExplicitVRLittleEndian, tmp_path / "1")
    rows = b"\x28\x00\x10\x00US"
    begin = file.index(rows + b"\x02\x00") + len(rows)
    assert not same_data_set(
        file, file[:begin] + b"\x03\x00" + file[begin + 2 : begin + 4] + b"\x00" + file[begin + 4 :]
    )


def associated(port: int, syntax: Any) -> Any:
    entity = AE(ae_title="SENDER")
    association = entity.associate("127.0.0.1", port, [build_context(MRImageStorage, syntax)], ae_title="MRCLIP")
    assert association.is_established
    return association


@pytest.mark.parametrize(("duplicates", "status"), [("success", 0x0000), ("refuse", 0x0111)])
def test_the_answer_to_another_data_set_is_a_setting(receiver: Start, duplicates: str, status: int):
    node = receiver(duplicates=duplicates)
    first, second = mr_image(EchoTime=10), mr_image(EchoTime=20)
    for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        association = associated(node.port, syntax)
        assert association.send_c_store(first).Status == 0x0000  # also the second time, in another transfer syntax
        assert association.send_c_store(second).Status == status
        association.release()
    path = node.spool.instance_path(SeriesInstanceUid(first.SeriesInstanceUID), SopInstanceUid(first.SOPInstanceUID))
    assert dcmread(path).EchoTime == 10
    assert dcmread(path).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    asides = node.spool.conflicts()
    assert {dcmread(aside).EchoTime for aside in asides} == {20}
    assert [line.instances for line in node.ledger.page()] == [1]


@pytest.mark.parametrize(("duplicates", "status"), [("success", 0x0000), ("refuse", 0x0111)])
def test_an_instance_under_another_series_is_another_data_set(receiver: Start, duplicates: str, status: int):
    node = receiver(duplicates=duplicates)
    first, second = mr_image(), mr_image(SeriesInstanceUID="1.2.3", StudyInstanceUID="1.2")
    association = associated(node.port, ImplicitVRLittleEndian)
    assert association.send_c_store(first).Status == 0x0000
    for _ in range(2):
        assert association.send_c_store(second).Status == status
    assert association.send_c_store(first).Status == 0x0000
    association.release()
    assert [(line.series_instance_uid, line.instances) for line in node.ledger.page()] == [(first.SeriesInstanceUID, 1)]
    (aside,) = node.spool.conflicts_of(SeriesInstanceUid(first.SeriesInstanceUID))
    assert dcmread(aside).SeriesInstanceUID == "1.2.3"
    assert node.spool.instances(SeriesInstanceUid("1.2.3")) == []


def test_two_transfer_syntaxes_at_once_are_stored_once_and_nothing_is_aside(tmp_path: Path):
    spool, start = Spool(tmp_path / "spool"), threading.Barrier(6)
    image = mr_image()
    arrivals: list[str] = []
    encoded = {}
    for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        file = file_of(image, syntax, tmp_path / "file")
        (group_2,) = (dcmread(tmp_path / "file").file_meta.FileMetaInformationGroupLength,)
        encoded[syntax] = file[132 + 12 + group_2 :]

    def send(syntax: str) -> None:
        start.wait()
        instance = EncodedInstance(
            series_instance_uid=SeriesInstanceUid(image.SeriesInstanceUID),
            sop_instance_uid=SopInstanceUid(image.SOPInstanceUID),
            sop_class_uid=image.SOPClassUID,
            transfer_syntax_uid=syntax,
            data_set=encoded[syntax],
        )
        arrivals.append(spool.store(instance).arrival)

    threads = [threading.Thread(target=send, args=(syntax,)) for syntax in encoded for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(arrivals) == ["duplicate"] * 5 + ["stored"]
    assert spool.conflicts() == []


def test_a_conflict_is_named_by_the_digest_of_its_data_set(receiver: Start):
    node = receiver()
    association = associated(node.port, ExplicitVRLittleEndian)
    for echo_time in (10, 20, 20):
        assert association.send_c_store(mr_image(EchoTime=echo_time)).Status == 0x0000
    association.release()
    (aside,) = node.spool.conflicts()
    file = aside.read_bytes()
    start = 132 + 12 + dcmread(aside).file_meta.FileMetaInformationGroupLength
    assert aside.stem.endswith(sha256(file[start:]).hexdigest())
    assert dcmread(aside).file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
