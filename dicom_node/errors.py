"""One tree of errors: each class knows the DIMSE status that answers it and whether trying again can help.

Statuses are those of the Storage Service (PS3.4 B.2.3) and of DIMSE itself (PS3.7 C). Error texts carry UIDs, counts
and rules, never what identifies a patient: they are logged and kept beside quarantined data.
"""

from typing import Final

SUCCESS: Final = 0x0000


class NodeError(Exception):
    """Everything that the node itself raises."""

    status: int | None = None  # None: it never answers a peer
    retry: bool = False  # True: the same thing may work later; the class says so, or the one that raises


class SettingsError(NodeError):
    """The settings are wrong; the text names the key."""


class OutOfResourcesError(NodeError):
    """Refused for now: senders keep the instance and try again (PS3.4 B.2.3: A7xx)."""

    status = 0xA700
    retry = True


class SpoolFullError(OutOfResourcesError):
    """The disk of the spool is full, or below its reserve."""


class LedgerUnavailableError(OutOfResourcesError):
    """The ledger's database does not answer or stays locked."""


class RefusedInstanceError(NodeError):
    """An instance that the node does not take; the sender is told why by the status."""


class SopClassMismatchError(RefusedInstanceError):
    """The data set is not what the request says it is (PS3.4 B.2.3: A9xx)."""

    status = 0xA900


class CannotUnderstandError(RefusedInstanceError):
    """The data set cannot be parsed as far as its UIDs, or has none (PS3.4 B.2.3: Cxxx)."""

    status = 0xC000


class SopClassNotSupportedError(RefusedInstanceError):
    """The request names a SOP class that its presentation context does not (PS3.7 C.4.2: 0122)."""

    status = 0x0122
