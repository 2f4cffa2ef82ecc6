"""URLs of servers: what they must be, and as much of them as may be shown. What keeps us from a port of our own."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from dicom_node.errors import SettingsError

_HTTP: Final = re.compile(r"https?://[^/?#@\s]+(/[^?#@\s]*)?")


def is_http_url(url: str) -> bool:
    """Whether it names a server as we ask one: http://HOST:PORT/PATH or https://…, without user, password and query."""
    try:
        parts = urlsplit(url)
        return _HTTP.fullmatch(url) is not None and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:  # a port that is none
        return False


def is_redis_url(url: str) -> bool:
    """Whether it names a Redis server: redis://HOST…, or rediss:// over TLS."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return False


def shown_url(url: SecretStr) -> str:
    """A URL without what is secret in it: its password, and everything after a question mark."""
    secret = url.get_secret_value()
    try:
        parts = urlsplit(secret)
    except ValueError:
        return str(url)
    user, at, where = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    rest = secret.removeprefix(f"{parts.scheme}://{parts.netloc}")
    if not parts.scheme or "@" in rest:  # a password with a slash in it
        return str(url)
    path, mark, _ = rest.partition("?")
    return f"{parts.scheme}://{name}{colon and ':***'}{at}{where}{path}{mark and '?***'}"


@contextmanager
def binding(section: str, host: str, port: int) -> Generator[None]:
    """A block that binds the port of a `section` of the settings; what keeps it from that is a SettingsError."""
    try:
        yield
    except (OSError, UnicodeError) as error:  # UnicodeError: a label of the name is too long
        why = getattr(error, "strerror", None) or "it is no name of a host"
        why = why.partition(" (while ")[0]  # Python says the address too, and not everywhere
        raise SettingsError(f"{section}.host and {section}.port: cannot listen on {host}:{port}: {why}") from error
