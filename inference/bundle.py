"""A model bundle on disk: opened only if every digest holds, written whole or not at all, never changed after.

The bundle's digest is the SHA-256 of `manifest.json`, which holds the SHA-256 of every other file.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from inference.atomic import staged_folder, write_synced
from inference.manifest import MANIFEST, BundleError, Manifest, is_file_name, manifest

DEFAULT_BUNDLE: Final = Path(__file__).with_name("default_bundle")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A folder whose every file was what its manifest says when it was opened."""

    folder: Path
    manifest: Manifest
    sha256: str  # of manifest.json

    def has(self, file: str) -> bool:
        """True if the manifest names `file`."""
        return file in self.manifest.files

    def read(self, file: str) -> bytes:
        """The bytes of `file`, checked against the manifest once more; BundleError if they are not what it says."""
        expected = self.sha256 if file == MANIFEST else self.manifest.files.get(file)
        if expected is None:
            raise BundleError(file, expected="to be named in the manifest", found="no such entry")
        content = (self.folder / file).read_bytes()
        _compare(file, expected=expected, found=hashlib.sha256(content).hexdigest())
        return content

    def read_json(self, file: str) -> dict[str, Any]:
        """`file` as a JSON object; BundleError if it is none."""
        document = self.read(file)
        try:
            content = json.loads(document)
        except ValueError as error:
            raise BundleError(file, expected="JSON", found=str(error)) from error
        if not isinstance(content, dict):
            raise BundleError(file, expected="a JSON object", found=type(content).__name__)
        return cast("dict[str, Any]", content)

    def read_array(self, file: str) -> npt.NDArray[np.float32]:
        """`file` as a float32 array (from `.npy`, float16 too); BundleError if it is none."""
        document = self.read(file)
        try:
            array: npt.NDArray[Any] = np.load(io.BytesIO(document), allow_pickle=False)
        except ValueError as error:
            raise BundleError(file, expected="a .npy array without objects", found=str(error)) from error
        if array.dtype.kind != "f":
            raise BundleError(file, expected="floating point values", found=str(array.dtype))
        return array.astype(np.float32)


def open_bundle(folder: Path) -> Bundle:
    """Open a bundle after checking every digest.

    Raises BundleError, which names the file, what was expected and what was found: a manifest of another schema, a file
    that is missing, not in the manifest, no plain file, or of another digest.
    """
    try:
        document = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleError(MANIFEST, expected=f"a file in {folder}", found=error.strerror or str(error)) from error
    content = manifest(document)
    for file in sorted(content.required_files - content.files.keys()):
        raise BundleError(file, expected="to be named in the manifest", found="no such entry")
    present = {entry.name: entry for entry in folder.iterdir() if entry.name != MANIFEST}
    for file in sorted(present.keys() - content.files.keys()):
        raise BundleError(file, expected="to be named in the manifest", found="no such entry")
    for file, expected in sorted(content.files.items()):
        if file not in present:
            raise BundleError(file, expected=f"sha256 {expected}", found="no such file")
        if present[file].is_symlink() or not present[file].is_file():
            raise BundleError(file, expected="a plain file", found="something else")
        _compare(file, expected=expected, found=_sha256(present[file]))
    return Bundle(folder=folder, manifest=content, sha256=hashlib.sha256(document).hexdigest())


def default_bundle() -> Bundle | None:
    """The bundle that ships with the package, None where the package was built without one."""
    return open_bundle(DEFAULT_BUNDLE) if (DEFAULT_BUNDLE / MANIFEST).is_file() else None


def write_bundle(folder: Path, content: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle: all of it under its name, or nothing; `content.files` is filled in here.

    Raises FileExistsError if `folder` exists (a bundle is never written to after export), BundleError if a required
    file is missing or a name is none.
    """
    for file in files:
        if not is_file_name(file):
            raise BundleError(file, expected="a file name without separators", found=repr(file))
    for file in sorted(content.required_files - files.keys()):
        raise BundleError(
            file, expected=f"to be in a bundle with {content.metadata.kind} metadata", found="no such file"
        )
    digests = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
    with staged_folder(folder) as stage:
        for file, data in files.items():
            write_synced(stage / file, data)
        write_synced(stage / MANIFEST, replace(content, files=digests).to_json())
    return open_bundle(folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compare(file: str, *, expected: str, found: str) -> None:
    if expected != found:
        raise BundleError(file, expected=f"sha256 {expected}", found=f"sha256 {found}")
