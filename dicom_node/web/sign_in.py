"""Signing in and out."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
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
_AT_ONCE: Final = 5  # one password is tried at a time; the others wait, each in a thread that could answer a page


class Throttle:
    """Makes those wait who try one password after the other: 1 s after the fifth, twice as long after each more."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._failed: dict[tuple[str, str], tuple[int, float]] = {}
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    @contextmanager
    def place(self) -> Generator[None]:
        """A block in which a password is tried; ProblemError where too many are at it."""
        if not self._places.acquire(blocking=False):
            raise ProblemError(503, "busy", "too many sign in at once; try again in a few seconds")
        try:
            yield
        finally:
            self._places.release()

    def begin(self, who: tuple[str, str]) -> float:
        """How long `who` has to wait before the next try; 0 where it begins now.

        It counts as failed from then on, so that tries beside each other are no more than tries one after the other.
        """
        with self._turn:
            now_s = self._monotonic()
            tries, last_s = self._failed.get(who, (0, 0.0))
            pause_s = min(_LONGEST_WAIT_S, 2.0 ** (tries - _FREE_TRIES)) if tries >= _FREE_TRIES else 0.0
            if last_s + pause_s > now_s:
                return last_s + pause_s - now_s
            self._failed.pop(who, None)
            self._failed[who] = tries + 1, now_s
            while len(self._failed) > _REMEMBERED:
                del self._failed[next(iter(self._failed))]
            return 0.0

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
    with throttle.place():
        wait_s = throttle.begin(who)
        if wait_s > 0:
            raise ProblemError(429, "too-many-tries", f"too many tries; wait {wait_s:.0f} seconds")
        account = site.accounts.sign_in(name, form.get("password", ""))
    if account is None:
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
