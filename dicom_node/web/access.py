"""Who asks, and whether they may: every route names the role it needs, and nothing is answered without it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from dicom_node.web.accounts import ROLES, Account, Role
from dicom_node.web.errors import ProblemError, SignInNeededError
from dicom_node.web.site import Site, TheSite

_USER: Final = "user"  # names in the session
_STAMP: Final = "stamp"

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


def begin_session(request: Request, account: Account) -> None:
    """From now on the requests with this session's cookie are this account's."""
    request.session.clear()  # whatever was known of the session before it is worth nothing now
    request.session[_USER], request.session[_STAMP] = account.name, account.stamp


def end_session(request: Request) -> None:
    """The session's cookie says nothing any more."""
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
    name = request.session.get(_USER)
    account = site.accounts.user(name) if isinstance(name, str) else None
    return account if account is not None and request.session.get(_STAMP) == account.stamp else None


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
