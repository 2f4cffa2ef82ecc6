"""What a person sends from one of our pages: a small form with the token that its page was given.

The token lies in the session, which is a signed cookie; another site's page can make a browser send the cookie, but
cannot know the token.
"""

import secrets
from collections.abc import Mapping
from hmac import compare_digest
from typing import Annotated, Final
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from starlette.requests import ClientDisconnect

from dicom_node.web.errors import ProblemError

TOKEN: Final = "csrf"  # noqa: S105 - its name in the session and in forms
_MAX_FIELDS: Final = 50


def form_token(request: Request) -> str:
    """The token for the forms of this session's pages."""
    token = request.session.get(TOKEN)
    if not isinstance(token, str):
        token = request.session[TOKEN] = secrets.token_urlsafe(24)
    return token


async def _form(request: Request) -> Mapping[str, str]:
    """The fields of the form that was sent; ProblemError where it is none or not from a page of this session."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise ProblemError(415, "not-a-form", "the body must be a form (application/x-www-form-urlencoded)")
    try:
        body = await request.body()  # its length was limited before it came here
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=_MAX_FIELDS))
    except (ValueError, ClientDisconnect) as error:  # the latter is told to nobody, and is no fault of ours
        raise ProblemError(400, "not-a-form", "the body cannot be read as a form") from error
    expected = request.session.get(TOKEN)
    if not isinstance(expected, str) or not compare_digest(fields.pop(TOKEN, "").encode(), expected.encode()):
        raise ProblemError(403, "stale-form", "the page that sent this is too old; open it again and repeat")
    return fields


Form = Annotated[Mapping[str, str], Depends(_form)]
FormToken = Annotated[str, Depends(form_token)]
