"""Brings the ledger up to the spool: after it was lost, and at every start what a crash kept from it.

The spool is the truth. A power cut may take the ledger's last moments with it, and a process may be killed between the
two; whatever the spool holds is entered again, and entering it twice changes nothing.

What is missing is found by names, which are digests of UIDs: every name in the spool is that of something the ledger
knows, or its file is opened and entered. So it does not matter when it came, by which clock, or what other nodes have
entered meanwhile.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from dicom_node.errors import CannotUnderstandError
from dicom_node.ledger.engine import ROW_FAULTS
from dicom_node.ledger.records import Holding, ReceivedInstance
from dicom_node.ledger.store import Ledger
from dicom_node.receive.part10 import identify, read_file_meta
from dicom_node.receive.spool import Spool
from inference.identifiers import SeriesInstanceUid

log = logging.getLogger(__name__)

# Between the last name in a folder and its row in the ledger. Retention removes no series that had a row so recently.
_MARGIN: Final = timedelta(minutes=1)
_HEAD_BYTES: Final = 1 << 16  # holds the UIDs of nearly every file


@dataclass(frozen=True, kw_only=True, slots=True)
class Rebuilt:
    """What was found in the spool, in series of which the ledger did not know everything."""

    series: int
    instances: int
    reports: int  # that the ledger did not know
    unreadable: int  # files that are not what the spool takes in


def reconcile(ledger: Ledger, spool: Spool, *, now: datetime, quiet_s: float = 0, waits: bool = True) -> Rebuilt:
    """Enter the spool's instances, reports and reviews that the ledger does not know; what is to be read is due after
    `quiet_s`.

    `waits`: series that were being received wait so long again, as after a break in which all senders were cut off,
    and will send the rest. Without it only those do of which something is new to the ledger. An instance whose UID
    another series has is set aside, as it would have been when it came. What the ledger never takes is logged and left.
    """
    due_at = now + timedelta(seconds=quiet_s)
    folders, receiving = _compared(ledger, spool)
    if waits:
        ledger.hold(receiving, due_at=due_at)
    series = count = unreadable = 0
    # Where a crash left one under two series, it most likely came first to the one that has had nothing for longer.
    for folder in sorted(folders, key=_changed_at):
        found = [(path, _received(path)) for path in sorted(folder.glob("*.dcm"))]
        instances = [instance for _, instance in found if instance is not None]
        taken, strange = _entered(ledger, instances, now=now, due_at=due_at)
        for instance in strange:
            spool.set_aside(instance.series_instance_uid, instance.sop_instance_uid)
        series, count, unreadable = series + bool(taken), count + taken, unreadable + len(found) - len(instances)
    filed = spool.reports(but=ledger.reported())
    reports = sum(_tried(partial(ledger.restore, report, now=now)) for report in filed)
    for digest, review in spool.reviews(but=ledger.review_digests()):
        _tried(partial(ledger.review, review, digest=digest))
    log.info("ledger brought up to the spool", extra={"instances": count, "count": reports})
    return Rebuilt(series=series, instances=count, reports=reports, unreadable=unreadable)


def _compared(ledger: Ledger, spool: Spool) -> tuple[set[Path], list[SeriesInstanceUid]]:
    """Folders with something that the ledger does not know, and the series in all of them that are being received."""
    folders = set(spool.series_folders())
    receiving: list[SeriesInstanceUid] = []
    after = 0
    while page := ledger.holdings(after=after):
        after = page[-1].key
        for one in page:
            folder = spool.series_folder(one.series_instance_uid)
            if folder in folders and one.state == "receiving":
                receiving.append(one.series_instance_uid)
            if folder in folders and _is_known(spool, folder, one):
                folders.remove(folder)
    return folders, receiving


def _is_known(spool: Spool, folder: Path, known: Holding) -> bool:
    # Of a series that another node removed the files are still here, and not to be received again; where they came
    # after it was removed, they are.
    if known.state == "removed":
        return _changed_at(folder) <= (known.last_at + _MARGIN).timestamp()
    return not spool.has_others(known.series_instance_uid, known.sop_instance_uids)


def _entered(
    ledger: Ledger, instances: Sequence[ReceivedInstance], *, now: datetime, due_at: datetime
) -> tuple[int, list[ReceivedInstance]]:
    """How many instances of a folder were taken in, and those whose UID another series has."""
    try:
        strange = ledger.record_instances(instances, now=now, due_at=due_at, sent=False)
    except ROW_FAULTS as error:  # one row of them must not keep the others out, nor end the start
        if len(instances) > 1:
            singly = [_entered(ledger, [instance], now=now, due_at=due_at) for instance in instances]
            return sum(taken for taken, _ in singly), [instance for _, some in singly for instance in some]
        uid = instances[0].sop_instance_uid
        log.error("a row cannot be written", extra={"sop_instance_uid": uid, "reason": type(error).__name__})
        return 0, []
    return len(instances) - len(strange), strange


def _tried(enter: Callable[[], bool]) -> bool:
    try:
        return enter()
    except ROW_FAULTS as error:
        log.error("a row cannot be written", extra={"reason": type(error).__name__})
        return False


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
