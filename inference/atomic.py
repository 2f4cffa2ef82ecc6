"""A name that exists is whole: write beside it, sync, rename, sync the folder."""

import os
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged_folder(folder: Path) -> Generator[Path]:
    """A folder to fill that becomes `folder` when the block ends well and is gone when it does not.

    Raises FileExistsError if `folder` exists. The files in it are the caller's to sync (`write_synced`).
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists already")
    stage = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    stage.mkdir(parents=True)
    try:
        yield stage
        sync_folder(stage)
        stage.rename(folder)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise
    sync_folder(folder.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Give `path` new content, whole, whatever happens in between."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        write_synced(part, content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Wait until the disk has what was written to a file, by whomever."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in `folder`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
