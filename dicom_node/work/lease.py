"""Keeps a lease alive while its work runs, however long the work takes."""

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from dicom_node.errors import LedgerUnavailableError

log = logging.getLogger(__name__)


@contextmanager
def kept(renew: Callable[[], bool], *, every_s: float) -> Generator[threading.Event]:
    """Call `renew` every `every_s` seconds until the block ends; the event is set once a renewal was refused.

    A refusal means that the lease ran out and somebody else may have the work: the block may go on, since doing it
    twice is harmless, but the ledger will not take its result. A ledger that does not answer refuses nothing: it is
    asked again, since a lease outlives several renewals.
    """
    stop, lost = threading.Event(), threading.Event()

    def run() -> None:
        while not stop.wait(every_s):
            try:
                if not renew():
                    lost.set()
                    return
            except LedgerUnavailableError as error:
                log.warning("lease not renewed", extra={"reason": str(error)})

    keeper = threading.Thread(target=run, name="lease", daemon=True)
    keeper.start()
    try:
        yield lost
    finally:
        stop.set()
        keeper.join()
