"""Logs as events, one JSON object a line on standard error, with fields from one list: no patient can get in.

Texts of other people's exceptions and warnings may quote the values they choke on, so their type and place are logged
and their text is not.
"""

import json
import logging
import time
import traceback
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from hashlib import sha256
from types import TracebackType
from typing import Final, TextIO

from inference.identifiers import SeriesInstanceUid

FIELDS: Final = frozenset(
    {
        "address", "ae_title", "attempt", "code", "count", "delivery_id", "destination", "files", "host", "instances",
        "pool", "port", "ports", "queues", "reader_digest", "reason", "request_id", "seconds", "series_uid",
        "sop_class_uid", "sop_instance_uid", "state", "status", "task",
    }
)  # fmt: skip


_SAY_AGAIN_S: Final = 60.0
_request: Final[ContextVar[str | None]] = ContextVar("request", default=None)


@contextmanager
def request_of(series: SeriesInstanceUid) -> Generator[None]:
    """Every event of this thread until the end of the block carries the request id of `series`, which is the same in
    every process: the beginning of the name that its folder in the spool has."""
    token = _request.set(sha256(series.encode("ascii")).hexdigest()[:16])
    try:
        yield
    finally:
        _request.reset(token)


class Trouble:
    """Something that goes wrong at every try for as long as a server is away: said at once, then once a minute."""

    def __init__(
        self, log: logging.Logger, event: str, *, over: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._event, self._over, self._monotonic = log, event, over, monotonic
        self._said_s: float | None = None

    def goes_on(self, **fields: object) -> None:
        """It went wrong, for the first time or again."""
        now_s = self._monotonic()
        if self._said_s is None or now_s - self._said_s >= _SAY_AGAIN_S:
            self._said_s = now_s
            self._log.warning(self._event, extra=fields)

    def ended(self) -> None:
        """It works; said where it did not before."""
        if self._said_s is not None:
            self._said_s = None
            self._log.info(self._over)


class EventFormatter(logging.Formatter):
    """One JSON object a record: time, level, logger, event and the allowed fields it carries."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of `record`; an exception becomes its type and its places."""
        event: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        event.update({name: value for name, value in record.__dict__.items() if name in FIELDS})
        if (request := _request.get()) is not None:
            event["request_id"] = request
        if record.exc_info and record.exc_info[0] is not None:
            event["exception"] = record.exc_info[0].__name__
            event["at"] = _places(record.exc_info[2])
        return json.dumps(event, default=str)


def _places(trace: TracebackType | None) -> list[str]:
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    logging.getLogger("warnings").debug("%s at %s:%d", category.__name__, filename, lineno)


def set_up(level: str = "INFO") -> None:
    """Send this process's events to standard error; other people's loggers speak only from ERROR on, without text."""
    handler = logging.StreamHandler()
    handler.setFormatter(EventFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.ERROR)
    for name in ("dicom_node", "inference"):
        logging.getLogger(name).setLevel(level)
    for name in ("pydicom", "pynetdicom", "highdicom"):
        logging.getLogger(name).handlers[:] = [logging.NullHandler()]
        logging.getLogger(name).propagate = False
    warnings.showwarning = _log_warning
