"""Files, folders, DICOMDIRs and zip archives to instances: headers now, pixels when they are asked for."""

import hashlib
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset

from inference.archives import (
    SourceFile,
    from_dicomdir,
    from_zip,
    is_dicomdir,
    is_regular,
    is_zip,
    unreadable_source,
)
from inference.header import FrameHeader, HeaderError, frame_headers
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from inference.parsing import Parsed, ParseError, parse
from inference.pixels_layout import PixelLayout, pixel_layout
from inference.reasons import Refused

__all__ = ["Instance", "SourceFile", "find", "group", "load"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """One image as it lies in its file: the headers of its frames, and how to get at its pixels."""

    source: SourceFile
    headers: tuple[FrameHeader, ...]
    transfer_syntax_uid: str
    pixels: PixelLayout | None  # None: the object has no pixel data

    @property
    def header(self) -> FrameHeader:
        """The header of the first frame, for what all frames share."""
        return self.headers[0]

    @property
    def study_instance_uid(self) -> StudyInstanceUid:
        """Study Instance UID (0020,000D)."""
        return self.header.study_instance_uid

    @property
    def series_instance_uid(self) -> SeriesInstanceUid:
        """Series Instance UID (0020,000E)."""
        return self.header.series_instance_uid

    @property
    def sop_instance_uid(self) -> SopInstanceUid:
        """SOP Instance UID (0008,0018)."""
        return self.header.sop_instance_uid

    @property
    def modality(self) -> str | None:
        """Modality (0008,0060)."""
        return self.header.modality

    def dataset(self) -> Dataset:
        """The data set without its pixels, with its file meta information, read again; OSError if the file is gone."""
        with self.source.open() as stream:
            return _parse_again(self.source, stream).dataset

    @contextmanager
    def stream(self) -> Generator[BinaryIO]:
        """The stream in which `pixels.element` counts; OSError if the file is gone."""
        with self.source.open() as stream:
            yield _parse_again(self.source, stream).stream if self._deflated else stream

    @property
    def _deflated(self) -> bool:
        return self.transfer_syntax_uid == "1.2.840.10008.1.2.1.99"


def find(paths: Iterable[Path]) -> Iterator[SourceFile]:
    """Every file below `paths`, folders in sorted order, members of zip archives, files that a DICOMDIR refers to.

    Hidden files, links to folders and anything that is no regular file are passed over in folders; a DICOMDIR in a
    folder is too, as its files are found anyway. A folder, an archive or a file that cannot be used is found with its
    refusal, which `load` gives back.
    """
    for path in paths:
        yield from _at(path)


def load(source: SourceFile) -> Instance | Refused:
    """The instance in a file, without its pixels, or why there is none. Never raises for what a file holds."""
    if source.refused is not None:
        return source.refused
    try:
        with source.open() as stream:
            parsed = parse(stream, source.size(stream))
        return _instance(source, parsed)
    except (ParseError, HeaderError) as error:
        return Refused(path=source.label, code=error.code, message=str(error))
    except OSError as error:
        return Refused(path=source.label, code="unreadable", message=error.strerror or str(error))


def group(
    instances: Iterable[Instance],
) -> tuple[dict[SeriesInstanceUid, list[Instance]], list[Refused]]:
    """Instances by series, in the order in which they come, and those that are refused.

    A data set that is there twice counts once; another one under the same SOP Instance UID (0008,0018) is refused.
    """
    series: dict[SeriesInstanceUid, list[Instance]] = {}
    refused: list[Refused] = []
    first: dict[SopInstanceUid, Instance] = {}
    for instance in instances:
        known = first.setdefault(instance.sop_instance_uid, instance)
        if known is instance:
            series.setdefault(instance.series_instance_uid, []).append(instance)
        elif (refusal := _conflict(instance, known)) is not None:
            refused.append(refusal)
    return series, refused


def _at(path: Path) -> Iterable[SourceFile]:
    try:
        if path.is_dir():
            return _walk(path)
        if is_zip(path):
            return from_zip(path)
    except OSError as error:
        return (unreadable_source(path, error),)
    return from_dicomdir(path) if is_dicomdir(path) else (SourceFile(path=path),)


def _walk(folder: Path) -> Iterator[SourceFile]:
    failures: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=failures.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if not name.startswith(".") and not is_dicomdir(path):
                yield from _in_folder(path)
    for failure in failures:
        yield unreadable_source(Path(failure.filename), failure)


def _in_folder(path: Path) -> Iterable[SourceFile]:
    """What is in a folder under a name; nothing if it is no regular file."""
    try:
        if is_zip(path):
            return from_zip(path)
        return (SourceFile(path=path),) if is_regular(path) else ()
    except OSError as error:
        return (unreadable_source(path, error),)


def _instance(source: SourceFile, parsed: Parsed) -> Instance:
    element = parsed.pixels
    return Instance(
        source=source,
        headers=frame_headers(parsed.dataset, has_pixels=element is not None),
        transfer_syntax_uid=str(parsed.transfer_syntax_uid),
        pixels=None if element is None else pixel_layout(parsed.dataset, element),
    )


def _parse_again(source: SourceFile, stream: BinaryIO) -> Parsed:
    """A file that was loaded before; OSError if it is no data set any more."""
    try:
        return parse(stream, source.size(stream))
    except ParseError as error:
        raise OSError(str(error)) from error


def _conflict(instance: Instance, known: Instance) -> Refused | None:
    """Why the second instance of one UID is refused; None if it is the first one again."""
    try:
        if _digest(instance) == _digest(known):
            return None
    except OSError as error:
        return Refused(path=instance.source.label, code="unreadable", message=error.strerror or str(error))
    message = (
        f"SOPInstanceUID (0008,0018) is {instance.sop_instance_uid}, as in {known.source.label};"
        " two data sets under one UID must be the same"
    )
    return Refused(path=instance.source.label, code="duplicate-uid", message=message)


def _digest(instance: Instance) -> bytes:
    """SHA-256 of the data set as it is encoded, without the file meta information, which every receiver writes anew."""
    digest = hashlib.sha256()
    with instance.source.open() as stream:
        parsed = _parse_again(instance.source, stream)
        parsed.stream.seek(parsed.dataset_offset_bytes)
        while chunk := parsed.stream.read(1 << 20):
            digest.update(chunk)
    return digest.digest()
