"""When the reader changes, what older readers read is read again: newest first, and after everything that is live."""

from collections.abc import Callable
from datetime import datetime

from dicom_node.ledger.records import LATER, Priority
from dicom_node.ledger.store import Ledger
from inference.identifiers import SeriesInstanceUid


class WithOutdated:
    """The ledger as the sweeper asks it, with outdated readings made due where nothing else waits without haste."""

    def __init__(self, ledger: Ledger, *, reader_digest: Callable[[], str]) -> None:
        self._ledger, self._reader_digest = ledger, reader_digest
        self._caught_up: str | None = None  # the digest that nothing is outdated for any more

    def due(self, now: datetime, limit: int, *, priority: Priority) -> list[SeriesInstanceUid]:
        """Series of a priority to be read."""
        found = self._ledger.due(now, limit, priority=priority)
        if found or priority != LATER or limit < 1:
            return found
        digest = self._reader_digest()
        if digest == self._caught_up:
            return found
        if not self._ledger.reread(digest, now=now, limit=limit):
            self._caught_up = digest
        return self._ledger.due(now, limit, priority=priority)

    def due_deliveries(self, now: datetime, limit: int, *, priority: Priority) -> list[int]:
        """Deliveries of a priority to be tried."""
        return self._ledger.due_deliveries(now, limit, priority=priority)
