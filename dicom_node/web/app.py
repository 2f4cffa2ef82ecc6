"""The web application, and the thread that serves it."""

from typing import Final

from fastapi import FastAPI
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp

from dicom_node.web import api, health, pages
from dicom_node.web.errors import add_error_handlers
from dicom_node.web.pictures import Pictures
from dicom_node.web.security import Guard
from dicom_node.web.server import WebServer
from dicom_node.web.site import Site
from inference import __version__

_SESSION_S: Final = 12 * 3600

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
    app.state.site, app.state.pictures = site, Pictures(site.spool)
    add_error_handlers(app)
    for part in (api, health, pages):
        app.include_router(part.router)
    app.add_middleware(
        SessionMiddleware, secret_key=site.secret, session_cookie="mrclip", max_age=_SESSION_S, same_site="lax"
    )
    # Outside everything, so that an answer to a fault of ours carries the headers too.
    return Guard(app, names=(site.settings.host, *site.settings.names))
