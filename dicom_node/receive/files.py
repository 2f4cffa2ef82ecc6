"""Writes a file so that a name that exists is a file that is whole, also after a crash or a power cut."""

import errno
import os
import secrets
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dicom_node.errors import OutOfResourcesError, SpoolFullError
from inference.atomic import sync_folder

PART: Final = ".part"  # ends the name of a file that is not whole yet

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def write_whole(path: Path, chunks: Iterable[bytes | memoryview], *, replace: bool, mode: int = 0o640) -> bool:
    """Write `chunks` under `path`; False if a file is there that is not to be replaced, and it is left alone.

    The bytes are synced before they get their name, and the name before this returns. Raises SpoolFullError or
    OutOfResourcesError where the disk does not take them; nothing is left behind then.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PART}")
    with _translated(path):
        try:
            _write(part, chunks, mode)
            if replace:
                part.replace(path)
            else:
                path.hardlink_to(part)  # unlike a rename it fails where the name exists: the first one stays
        except FileExistsError:
            return False
        finally:
            part.unlink(missing_ok=True)
        sync_folder(path.parent)
    return True


def make_folder(folder: Path) -> None:
    """Make `folder` in a parent that exists, such that it survives a power cut, also if somebody else just made it."""
    with _translated(folder):
        folder.mkdir(mode=0o750, exist_ok=True)
        sync_folder(folder.parent)


def _write(path: Path, chunks: Iterable[bytes | memoryview], mode: int) -> None:
    with open(path, "xb", buffering=0, opener=lambda name, flags: os.open(name, flags, mode)) as file:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                rest = rest[file.write(rest) :]
        os.fsync(file.fileno())


@contextmanager
def _translated(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "OSError")
        if error.errno in _FULL:
            raise SpoolFullError(f"the disk of {path.parent.name}/ is full ({name})") from error
        raise OutOfResourcesError(f"{path.parent.name}/ cannot be written ({name})") from error
