"""Every error says what is wrong: to programs as one JSON object {"error": {code, message}}, to people as a page."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from dicom_node.errors import LedgerUnavailableError
from dicom_node.web.accounts import AccountsError
from dicom_node.web.templating import render

log = logging.getLogger(__name__)

_LONGEST_THEN: Final = 2000  # a URL that holds it must still be one that browsers and proxies take
_FOR_PROGRAMS: Final = ("/api/", "/healthz", "/readyz", "/metrics")


class SignInNeededError(Exception):
    """Nobody said who asks."""


class ProblemError(Exception):
    """A request that cannot be answered as it was meant."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def problem(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to a request that failed."""
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers=headers)


def add_error_handlers(app: FastAPI) -> None:
    """Answer every error of `app` in our form."""
    for kind in (
        ProblemError,
        SignInNeededError,
        RequestValidationError,
        LedgerUnavailableError,
        AccountsError,
        HTTPException,
        Exception,
    ):
        app.add_exception_handler(kind, _answer)


def only_known_parameters(request: Request) -> None:
    """A dependency: a parameter that the route does not take is an error, since `?flaged=true` lists what it should
    not."""
    route = request.scope["route"]
    taken = {field.alias for field in route.dependant.query_params}
    if not taken.issuperset(request.query_params):
        words = ", ".join(sorted(taken)) or "none"
        raise ProblemError(422, "invalid-parameter", f"a parameter is unknown; there are: {words}")


async def _answer(request: Request, error: Exception) -> Response:
    told, headers = _told(error)
    if isinstance(error, SignInNeededError) and request.method == "GET" and _asks_for_page(request):
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        then = f"?{urlencode({'then': path})}" if len(path) <= _LONGEST_THEN else ""
        return RedirectResponse(f"/sign-in{then}", 303)
    if _asks_for_page(request):
        return render("problem.html", status=told.status, headers=headers, problem=told)
    return problem(told.status, told.code, told.message, headers)


def _asks_for_page(request: Request) -> bool:
    return not request.url.path.startswith(_FOR_PROGRAMS)


def _told(error: Exception) -> tuple[ProblemError, Mapping[str, str] | None]:
    match error:
        case ProblemError():
            return error, None
        case SignInNeededError():
            told = ProblemError(401, "sign-in-needed", "sign in, or send a token as `Authorization: Bearer ...`")
            return told, {"WWW-Authenticate": "Bearer"}
        case RequestValidationError():
            return ProblemError(422, "invalid-parameter", _complaints(error.errors())), None
        case LedgerUnavailableError():
            return ProblemError(503, "ledger-unavailable", str(error)), {"Retry-After": "5"}
        case AccountsError():  # its text is for who runs the node, and nobody knows who asks
            log.error("accounts cannot be used", extra={"reason": str(error)})
            return ProblemError(503, "accounts-unavailable", "accounts cannot be read; the node's log says why"), None
        case HTTPException():
            phrase = HTTPStatus(error.status_code).phrase
            return ProblemError(error.status_code, phrase.lower().replace(" ", "-"), phrase), error.headers
        case _:  # the server logs it with its type and place; its text may quote what it choked on
            return ProblemError(500, "internal-error", "the node failed to answer; its log says where"), None


def _complaints(errors: Sequence[Mapping[str, Any]]) -> str:
    # Names and rules, not the values: they are the sender's, of any length and with anything in them.
    return "; ".join(f"{'.'.join(str(part) for part in item['loc'][1:])}: {item['msg']}" for item in errors)
