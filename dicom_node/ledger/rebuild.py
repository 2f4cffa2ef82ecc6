"""Brings the ledger up to the spool: after it was lost, and at every start what a crash kept from it.

The spool is the truth. A power cut may take the ledger's last moments with it, and a process may be killed between the
two; whatever the spool holds is entered again, and entering it twice changes nothing.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from dicom_node.errors import CannotUnderstandError
from dicom_node.ledger.records import ReceivedInstance
from dicom_node.ledger.store import Ledger
from dicom_node.receive.part10 import identify, read_file_meta
from dicom_node.receive.spool import Spool
from inference.identifiers import SeriesInstanceUid

log = logging.getLogger(__name__)

# Between the bytes of an instance being in the spool and its row in the ledger, with all that may wait for a lock.
_MARGIN: Final = timedelta(hours=1)
_HEAD_BYTES: Final = 1 << 16  # holds the UIDs of nearly every file


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuilt:
    """What was found in the spool."""

    series: int
    instances: int
    reports: int  # that the ledger did not know
    unreadable: int  # files that are not what the spool takes in


def reconcile(ledger: Ledger, spool: Spool, *, now: datetime, quiet_s: float = 0, waits: bool = True) -> Rebuilt:
    """Enter what came into the spool since shortly before the ledger's newest instance; everything if it has none.

    `waits`: series that were being received wait for `quiet_s` again, as after a break in which all senders were cut
    off, and will send the rest. Without it only those do of which something is new to the ledger.
    """
    newest = ledger.newest_arrival()
    since = None if newest is None else newest - _MARGIN
    due_at = now + timedelta(seconds=quiet_s)
    return rebuild(ledger, spool, now=now, due_at=due_at, changed_since=since, waits=waits)


def rebuild(
    ledger: Ledger,
    spool: Spool,
    *,
    now: datetime,
    due_at: datetime | None = None,
    changed_since: datetime | None = None,
    waits: bool = True,
) -> Rebuilt:
    """Enter the spool's instances, reports and reviews; series without a report are due at `due_at`, or at once.

    `waits`: also those whose instances are all known. An instance whose UID another series has is set aside, as it
    would have been when it came.
    """
    series = count = unreadable = 0
    # Where a crash left one under two series, it most likely came first to the one that has had nothing for longer.
    for folder in sorted(spool.series_folders(changed_since=changed_since), key=_changed_at):
        found = [(path, _received(path)) for path in sorted(folder.glob("*.dcm"))]
        instances = [instance for _, instance in found if instance is not None]
        strange = ledger.record_instances(instances, now=now, due_at=due_at or now, waits=waits)
        for instance in strange:
            spool.set_aside(instance.series_instance_uid, instance.sop_instance_uid)
        taken = len(instances) - len(strange)
        series, count, unreadable = series + bool(taken), count + taken, unreadable + len(found) - len(instances)
    reports = sum(ledger.restore(filed, now=now) for filed in spool.reports(changed_since=changed_since))
    for digest, review in spool.reviews(changed_since=changed_since):
        ledger.review(review, digest=digest)
    log.info("ledger brought up to the spool", extra={"instances": count, "count": reports})
    return Rebuilt(series=series, instances=count, reports=reports, unreadable=unreadable)


def _changed_at(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # retention took it out
        return 0.0


def series_in(folder: Path) -> SeriesInstanceUid | None:
    """Which series lies in a folder of the spool; None where nothing in it can be read."""
    found = (_received(path) for path in sorted(folder.glob("*.dcm")))
    return next((instance.series_instance_uid for instance in found if instance is not None), None)


def _received(path: Path) -> ReceivedInstance | None:
    try:
        return _read(path, _HEAD_BYTES) or _read(path, -1)
    except (CannotUnderstandError, OSError) as error:
        log.warning("a file of the spool cannot be read", extra={"reason": type(error).__name__})
        return None


def _read(path: Path, head_bytes: int) -> ReceivedInstance | None:
    """What the beginning of a file says, all of it for -1; None if the beginning is too short to say it."""
    with path.open("rb") as file:
        head = memoryview(file.read(head_bytes))
    try:
        meta = read_file_meta(head)
        identity = identify(head[meta.data_set_offset :], meta.transfer_syntax_uid)
    except CannotUnderstandError:
        if head_bytes < 0:
            raise
        return None
    return ReceivedInstance(
        study_instance_uid=identity.study_instance_uid,
        series_instance_uid=identity.series_instance_uid,
        sop_instance_uid=identity.sop_instance_uid,
        sop_class_uid=identity.sop_class_uid,
        modality=identity.modality,
        calling_aet=meta.sending_aet,
        size_bytes=path.stat().st_size - meta.data_set_offset,
    )
