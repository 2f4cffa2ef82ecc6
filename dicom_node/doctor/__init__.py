"""What is wrong with a node and what to do about it. Nothing here changes anything, so it may be asked at any time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "warning", "broken"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at. Whatever is not ok comes with advice."""

    name: str
    state: State
    message: str  # what was found
    advice: str | None = None  # what a person can do about it

    def __post_init__(self) -> None:
        if (self.state == "ok") != (self.advice is None):
            raise ValueError(f"{self.name}: advice comes with what is not ok, and with nothing else")


def ok(name: str, message: str) -> Check:
    """It is as it should be."""
    return Check(name=name, state="ok", message=message)


def warning(name: str, message: str, advice: str) -> Check:
    """The node works, and somebody should look."""
    return Check(name=name, state="warning", message=message, advice=advice)


def broken(name: str, message: str, advice: str) -> Check:
    """The node cannot do its work."""
    return Check(name=name, state="broken", message=message, advice=advice)


def cannot_look(name: str, path: Path, error: OSError) -> Check:
    """The system does not let this user look at a file or folder; `error` may name it better."""
    return broken(
        name,
        f"{error.filename or path}: {error.strerror or type(error).__name__}",
        "Run this as the user that runs the node. If you did, it lacks the right: `namei -l` of the path shows where.",
    )
