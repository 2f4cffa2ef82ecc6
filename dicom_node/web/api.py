"""The JSON interface /api/v1: one series, pages of series, and having one read again."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse

from dicom_node.ledger.records import SeriesRecord, SeriesState
from dicom_node.web.access import Reviewer, needs
from dicom_node.web.documents import (
    ErrorDocument,
    PageDocument,
    RequestedDocument,
    SeriesDocument,
    page_document,
    series_document,
)
from dicom_node.web.errors import ProblemError, only_known_parameters
from dicom_node.web.site import Site, TheSite
from inference.identifiers import SeriesInstanceUid, is_uid

# OpenAPI's word for what `is_uid` tests (PS3.5 9.1).
UidInPath = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64, description="a UID (PS3.5 9.1)")]
# Keys of the ledger are 64-bit integers.
After = Annotated[int | None, Query(ge=0, lt=1 << 63, description="`next` of the page before")]

ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorDocument, "description": "Nobody said who asks, where the node wants to know"},
    403: {"model": ErrorDocument, "description": "Whoever asks may not"},
    422: {"model": ErrorDocument, "description": "A parameter is not what it must be"},
    503: {"model": ErrorDocument, "description": "The ledger does not answer, or accounts cannot be read"},
}
_UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": ErrorDocument, "description": "No such series"}}

router = APIRouter(
    prefix="/api/v1",
    tags=["series"],
    responses=ERRORS,
    dependencies=[Depends(needs("viewer")), Depends(only_known_parameters)],
)


@router.get("/series")
def page(
    site: TheSite,
    state: Annotated[SeriesState | None, Query()] = None,
    flagged: Annotated[bool | None, Query()] = None,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> PageDocument:
    """Series, the newest first, a page at a time."""
    found = site.ledger.page(state=state, flagged=flagged, after=after, limit=limit + 1)
    return page_document(found, limit=limit)


@router.get("/series/{series_instance_uid}", responses={200: {"model": SeriesDocument}, **_UNKNOWN})
def one(site: TheSite, series_instance_uid: UidInPath) -> JSONResponse:
    """One series: its reading (an entry of `series` in mrclip.reading/1), its state and its reports."""
    return JSONResponse(series_document(known_series(site, series_instance_uid)))


@router.post("/series/{series_instance_uid}/read", status_code=202, responses=_UNKNOWN)
def read_again(site: TheSite, _person: Reviewer, series_instance_uid: UidInPath) -> RequestedDocument:
    """Have a series read again, now; one that is being read is left at it."""
    request_reading(site, series_instance_uid)
    state = known_series(site, series_instance_uid).summary.state
    return RequestedDocument(
        series_instance_uid=series_instance_uid, state="reading" if state == "reading" else "receiving"
    )


def request_reading(site: Site, uid: str) -> None:
    """Make a series due; ProblemError 404 if the ledger does not know it."""
    if not is_uid(uid) or not site.ledger.request(SeriesInstanceUid(uid), now=site.clock()):
        raise _unknown(uid)


def known_series(site: Site, uid: str) -> SeriesRecord:
    """What the ledger knows of a series; ProblemError 404 if it does not know it."""
    record = site.ledger.series(SeriesInstanceUid(uid)) if is_uid(uid) else None
    if record is None:
        raise _unknown(uid)
    return record


def _unknown(uid: str) -> ProblemError:
    return ProblemError(404, "unknown-series", f"no series {uid} was received")
