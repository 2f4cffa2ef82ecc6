"""Where bytes come from: plain files, members of zip archives, files that a DICOMDIR refers to. All of it bounded."""

import errno
import io
import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from inference.elements import Elements, attribute
from inference.parsing import ParseError, parse
from inference.reasons import Refused

MAX_MEMBERS: Final = 100_000  # of one zip archive
MAX_MEMBER_BYTES: Final = 1 << 30  # unpacked
MAX_MEMBER_RATIO: Final = 200  # of unpacked to packed, where it is more than
SMALL_MEMBER_BYTES: Final = 8 << 20  # an empty image of this size packs a thousandfold, and does no harm

_RECORDS: Final = attribute("DirectoryRecordSequence")
_FILE_ID: Final = attribute("ReferencedFileID")
_NOTHING_THERE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})  # links to nowhere among it


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFile:
    """One file, or one member of an archive; `refused` says why it is known already that it cannot be read."""

    path: Path
    member: str | None = None  # name inside the archive, never used as a path
    archive: zipfile.ZipFile | None = None
    entry: zipfile.ZipInfo | None = None  # which member it is; two of them may have one name
    refused: Refused | None = None

    @property
    def label(self) -> str:
        """What to call it in messages."""
        return str(self.path) if self.member is None else f"{self.path}!{self.member}"

    def open(self) -> AbstractContextManager[BinaryIO]:
        """A seekable binary stream; OSError if it cannot be read or is no regular file."""
        if self.archive is None or self.entry is None:
            return _open_regular(self.path)
        return io.BytesIO(_unpack(self.archive, self.entry))

    def size(self, stream: BinaryIO) -> int:
        """Bytes of an open stream; the position goes back to the start."""
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        return size


def is_regular(path: Path) -> bool:
    """True for a regular file; OSError where that cannot be told, as in a folder that may be listed but not entered."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        if error.errno in _NOTHING_THERE:
            return False
        raise


def is_zip(path: Path) -> bool:
    """True for a regular file that begins like a zip archive and is none of DICOM's own; OSError as `is_regular`."""
    if path.suffix.lower() not in ("", ".zip") or not is_regular(path):
        return False
    try:
        with path.open("rb") as stream:
            head = stream.read(132)
    except OSError:
        return False
    return head.startswith(b"PK\x03\x04") and head[128:] != b"DICM"


def is_dicomdir(path: Path) -> bool:
    """True for the fixed name of a media directory (PS3.10 8.6)."""
    return path.name.upper() == "DICOMDIR"


def from_zip(path: Path) -> Iterator[SourceFile]:
    """The members of an archive; those beyond the limits, and an archive that is none, come with their refusal."""
    try:
        archive = zipfile.ZipFile(path)
        members = [member for member in archive.infolist() if not member.filename.endswith("/")]
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        # ValueError: a name that is not the UTF-8 it is said to be; NotImplementedError: a later version of the format.
        yield refused_source(path, None, "unreadable", f"the zip archive cannot be opened: {error}")
        return
    if len(members) > MAX_MEMBERS:
        yield refused_source(
            path, None, "too-large", f"the zip archive has {len(members)} members; at most {MAX_MEMBERS} are read"
        )
        return
    for member in members:
        size, packed = member.file_size, max(1, member.compress_size)
        if member.flag_bits & 1:
            yield refused_source(path, member.filename, "unreadable", "the member is encrypted")
        elif size > MAX_MEMBER_BYTES or (size > SMALL_MEMBER_BYTES and size > MAX_MEMBER_RATIO * packed):
            rule = f"at most {MAX_MEMBER_BYTES} bytes, and {MAX_MEMBER_RATIO} times what it is packed, are unpacked"
            yield refused_source(
                path, member.filename, "too-large", f"the member has {size} bytes packed in {packed}; {rule}"
            )
        else:
            yield SourceFile(path=path, member=member.filename, archive=archive, entry=member)


def from_dicomdir(path: Path) -> Iterator[SourceFile]:
    """The files that the records of a DICOMDIR refer to, inside its own folder only (PS3.10 8.5)."""
    source = SourceFile(path=path)
    try:
        with source.open() as stream:
            dataset = parse(stream, source.size(stream)).dataset
    except ParseError as error:
        yield refused_source(path, None, error.code, str(error))
        return
    except OSError as error:
        yield unreadable_source(path, error)
        return
    folder = path.parent.resolve()
    for record in Elements(dataset).items(_RECORDS):
        components = Elements(record).texts(_FILE_ID)
        if components:
            yield _referenced(path, folder, components)


def _referenced(dicomdir: Path, folder: Path, components: tuple[str, ...]) -> SourceFile:
    rule = "must stay inside its folder"
    try:
        found = _followed(folder, components)
        if found.is_relative_to(folder) and found != folder:
            return SourceFile(path=found)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        rule = f"must name a file: {error.strerror if isinstance(error, OSError) else error}"
    shown = "\\".join(components)[:64]
    message = f"{_FILE_ID.keyword} {_FILE_ID.text} is {shown!r}; {rule}"
    return refused_source(dicomdir, None, "unreadable", message)


def _followed(folder: Path, components: tuple[str, ...]) -> Path:
    """Where a file ID leads, which may be anywhere; OSError or RuntimeError where it cannot be followed."""
    found = folder
    for component in components:
        if component in ("", ".", "..") or any(sign in component for sign in "/\\\0"):
            return folder.parent
        found = _entry(found, component)
    return found.resolve()


def _entry(folder: Path, name: str) -> Path:
    """The file of that name; media that were copied to a disk often have it in lower case."""
    exact = folder / name
    if exact.exists() or not folder.is_dir():
        return exact
    return next((entry for entry in sorted(folder.iterdir()) if entry.name.upper() == name.upper()), exact)


def _open_regular(path: Path) -> AbstractContextManager[BinaryIO]:
    """Open without waiting for a writer, as a pipe would."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path.name} is not a regular file")
    return os.fdopen(descriptor, "rb")


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError) as error:
        # RuntimeError: an unknown method of compression, or a password is needed; ValueError: a name or an offset that
        # is none.
        raise OSError(f"the member of the archive cannot be unpacked: {error}") from error


def refused_source(path: Path, member: str | None, code: str, message: str) -> SourceFile:
    """A source of which it is known already why it cannot be read."""
    source = SourceFile(path=path, member=member)
    return SourceFile(path=path, member=member, refused=Refused(path=source.label, code=code, message=message))


def unreadable_source(path: Path, error: OSError) -> SourceFile:
    """A source that the file system does not give."""
    return refused_source(path, None, "unreadable", error.strerror or str(error))
