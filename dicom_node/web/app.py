"""The web application, and the thread that serves it."""

from fastapi import FastAPI
from starlette.types import ASGIApp

from dicom_node.web import api, health
from dicom_node.web.errors import add_error_handlers
from dicom_node.web.security import Guard
from dicom_node.web.server import WebServer
from dicom_node.web.site import Site
from inference import __version__

__all__ = ["Site", "WebServer", "make_app"]


def make_app(site: Site) -> ASGIApp:
    """The application that answers from `site`; its OpenAPI description is at /api/v1/openapi.json."""
    app = FastAPI(
        title="mrclip",
        summary="What MR series show, and whether their headers agree",
        version=__version__,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # the interactive pages load scripts from other hosts
        redoc_url=None,
    )
    app.state.site = site
    add_error_handlers(app)
    for part in (api, health):
        app.include_router(part.router)
    # Outside everything, so that an answer to a fault of ours carries the headers too.
    return Guard(app, names=(site.settings.host, *site.settings.names))
