"""What a peer sent and the node could not understand, with its reason, so that it can be looked at and replayed.

quarantine/<sha256 of data set>.dcm, .json
"""

import json
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Self

from pydicom.uid import ImplicitVRLittleEndian

from dicom_node.errors import RefusedInstanceError
from dicom_node.receive.files import make_folder, remove_parts, write_whole
from dicom_node.receive.part10 import file_meta, identify, read_file_meta


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreRequest:
    """A C-STORE request as it arrived: what it says of its data set, and the data set."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: bytes | memoryview
    calling_aet: str | None

    @classmethod
    def of_file(cls, content: bytes) -> Self:
        """The request that would have carried a Part 10 file (PS3.10 7.1); RefusedInstanceError if it is none."""
        file = memoryview(content)
        meta = read_file_meta(file)
        data_set = file[meta.data_set_offset :]
        identity = identify(data_set, meta.transfer_syntax_uid)
        return cls(
            sop_class_uid=identity.sop_class_uid,
            sop_instance_uid=identity.sop_instance_uid,
            transfer_syntax_uid=meta.transfer_syntax_uid,
            data_set=data_set,
            calling_aet=meta.sending_aet,
        )

    @classmethod
    def of_refused_file(cls, content: bytes) -> Self:
        """What can be kept of a file that `of_file` refuses: what its file meta information says, or else its bytes."""
        file = memoryview(content)
        try:
            meta = read_file_meta(file)
        except RefusedInstanceError:  # so nobody says what it is in; this is what a data set is in then (PS3.5 10.1)
            return cls(
                sop_class_uid="",
                sop_instance_uid="",
                transfer_syntax_uid=ImplicitVRLittleEndian,
                data_set=file,
                calling_aet=None,
            )
        return cls(
            sop_class_uid=meta.sop_class_uid,
            sop_instance_uid=meta.sop_instance_uid,
            transfer_syntax_uid=meta.transfer_syntax_uid,
            data_set=file[meta.data_set_offset :],
            calling_aet=meta.sending_aet,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """A request that was refused, as it is kept."""

    path: Path
    reason: str
    status: int  # the DIMSE status that answered it
    received_at: datetime
    request: StoreRequest


class Quarantine:
    """A folder of the spool."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "quarantine"
        make_folder(self._folder)

    def keep(self, request: StoreRequest, *, reason: str, status: int, now: datetime) -> Path:
        """Keep a refused request; the same data set again replaces it.

        Raises SpoolFullError or OutOfResourcesError.
        """
        path = self._folder / f"{sha256(request.data_set).hexdigest()}.dcm"
        meta = file_meta(
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=request.transfer_syntax_uid,
            sending_aet=request.calling_aet,
        )
        write_whole(path, [meta, request.data_set], replace=True)
        note = {
            "reason": reason,
            "status": status,
            "received_at": now.isoformat(),
            "sop_class_uid": request.sop_class_uid,
            "sop_instance_uid": request.sop_instance_uid,
        }
        write_whole(path.with_suffix(".json"), [json.dumps(note).encode()], replace=True)
        return path

    def entries(self) -> Generator[Quarantined]:
        """Everything that is kept, one at a time, since each brings its data set."""
        for note_path in sorted(self._folder.glob("*.json")):
            note, path = json.loads(note_path.read_bytes()), note_path.with_suffix(".dcm")
            file = memoryview(path.read_bytes())
            meta = read_file_meta(file)
            yield Quarantined(
                path=path,
                reason=note["reason"],
                status=note["status"],
                received_at=datetime.fromisoformat(note["received_at"]),
                request=StoreRequest(
                    sop_class_uid=note["sop_class_uid"],
                    sop_instance_uid=note["sop_instance_uid"],
                    transfer_syntax_uid=meta.transfer_syntax_uid,
                    data_set=file[meta.data_set_offset :],
                    calling_aet=meta.sending_aet,
                ),
            )

    def remove(self, entry: Quarantined) -> None:
        """Forget an entry that was replayed."""
        entry.path.with_suffix(".json").unlink(missing_ok=True)
        entry.path.unlink(missing_ok=True)

    def count(self) -> int:
        """How many entries there are."""
        return sum(1 for _ in self._folder.glob("*.json"))

    def clean(self) -> int:
        """Remove what a crash left half written, and nothing that another process is writing; how many files."""
        return remove_parts(self._folder)
