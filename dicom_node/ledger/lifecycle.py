"""The life of a series as a table: what may happen to it in which state. No clock, no database.

    receiving --claimed--> reading --finished--> read --delivered-all--> answered
        ^                     |                    |                        |
        |  outgrown, failed,  |                    |                        |
        |  postponed,         |                    |                        |
        |  lease-ran-out      |     instance, requested, reader-changed     |
        +---------------------+<-------------------+------------------------+
                              |
                              +--gave-up--> quarantined --instance, requested, reader-changed--> receiving

    answered --removed--> removed --instance--> receiving

An event that is not in the table for a state cannot happen there: the ledger checks its rows first, so meeting one is
a fault of the program.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from dicom_node.ledger.records import SeriesState

SeriesEvent = Literal[
    "instance",  # an instance arrived that the ledger did not know
    "claimed",  # an owner leased the series
    "lease-ran-out",  # and has not been heard of since
    "finished",  # every instance there is was read
    "outgrown",  # the reading was finished, and instances arrived meanwhile
    "failed",  # the reading failed and is to be tried again
    "postponed",  # what it needs is not at hand yet; it was no attempt
    "gave-up",  # it failed for the last time
    "delivered-all",  # nothing of the reading is left to deliver
    "requested",  # a person or a peer asks for it to be read again
    "reader-changed",  # there is another reader digest
    "restored",  # its report was found in the spool and not in the ledger
    "removed",  # its instances were taken out of the spool, and what was read of them stays
]

INITIAL: Final[SeriesState] = "receiving"

TRANSITIONS: Final[Mapping[tuple[SeriesState, SeriesEvent], SeriesState]] = MappingProxyType(
    {
        ("receiving", "instance"): "receiving",
        ("receiving", "claimed"): "reading",
        ("receiving", "delivered-all"): "receiving",  # of the reading before
        ("receiving", "requested"): "receiving",
        ("receiving", "reader-changed"): "receiving",
        ("receiving", "restored"): "read",
        ("reading", "instance"): "reading",  # seen when the reading is finished
        ("reading", "lease-ran-out"): "receiving",
        ("reading", "finished"): "read",
        ("reading", "outgrown"): "receiving",
        ("reading", "failed"): "receiving",
        ("reading", "postponed"): "receiving",
        ("reading", "gave-up"): "quarantined",
        ("reading", "delivered-all"): "reading",  # of the reading before
        ("reading", "requested"): "reading",  # it is being read
        ("reading", "reader-changed"): "reading",
        ("read", "instance"): "receiving",
        ("read", "delivered-all"): "answered",
        ("read", "requested"): "receiving",
        ("read", "reader-changed"): "receiving",
        ("read", "restored"): "read",  # by the report of another reader
        ("answered", "instance"): "receiving",
        ("answered", "requested"): "receiving",
        ("answered", "reader-changed"): "receiving",
        ("answered", "restored"): "read",
        ("answered", "removed"): "removed",
        ("removed", "instance"): "receiving",  # what came again is read by itself
        ("quarantined", "instance"): "receiving",
        ("quarantined", "delivered-all"): "quarantined",  # of the reading before
        ("quarantined", "requested"): "receiving",
        ("quarantined", "reader-changed"): "receiving",
    }
)


class ImpossibleTransitionError(Exception):
    """An event met a state in which it cannot happen."""


def transition(state: SeriesState, event: SeriesEvent) -> SeriesState:
    """The state after `event`; ImpossibleTransitionError where it cannot happen."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ImpossibleTransitionError(f"a series that is {state} cannot meet {event}") from None
