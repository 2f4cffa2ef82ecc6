"""When the reader changes, what older readers read is read again: newest first, and after everything that is live."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from dicom_node.ledger.records import LATER, Priority
from dicom_node.ledger.store import Ledger
from inference.identifiers import SeriesInstanceUid

log = logging.getLogger(__name__)

_PAUSE: Final = timedelta(minutes=10)  # where workers do not read with the reader that we have


class WithOutdated:
    """The ledger as the sweeper asks it, with outdated readings made due where nothing else waits without haste.

    A series that it made due and that is outdated again was read by a worker with another bundle, calibration or
    version of mrclip. That worker would read the archive again and again; so it is said, and there is a pause.
    """

    def __init__(self, ledger: Ledger, *, reader_digest: Callable[[], str]) -> None:
        self._ledger, self._reader_digest = ledger, reader_digest
        self._digest: str | None = None  # that the rest is about
        self._made_due: frozenset[SeriesInstanceUid] = frozenset()  # the last of them
        self._caught_up = False  # nothing is outdated any more
        self._not_before: datetime | None = None

    def due(self, now: datetime, limit: int, *, priority: Priority) -> list[SeriesInstanceUid]:
        """Series of a priority to be read."""
        found = self._ledger.due(now, limit, priority=priority)
        if found or priority != LATER or limit < 1:
            return found
        digest = self._reader_digest()
        if digest != self._digest:
            self._digest, self._made_due, self._caught_up, self._not_before = digest, frozenset(), False, None
        if self._caught_up or (self._not_before is not None and now < self._not_before):
            return found
        self._make_due(digest, now, limit)
        return self._ledger.due(now, limit, priority=priority)

    def due_deliveries(self, now: datetime, limit: int, *, priority: Priority) -> list[int]:
        """Deliveries of a priority to be tried."""
        return self._ledger.due_deliveries(now, limit, priority=priority)

    def _make_due(self, digest: str, now: datetime, limit: int) -> None:
        made_due = frozenset(self._ledger.reread(digest, now=now, limit=limit))
        again = made_due & self._made_due
        if again:
            self._not_before = now + _PAUSE
            log.error(
                "workers have another reader: give them the bundle, calibration and version of mrclip that are here",
                extra={"count": len(again), "reader_digest": digest},
            )
        self._made_due, self._caught_up = made_due, not made_due
