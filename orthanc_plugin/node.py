"""The node over HTTP: what it knows of a series, and asking it to read or to fetch one."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, cast

from orthanc_plugin.routing import Result

_TIMEOUT_S: Final = 10.0
_MAX_ANSWER_BYTES: Final = 32 << 20
# The node has these, or is about to: sending them again would be for nothing.
_HELD: Final = frozenset({"receiving", "reading", "read", "answered"})


class NodeError(Exception):
    """The node cannot be reached, or answers with an error."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the node says of a series."""

    document: dict[str, Any]

    @property
    def state(self) -> str:
        """Its state in the node's ledger."""
        return str(self.document["state"])

    @property
    def report_uid(self) -> str | None:
        """SOP Instance UID of the report that holds."""
        reports = self.document["reports"]
        return str(reports[-1]["sop_instance_uid"]) if reports else None

    def holds(self, instances: int) -> bool:
        """Whether the node has as many instances already."""
        return self.state in _HELD and self.document["instances"] == instances

    def result(self) -> Result | None:
        """What was read and reported; None as long as nothing was."""
        if not self.document["reports"] or self.document["score"] is None:
            return None
        report = self.document["reports"][-1]
        return Result(
            contrast=self.document["contrast"],
            post_contrast=_common(self.document["stacks"]),
            flagged=bool(self.document["flagged"]),
            score=float(self.document["score"]),
            reader_digest=report["reader_digest"],
            report_uid=report["sop_instance_uid"],
        )


class Node:
    """The node at an address."""

    def __init__(self, url: str, *, token_file: Path | None = None, timeout_s: float = _TIMEOUT_S) -> None:
        self._url, self._token_file, self._timeout_s = url.rstrip("/"), token_file, timeout_s
        # Addresses of this machine must not go through a proxy that the environment names.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def series(self, uid: str) -> Known | None:
        """What it knows of a series; None if it does not know it. Raises NodeError."""
        document = self._ask("GET", f"/api/v1/series/{uid}")
        return None if document is None else Known(document=document)

    def read(self, uid: str) -> bool:
        """Have a series read again; False if the node does not know it. Raises NodeError."""
        return self._ask("POST", f"/api/v1/series/{uid}/read", b"") is not None

    def notify(self, orthanc_url: str, series: str) -> None:
        """Have the node fetch a series from this Orthanc. Raises NodeError."""
        body = json.dumps({"orthanc": orthanc_url, "series": series}).encode()
        if self._ask("POST", "/api/v1/notify", body) is None:
            raise NodeError("the node does not fetch series: no setting web.orthancs")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any] | None:
        headers = {"Accept": "application/json"}
        if body:
            headers["Content-Type"] = "application/json"
        if self._token_file is not None:
            headers["Authorization"] = f"Bearer {_token(self._token_file)}"
        # The configuration takes http:// and https:// only.
        request = urllib.request.Request(self._url + path, data=body, headers=headers, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                return _object(answer.read(_MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                raise NodeError(f"the node answers {method} {path} with {error.code}: {_message(error)}") from None
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            raise NodeError(f"the node at {self._url} cannot be reached: {reason}") from None
        except HTTPException as error:  # no OSError: another port, or an address that is none
            raise NodeError(f"the node at {self._url} does not answer in HTTP: {error!r:.200}") from None


def _token(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        raise NodeError(f"the token of the node cannot be read: {error.strerror}") from None


def _common(stacks: list[dict[str, Any]]) -> bool | None:
    """Whether contrast agent is seen, if all stacks that say so agree."""
    answers = {
        stack["contrast"]["post_contrast"]["value"]
        for stack in stacks
        if stack["contrast"] is not None and stack["contrast"]["post_contrast"] is not None
    }
    return cast("bool", answers.pop()) if len(answers) == 1 else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        raise NodeError("the node answers with what is not JSON") from None
    if not isinstance(document, dict):
        raise NodeError("the node answers with what is not a JSON object")
    return cast("dict[str, Any]", document)


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(1 << 16))["error"]["message"])
    except (ValueError, KeyError, TypeError, OSError, HTTPException):
        return error.reason
