"""Our templates, as answers."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, PackageLoader

from dicom_node.report.views import templates

# What a state of a series means to a person.
STATES: Final = {
    "receiving": "waiting to be read",
    "reading": "being read",
    "read": "read, report on its way",
    "answered": "done",
    "quarantined": "failed",
    "removed": "done, images removed",
}


@cache
def _environment() -> Environment:
    environment = templates(ChoiceLoader([PackageLoader("dicom_node.web"), PackageLoader("dicom_node.report")]))
    # jinja2 leaves open what filters may be.
    environment.filters["moment"] = _moment  # pyright: ignore[reportUnknownMemberType]
    environment.filters["day"] = _day  # pyright: ignore[reportUnknownMemberType]
    environment.filters["in_words"] = STATES.__getitem__  # pyright: ignore[reportUnknownMemberType]
    environment.globals["states"] = tuple(STATES.items())  # pyright: ignore[reportUnknownMemberType]
    return environment


def compile_templates() -> None:
    """Compile every page now, and not when the first person asks for it."""
    for name in _environment().list_templates(extensions=["html"]):
        _environment().get_template(name)


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


def _day(study_date: str) -> str:
    """StudyDate (0008,0020) with its parts apart."""
    whole = len(study_date) == 8 and study_date.isdecimal()
    return f"{study_date[:4]}-{study_date[4:6]}-{study_date[6:]}" if whole else study_date


def _moment(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC")
