"""Whether the node has what a peer asks about: known to the ledger, and whole under its name in the spool."""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol
from uuid import uuid4

from dicom_node.commitment import CLASS_CONFLICT, NO_SUCH_INSTANCE, Failure, Reference, Report, Request
from dicom_node.ledger.commitments import Held
from dicom_node.receive.files import read_whole, write_whole
from dicom_node.receive.spool import Spool
from inference.identifiers import SopInstanceUid

# Why an instance is not committed to.
REASONS: Final = {
    NO_SUCH_INSTANCE: "it was not received, or is not held any more",
    CLASS_CONFLICT: "it is held under another SOP class",
}


class HeldInstances(Protocol):
    """The part of the ledger that finds instances by their UID."""

    def held(self, uids: Iterable[SopInstanceUid]) -> Mapping[SopInstanceUid, list[Held]]:
        """What is held under each SOP Instance UID."""
        ...


def spool_id(spool: Spool, *, make: bool) -> str | None:
    """The id of a spool, which all nodes with it share; None where it has none, and is not to be given one.

    Raises SpoolFullError or OutOfResourcesError.
    """
    file = spool.root / "spool-id"
    if make and not file.exists():
        write_whole(file, [uuid4().hex.encode()], replace=False)
    try:
        return bytes(read_whole(file)).decode("ascii", "replace")
    except FileNotFoundError:
        return None


def judge(request: Request, *, ledger: HeldInstances, spool: Spool) -> Report:
    """The answer to a request, as of now. Raises LedgerUnavailableError.

    A name that exists in the spool is a file that is whole and synced, so looking for the name is enough.
    """
    held = ledger.held(SopInstanceUid(one.sop_instance_uid) for one in request.references)
    committed: list[Reference] = []
    failed: list[Failure] = []
    for reference in request.references:
        reason = _failure(reference, held.get(SopInstanceUid(reference.sop_instance_uid), []), spool)
        if reason is None:
            committed.append(reference)
        else:
            failed.append(Failure(reference=reference, reason=reason))
    return Report(transaction_uid=request.transaction_uid, committed=tuple(committed), failed=tuple(failed))


def _failure(reference: Reference, held: list[Held], spool: Spool) -> int | None:
    uid = SopInstanceUid(reference.sop_instance_uid)
    there = [one for one in held if spool.instance_path(one.series_instance_uid, uid).exists()]
    if not there:
        return NO_SUCH_INSTANCE
    return None if any(one.sop_class_uid == reference.sop_class_uid for one in there) else CLASS_CONFLICT
