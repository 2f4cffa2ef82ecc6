"""Our templates, as answers."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader

from dicom_node.report.views import templates

_STATES: Final = {
    "receiving": "waiting to be read",
    "reading": "being read",
    "read": "read, report on its way",
    "answered": "done",
    "quarantined": "failed",
}


@cache
def _environment() -> Environment:
    environment = templates(ChoiceLoader([PackageLoader("dicom_node.web"), PackageLoader("dicom_node.report")]))
    # jinja2 leaves open what filters may be.
    environment.filters["moment"] = _moment  # pyright: ignore[reportUnknownMemberType]
    environment.filters["in_words"] = in_words  # pyright: ignore[reportUnknownMemberType]
    return environment


def render(
    template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> HTMLResponse:
    """A page as the answer to a request."""
    return HTMLResponse(_environment().get_template(template).render(**values), status, headers=headers)


@cache
def style() -> bytes:
    """The style sheet: that of a reading's page, and what the node's pages add to it."""
    shared = files("dicom_node.report") / "templates" / "page.css"
    return shared.read_bytes() + static_file("pages.css")


@cache
def static_file(name: str) -> bytes:
    """A file that we ship as it is."""
    return (files("dicom_node.web") / "static" / name).read_bytes()


def in_words(state: str) -> str:
    """What a state of a series means to a person."""
    return _STATES[state]


def _moment(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC")
