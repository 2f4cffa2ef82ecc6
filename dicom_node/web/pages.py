"""The pages for people: the worklist, and one series with its pictures, findings and deliveries."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Final, cast
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from pydantic import BeforeValidator, TypeAdapter

from dicom_node.ledger.records import ReadingRow, SeriesRecord, SeriesState
from dicom_node.report.views import StackView, stack_view
from dicom_node.web.access import Reviewer, needs
from dicom_node.web.api import After, UidInPath, known_series, request_reading
from dicom_node.web.errors import ProblemError
from dicom_node.web.forms import Form
from dicom_node.web.look import TheLook
from dicom_node.web.pictures import PictureError, Pictures, has_picture
from dicom_node.web.site import TheSite
from inference.identifiers import SopInstanceUid
from inference.labels import UNKNOWN
from inference.reading import SeriesReading, StackReading

PAGE_LENGTH: Final = 50
_READING: Final = TypeAdapter(SeriesReading)
_BLANK: Final = BeforeValidator(lambda value: value or None)  # forms send every field

router = APIRouter(include_in_schema=False, dependencies=[Depends(needs("viewer"))])


@router.get("/")
def worklist(
    site: TheSite,
    look: TheLook,
    state: Annotated[SeriesState | None, _BLANK, Query()] = None,
    flagged: Annotated[bool | None, _BLANK, Query()] = None,
    after: After = None,
) -> HTMLResponse:
    """Series, the newest first, that fit the filters."""
    found = site.ledger.page(state=state, flagged=flagged, after=after, limit=PAGE_LENGTH + 1)
    shown = found[:PAGE_LENGTH]
    filters = _filters(state, flagged)
    return look.page(
        "worklist.html",
        series=shown,
        state=state,
        flagged=flagged,
        first=_query(filters) if after is not None else None,
        following=_query({**filters, "after": str(shown[-1].key)}) if len(found) > PAGE_LENGTH else None,
    )


@router.get("/series/{series_instance_uid}")
def series(site: TheSite, look: TheLook, series_instance_uid: UidInPath) -> HTMLResponse:
    """Everything about one series."""
    record = known_series(site, series_instance_uid)
    reading = None if record.reading is None else reading_of(record.reading)
    return look.page(
        "series.html",
        record=record,
        summary=record.summary,
        reading=reading,
        stacks=[] if reading is None else [_stack_view(record, stack) for stack in reading.stacks],
    )


@router.post("/series/{series_instance_uid}/read")
def read_again(site: TheSite, _person: Reviewer, _form: Form, series_instance_uid: UidInPath) -> RedirectResponse:
    """The button "read again"."""
    request_reading(site, series_instance_uid)
    return RedirectResponse(f"/series/{series_instance_uid}", 303)


@router.get("/series/{series_instance_uid}/stacks/{index}.png")
def montage(
    request: Request, site: TheSite, series_instance_uid: UidInPath, index: Annotated[int, Path(ge=0, le=1000)]
) -> Response:
    """The slices of one stack that were read."""
    record = known_series(site, series_instance_uid)
    stacks = () if record.reading is None else reading_of(record.reading).stacks
    stack = next((stack for stack in stacks if stack.index == index), None)
    if stack is None:
        raise ProblemError(404, "unknown-stack", f"series {series_instance_uid} has no stack {index} that was read")
    try:
        png = cast("Pictures", request.app.state.pictures).montage(record, stack)
    except PictureError as error:
        raise ProblemError(404, "no-picture", str(error)) from error
    return Response(png, media_type="image/png")


@router.get("/series/{series_instance_uid}/reports/{sop_instance_uid}.dcm")
def report(
    site: TheSite, series_instance_uid: UidInPath, sop_instance_uid: Annotated[str, Path(max_length=64)]
) -> FileResponse:
    """A report, as a DICOM file."""
    record = known_series(site, series_instance_uid)
    path = site.spool.report_path(SopInstanceUid(sop_instance_uid)) if _has(record, sop_instance_uid) else None
    if path is None or not path.is_file():
        raise ProblemError(404, "unknown-report", f"series {series_instance_uid} has no such report")
    return FileResponse(path, media_type="application/dicom", filename=f"{sop_instance_uid}.dcm")


def reading_of(row: ReadingRow) -> SeriesReading:
    """The reading as it was written when it was made."""
    reading = _READING.validate_json(row.outcome.document)
    return replace(reading, stacks=tuple(_with_claim(stack) for stack in reading.stacks))


def _with_claim(stack: StackReading) -> StackReading:
    """The stack with what its description claims, which is what the JSON keeps of the header's claim."""
    claim = stack.header.get("SeriesDescription_contrast")
    return replace(stack, claimed_contrast=claim if isinstance(claim, str) and claim != UNKNOWN else None)


def _stack_view(record: SeriesRecord, stack: StackReading) -> StackView:
    url = f"/series/{record.summary.series_instance_uid}/stacks/{stack.index}.png"
    return stack_view(stack, montage=url if has_picture(stack) else None)


def _has(record: SeriesRecord, report_uid: str) -> bool:
    return any(report.sop_instance_uid == report_uid for report in record.reports)


def _filters(state: str | None, flagged: bool | None) -> dict[str, str]:
    chosen = {"state": state, "flagged": None if flagged is None else str(flagged).lower()}
    return {name: value for name, value in chosen.items() if value is not None}


def _query(values: Mapping[str, str]) -> str:
    return f"/?{urlencode(values)}" if values else "/"
