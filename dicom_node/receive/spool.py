"""The spool: the bytes of every instance as received, the reports made from them, and what contradicts either.

    instances/<sha256 of Series Instance UID>/<sha256 of SOP Instance UID>.dcm    Part 10 files
    conflicts/<sha256 of SOP Instance UID>-<sha256 of data set>.dcm               another data set under a known UID
    reports/<sha256 of SOP Instance UID>.dcm, .json                               a report and the reading it reports
    companions/<sha256 of SOP Instance UID of a report>/<number>.dcm              what goes with a report
    reviews/<sha256 of the file>.json                                             what a person said to a reading
    spool-id                                                                      by which nodes know whose it is

A name that exists is a file that is whole. No path is built from a received string.
"""

import json
import logging
import os
import threading
from collections.abc import Generator, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal

from pydicom import Dataset

from dicom_node.errors import NodeError, SpoolFullError
from dicom_node.ledger.records import FiledReport, Job, Outcome, Profile, ReportRow, Review
from dicom_node.receive.files import (
    make_folder,
    move_whole,
    read_whole,
    remove_parts,
    settle,
    write_sealed,
    write_whole,
)
from dicom_node.receive.part10 import file_meta, read_file_meta
from dicom_node.receive.sameness import same_data_set
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid

log = logging.getLogger(__name__)

Arrival = Literal["stored", "duplicate", "conflict"]

_REMEMBERED: Final = 4096  # folders known to be synced; forgetting one costs one more sync


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedInstance:
    """One instance as its sender encoded it, with the UIDs that its data set states."""

    series_instance_uid: SeriesInstanceUid
    sop_instance_uid: SopInstanceUid
    sop_class_uid: str
    transfer_syntax_uid: str
    data_set: bytes | memoryview
    sending_aet: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredInstance:
    """Where an instance lies: stored, there already (duplicate), or aside since another has its UID (conflict)."""

    name: str  # of its file, with all folders
    arrival: Arrival

    @property
    def path(self) -> Path:
        """Its file."""
        return Path(self.name)

    def exists(self) -> bool:
        """Whether it is still there."""
        return os.path.exists(self.name)  # noqa: PTH110 - asked for every instance


class Spool:
    """A folder that threads and processes may write to at once."""

    def __init__(self, root: Path, *, reserve_bytes: int = 0, settled: bool = True) -> None:
        """Open or make the spool; nothing more is taken in once less than `reserve_bytes` would be free.

        Without `settled` an instance costs one sync instead of two. Until `settle` is called, which is for the caller
        to see to, a power cut may leave it under the name of its part; `clean` gives it its own.
        """
        self.root = root
        self._settled = settled
        self._reserve_bytes = reserve_bytes
        self._instances, self._conflicts, self._reports, self._companions, self._reviews = (
            root / name for name in ("instances", "conflicts", "reports", "companions", "reviews")
        )
        self._synced: dict[SeriesInstanceUid, str] = {}
        self._unsettled: dict[str, list[str]] = {}  # parts of files whose name is not synced, by folder
        self._turn = threading.Lock()
        root.mkdir(mode=0o750, parents=True, exist_ok=True)
        for folder in (self._instances, self._conflicts, self._reports, self._companions, self._reviews):
            make_folder(folder)

    def instance_path(self, series: SeriesInstanceUid, instance: SopInstanceUid) -> Path:
        """Where an instance lies once it is stored."""
        return self.series_folder(series) / f"{_name(instance)}.dcm"

    def series_folder(self, series: SeriesInstanceUid) -> Path:
        """Where the instances of a series lie."""
        return self._instances / _name(series)

    def instances(self, series: SeriesInstanceUid) -> list[Path]:
        """The files of a series, in no meaningful order; empty if there are none."""
        return sorted(self.series_folder(series).glob("*.dcm"))

    def store(self, instance: EncodedInstance) -> StoredInstance:
        """Keep an instance. Its bytes are whole and synced when this returns, unless it was there before.

        The same data set under the same UID is stored once, whatever group 2 would say and in whatever transfer
        syntax it comes again. Another data set under a known UID is kept aside: the first one stays the one that is
        read. Raises SpoolFullError or OutOfResourcesError, with nothing left behind.
        """
        self.check_room(len(instance.data_set))
        # Names as text: this is done for every instance, and an object around each costs.
        name = f"{self._made_folder(instance.series_instance_uid)}/{_name(instance.sop_instance_uid)}.dcm"
        meta = file_meta(
            sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.sop_instance_uid,
            transfer_syntax_uid=instance.transfer_syntax_uid,
            sending_aet=instance.sending_aet,
            data_set_bytes=len(instance.data_set),
        )
        chunks = (meta, instance.data_set)
        if not os.path.exists(name) and self._write(name, chunks):  # noqa: PTH110
            return StoredInstance(name=name, arrival="stored")
        path = Path(name)
        try:
            same = _same_data_set(path, meta, instance.data_set)
        except FileNotFoundError:  # retention took its series away just now: once more
            return self.store(instance)
        if same:
            settle(path.parent, ())  # whoever stored it may not have come so far yet
            return StoredInstance(name=name, arrival="duplicate")
        aside = self.conflict_path(instance.sop_instance_uid, instance.data_set)
        write_whole(aside, chunks, replace=False)
        return StoredInstance(name=os.fspath(aside), arrival="conflict")

    def settle(self) -> None:
        """Sync the names of instances that were stored since, where each of them is not synced by itself."""
        with self._turn:
            unsettled, self._unsettled = self._unsettled, {}
        for folder, parts in unsettled.items():
            try:
                settle(Path(folder), parts)
            except NodeError as error:  # they keep the names of their parts, which are synced
                log.warning("names not synced", extra={"count": len(parts), "reason": str(error)})

    def set_aside(self, series: SeriesInstanceUid, instance: SopInstanceUid) -> None:
        """Keep a stored instance apart as one that another has the UID of; twice is harmless.

        Raises OutOfResourcesError, or CannotUnderstandError where it is no file of the spool.
        """
        path = self.instance_path(series, instance)
        try:
            file = read_whole(path)
        except FileNotFoundError:  # somebody else did it
            return
        move_whole(path, self.conflict_path(instance, file[read_file_meta(file).data_set_offset :]))

    def conflict_path(self, instance: SopInstanceUid, data_set: bytes | memoryview) -> Path:
        """Where a data set lies that came under the UID of another one."""
        return self._conflicts / f"{_name(instance)}-{sha256(data_set).hexdigest()}.dcm"

    def check_room(self, size_bytes: int) -> None:
        """Raise SpoolFullError if `size_bytes` more would go below the reserve."""
        disk = os.statvfs(self.root)
        free = disk.f_bavail * disk.f_frsize
        if free - size_bytes < self._reserve_bytes:
            raise SpoolFullError(
                f"the disk of the spool has {free} bytes free; {self._reserve_bytes} are kept in reserve"
            )

    def report_path(self, report: SopInstanceUid) -> Path:
        """Where a report lies once it is stored."""
        return self._reports / f"{_name(report)}.dcm"

    def store_report(self, report: Dataset, *, job: Job, outcome: Outcome) -> Path:
        """Keep a report (with its file meta information) and the reading it reports; the same one twice is harmless."""
        buffer = BytesIO()
        report.save_as(buffer, enforce_file_format=True)
        path = self.report_path(SopInstanceUid(report.SOPInstanceUID))
        write_whole(path, [buffer.getbuffer()], replace=True)
        # The note comes last: a report without one was never entered into the ledger, and is made again.
        write_whole(path.with_suffix(".json"), [json.dumps(_note(job, outcome)).encode()], replace=True)
        return path

    def store_companions(self, report: SopInstanceUid, companions: Sequence[Dataset]) -> None:
        """Keep what goes with a report, in place of what went with it before."""
        folder = self.companions_folder(report) if companions else self._companions / _name(report)
        kept = [folder / f"{number:02}.dcm" for number in range(len(companions))]
        for path, companion in zip(kept, companions, strict=True):
            buffer = BytesIO()
            companion.save_as(buffer, enforce_file_format=True)
            write_whole(path, [buffer.getbuffer()], replace=True)
        for path in set(self.companions(report)).difference(kept):
            path.unlink()

    def companions_folder(self, report: SopInstanceUid) -> Path:
        """Where what goes with a report lies; made where it does not exist."""
        folder = self._companions / _name(report)
        make_folder(folder)
        return folder

    def companions(self, report: SopInstanceUid) -> list[Path]:
        """What goes with a report, in its order; empty if nothing does."""
        return sorted((self._companions / _name(report)).glob("*.dcm"))

    def reports(self, *, but: Iterable[SopInstanceUid] = ()) -> list[FiledReport]:
        """Reports with the readings they report, the oldest reading first; all but some.

        A note that cannot be understood is logged and left: the others are not to wait for it.
        """
        known = {_name(uid) for uid in but}
        notes = (note for note in self._reports.glob("*.json") if note.stem not in known)
        filed = (_read_note(note) for note in notes if note.with_suffix(".dcm").exists())
        return sorted((one for one in filed if one is not None), key=lambda report: report.created_at)

    def store_review(self, review: Review) -> str:
        """Keep what a person said, for good; the digest that names it."""
        text = json.dumps({"schema": "mrclip.review/1", **asdict(review)}, default=datetime.isoformat).encode()
        digest = sha256(text).hexdigest()
        write_whole(self._reviews / f"{digest}.json", [text], replace=False)
        return digest

    def reviews(self, *, but: Iterable[str] = ()) -> Generator[tuple[str, Review]]:
        """Every review with its digest; all but some, by that."""
        known = set(but)
        for path in sorted(self._reviews.glob("*.json")):
            if path.stem not in known:
                said: dict[str, Any] = json.loads(path.read_bytes())
                del said["schema"]
                said["at"] = datetime.fromisoformat(said["at"])
                yield path.stem, Review(**said)

    def series_folders(self) -> Generator[Path]:
        """Folders of series."""
        yield from self._instances.iterdir()

    def has_others(self, series: SeriesInstanceUid, known: Iterable[SopInstanceUid]) -> bool:
        """Whether the folder of a series has a file that is none of these instances; no file is opened."""
        names = {f"{_name(uid)}.dcm" for uid in known}
        try:
            found = os.listdir(self.series_folder(series))  # noqa: PTH208 - asked for every series there is
        except FileNotFoundError:  # retention took it out
            return False
        return any(name.endswith(".dcm") and name not in names for name in found)

    def conflicts_of(self, series: SeriesInstanceUid) -> list[Path]:
        """Data sets that came under the UID of an instance of this series, and are kept aside."""
        here = {path.stem for path in self.instances(series)}
        return [path for path in self.conflicts() if path.stem.partition("-")[0] in here]

    def conflicts(self) -> list[Path]:
        """Data sets that came under the UID of another one."""
        return sorted(self._conflicts.glob("*.dcm"))

    def clean(self) -> int:
        """Remove what a crash left half written, and nothing that another process is writing; how many files.

        An instance that is whole under the name of its part gets its own name back.
        """
        single = (self._conflicts, self._reports, self._reviews)
        folders: Iterable[Path] = (*single, *self._companions.iterdir())
        instances = sum(remove_parts(folder, keep=self._keep) for folder in self._instances.iterdir())
        return sum(map(remove_parts, folders)) + instances

    def _write(self, name: str, chunks: Sequence[bytes | memoryview]) -> bool:
        if self._settled:
            return write_whole(Path(name), chunks, replace=False)
        part = write_sealed(name, chunks)
        if part is None:
            return False
        with self._turn:
            self._unsettled.setdefault(os.path.dirname(name), []).append(part)  # noqa: PTH120
        return True

    def _keep(self, part: Path, path: Path) -> bool:
        """Give a part that is whole its name; whether it has it, or another file that says the same."""
        try:
            if path.exists() and not path.samefile(part):
                file = read_whole(part)
                begin = read_file_meta(file).data_set_offset
                if not _same_data_set(path, bytes(file[:begin]), file[begin:]):
                    path = self._conflicts / f"{path.stem}-{sha256(file[begin:]).hexdigest()}.dcm"
            move_whole(part, path)
        except NodeError as error:  # it stays for the next start
            log.warning("an instance is not named", extra={"reason": str(error)})
            return False
        return True

    def _made_folder(self, series: SeriesInstanceUid) -> str:
        known = self._synced.get(series)
        if known is not None and os.path.exists(known):  # noqa: PTH110 - retention takes folders away
            return known
        folder = self.series_folder(series)
        make_folder(folder)
        if len(self._synced) >= _REMEMBERED:
            self._synced.clear()
        return self._synced.setdefault(series, os.fspath(folder))


def _name(uid: str) -> str:
    return sha256(uid.encode("ascii")).hexdigest()


def _same_data_set(path: Path, meta: bytes, data_set: bytes | memoryview) -> bool:
    stored, offered = read_whole(path), read_file_meta(memoryview(meta))
    said = read_file_meta(stored)
    if said.transfer_syntax_uid == offered.transfer_syntax_uid and stored[said.data_set_offset :] == data_set:
        return True
    return same_data_set(stored, b"".join((meta, data_set)))


def _note(job: Job, outcome: Outcome) -> dict[str, Any]:
    return {
        "schema": "mrclip.filed/1",
        "study_instance_uid": job.study_instance_uid,
        "series_instance_uid": job.series_instance_uid,
        "instances_digest": job.instances_digest,
        "reader_digest": job.reader_digest,
        "created_at": job.created_at.isoformat(),
        "predecessor_uid": job.predecessor_uid,
        "outcome": asdict(outcome),
    }


def _read_note(path: Path) -> FiledReport | None:
    try:
        return _filed(json.loads(path.read_bytes()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("a note of a report cannot be understood", extra={"reason": f"{path.name}: {type(error).__name__}"})
        return None


def _filed(note: dict[str, Any]) -> FiledReport:
    said = note["outcome"]
    outcome = Outcome(
        document=said["document"],
        contrast=said["contrast"],
        score=said["score"],
        p_value=said["p_value"],
        flagged=said["flagged"],
        report=ReportRow(**said["report"]),
        destinations=tuple(said["destinations"]),
        profile=Profile(**said["profile"]) if said.get("profile") else None,
        claims=said.get("claims"),
    )
    return FiledReport(
        study_instance_uid=StudyInstanceUid(note["study_instance_uid"]),
        series_instance_uid=SeriesInstanceUid(note["series_instance_uid"]),
        instances_digest=note["instances_digest"],
        reader_digest=note["reader_digest"],
        created_at=datetime.fromisoformat(note["created_at"]),
        predecessor_uid=note["predecessor_uid"],
        outcome=outcome,
    )
