"""Who asks, and whether they may: every route names the role it needs, and nothing is answered without it."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from dicom_node.web.accounts import ROLES, Account, Role
from dicom_node.web.errors import ProblemError, SignInNeededError
from dicom_node.web.forms import form_token
from dicom_node.web.site import Site, TheSite

SESSION_S: Final = 12 * 3600
_USER: Final = "user"  # names in the session
_STAMP: Final = "stamp"
_ID: Final = "id"
_REMEMBERED: Final = 100_000

# For OpenAPI; the token itself is read below, since people come with a session instead.
_BEARER: Final = HTTPBearer(auto_error=False, description="A token that `mrclip users token` printed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Who asks."""

    name: str
    role: Role
    signed_in: bool  # False: nobody is asked who they are

    def may(self, role: Role) -> bool:
        """Whether they may do what `role` may."""
        return ROLES.index(self.role) >= ROLES.index(role)


# Whoever reaches a node that asks nobody to sign in, which by default only this machine can.
ANYBODY: Final = Person(name="anybody", role="reviewer", signed_in=False)


def who(request: Request, site: TheSite) -> Person | None:
    """Who asks; None if they have not said it, or not truly."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return _person(site.accounts.program(token.strip()))
    match site.settings.sign_in:
        case "accounts":
            return _person(_in_session(request, site))
        case "proxy":
            return _said_by_proxy(request, site)
        case _:
            return ANYBODY


class EndedSessions:
    """Whoever signed out: a browser forgets its cookie, and a copy of it would be good for the rest of its time."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ended: dict[str, float] = {}  # by identifier: when, the oldest first
        self._turn = threading.Lock()

    def add(self, session: str) -> None:
        """A session ends; it is remembered until its cookie is too old by itself."""
        with self._turn:
            now_s = self._monotonic()
            self._ended.pop(session, None)
            self._ended[session] = now_s
            while len(self._ended) > _REMEMBERED or next(iter(self._ended.values())) < now_s - SESSION_S:
                del self._ended[next(iter(self._ended))]

    def __contains__(self, session: object) -> bool:
        """Whether a session has ended."""
        return session in self._ended


def begin_session(request: Request, account: Account) -> None:
    """From now on the requests with this session's cookie are this account's."""
    request.session.clear()  # whatever was known of the session before it is worth nothing now
    request.session[_USER], request.session[_STAMP] = account.name, account.stamp
    request.session[_ID] = secrets.token_urlsafe(16)
    form_token(request)  # now, and not with the first page: a session that changes is signed again, and lasts longer


def end_session(request: Request) -> None:
    """The session's cookie says nothing any more, wherever there is a copy of it."""
    session = request.session.get(_ID)
    if isinstance(session, str):
        _ended(request).add(session)
    request.session.clear()


def needs(role: Role) -> Callable[..., Person]:
    """A dependency: whoever asks, who has at least `role`."""

    def person(person: Annotated[Person | None, Depends(who)], _bearer: Annotated[Any, Depends(_BEARER)]) -> Person:
        if person is None:
            raise SignInNeededError
        if not person.may(role):
            raise ProblemError(403, "not-allowed", f"this needs the role {role}; {person.name} has {person.role}")
        return person

    return person


Viewer = Annotated[Person, Depends(needs("viewer"))]
Reviewer = Annotated[Person, Depends(needs("reviewer"))]
Admin = Annotated[Person, Depends(needs("admin"))]


def _person(account: Account | None) -> Person | None:
    return None if account is None else Person(name=account.name, role=account.role, signed_in=True)


def _in_session(request: Request, site: Site) -> Account | None:
    name, session = request.session.get(_USER), request.session.get(_ID)
    if not isinstance(session, str) or session in _ended(request):
        return None
    account = site.accounts.user(name) if isinstance(name, str) else None
    return account if account is not None and request.session.get(_STAMP) == account.stamp else None


def _ended(request: Request) -> EndedSessions:
    return cast("EndedSessions", request.app.state.ended)


def _said_by_proxy(request: Request, site: Site) -> Person | None:
    """Whom a trusted proxy names; without an account of theirs they may look."""
    name = request.headers.get(site.settings.proxy_user_header, "")
    trusted = {str(address) for address in site.settings.proxy_addresses}
    if request.client is None or request.client.host not in trusted or not _is_name(name):
        return None
    account = site.accounts.user(name)
    return Person(name=name, role="viewer" if account is None else account.role, signed_in=True)


def _is_name(name: str) -> bool:
    return 0 < len(name) <= 64 and name.isascii() and name.isprintable()
