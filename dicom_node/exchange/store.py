"""An object store by URL, through fsspec: S3, Azure, Google, or a folder (`file:///mnt/mrclip`).

    instances/<sha256 of Series Instance UID>/<sha256 of SOP Instance UID>.dcm
    reports/<sha256 of SOP Instance UID>.dcm, .json
    companions/<sha256 of SOP Instance UID of a report>/<number>.dcm

The same names as in the spool, so no received string is in any of them. A name that exists is an object that is whole.
"""

# fsspec ships no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import errno
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from dicom_node.errors import NodeError, SettingsError
from dicom_node.receive.files import PART, write_whole
from inference.atomic import sync_file, sync_folder

T = TypeVar("T")

INSTANCES: Final = "instances"
REPORTS: Final = "reports"
COMPANIONS: Final = "companions"

_NO_STORE: Final = "spool.url must be the URL of a store that fsspec knows, such as s3://bucket/prefix"
_AT_ONCE: Final = 8  # objects on their way; each waits for the network most of its time
_CHUNK_BYTES: Final = 1 << 20
# Where a PUT is an object that is whole or none; elsewhere it is written under another name first.
_ATOMIC: Final = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "oss"})
_LOCAL: Final = frozenset({"file", "local"})
_S3: Final = frozenset({"s3", "s3a"})
_S3_OPTIONS: Final = {"config_kwargs": {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}}}


class StoreError(NodeError):
    """The object store does not do what is asked of it now; waiting helps."""

    retry = True


class NotPublishedError(StoreError):
    """An object is not there yet."""


class UnreadableFileError(StoreError):
    """A file that is to be stored cannot be read here; the store has no part in it."""


class ObjectStore:
    """Files by name below a URL; safe to share between threads."""

    def __init__(self, url: str) -> None:
        """SettingsError where nothing that is installed understands `url`. Nothing is connected yet.

        Credentials and endpoint come from where the library of the store looks for them (AWS_* for S3).
        """
        protocol = urlsplit(url).scheme
        if not protocol:
            raise SettingsError(_NO_STORE)
        self.label = label(url)
        self._atomic, self._local = protocol in _ATOMIC, protocol in _LOCAL
        try:
            from fsspec.core import url_to_fs

            options: dict[str, Any] = dict(_S3_OPTIONS) if protocol in _S3 else {}
            # Others write to it too: what was listed a moment ago is no answer.
            self._files, root = url_to_fs(url, skip_instance_cache=True, use_listings_cache=False, **options)
        except ImportError:
            message = f"spool.url: what {protocol} needs is not installed; for S3: pip install 'mrclip[store]'"
            raise SettingsError(message) from None
        except ValueError:  # its text may quote the URL
            raise SettingsError(_NO_STORE) from None
        self._root = str(root).rstrip("/")

    def names(self, folder: str) -> frozenset[str]:
        """What is in a folder; nothing if there is none. Raises StoreError."""

        def ask() -> list[str]:
            try:
                return [str(path) for path in self._files.ls(f"{self._root}/{folder}", detail=False)]
            except FileNotFoundError:
                return []

        return frozenset(path.rstrip("/").rpartition("/")[2] for path in self._asked(ask) if not path.endswith(PART))

    def put(self, files: Iterable[tuple[Path, str]]) -> None:
        """Store files under names, several at once, each whole or not at all.

        Raises UnreadableFileError for a file, or StoreError.
        """
        self._all(lambda pair: self._put(*pair), files)

    def get(self, files: Iterable[tuple[str, Path]], *, lasting: bool = False) -> None:
        """Fetch objects, several at once; a path that exists is whole, with `lasting` also after a power cut.

        Raises NotPublishedError or StoreError.
        """
        self._all(lambda pair: self._get(*pair, lasting=lasting), files)

    def remove(self, folder: str) -> None:
        """Remove a folder with everything in it; harmless where there is none. Raises StoreError."""

        def ask() -> None:
            try:
                self._files.rm(f"{self._root}/{folder}", recursive=True)
            except FileNotFoundError:
                return

        self._asked(ask)

    def _put(self, path: Path, name: str) -> None:
        target = f"{self._root}/{name}"

        def ask() -> None:
            if self._atomic:
                self._files.put_file(str(path), target)
                return
            if self._local:
                _write_local(path, Path(target))
                return
            self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
            part = f"{target}.{secrets.token_hex(4)}{PART}"
            self._files.put_file(str(path), part)
            self._files.mv(part, target)

        try:
            self._asked(ask)
        except StoreError:  # which of the two it was is not in what the libraries raise
            _check_readable(path)
            raise

    def _get(self, name: str, path: Path, *, lasting: bool) -> None:
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")

        def ask() -> None:
            try:
                self._files.get_file(f"{self._root}/{name}", str(part))
            except FileNotFoundError:
                raise NotPublishedError("it is not in the object store yet") from None

        try:
            self._asked(ask)
            if lasting:
                sync_file(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        if lasting:
            sync_folder(path.parent)

    def _all(self, do: Callable[[T], None], items: Iterable[T]) -> None:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="objects") as pool:
            for done in [pool.submit(do, item) for item in items]:
                done.result()

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except StoreError:
            raise
        # The libraries behind fsspec raise what they like: their errors have no common ancestor but Exception, and
        # their texts may quote addresses with credentials.
        except Exception as error:
            raise StoreError(f"the object store {self.label} does not answer as it should: {_kind(error)}") from error


def label(url: str) -> str:
    """A URL without user, password and query, for people."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}".rstrip("/")


def _write_local(path: Path, target: Path) -> None:
    """Copy a file to a folder of this machine, or one that it shares, such that it survives a power cut."""
    if not target.parent.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        for folder in (target.parent.parent, target.parent.parent.parent):
            sync_folder(folder)
    write_whole(target, [path.read_bytes()], replace=True, mode=0o666)  # as the umask has it: others read it too


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb") as file:
            while file.read(_CHUNK_BYTES):
                pass
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "OSError")
        raise UnreadableFileError(f"a file of it in the spool cannot be read ({name})") from error


def _kind(error: Exception) -> str:
    cause = error.__cause__
    return type(error).__name__ if cause is None else f"{type(error).__name__}, {type(cause).__name__}"
