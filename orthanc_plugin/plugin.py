"""The plugin as Orthanc loads it ("PythonScript"): nothing but glue, and the only place that imports `orthanc`.

Callbacks return at once; a thread beside them does the work (see `worker`). Written for Orthanc 1.10 with its Python
plugin 4.0; what newer ones have (labels) is used where it is.
"""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orthanc

# Orthanc's Python knows the folder of this file at most; the package is that folder.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from orthanc_plugin.configuration import configuration
from orthanc_plugin.loop import Loop, printable
from orthanc_plugin.node import Node, NodeError
from orthanc_plugin.worker import OrthancError, Worker

_ID: Final = "([0-9a-f]{8}(?:-[0-9a-f]{8}){4})"  # Orthanc's identifier of a resource
_ABSENT: Final = frozenset({7, 17})  # error codes InexistentItem and UnknownResource


class Rest:
    """Orthanc's own REST interface, from inside."""

    def get(self, path: str) -> Any:
        """A resource as JSON; None if there is none."""
        text = self.text(path)
        return None if text is None else json.loads(text)

    def text(self, path: str) -> str | None:
        """A value as text; None if there is none."""
        try:
            return orthanc.RestApiGet(path).decode()
        except orthanc.OrthancException as error:
            if error.args[0] in _ABSENT:
                return None
            raise OrthancError(f"GET {path}: {error.args[-1]}") from None

    def post(self, path: str, body: Any) -> Any:
        """The JSON answer to a POST; a text is sent as it is."""
        try:
            return json.loads(orthanc.RestApiPost(path, body if isinstance(body, str) else json.dumps(body)))
        except orthanc.OrthancException as error:
            raise OrthancError(f"POST {path}: {error.args[-1]}") from None

    def put(self, path: str, text: str) -> None:
        """Write a value."""
        try:
            orthanc.RestApiPut(path, text)
        except orthanc.OrthancException as error:
            raise OrthancError(f"PUT {path}: {error.args[-1]}") from None

    def delete(self, path: str) -> None:
        """Remove something, if it is there."""
        try:
            orthanc.RestApiDelete(path)
        except orthanc.OrthancException as error:
            if error.args[0] not in _ABSENT:
                raise OrthancError(f"DELETE {path}: {error.args[-1]}") from None

    def property(self, number: int) -> str:
        """A global property; empty if it was never set."""
        return orthanc.GetGlobalProperty(number, "")

    def set_property(self, number: int, text: str) -> None:
        """Keep a global property in Orthanc's database."""
        orthanc.SetGlobalProperty(number, text)

    def warn(self, text: str) -> None:
        """Say something in Orthanc's log."""
        orthanc.LogWarning(printable(text))


_SETTINGS: Final = configuration(json.loads(orthanc.GetConfiguration()).get("Mrclip", {}))
_NODE: Final = Node(_SETTINGS.node_url, token_file=_SETTINGS.token_file)
_REST: Final = Rest()
_WORKER: Final = Worker(_REST, _NODE, _SETTINGS, now=lambda: datetime.now().astimezone())
_LOOP: Final = Loop(_WORKER, warn=_REST.warn)


def on_change(change: int, _level: int, resource: str) -> None:
    """Something changed in Orthanc."""
    if change == orthanc.ChangeType.ORTHANC_STARTED:
        _LOOP.start()
    elif change == orthanc.ChangeType.ORTHANC_STOPPED:
        _LOOP.stop()
    elif change in (orthanc.ChangeType.NEW_SERIES, orthanc.ChangeType.STABLE_SERIES):
        _LOOP.wake()
    elif change in (orthanc.ChangeType.JOB_SUCCESS, orthanc.ChangeType.JOB_FAILURE):
        _LOOP.ask(lambda: _WORKER.job_ended(resource))


def status(output: orthanc.RestOutput, _uri: str, **request: Any) -> None:
    """GET /mrclip/series/{id}: what the node knows of a series, and what is still to be done with it."""
    if request["method"] != "GET":
        output.SendMethodNotAllowed("GET")
        return
    found = _WORKER.status(request["groups"][0])
    if found is None:
        output.SendHttpStatusCode(404)
    else:
        output.AnswerBuffer(json.dumps(found, indent=1), "application/json")


def read(output: orthanc.RestOutput, _uri: str, **request: Any) -> None:
    """POST /mrclip/series/{id}/read: have a series read again, or forward one that the node does not know."""
    if request["method"] != "POST":
        output.SendMethodNotAllowed("POST")
        return
    series = request["groups"][0]
    uid = _WORKER.uid_of(series)
    if uid is None:
        output.SendHttpStatusCode(404)
        return
    try:
        known = _NODE.read(uid)
    except NodeError as error:
        _REST.warn(f"mrclip cannot have series {uid} read again: {error}")
        output.SendHttpStatusCode(502)
        return
    if not known:
        _LOOP.ask(lambda: _WORKER.forward(series))
    output.AnswerBuffer(json.dumps({"requested": "read" if known else "forward"}), "application/json")


def open_page(output: orthanc.RestOutput, _uri: str, **request: Any) -> None:
    """GET /mrclip/series/{id}/open: the node's page of a series."""
    uid = _WORKER.uid_of(request["groups"][0])
    if uid is None:
        output.SendHttpStatusCode(404)
    else:
        output.Redirect(f"{_SETTINGS.page}/series/{uid}")


def show_queue(output: orthanc.RestOutput, _uri: str, **_request: Any) -> None:
    """GET /mrclip/queue: what is still to be done, and what was given up."""
    output.AnswerBuffer(_WORKER.queue(), "application/json")


def back_fill(output: orthanc.RestOutput, _uri: str, **request: Any) -> None:
    """POST /mrclip/backfill: forward everything that is stored and that the rules want."""
    if request["method"] != "POST":
        output.SendMethodNotAllowed("POST")
        return
    _LOOP.ask(_WORKER.back_fill)
    output.AnswerBuffer(json.dumps({"requested": "backfill"}), "application/json")


orthanc.RegisterOnChangeCallback(on_change)
orthanc.RegisterRestCallback(f"/mrclip/series/{_ID}", status)
orthanc.RegisterRestCallback(f"/mrclip/series/{_ID}/read", read)
orthanc.RegisterRestCallback(f"/mrclip/series/{_ID}/open", open_page)
orthanc.RegisterRestCallback("/mrclip/queue", show_queue)
orthanc.RegisterRestCallback("/mrclip/backfill", back_fill)
orthanc.ExtendOrthancExplorer(Path(__file__).with_name("explorer.js").read_text())
