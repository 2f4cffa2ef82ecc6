"""Signing in and out."""

import threading
import time
from collections.abc import Callable
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from dicom_node.web.access import begin_session, end_session
from dicom_node.web.errors import ProblemError
from dicom_node.web.forms import Form, FormToken
from dicom_node.web.site import TheSite
from dicom_node.web.templating import render

router = APIRouter(include_in_schema=False)

_FREE_TRIES: Final = 5
_LONGEST_WAIT_S: Final = 300.0
_REMEMBERED: Final = 10_000


class Throttle:
    """Makes those wait who try one password after the other: 1 s after the fifth, twice as long after each more."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._failed: dict[tuple[str, str], tuple[int, float]] = {}
        self._turn = threading.Lock()

    def wait_s(self, who: tuple[str, str]) -> float:
        """How long `who` has to wait before the next try."""
        with self._turn:
            tries, last_s = self._failed.get(who, (0, 0.0))
        pause_s = min(_LONGEST_WAIT_S, 2.0 ** (tries - _FREE_TRIES)) if tries >= _FREE_TRIES else 0.0
        return max(0.0, last_s + pause_s - self._monotonic())

    def failed(self, who: tuple[str, str]) -> None:
        """A try of `who` failed."""
        with self._turn:
            tries, _ = self._failed.pop(who, (0, 0.0))
            self._failed[who] = tries + 1, self._monotonic()
            while len(self._failed) > _REMEMBERED:
                del self._failed[next(iter(self._failed))]

    def succeeded(self, who: tuple[str, str]) -> None:
        """They knew it."""
        with self._turn:
            self._failed.pop(who, None)


@router.get("/sign-in")
def page(token: FormToken, then: str = "/") -> HTMLResponse:
    """The form."""
    return render("sign_in.html", token=token, then=_ours(then), wrong=False)


@router.post("/sign-in", response_model=None)
def sign_in(request: Request, site: TheSite, form: Form, token: FormToken) -> HTMLResponse | RedirectResponse:
    """A name and a password."""
    if site.settings.sign_in != "accounts":
        raise ProblemError(404, "not-found", "nobody signs in here")
    throttle: Throttle = request.app.state.throttle
    name, then = form.get("name", "")[:64], _ours(form.get("then", "/"))
    who = name, "" if request.client is None else request.client.host
    wait_s = throttle.wait_s(who)
    if wait_s > 0:
        raise ProblemError(429, "too-many-tries", f"too many tries; wait {wait_s:.0f} seconds")
    account = site.accounts.sign_in(name, form.get("password", ""))
    if account is None:
        throttle.failed(who)
        return render("sign_in.html", status=401, token=token, then=then, wrong=True)
    throttle.succeeded(who)
    begin_session(request, account)
    return RedirectResponse(then, 303)


@router.post("/sign-out")
def sign_out(request: Request, _form: Form) -> RedirectResponse:
    """End the session."""
    end_session(request)
    return RedirectResponse("/sign-in", 303)


def _ours(path: str) -> str:
    """`path` if it is one of this node, where a person may be sent after signing in; else the worklist."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"
