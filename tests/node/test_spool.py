"""The spool: bytes are whole under their name or not there at all, and no name comes from a peer."""

import errno
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from dicom_factory import mr_image
from dicom_node.errors import CannotUnderstandError, OutOfResourcesError, SpoolFullError
from dicom_node.ledger.records import Job, Outcome, ReportRow, instances_digest
from dicom_node.receive import files
from dicom_node.receive.part10 import DEEPEST, IMPLEMENTATION_VERSION_NAME, identify, read_file_meta
from dicom_node.receive.quarantine import Quarantine, StoreRequest
from dicom_node.receive.spool import EncodedInstance, Spool
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid


def encoded(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The data set without preamble and group 2, as it goes over the wire."""
    encoded = encode(dataset, syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian)
    assert encoded is not None
    return encoded


def instance(data_set: bytes, *, series: str = "1.2.3", uid: str = "1.2.3.4") -> EncodedInstance:
    return EncodedInstance(
        series_instance_uid=SeriesInstanceUid(series),
        sop_instance_uid=SopInstanceUid(uid),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        data_set=data_set,
        sending_aet="SCANNER",
    )


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def everything(spool: Spool) -> list[Path]:
    return sorted(path for path in spool.root.rglob("*") if path.is_file())


def test_an_instance_is_a_part_10_file_with_its_bytes_untouched(spool: Spool):
    dataset = mr_image(PatientName="Doe^Jane")
    data_set = encoded(dataset)
    stored = spool.store(instance(data_set, series=dataset.SeriesInstanceUID, uid=dataset.SOPInstanceUID))
    assert stored.arrival == "stored"
    whole = stored.path.read_bytes()
    assert whole.endswith(data_set)
    read = dcmread(stored.path)
    assert read == dataset
    assert read.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
    assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert read.file_meta.SendingApplicationEntityTitle == "SCANNER"
    assert read.file_meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert read.file_meta.FileMetaInformationGroupLength == len(whole) - len(data_set) - 144


def test_names_are_digests_of_uids(spool: Spool):
    path = spool.store(instance(b"data", series="1.2.3", uid="1.2.3.4")).path
    series, name = sha256(b"1.2.3").hexdigest(), sha256(b"1.2.3.4").hexdigest()
    assert path == spool.root / "instances" / series / f"{name}.dcm"
    assert spool.instance_path(SeriesInstanceUid("1.2.3"), SopInstanceUid("1.2.3.4")) == path
    assert spool.instances(SeriesInstanceUid("1.2.3")) == [path]
    assert spool.instances(SeriesInstanceUid("9.9")) == []


def test_the_same_data_set_is_stored_once(spool: Spool):
    first = spool.store(instance(b"data"))
    # another sender, another group 2
    second = spool.store(
        EncodedInstance(
            series_instance_uid=SeriesInstanceUid("1.2.3"),
            sop_instance_uid=SopInstanceUid("1.2.3.4"),
            sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            data_set=b"data",
        )
    )
    assert (second.arrival, second.path) == ("duplicate", first.path)
    assert everything(spool) == [first.path]


def test_another_data_set_under_the_same_uid_is_kept_aside(spool: Spool):
    first = spool.store(instance(b"first"))
    for _ in range(2):
        second = spool.store(instance(b"second"))
        assert second.arrival == "conflict"
        assert second.path.stem.endswith(sha256(b"second").hexdigest())
    assert first.path.read_bytes().endswith(b"first")
    assert spool.conflicts() == [second.path]
    assert spool.store(instance(b"first")).arrival == "duplicate"


def test_what_is_set_aside_is_whole_under_one_name(spool: Spool):
    one = instance(b"first")
    stored = spool.store(one)
    file = stored.path.read_bytes()
    for _ in range(2):
        spool.set_aside(one.series_instance_uid, one.sop_instance_uid)
        (aside,) = everything(spool)
        assert aside == spool.conflict_path(one.sop_instance_uid, b"first")
        assert aside.read_bytes() == file
    assert spool.store(one).arrival == "stored"  # its sender does not know, and repeats it
    spool.set_aside(one.series_instance_uid, one.sop_instance_uid)
    assert everything(spool) == [aside]


def test_of_two_that_arrive_at_once_one_stays_and_none_is_lost(spool: Spool):
    start = threading.Barrier(8)
    arrivals: list[str] = []

    def send(number: int) -> None:
        start.wait()
        arrivals.append(spool.store(instance(b"%d" % (number % 2) * 100_000)).arrival)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(arrivals) == ["conflict"] * 4 + ["duplicate"] * 3 + ["stored"]
    assert len(everything(spool)) == 2


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, SpoolFullError), (errno.EDQUOT, SpoolFullError), (errno.EIO, OutOfResourcesError)],
)
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_disk_that_says_no_leaves_nothing_behind(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception], call: str
):
    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    if call == "write":
        monkeypatch.setattr(files, "_write", fail)
    else:
        monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(error, match=errno.errorcode[number]):
        spool.store(instance(b"data"))
    assert everything(spool) == []


def test_a_file_that_cannot_be_read_again_is_a_reason_to_come_later(spool: Spool, monkeypatch: pytest.MonkeyPatch):
    one = instance(b"first")
    stored = spool.store(one)

    def stale(path: Path) -> bytes:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", stale)
        with pytest.raises(OutOfResourcesError, match=r"cannot be read \(ESTALE\)"):
            spool.store(one)
        with pytest.raises(OutOfResourcesError, match=r"cannot be read \(ESTALE\)"):
            spool.set_aside(one.series_instance_uid, one.sop_instance_uid)
    assert everything(spool) == [stored.path]


def test_what_retention_takes_away_while_it_comes_again_is_stored_once_more(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
):
    one = instance(b"first")
    path, read = spool.store(one).path, Path.read_bytes

    def gone(asked: Path) -> bytes:
        path.unlink(missing_ok=True)
        return read(asked)

    monkeypatch.setattr(Path, "read_bytes", gone)
    assert spool.store(one).arrival == "stored"
    assert everything(spool) == [path]


def test_a_spool_below_its_reserve_takes_nothing(tmp_path: Path):
    spool = Spool(tmp_path / "spool", reserve_bytes=1 << 60)
    with pytest.raises(SpoolFullError, match="kept in reserve") as caught:
        spool.store(instance(b"data"))
    assert (caught.value.status, caught.value.retry) == (0xA700, True)
    assert everything(spool) == []


def test_cleaning_removes_what_a_crash_left_and_nothing_else(spool: Spool):
    stored = spool.store(instance(b"data")).path
    (stored.parent / f"{stored.name}.123-abc.part").write_bytes(b"da")
    (spool.root / "reports" / "x.dcm.1-a.part").write_bytes(b"")
    assert spool.clean() == 2
    assert everything(spool) == [stored]


def test_what_somebody_is_writing_is_not_cleaned_away(spool: Spool):
    written, cleaned = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield b"half, "
        written.set()
        assert cleaned.wait(10)
        yield b"whole"

    path = spool.root / "reports" / "x.dcm"
    thread = threading.Thread(target=lambda: files.write_whole(path, slowly(), replace=False))
    thread.start()
    assert written.wait(10)
    assert Spool(spool.root).clean() == 0
    cleaned.set()
    thread.join()
    assert path.read_bytes() == b"half, whole"
    assert everything(spool) == [path]


def test_a_part_that_is_cleaned_away_before_it_is_locked_is_begun_again(spool: Spool, monkeypatch: pytest.MonkeyPatch):
    flock, counts = fcntl.flock, list[int]()

    def late(file: Any, how: int) -> None:
        if not counts:
            monkeypatch.setattr(files.fcntl, "flock", flock)
            counts.append(spool.clean())
        flock(file, how)

    path = spool.root / "reports" / "x.dcm"
    monkeypatch.setattr(files.fcntl, "flock", late)
    assert files.write_whole(path, [b"whole"], replace=True)
    assert counts == [1]
    assert path.read_bytes() == b"whole"
    assert everything(spool) == [path]


def test_what_is_written_is_synced_before_its_name_and_its_name_before_the_answer(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
):
    spool.store(instance(b"first", uid="1"))  # makes the folder
    happened: list[str] = []
    fsync, link, unlink = os.fsync, os.link, os.unlink

    def on(name: str, call: Any) -> Any:
        def recorded(*arguments: Any, **options: Any) -> Any:
            what = "folder" if name == "fsync" and Path(f"/proc/self/fd/{arguments[0]}").is_dir() else ""
            happened.append(name + what)
            return call(*arguments, **options)

        return recorded

    monkeypatch.setattr(os, "fsync", on("fsync", fsync))
    monkeypatch.setattr(os, "link", on("link", link))
    monkeypatch.setattr(os, "unlink", on("unlink", unlink))
    spool.store(instance(b"second", uid="2"))
    assert happened == ["fsync", "link", "unlink", "fsyncfolder"]


def test_the_folder_of_a_series_is_synced_by_each_process_that_uses_it(spool: Spool, monkeypatch: pytest.MonkeyPatch):
    spool.store(instance(b"data", uid="1"))
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    Spool(spool.root).store(instance(b"data", uid="2"))
    assert spool.root / "instances" in synced


def filed(path_uid: str = "2.25.1") -> tuple[Job, Outcome]:
    uids = (SopInstanceUid("1.2.3.4"),)
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    job = Job(
        study_instance_uid=StudyInstanceUid("1.2"),
        series_instance_uid=SeriesInstanceUid("1.2.3"),
        modality="MR",
        sop_instance_uids=uids,
        instances_digest=instances_digest(uids),
        reader_digest="r1",
        created_at=now,
        predecessor_uid=SopInstanceUid("2.25.0"),
        attempt=1,
        owner="w",
        token=1,
        lease_until=now + timedelta(seconds=60),
        first_at=now,
        last_at=now,
    )
    report = ReportRow(
        sop_instance_uid=SopInstanceUid(path_uid),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        series_instance_uid=SeriesInstanceUid("2.25.9"),
    )
    outcome = Outcome(
        document='{"contrast": "T2"}',
        contrast="T2",
        score=0.25,
        p_value=None,
        flagged=True,
        report=report,
        destinations=("pacs",),
        claims='["T1"]',
    )
    return job, outcome


def report_object() -> Dataset:
    report = Dataset()
    report.SOPClassUID, report.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.34", "2.25.1"
    report.SeriesInstanceUID, report.Modality = "2.25.9", "SR"
    report.file_meta = mr_image().file_meta
    report.file_meta.MediaStorageSOPInstanceUID, report.file_meta.MediaStorageSOPClassUID = "2.25.1", report.SOPClassUID
    return report


def test_a_report_and_its_reading_come_back(spool: Spool):
    job, outcome = filed()
    path = spool.store_report(report_object(), job=job, outcome=outcome)
    again = spool.store_report(report_object(), job=job, outcome=outcome)
    assert path == again == spool.report_path(SopInstanceUid("2.25.1"))
    assert dcmread(path).Modality == "SR"
    (found,) = spool.reports()
    assert (found.series_instance_uid, found.instances_digest, found.reader_digest) == (
        "1.2.3",
        job.instances_digest,
        "r1",
    )
    assert (found.created_at, found.predecessor_uid, found.outcome) == (job.created_at, "2.25.0", outcome)
    assert spool.reports(but=[SopInstanceUid("2.25.1")]) == []


def test_a_report_whose_note_was_not_written_does_not_count(spool: Spool):
    job, outcome = filed()
    spool.store_report(report_object(), job=job, outcome=outcome).with_suffix(".json").unlink()
    assert spool.reports() == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "\0\0", '{"outcome": null}', '{"outcome": {"report": "x"}}'])
def test_a_note_that_cannot_be_understood_is_logged_and_left_out(
    spool: Spool, text: str, caplog: pytest.LogCaptureFixture
):
    job, outcome = filed()
    path = spool.store_report(report_object(), job=job, outcome=outcome)
    broken = path.with_name(f"{'0' * 64}.json")
    broken.write_text(text)
    broken.with_suffix(".dcm").write_bytes(b"")
    assert [report.series_instance_uid for report in spool.reports()] == ["1.2.3"]
    assert [record.getMessage() for record in caplog.records] == ["a note of a report cannot be understood"]
    assert broken.exists()


def test_what_goes_with_a_report_replaces_what_went_with_it(spool: Spool):
    report = SopInstanceUid("2.25.1")
    assert spool.companions(report) == []
    spool.store_companions(report, [report_object(), mr_image()])
    first, second = spool.companions(report)
    assert (dcmread(first).Modality, dcmread(second).Modality) == ("SR", "MR")
    spool.store_companions(report, [mr_image()])
    (only,) = spool.companions(report)
    assert dcmread(only).Modality == "MR"
    only.with_name("00.dcm.1-a.part").write_bytes(b"")
    assert spool.clean() == 1
    spool.store_companions(report, [])
    assert spool.companions(report) == spool.companions(SopInstanceUid("2.25.2")) == []


def test_quarantine_keeps_request_and_reason(tmp_path: Path):
    quarantine = Quarantine(tmp_path)
    request = StoreRequest(
        sop_class_uid="not a uid",
        sop_instance_uid="1.2",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        data_set=b"garbage",
        calling_aet="SCANNER",
    )
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(2):
        path = quarantine.keep(request, reason="no UID", status=0xC000, now=now)
    assert json.loads(path.with_suffix(".json").read_text())["reason"] == "no UID"
    (entry,) = quarantine.entries()
    assert (entry.reason, entry.status, entry.received_at, entry.request) == ("no UID", 0xC000, now, request)
    assert quarantine.count() == 1
    quarantine.remove(entry)
    assert list(quarantine.entries()) == []


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_data_set_says_who_it_is_in_every_encoding(syntax: str):
    dataset = mr_image(Modality="MR")
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    item.PurposeOfReferenceCodeSequence = [Dataset()]
    item.PurposeOfReferenceCodeSequence[0].CodeMeaning = "nested"
    for undefined in (False, True):
        dataset.ReferencedImageSequence = [item, item]
        dataset["ReferencedImageSequence"].is_undefined_length = undefined
        item.is_undefined_length_sequence_item = undefined
        identity = identify(encoded(dataset, syntax), syntax)
        assert identity.study_instance_uid == dataset.StudyInstanceUID
        assert identity.series_instance_uid == dataset.SeriesInstanceUID
        assert identity.sop_instance_uid == dataset.SOPInstanceUID
        assert (identity.sop_class_uid, identity.modality) == (dataset.SOPClassUID, "MR")


@pytest.mark.shared_data
def test_real_data_sets_say_who_they_are_as_pydicom_reads_them(shared: Path):
    paths = sorted((shared / "data" / "real-mr").rglob("*.dcm"))
    assert len(paths) > 200
    for path in paths:
        whole = memoryview(path.read_bytes())
        meta = read_file_meta(whole)
        identity = identify(whole[meta.data_set_offset :], meta.transfer_syntax_uid)
        read = dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID", "SOPInstanceUID", "Modality"])
        assert (identity.series_instance_uid, identity.sop_instance_uid, identity.modality) == (
            read.SeriesInstanceUID,
            read.SOPInstanceUID,
            read.Modality,
        )


@pytest.mark.parametrize("modality", ["M\0R", "M\nR", "M" * 17])
def test_a_modality_that_is_none_is_unknown(modality: str):
    dataset = mr_image()
    dataset["Modality"]._value = modality
    assert identify(encoded(dataset), ExplicitVRLittleEndian).modality is None


@pytest.mark.parametrize(("sender", "said"), [(b"MR1 ", "MR1"), (b"M\0R1", None), (b"M" * 18, None), (b"", None)])
def test_a_sender_that_is_no_title_is_unknown(sender: bytes, said: str | None):
    syntax = b"\x02\x00\x10\x00UI\x14\x00" + b"1.2.840.10008.1.2.1\0"
    title = b"\x02\x00\x17\x00AE" + len(sender).to_bytes(2, "little") + sender
    assert read_file_meta(memoryview(bytes(128) + b"DICM" + syntax + title)).sending_aet == said


def nested(levels: int) -> bytes:
    """A data set that begins with sequences in sequences, all of undefined length (Explicit VR Little Endian)."""
    sequence = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\x00\x00\x00\x00" + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    return sequence * levels + end * levels + encoded(mr_image())


def test_nested_sequences_are_walked_and_bounded():
    assert identify(nested(DEEPEST), ExplicitVRLittleEndian).modality == "MR"
    for levels in (DEEPEST + 1, 200, 100_000):
        with pytest.raises(CannotUnderstandError, match="nested deeper than 64"):
            identify(nested(levels), ExplicitVRLittleEndian)


@pytest.mark.parametrize(
    ("data_set", "reason"),
    [
        (b"", "SOP Instance UID|Study Instance UID"),
        (b"GIF89a is not DICOM", "ends inside|has no VR|is missing"),
        (b"\x08\x00\x16\x00UI\x64\x00" + b"1.2", r"the data set ends inside \(0008,0016\)"),
        (b"\x08\x00", "the data set ends inside an element"),
        (nested(1)[:20], "the data set ends inside a sequence"),
    ],
)
def test_what_cannot_be_parsed_has_a_reason(data_set: bytes, reason: str):
    with pytest.raises(CannotUnderstandError, match=reason) as caught:
        identify(data_set, ExplicitVRLittleEndian)
    assert (caught.value.status, caught.value.retry) == (0xC000, False)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_a_uid_that_is_missing_or_none_is_named_and_not_quoted(keyword: str):
    with pytest.raises(CannotUnderstandError, match="is missing"):
        identify(encoded(mr_image(**{keyword: None})), ExplicitVRLittleEndian)
    dataset = mr_image()
    dataset[keyword]._value = "../Doe^Jane"
    with pytest.raises(CannotUnderstandError, match="is not a UID") as caught:
        identify(encoded(dataset), ExplicitVRLittleEndian)
    assert "Doe" not in str(caught.value)
