"""Writes a file so that a name that exists is a file that is whole, also after a crash or a power cut.

Who writes holds a lock on its part until that has its name. A part that nobody holds was left by a process that is
dead, on this machine or on another one that shares the folder.

A file whole under its name takes two syncs, of the file and of its folder. Where many come, one sync of the folder can
do for all of them (`write_sealed`, `settle`): until then a file has two names, its own and that of its part, which
says how long the file is and what its checksum is. Once a new file is synced, so is the name it was made under: POSIX
leaves that open, ext4, XFS, Btrfs, F2FS, ZFS and NFS do it. So after a power cut what was synced has one of its names,
and what was not does not fit what the name of its part says (`remove_parts`).

What is synced at once gains nothing from the page cache, and pays for it with a copy, and with pages, which are dear
where a hypervisor has to find them first. So what is whole blocks goes past it (O_DIRECT), from memory that is used
again and again.
"""

import errno
import fcntl
import mmap
import os
import re
import zlib
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Final

from dicom_node.errors import OutOfResourcesError, SpoolFullError
from inference.atomic import sync_folder

BLOCK_BYTES: Final = 4096  # what goes past the page cache begins and ends at one; no disk asks for more
PART: Final = ".part"  # ends the name of a file that is not whole yet

Keep = Callable[[Path, Path], bool]  # a part that is whole, and the name it was to have; whether the part may go

_SEALED: Final = re.compile(r"(?P<name>.+)\.\d+-[0-9a-f]{8}\.(?P<size>\d+)-(?P<crc>[0-9a-f]{8})\.part")
_CHUNK_BYTES: Final = 1 << 20
_DIRECT: Final = getattr(os, "O_DIRECT", 0)  # not everywhere
_buffers: list[memoryview] = []  # to write blocks from, as many as somebody does at once; they begin at a page
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def write_whole(path: Path, chunks: Iterable[bytes | memoryview], *, replace: bool, mode: int = 0o640) -> bool:
    """Write a few `chunks` under `path`; False if a file is there that is not to be replaced, and it is left alone.

    The bytes are synced before they get their name, and the name before this returns. Raises SpoolFullError or
    OutOfResourcesError where the disk does not take them; nothing is left behind then.
    """
    # Names as text and descriptors as numbers: this is done for every instance, and an object around each costs.
    name = os.fspath(path)
    with _translated(path):
        part, descriptor = _begun(name, mode)
        try:
            _write(descriptor, chunks)
            if replace:
                os.replace(part, name)  # noqa: PTH105
            else:
                os.link(part, name)  # unlike a rename it fails where the name exists: the first one stays
        except FileExistsError:
            return False
        finally:
            with suppress(FileNotFoundError):  # it has its name
                os.unlink(part)  # noqa: PTH108
            os.close(descriptor)
        sync_folder(path.parent)
    return True


def write_sealed(name: str, chunks: Sequence[bytes | memoryview]) -> str | None:
    """Write a few `chunks` under `name`, and return the name of their part; None if a file is there, left alone.

    The bytes are synced when this returns, and will be found under one of the two names whatever happens. `settle` ends
    that. Raises SpoolFullError or OutOfResourcesError where the disk does not take them; nothing is left behind then.
    """
    crc = 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
    try:
        part, descriptor = _begun(name, 0o640, seal=f".{sum(map(len, chunks))}-{crc:08x}")
        try:
            _write(descriptor, chunks)
            os.link(part, name)
        except OSError as error:
            with suppress(FileNotFoundError):
                os.unlink(part)  # noqa: PTH108
            if isinstance(error, FileExistsError):  # `name` is; that the part is there already would be an error
                return None
            raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _refusal(error, Path(name)) from error
    return part


def read_whole(path: Path) -> memoryview:
    """All of a file. Raises FileNotFoundError where there is none, OutOfResourcesError where it cannot be read."""
    try:
        return memoryview(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _refusal(error, path, "read") from error


def settle(folder: Path, parts: Iterable[str]) -> None:
    """Sync the names in `folder`; then files that were written there have no need of those of their `parts`.

    Raises OutOfResourcesError; the parts stay then.
    """
    with _translated(folder / PART), suppress(FileNotFoundError):  # moved away, or cleaned by somebody else
        sync_folder(folder)
        for part in parts:
            with suppress(FileNotFoundError):
                os.unlink(part)  # noqa: PTH108


def move_whole(path: Path, to: Path) -> None:
    """Give a file another name in another folder, unless it is there already; also where somebody else just did.

    It has one of the two at any moment. Raises OutOfResourcesError.
    """
    with _translated(to), suppress(FileNotFoundError):
        with suppress(FileExistsError):
            to.hardlink_to(path)
        sync_folder(to.parent)
        path.unlink()
        sync_folder(path.parent)


def remove_parts(folder: Path, *, keep: Keep | None = None) -> int:
    """Remove what a crash left half written in a folder, and nothing that somebody is writing; how many files.

    `keep` is told of a part that is whole, as its name says, before it is removed.
    """
    return sum(_remove_if_left(part, keep) for part in folder.glob(f"*{PART}"))


def make_folder(folder: Path) -> None:
    """Make `folder` in a parent that exists, such that it survives a power cut, also if somebody else just made it."""
    with _translated(folder):
        folder.mkdir(mode=0o750, exist_ok=True)
        sync_folder(folder.parent)


def _begun(name: str, mode: int, *, seal: str = "") -> tuple[str, int]:
    """A new file that is to be `name`, its own name and descriptor, locked until that is closed."""
    while True:
        part = f"{name}.{os.getpid()}-{os.urandom(4).hex()}{seal}{PART}"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with suppress(OSError):  # a disk without locks; `remove_parts` cannot tell there, and leaves it
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink > 0:
            return part, descriptor
        os.close(descriptor)  # somebody who cleans up came between the two: once more


def _write(descriptor: int, chunks: Iterable[bytes | memoryview]) -> None:
    rest = [memoryview(chunk) for chunk in chunks]
    if sum(map(len, rest)) % BLOCK_BYTES == 0:
        _write_blocks(descriptor, rest)
        rest = []
    while rest:
        written = os.writev(descriptor, rest)
        while rest and written >= len(rest[0]):
            written -= len(rest.pop(0))
        if rest:
            rest[0] = rest[0][written:]
    os.fsync(descriptor)


def _write_blocks(descriptor: int, chunks: Iterable[memoryview]) -> None:
    """Write whole blocks, past the page cache where the disk can do that."""
    with suppress(OSError):  # it cannot
        fcntl.fcntl(descriptor, fcntl.F_SETFL, _DIRECT)
    buffer, filled = _taken_buffer(), 0
    try:
        for chunk in chunks:
            rest = chunk
            while rest:
                taken = rest[: len(buffer) - filled]
                buffer[filled : filled + len(taken)] = taken
                rest, filled = rest[len(taken) :], filled + len(taken)
                if filled == len(buffer):
                    _write_out(descriptor, buffer)
                    filled = 0
        _write_out(descriptor, buffer[:filled])
    finally:
        _buffers.append(buffer)


def _taken_buffer() -> memoryview:
    try:
        return _buffers.pop()
    except IndexError:
        return memoryview(mmap.mmap(-1, _CHUNK_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def _write_out(descriptor: int, blocks: memoryview) -> None:
    while blocks:
        try:
            blocks = blocks[os.write(descriptor, blocks) :]
        except OSError as error:
            if error.errno != errno.EINVAL or not fcntl.fcntl(descriptor, fcntl.F_GETFL) & _DIRECT:
                raise
            fcntl.fcntl(descriptor, fcntl.F_SETFL, 0)  # some disks say only now that they cannot


def _remove_if_left(part: Path, keep: Keep | None) -> bool:
    try:
        with part.open("r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sealed = None if keep is None else _SEALED.fullmatch(part.name)
            is_whole = sealed is not None and _is_whole(file, int(sealed["size"]), int(sealed["crc"], 16))
            if keep and sealed and is_whole and not keep(part, part.with_name(sealed["name"])):
                return False
            part.unlink(missing_ok=True)
    except OSError:  # it has its name by now, or will
        return False
    return True


def _is_whole(file: FileIO, size: int, crc: int) -> bool:
    found = 0
    if os.fstat(file.fileno()).st_size != size:
        return False
    while chunk := file.read(_CHUNK_BYTES):
        found = zlib.crc32(chunk, found)
    return found == crc


@contextmanager
def _translated(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise _refusal(error, path) from error


def _refusal(error: OSError, path: Path, what: str = "written") -> OutOfResourcesError:
    name = errno.errorcode.get(error.errno or 0, "OSError")
    if error.errno in _FULL:
        return SpoolFullError(f"the disk of {path.parent.name}/ is full ({name})")
    return OutOfResourcesError(f"{path.parent.name}/ cannot be {what} ({name})")
