"""Whether the node lives, whether it can work, and its figures: for supervisors, load balancers and Prometheus."""

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from dicom_node.errors import NodeError
from dicom_node.web.access import needs
from dicom_node.web.site import TheSite
from dicom_node.work.readers import READER_ERRORS

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Check(BaseModel):
    """One thing that the node needs."""

    ok: bool
    message: str


class Readiness(BaseModel):
    """Everything that the node needs to receive, read and report."""

    model_config = ConfigDict(extra="forbid")

    ready: bool
    ledger: Check
    spool: Check
    bundle: Check
    broker: Check | None = Field(None, description="What workers take their work from; while it is away series wait")
    store: Check | None = Field(None, description="The object store that workers read from; while it is away they wait")


@router.get("/healthz")
def alive() -> Alive:
    """The process is there and answers; restart it where this fails."""
    return Alive()


@router.get(
    "/readyz",
    response_model_exclude_none=True,
    responses={503: {"model": Readiness, "description": "Something that the node needs is missing"}},
)
def ready(site: TheSite, response: Response) -> Readiness:
    """The ledger answers and is not read-only, the spool has room, and the bundle that would read next is whole."""
    ledger = _check(site.ledger.check, "answers")
    spool = _check(lambda: site.spool.check_room(0), "has room")
    bundle = _check(site.reader, "is whole, or none is set")
    # A broker or an object store that is away is no reason to send series elsewhere: they are received, and wait.
    broker = None if site.broker is None else _check(site.broker, "answers")
    store = None if site.store is None else _check(site.store, "took what it was given")
    well = ledger.ok and spool.ok and bundle.ok
    response.status_code = 200 if well else 503
    return Readiness(ready=well, ledger=ledger, spool=spool, bundle=bundle, broker=broker, store=store)


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[Depends(needs("viewer"))],
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' format"}},
)
def metrics(site: TheSite) -> Response:
    """Figures in Prometheus' text format; the counts by state are at most half a minute old."""
    return Response(site.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _check(ask: Callable[[], object], well: str) -> Check:
    try:
        ask()
    except OSError as error:  # its text would name a path
        return Check(ok=False, message=error.strerror or type(error).__name__)
    except (NodeError, *READER_ERRORS) as error:
        return Check(ok=False, message=str(error))
    return Check(ok=True, message=well)
