"""Series fetched from an Orthanc over REST: the way in for images whose sender told us about them over HTTP.

Only servers that the settings name are asked, and no redirection is followed, so that nobody can have the node ask
another one.
"""

import base64
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any, Final

from dicom_node.errors import NodeError, RefusedInstanceError
from dicom_node.receive.intake import Intake
from inference.identifiers import SeriesInstanceUid

log = logging.getLogger(__name__)

_TIMEOUT_S: Final = 30.0
_MAX_SERIES_BYTES: Final = 16 << 20  # of the JSON that lists the instances of a series


class FetchError(NodeError):
    """The other server does not give what it should."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """An Orthanc that may be asked."""

    url: str  # without a slash at its end
    username: str | None = None
    password: str | None = None


class Fetcher:
    """Fetches one series after the other in a thread of its own; what is lost when it ends is asked for again."""

    def __init__(self, sources: Mapping[str, Source], intake: Intake, *, max_instance_bytes: int) -> None:
        """`sources` by their URL."""
        self.sources, self._intake, self._max_instance_bytes = sources, intake, max_instance_bytes
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="fetch")
        self._closed = threading.Event()
        self._waiting: set[tuple[str, str]] = set()
        self._turn = threading.Lock()
        self._opener = opener()

    def fetch(self, url: str, series: str) -> None:
        """Have a series (Orthanc's identifier) of the source at `url` fetched; returns at once. KeyError: unknown."""
        source = self.sources[url]
        with self._turn:
            if (url, series) in self._waiting:
                return
            self._waiting.add((url, series))
        self._pool.submit(self._run, source, series)

    def close(self) -> None:
        """End after the instance that is being fetched."""
        self._closed.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, source: Source, series: str) -> None:
        with self._turn:
            self._waiting.discard((source.url, series))
        try:
            taken = self._fetch(source, series)
        except (NodeError, OSError, HTTPException) as error:
            reason = str(error) if isinstance(error, NodeError) else type(error).__name__
            log.warning("series not fetched", extra={"address": source.url, "reason": reason})
        else:
            log.info("series fetched", extra={"address": source.url, "instances": taken})

    def _fetch(self, source: Source, series: str) -> int:
        taken: list[SeriesInstanceUid] = []
        for instance in self._instances(source, series):
            if self._closed.is_set():
                break
            try:
                taken.append(self._intake.take_file(self._file(source, instance)).series_instance_uid)
            except RefusedInstanceError as error:
                log.warning("instance not taken", extra={"address": source.url, "reason": str(error)})
        self._intake.released(set(taken))
        return len(taken)

    def _instances(self, source: Source, series: str) -> list[str]:
        try:
            document: Any = json.loads(self._get(source, f"/series/{series}", _MAX_SERIES_BYTES))
            return [str(instance) for instance in document["Instances"]]
        except (ValueError, KeyError, TypeError):
            raise FetchError("the source does not list the instances of the series") from None

    def _file(self, source: Source, instance: str) -> bytes:
        return self._get(source, f"/instances/{instance}/file", self._max_instance_bytes)

    def _get(self, source: Source, path: str, max_bytes: int) -> bytes:
        request = urllib.request.Request(source.url + path)  # noqa: S310 - the settings take http and https only
        if source.username is not None:
            secret = f"{source.username}:{source.password or ''}".encode()
            request.add_header("Authorization", f"Basic {base64.b64encode(secret).decode()}")
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                body = read_whole(answer, max_bytes)
        except urllib.error.HTTPError as error:
            with error:
                raise FetchError(f"the source answers with {error.code}") from None
        except IncompleteRead:
            raise FetchError("the source's answer ends early") from None
        if len(body) > max_bytes:
            raise FetchError(f"the source answers with more than {max_bytes} bytes")
        return body


def read_whole(answer: HTTPResponse, max_bytes: int) -> bytes:
    """The body of an answer, at most one byte more than `max_bytes` of it. IncompleteRead: it ends early.

    http.client sees that of chunks only: else what came before a connection broke would pass for all of it. An empty
    body must be said to be empty (RFC 9112 6.3); a connection that just ends says nothing.
    """
    body = answer.read(max_bytes + 1)
    if len(body) <= max_bytes and (answer.length or (not body and answer.length is None and not answer.chunked)):
        raise IncompleteRead(body, answer.length)
    return body


def opener() -> urllib.request.OpenerDirector:
    """Speaks HTTP and HTTPS with the server that is named: no proxy, no redirection, no other scheme."""
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        made.add_handler(handler)
    return made
