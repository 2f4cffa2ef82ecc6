"""The spool: its disk, its rights, and what was kept aside in it. Looks at folders and makes none."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dicom_node.doctor import Check, broken, cannot_look, ok, warning
from dicom_node.errors import CannotUnderstandError
from dicom_node.receive.part10 import identify, read_file_meta
from dicom_node.settings import Settings

_HEAD_BYTES: Final = 1 << 16  # holds the UIDs of nearly every file
_NAMED: Final = 3  # conflicts that are named; the others are counted
_FEW_INODES: Final = 10_000


def check_disk(settings: Settings) -> Iterator[Check]:
    """Room and rights of the spool, and the files that wait in it for a person."""
    spool = settings.spool.path.absolute()
    try:
        yield from _check(spool, settings.spool.reserve_bytes)
    except OSError as error:  # a folder that this user may not even enter
        yield cannot_look("spool", spool, error)


def _check(spool: Path, reserve: int) -> Iterator[Check]:
    there = next(folder for folder in (spool, *spool.parents) if folder.exists())
    yield _room("disk", there, reserve)
    if not os.access(there, os.W_OK | os.X_OK):
        yield broken(
            "spool",
            f"{there} cannot be written by {_user()}",
            f"Run this as the user that runs the node, or give it the folder: chown -R mrclip: {there}",
        )
    elif there != spool:
        yield ok("spool", f"{spool} is not there yet; the first start makes it")
    else:
        yield _not_ours(spool) or ok("spool", f"{spool} can be written")
        yield _conflicts(spool / "conflicts")
        yield _quarantine(spool / "quarantine")


def _room(name: str, folder: Path, reserve: int) -> Check:
    free, status = shutil.disk_usage(folder).free, os.statvfs(folder)
    room = f"{_size(free)} are free at {folder}, {_size(reserve)} are kept in reserve"
    make_room = "Make room or a larger disk, remove old series (settings `retention`), or lower spool.reserve_bytes."
    if free < reserve:
        return broken(name, f"{room}: every instance is refused (A700)", make_room)
    if status.f_files and status.f_favail < _FEW_INODES:
        return broken(name, f"{status.f_favail} more files fit on the file system of {folder}", make_room)
    if free < 2 * reserve:
        return warning(name, f"{room}: instances are soon refused", make_room)
    return ok(name, room)


def _not_ours(spool: Path) -> Check | None:
    """The first folder of the spool that cannot be written, as one made by another user."""
    for folder in sorted(path for path in spool.iterdir() if path.is_dir()):
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return broken(
                "spool",
                f"{folder} cannot be read and written by {_user()}",
                f"It was made by another user; give it to the one that runs the node: chown -R mrclip: {spool}",
            )
    return None


def _conflicts(folder: Path) -> Check:
    found = sorted(folder.glob("*.dcm"))
    if not found:
        return ok("conflicts", "no instance came twice with different data")
    named = ", ".join(_conflict(path) for path in found[:_NAMED])
    return warning(
        "conflicts",
        f"{len(found)} data sets came under the UID of another one and were kept aside: {named}",
        f"Compare them with the ones that were read, tell whoever sends them, then delete them from {folder}.",
    )


def _conflict(path: Path) -> str:
    digest = path.stem.rpartition("-")[2][:12]
    try:
        with path.open("rb") as file:
            head = memoryview(file.read(_HEAD_BYTES))
        meta = read_file_meta(head)
        uid = identify(head[meta.data_set_offset :], meta.transfer_syntax_uid).sop_instance_uid
    except (OSError, CannotUnderstandError):
        return f"a file that cannot be read (digest {digest})"
    return f"{uid} (digest {digest})"


def _quarantine(folder: Path) -> Check:
    count = sum(1 for _ in folder.glob("*.json"))
    if not count:
        return ok("quarantine", "every data set could be taken in")
    return warning(
        "quarantine",
        f"{count} data sets could not be taken in",
        "See why with `mrclip replay --dry-run`; try again with `mrclip replay`; or delete them from the folder.",
    )


def _user() -> str:
    return f"user {os.geteuid()}"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
