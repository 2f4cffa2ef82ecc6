"""Another system tells of a series, and the node fetches it: POST /api/v1/notify."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from dicom_node.web.access import Reviewer
from dicom_node.web.api import ERRORS
from dicom_node.web.documents import Document, ErrorDocument
from dicom_node.web.errors import ProblemError
from dicom_node.web.site import TheSite

_ALSO: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorDocument, "description": "The body is not text"},
    404: {"model": ErrorDocument, "description": "No such source"},
}

router = APIRouter(prefix="/api/v1", tags=["notify"], responses={**ERRORS, **_ALSO})


class Notice(Document):
    """A series that is ready in an Orthanc."""

    orthanc: Annotated[str, Field(max_length=500, description="its address, as the setting web.orthancs has it")]
    series: Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{8}){4}$", description="Orthanc's identifier")]


class Noticed(Document):
    """The series will be fetched."""

    status: Literal["accepted"] = "accepted"


@router.post("/notify", status_code=202)
def notify(site: TheSite, _person: Reviewer, notice: Notice) -> Noticed:
    """Fetch a series from an Orthanc that the settings name; it is read like one that came over DICOM."""
    url = notice.orthanc.rstrip("/")
    if url not in site.fetcher.sources:
        raise ProblemError(404, "unknown-source", "orthanc: the setting web.orthancs does not name it")
    site.fetcher.fetch(url, notice.series)
    return Noticed()
