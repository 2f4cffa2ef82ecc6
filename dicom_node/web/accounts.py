"""Who may sign in: people with a password and programs with a token, each with a role, in one file of the node.

    users:
      anna: {role: reviewer, password: "scrypt$..."}
    tokens:
      orthanc: {role: reviewer, sha256: "..."}

`mrclip users` writes it. Neither a password nor a token can be had from it.
"""

import hashlib
import secrets
import threading
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import yaml
from pydantic import Field, StringConstraints, ValidationError

from dicom_node.errors import SettingsError
from dicom_node.receive.files import write_whole
from dicom_node.settings_file import UniqueKeyLoader
from dicom_node.settings_values import Section

Role = Literal["viewer", "reviewer", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)  # each may do what those before it may

Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._@-]+$")]

# RFC 7914; 32 MB and about 0.2 s for each try.
_SCRYPT: Final = {"n": 1 << 15, "r": 8, "p": 3}
_MAX_MEMORY_BYTES: Final = 64 << 20


class UserEntry(Section):
    """A person. Without a password only a proxy can say that it is them."""

    role: Role
    password: str | None = None  # as `hash_password` makes it


class TokenEntry(Section):
    """A program."""

    role: Role
    sha256: str


class AccountsFile(Section):
    """The whole file."""

    users: dict[Name, UserEntry] = Field(default_factory=dict[Name, UserEntry])
    tokens: dict[Name, TokenEntry] = Field(default_factory=dict[Name, TokenEntry])


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Someone the file knows."""

    name: str
    role: Role
    stamp: str  # changes with the password: a session that began with another one has ended


class AccountsError(SettingsError):
    """The file cannot be read, or is not what it must be."""


class Accounts:
    """The accounts of a file, which is read again when it changes; no file means no accounts."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._turn = threading.Lock()  # one password at a time: each try takes memory and a core
        self._read: tuple[int, AccountsFile] | None = None

    def sign_in(self, name: str, password: str) -> Account | None:
        """The account of this name and password; as slow for a name that does not exist."""
        entry = self.content().users.get(name)
        stored = None if entry is None else entry.password
        with self._turn:
            right = _is_password(password, stored or _NOBODY)
        return self.user(name) if right and stored is not None else None

    def user(self, name: str) -> Account | None:
        """The account of a person."""
        entry = self.content().users.get(name)
        if entry is None:
            return None
        stamp = hashlib.sha256(f"{name}\n{entry.password}".encode()).hexdigest()[:16]
        return Account(name=name, role=entry.role, stamp=stamp)

    def program(self, token: str) -> Account | None:
        """The account of the program that holds this token."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        for name, entry in self.content().tokens.items():
            if compare_digest(entry.sha256, digest):
                return Account(name=name, role=entry.role, stamp="")
        return None

    def content(self) -> AccountsFile:
        """What the file holds now; AccountsError if it cannot be read or is not what it must be."""
        try:
            changed_ns = self.file.stat().st_mtime_ns
        except FileNotFoundError:
            return AccountsFile()
        except OSError as error:
            raise AccountsError(f"{self.file} cannot be read: {error.strerror}") from error
        read = self._read
        if read is None or read[0] != changed_ns:
            read = self._read = changed_ns, _parsed(self.file)
        return read[1]

    def write(self, content: AccountsFile) -> None:
        """Replace the file, for its owner's eyes only."""
        text = yaml.safe_dump(content.model_dump(exclude_none=True), sort_keys=True)
        write_whole(self.file, [text.encode()], replace=True, mode=0o600)


def hash_password(password: str) -> str:
    """What the file keeps of a password: scrypt (RFC 7914) with a salt of its own."""
    salt = secrets.token_bytes(16)
    return "$".join(("scrypt", *map(str, _SCRYPT.values()), _text(salt), _text(_scrypt(password, salt, _SCRYPT))))


def new_token() -> tuple[str, str]:
    """A token for a program, and the digest of it that the file keeps."""
    token = f"mrclip_{secrets.token_urlsafe(32)}"
    return token, hashlib.sha256(token.encode()).hexdigest()


def _is_password(password: str, stored: str) -> bool:
    try:
        kind, n, r, p, salt, expected = stored.split("$")
        if kind != "scrypt":
            raise ValueError(kind)
        made = _scrypt(password, b64decode(salt), {"n": int(n), "r": int(r), "p": int(p)})
        return compare_digest(made, b64decode(expected))
    except ValueError as error:
        raise AccountsError("a password in the accounts file is not one that `mrclip users` made") from error


def _scrypt(password: str, salt: bytes, cost: dict[str, int]) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, maxmem=_MAX_MEMORY_BYTES, dklen=32, **cost)


def _text(data: bytes) -> str:
    return b64encode(data).decode()


_NOBODY: Final = "$".join(("scrypt", *map(str, _SCRYPT.values()), _text(bytes(16)), _text(bytes(32))))


def _parsed(file: Path) -> AccountsFile:
    try:
        found = yaml.load(file.read_bytes(), Loader=UniqueKeyLoader)  # noqa: S506 - it is a SafeLoader
        return AccountsFile.model_validate(found or {})
    except OSError as error:
        raise AccountsError(f"{file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise AccountsError(f"{file} cannot be read: it is not YAML") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise AccountsError(f"{file}: {wrong}") from None
