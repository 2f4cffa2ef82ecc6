"""Storage Commitment, Push Model (PS3.4 Annex J): who sent something asks whether it is safe now, and is told later.

One transaction is a request (N-ACTION) and its report (N-EVENT-REPORT); both are values here, without a socket.
"""

from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from pydicom.uid import UID

PUSH_MODEL: Final = UID("1.2.840.10008.1.20.1")
PUSH_MODEL_INSTANCE: Final = UID("1.2.840.10008.1.20.1.1")  # the one instance that there is (PS3.4 J.3.1)

# Failure Reason (0008,1197), PS3.3 C.14.1.1
PROCESSING_FAILURE: Final = 0x0110
NO_SUCH_INSTANCE: Final = 0x0112
CLASS_CONFLICT: Final = 0x0119


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """An instance, as the two names that a message has for it."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a peer asks: are these safe?"""

    transaction_uid: str
    references: tuple[Reference, ...]


def new_transaction_uid() -> str:
    """A Transaction UID (0008,1195) that nobody used and nobody can guess."""
    return f"2.25.{uuid4().int}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """An instance that is not safe."""

    reference: Reference
    reason: int  # Failure Reason (0008,1197)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The answer to a request."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[Failure, ...]
