"""Getting a report to where it is wanted: one protocol, one file per kind of destination."""

from pathlib import Path
from typing import Protocol

from dicom_node.commitment import Request
from dicom_node.errors import NodeError


class DeliveryError(NodeError):
    """A report did not arrive. `retry` says whether trying again can help; if not, it is a dead letter."""

    def __init__(self, message: str, *, retry: bool) -> None:
        super().__init__(message)
        self.retry = retry


class Committer(Protocol):
    """What a destination is asked by to commit to what it took."""

    def ask(self, request: Request) -> None:
        """Return once it took the question; it answers on its own. DeliveryError if it did not."""
        ...


class Destination(Protocol):
    """Somewhere a report can be sent to."""

    @property
    def committer(self) -> Committer | None:
        """Who must commit to a report before it counts as delivered; None: taken is delivered."""
        ...

    @property
    def name(self) -> str:
        """The name in the settings, unique among destinations."""
        ...

    def deliver(self, report_path: Path) -> None:
        """Return once the destination has the report; delivering it again changes nothing. DeliveryError if not."""
        ...


def back_off(attempt: int, *, first_s: float, longest_s: float) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1): doubled each time, up to `longest_s`.

    Without jitter: attempts of one node are spread already, by when its reports were made.
    """
    if attempt < 1:
        raise ValueError(f"attempt is {attempt}; must be >= 1")
    # 2.0 ** 1024 is no float any more; a wait that was doubled 64 times is longer than any limit
    return min(longest_s, first_s * 2.0 ** min(attempt - 1, 64))
