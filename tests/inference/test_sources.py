"""Files, folders, DICOMDIRs and zips: what is found, what is loaded, what is refused and why."""

import io
import os
import zipfile
from pathlib import Path

import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MediaStorageDirectoryStorage

from dicom_factory import enhanced_mr, mr_image, series, write, write_series
from inference import archives
from inference.reasons import Refused
from inference.sources import Instance, SourceFile, find, group, load


def names(*paths: Path) -> list[str]:
    return [source.member or source.path.name for source in find(paths)]


def loaded(path: Path) -> Instance:
    instance = load(SourceFile(path=path))
    assert isinstance(instance, Instance), instance
    return instance


def refusal(source: SourceFile | Path) -> Refused:
    refused = load(source if isinstance(source, SourceFile) else SourceFile(path=source))
    assert isinstance(refused, Refused)
    return refused


def test_folders_are_walked_in_order(tmp_path: Path) -> None:
    for name in ("b/2.dcm", "b/1.dcm", "a/x", "c.dcm", ".hidden/1.dcm", "b/.DS_Store"):
        write(mr_image(), tmp_path / name)
    assert names(tmp_path) == ["c.dcm", "x", "1.dcm", "2.dcm"]


def test_a_folder_that_links_to_itself_ends(tmp_path: Path) -> None:
    write(mr_image(), tmp_path / "1.dcm")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert names(tmp_path) == ["1.dcm"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert names(tmp_path) == []
    assert refusal(pipe).code == "unreadable"
    assert "not a regular file" in refusal(pipe).message


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(mr_image(), tmp_path / "open" / "1.dcm")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def forbid(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbid)
    image, closed = find([tmp_path])
    assert image.path.name == "1.dcm"
    assert (refusal(closed).code, refusal(closed).path) == ("unreadable", str(tmp_path / "closed"))


def test_a_folder_that_cannot_be_entered_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its names may be listed; nothing more is said of what they are."""
    write(mr_image(), tmp_path / "open" / "1.dcm")
    for name in ("1.dcm", "2.zip"):
        write(mr_image(), tmp_path / "closed" / name)
    stat = Path.stat

    def forbid(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path.parent.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", forbid)
    *closed, image = find([tmp_path])
    assert image.path.name == "1.dcm"
    assert [(refusal(one).code, refusal(one).message) for one in closed] == [("unreadable", "Permission denied")] * 2
    (given,) = find([tmp_path / "closed" / "1.dcm"])
    assert refusal(given).code == "unreadable"


def test_links_to_nowhere_are_passed_over(tmp_path: Path) -> None:
    write(mr_image(), tmp_path / "1.dcm")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "inside").symlink_to("1.dcm/inside")
    assert names(tmp_path) == ["1.dcm"]


def test_load_reads_the_header_and_locates_the_pixels(tmp_path: Path) -> None:
    instance = loaded(write(mr_image(EchoTime=98), tmp_path / "1.dcm"))
    assert instance.header.echo_time_ms == 98
    assert instance.modality == "MR"
    assert instance.transfer_syntax_uid == ExplicitVRLittleEndian
    assert instance.pixels is not None
    assert (instance.pixels.rows_px, instance.pixels.bits_stored, instance.pixels.frames) == (64, 12, 1)
    assert instance.dataset().PatientID == "TEST"
    assert "PixelData" not in instance.dataset()


def test_every_frame_has_its_header(tmp_path: Path) -> None:
    instance = loaded(write(enhanced_mr(5), tmp_path / "1.dcm"))
    assert [header.frame for header in instance.headers] == [1, 2, 3, 4, 5]
    assert {header.sop_instance_uid for header in instance.headers} == {instance.sop_instance_uid}


def test_no_pixels(tmp_path: Path) -> None:
    dataset = mr_image()
    del dataset.PixelData
    instance = loaded(write(dataset, tmp_path / "1.dcm"))
    assert instance.pixels is None
    assert not instance.header.has_pixels


def test_a_file_without_meta_information(tmp_path: Path) -> None:
    path = write(mr_image(EchoTime=98, transfer_syntax=ImplicitVRLittleEndian), tmp_path / "headless.dcm")
    data = path.read_bytes()
    path.write_bytes(data[data.index(b"\x08\x00\x08\x00") :])
    instance = loaded(path)
    assert instance.header.echo_time_ms == 98
    assert instance.transfer_syntax_uid == ImplicitVRLittleEndian


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "not-dicom"), (b"<html>", "not-dicom"), (bytes(128) + b"DICM", "not-dicom")],
)
def test_what_is_not_dicom_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    refused = refusal(path)
    assert (refused.code, refused.path) == (code, str(path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere.dcm").code == "unreadable"


def test_the_rest_of_a_batch_goes_on(tmp_path: Path) -> None:
    write(mr_image(), tmp_path / "1.dcm")
    (tmp_path / "2.dcm").write_bytes(b"no DICOM")
    (tmp_path / "3.dcm").write_bytes((tmp_path / "1.dcm").read_bytes()[:-10])
    write(mr_image(StudyInstanceUID=None), tmp_path / "4.dcm")
    write(mr_image(index=1), tmp_path / "5.dcm")
    results = [load(source) for source in find([tmp_path])]
    assert [result.code if isinstance(result, Refused) else "" for result in results] == [
        "", "not-dicom", "truncated", "missing-uid", "",
    ]  # fmt: skip


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def encoded(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.mark.parametrize("name", ["study.zip", "STUDY"])
def test_zip(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / name, {"a/1.dcm": encoded(mr_image(EchoTime=98)), "a/2.txt": b"x", "../../escape": b"y"})
    for given in (path, tmp_path):
        sources = list(find([given]))
        assert [source.member for source in sources] == ["a/1.dcm", "a/2.txt", "../../escape"]
    instance = load(sources[0])
    assert isinstance(instance, Instance)
    assert instance.header.echo_time_ms == 98
    assert instance.source.label == f"{path}!a/1.dcm"
    assert [refusal(source).code for source in sources[1:]] == ["not-dicom", "not-dicom"]
    with instance.stream() as stream:
        assert instance.pixels is not None
        stream.seek(instance.pixels.element.offset_bytes)
        assert stream.read() == mr_image().PixelData


def test_two_members_of_one_name_are_two_images(tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("IM1", encoded(mr_image(index=0)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("IM1", encoded(mr_image(index=1)))
    instances = [load(source) for source in find([path])]
    assert [instance.header.instance_number for instance in instances if isinstance(instance, Instance)] == [1, 2]


def test_a_member_without_a_name(tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w") as archive, archive.open(zipfile.ZipInfo(""), "w") as member:
        member.write(encoded(mr_image()))
    (source,) = find([path])
    assert isinstance(load(source), Instance)


def test_zip_bombs_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zipped(tmp_path / "bomb.zip", {"zeros": bytes(20 << 20), "small": encoded(mr_image())})
    results = [load(source) for source in find([bomb])]
    assert isinstance(results[0], Refused)
    assert results[0].code == "too-large"
    assert isinstance(results[1], Instance)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 1)
    (source,) = find([bomb])
    assert refusal(source).code == "too-large"


def test_a_broken_zip_is_refused(tmp_path: Path) -> None:
    data = zipped(tmp_path / "good.zip", {"1.dcm": encoded(mr_image())}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[:-40])
    (source,) = find([tmp_path / "cut.zip"])
    assert refusal(source).code == "unreadable"
    middle = len(data) // 2
    (tmp_path / "bad.zip").write_bytes(data[:middle] + b"\xff" * 20 + data[middle + 20 :])
    (source,) = find([tmp_path / "bad.zip"])
    assert refusal(source).code == "unreadable"


NAME = "é.dcm"


def damaged(
    folder: Path, at: bytes, offset: int, value: int, *, method: int = zipfile.ZIP_DEFLATED
) -> list[SourceFile]:
    """A zip archive of one image with one byte changed, so far behind the last `at`: of its table or its member."""
    path = folder / "odd.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(NAME, encoded(mr_image()))
    data = bytearray(path.read_bytes())
    data[data.rindex(at) + offset] = value
    path.write_bytes(data)
    return list(find([path]))


@pytest.mark.parametrize(
    ("at", "offset", "value", "says"),
    [
        (b"PK\1\2", 46, 0xFF, "the zip archive cannot be opened: 'utf-8' codec"),  # the name there
        (b"PK\1\2", 6, 99, "the zip archive cannot be opened: zip file version 9.9"),
        (b"PK\1\2", 10, 77, "the member of the archive cannot be unpacked: That compression method is not supported"),
        (b"PK\3\4", 30, 0xFF, "the member of the archive cannot be unpacked: 'utf-8' codec"),  # the name again
    ],
)
def test_an_odd_zip_is_refused(at: bytes, offset: int, value: int, says: str, tmp_path: Path) -> None:
    (source,) = damaged(tmp_path, at, offset, value)
    assert refusal(source).code == "unreadable"
    assert refusal(source).message.startswith(says)


def test_a_broken_lzma_member_is_refused(tmp_path: Path) -> None:
    (source,) = damaged(tmp_path, b"PK\3\4", 30 + len(NAME.encode()) + 4, 0xFF, method=zipfile.ZIP_LZMA)
    assert refusal(source).code == "unreadable"


def dicomdir(folder: Path, *file_ids: list[str]) -> Path:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = MediaStorageDirectoryStorage, "1.2.3"
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = (
        dataset.SOPClassUID,
        "1.2.3",
    )
    records = [Dataset()]
    records[0].DirectoryRecordType = "PATIENT"
    with disable_value_validation():  # a file ID that leads out of the folder is no valid one
        for file_id in file_ids:
            record = Dataset()
            record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", file_id
            records.append(record)
        dataset.DirectoryRecordSequence = records
        return write(dataset, folder / "DICOMDIR")


def test_dicomdir(tmp_path: Path) -> None:
    write(mr_image(EchoTime=98), tmp_path / "disc" / "IMAGES" / "MR1")
    write(mr_image(index=1), tmp_path / "disc" / "images2" / "mr2")
    write(mr_image(index=2), tmp_path / "disc" / "NOT" / "REFERRED")
    path = dicomdir(tmp_path / "disc", ["IMAGES", "MR1"], ["IMAGES2", "MR2"])
    assert [source.path.name for source in find([path])] == ["MR1", "mr2"]  # copied discs come in lower case
    assert all(isinstance(load(source), Instance) for source in find([path]))
    assert names(tmp_path / "disc") == ["MR1", "REFERRED", "mr2"]  # the folder holds more than its directory says


@pytest.mark.parametrize(
    "file_id", [["..", "SECRET"], ["A/../../SECRET"], ["/", "etc", "passwd"], ["LINK", "SECRET"], ["."]]
)
def test_a_dicomdir_does_not_lead_out_of_its_folder(tmp_path: Path, file_id: list[str]) -> None:
    write(mr_image(), tmp_path / "SECRET")
    path = dicomdir(tmp_path / "disc", file_id)
    (tmp_path / "disc" / "LINK").symlink_to(tmp_path)
    (source,) = find([path])
    refused = refusal(source)
    assert refused.code == "unreadable"
    assert "ReferencedFileID (0004,1500)" in refused.message


@pytest.mark.parametrize("file_id", [["A" * 300], ["CIRCLE"], ["CIRCLE", "MR1"]])
def test_a_file_id_that_cannot_be_followed_is_refused(tmp_path: Path, file_id: list[str]) -> None:
    write(mr_image(), tmp_path / "MR1")
    (tmp_path / "CIRCLE").symlink_to("CIRCLE")
    odd, image = find([dicomdir(tmp_path, file_id, ["MR1"])])
    assert refusal(odd).code == "unreadable"
    assert isinstance(load(image), Instance)


def test_a_dicomdir_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "DICOMDIR").write_bytes(b"no directory")
    (source,) = find([tmp_path / "DICOMDIR"])
    assert refusal(source).code == "not-dicom"


def test_group_by_series(tmp_path: Path) -> None:
    paths = [*write_series(series(3, seed="a"), tmp_path / "a"), *write_series(series(2, seed="b"), tmp_path / "b")]
    by_series, refused = group(loaded(path) for path in paths)
    assert [len(instances) for instances in by_series.values()] == [3, 2]
    assert refused == []


def test_the_same_data_set_counts_once(tmp_path: Path) -> None:
    first = write(mr_image(), tmp_path / "1.dcm")
    again = mr_image()
    again.file_meta.ImplementationVersionName = "ANOTHER RECEIVER"
    second = write(again, tmp_path / "2.dcm")
    by_series, refused = group([loaded(first), loaded(second)])
    assert [len(instances) for instances in by_series.values()] == [1]
    assert refused == []


def test_another_data_set_under_the_same_uid_is_refused(tmp_path: Path) -> None:
    first = write(mr_image(EchoTime=10), tmp_path / "1.dcm")
    second = write(mr_image(EchoTime=20), tmp_path / "2.dcm")
    by_series, refused = group([loaded(first), loaded(second)])
    assert [instance.source.path for instances in by_series.values() for instance in instances] == [first]
    assert [(one.path, one.code) for one in refused] == [(str(second), "duplicate-uid")]
    assert "SOPInstanceUID (0008,0018)" in refused[0].message


def test_a_file_that_has_changed_does_not_stop_grouping(tmp_path: Path) -> None:
    first, second = write(mr_image(), tmp_path / "1.dcm"), write(mr_image(), tmp_path / "2.dcm")
    instances = [loaded(first), loaded(second)]
    second.write_bytes(b"")
    by_series, (refused,) = group(instances)
    assert [len(found) for found in by_series.values()] == [1]
    assert (refused.code, refused.path) == ("unreadable", str(second))
    with pytest.raises(OSError, match="neither the DICM prefix"):
        instances[1].dataset()


def test_a_file_that_is_gone_does_not_stop_grouping(tmp_path: Path) -> None:
    first, second = write(mr_image(), tmp_path / "1.dcm"), write(mr_image(), tmp_path / "2.dcm")
    instances = [loaded(first), loaded(second)]
    second.unlink()
    by_series, refused = group(instances)
    assert [len(found) for found in by_series.values()] == [1]
    assert [one.code for one in refused] == ["unreadable"]
