"""Files, folders and zip archives to a storage SCP by C-STORE: what `mrclip send` does.

Every pair of SOP class and transfer syntax gets a presentation context of its own, and every compressed class one for
uncompressed data, so that nothing is decompressed that the peer would have taken as it is.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom import dcmread  # pyright: ignore[reportUnknownVariableType] - pydicom leaves the type of a path open
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MediaStorageDirectoryStorage
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from dicom_node.deliver import DeliveryError
from dicom_node.deliver.scu import AssociationEndedError, Peer, association, store
from inference.archives import SourceFile
from inference.sources import find

_MAX_CONTEXTS: Final = 128  # PS3.8 9.3.2.2: odd numbers from 1 to 255
_UNCOMPRESSED: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
# What pydicom raises for files that are no DICOM, end early or nest too deeply.
_UNREADABLE: Final = (OSError, EOFError, ValueError, AttributeError, RuntimeError, InvalidDicomError)
_ContextKey = tuple[UID, UID | None]  # SOP class and transfer syntax; None: whichever uncompressed one the peer likes


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A file, or a member of an archive, that did not arrive, and why."""

    label: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SendResult:
    """What became of the files: stored by the peer, failed, or left out because they are not DICOM instances."""

    sent: int
    failures: tuple[Failure, ...]
    left_out: int

    @property
    def complete(self) -> bool:
        """True if there was something to send and all of it arrived."""
        return self.sent > 0 and not self.failures


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    source: SourceFile
    sop_class: UID
    transfer_syntax: UID

    @property
    def compressed(self) -> bool:
        """True if its pixels are in a compressed transfer syntax that the standard knows."""
        return self.transfer_syntax.is_transfer_syntax and self.transfer_syntax.is_compressed

    @property
    def contexts(self) -> tuple[_ContextKey, ...]:
        """The contexts this file may go through, its own transfer syntax first."""
        if self.transfer_syntax in _UNCOMPRESSED:
            return ((self.sop_class, None),)
        own = (self.sop_class, self.transfer_syntax)
        return (own, (self.sop_class, None)) if self.compressed else (own,)


def send(paths: Iterable[Path], peer: Peer, *, advance: Callable[[int], None] = lambda count: None) -> SendResult:
    """Send every DICOM file in `paths` as `mrclip read` finds them: files, folders with all that is below them, zip
    archives, what a DICOMDIR refers to. `advance(1)` after each.

    Never raises for a file or the peer: what failed is in the result. An association that ends is opened again; a file
    that ends one first thing is given up.
    """
    sources = list(find(paths))
    failures = [Failure(label=one.label, reason=one.refused.message) for one in sources if one.refused is not None]
    found = [_identify(one) for one in sources if one.refused is None]
    files = [file for file in found if file is not None]
    failed = [failure for batch in _batches(files) for failure in _send_batch(batch, peer, advance)]
    return SendResult(sent=len(files) - len(failed), failures=(*failures, *failed), left_out=len(found) - len(files))


def _identify(source: SourceFile) -> _File | None:
    """SOP class and transfer syntax of a file; None where it is not an instance that could be sent."""
    try:
        with source.open() as stream:
            dataset = dcmread(stream, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
        file = _File(
            source=source, sop_class=UID(dataset.SOPClassUID), transfer_syntax=UID(dataset.file_meta.TransferSyntaxUID)
        )
    except _UNREADABLE:
        return None
    return None if file.sop_class == MediaStorageDirectoryStorage else file


def _batches(files: Sequence[_File]) -> Iterator[list[_File]]:
    """Files in their order, cut where the contexts of a batch would be more than an association can have."""
    batch: list[_File] = []
    keys: set[_ContextKey] = set()
    for file in files:
        if len(keys.union(file.contexts)) > _MAX_CONTEXTS:
            yield batch
            batch, keys = [], set()
        batch.append(file)
        keys.update(file.contexts)
    if batch:
        yield batch


def _send_batch(files: Sequence[_File], peer: Peer, advance: Callable[[int], None]) -> list[Failure]:
    keys = dict.fromkeys(key for file in files for key in file.contexts)
    contexts = [build_context(sop_class, list(_UNCOMPRESSED) if own is None else [own]) for sop_class, own in keys]
    failures: list[Failure] = []
    waiting = list(files)
    while waiting:
        first = waiting[0]
        try:
            with association(peer, contexts) as link:
                waiting = _send_while_up(waiting, link, failures, advance)
        except DeliveryError as error:
            advance(len(waiting))
            return [*failures, *(Failure(label=file.source.label, reason=str(error)) for file in waiting)]
        if waiting and waiting[0] is first:
            failures.append(Failure(label=first.source.label, reason=str(AssociationEndedError())))
            advance(1)
            waiting = waiting[1:]
    return failures


def _send_while_up(
    files: Sequence[_File], link: Association, failures: list[Failure], advance: Callable[[int], None]
) -> list[_File]:
    """Send files as long as the association lasts; returns those that are left, the one it ended with first."""
    accepted = {(context.abstract_syntax, context.transfer_syntax[0]) for context in link.accepted_contexts}
    for index, file in enumerate(files):
        try:
            store(link, _load(file, accepted))
        except AssociationEndedError:
            return list(files[index:])
        except DeliveryError as error:
            failures.append(Failure(label=file.source.label, reason=str(error)))
        advance(1)
    return []


def _load(file: _File, accepted: Collection[tuple[UID | None, UID]]) -> Dataset:
    """The instance as the peer takes it; its texts may quote the patient, so errors carry types only."""
    try:
        with file.source.open() as stream:
            dataset = dcmread(stream)
    except _UNREADABLE as error:
        raise DeliveryError(f"the file cannot be read: {type(error).__name__}", retry=False) from error
    if file.compressed and (file.sop_class, file.transfer_syntax) not in accepted:
        try:
            dataset.decompress(generate_instance_uid=False)  # the same image, so it keeps its SOP Instance UID
        except (RuntimeError, ValueError, AttributeError) as error:
            raise DeliveryError(f"the pixels cannot be decoded: {type(error).__name__}", retry=False) from error
    return dataset
