"""Stands before every request: who may be asked for, who may ask for changes, and what a browser may do with answers.

Other web pages that a user has open can make the browser send requests here, also to a loopback address. They cannot
forge the headers checked here (Fetch Metadata; RFC 6454), and a page that had its own name point at this machine
(DNS rebinding) is stopped by that name.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicom_node.web.errors import problem

MAX_BODY_BYTES: Final = 64 << 10

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_AUTHORITY: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?")
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses what must not reach the application, and puts our headers on whatever is answered."""

    def __init__(self, app: ASGIApp, *, names: Iterable[str]) -> None:
        """`names`: host names by which the node may be asked for, besides localhost and any IP address."""
        self._app = app
        self._names = frozenset({"localhost", *(name.lower() for name in names)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(str(scope["method"]), Headers(scope=scope))
        app = self._app if refusal is None else problem(*refusal)
        await app(scope, receive, _with_headers(send))

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str, str] | None:
        if not self._is_ours(headers.get("host", "")):
            return 421, "unknown-host", "the node does not go by this name; the setting web.names lists its names"
        if method in _SAFE_METHODS:
            return None
        if not _from_here(headers):
            return 403, "cross-origin", "changes are accepted from the node's own pages and from programs only"
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal():
            return 411, "length-required", "a request with a body must state its Content-Length"
        if int(length) > MAX_BODY_BYTES:
            return 413, "too-large", f"the body has {length} bytes; at most {MAX_BODY_BYTES} are read"
        return None

    def _is_ours(self, host: str) -> bool:
        match = _AUTHORITY.fullmatch(host.lower())
        return match is not None and (match["name"] in self._names or _is_address(match["name"].strip("[]")))


def _from_here(headers: Headers) -> bool:
    """Whether one of our own pages sends this, or a program that is no browser."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
