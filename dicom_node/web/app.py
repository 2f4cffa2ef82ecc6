"""The web application, and the thread that serves it."""

from contextlib import suppress
from typing import Final

from fastapi import FastAPI
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp

from dicom_node.errors import LedgerUnavailableError
from dicom_node.ledger.records import SeriesFilter
from dicom_node.web import api, health, insight, notify, pages, reviews, sign_in, static_files
from dicom_node.web.access import SESSION_S, EndedSessions
from dicom_node.web.errors import add_error_handlers
from dicom_node.web.pictures import Pictures
from dicom_node.web.security import Guard
from dicom_node.web.server import WebServer
from dicom_node.web.sign_in import Throttle
from dicom_node.web.site import Site
from dicom_node.web.templating import compile_templates
from inference import __version__

ROUTERS: Final = (
    api.router,
    notify.router,
    reviews.api,
    health.router,
    pages.router,
    reviews.pages,
    insight.router,
    sign_in.router,
    static_files.router,
)

__all__ = ["Site", "WebServer", "make_app"]


def make_app(site: Site) -> ASGIApp:
    """Everything that answers a request; the OpenAPI description of it is at /api/v1/openapi.json."""
    _warm_up(site)
    # The guard is outside everything, so that an answer to a fault of ours carries its headers too.
    return Guard(application(site), names=(site.settings.host, *site.settings.names))


def application(site: Site) -> FastAPI:
    """The routes, which answer from `site`, and the sessions."""
    app = FastAPI(
        title="mrclip",
        summary="What MR series show, and whether their headers agree",
        version=__version__,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # the interactive pages load scripts from other hosts
        redoc_url=None,
    )
    app.state.site, app.state.pictures = site, Pictures(site.spool)
    app.state.throttle, app.state.ended = Throttle(), EndedSessions()
    add_error_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(
        SessionMiddleware,
        secret_key=site.secret,
        session_cookie="mrclip",
        max_age=SESSION_S,
        same_site="lax",
        https_only=site.settings.https,
    )
    if site.settings.sign_in in (None, "none"):
        _ask_nobody(app)
    return app


def _warm_up(site: Site) -> None:
    """Do once what takes a tenth of a second at the first time: compile pages and statements, touch the indices."""
    compile_templates()
    with suppress(LedgerUnavailableError):  # whoever asks will be told
        site.ledger.worklist(SeriesFilter(), limit=1)
        site.ledger.scanners()


def _ask_nobody(app: FastAPI) -> None:
    """Describe the token as what it is on a node that asks nobody who they are: possible, and not needed."""
    for path in app.openapi()["paths"].values():
        for operation in path.values():
            if "security" in operation:
                operation["security"].insert(0, {})
