"""The pages for people: the worklist, and one series with its pictures, findings and deliveries."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final, cast
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from dicom_node.ledger.records import ReadingRow, SeriesFilter, SeriesRecord, SeriesState
from dicom_node.report.views import StackView, stack_view
from dicom_node.web.access import Reviewer, needs
from dicom_node.web.api import UidInPath, known_series, request_reading
from dicom_node.web.errors import ProblemError
from dicom_node.web.forms import Form
from dicom_node.web.look import Look, TheLook
from dicom_node.web.patients import patient
from dicom_node.web.pictures import PictureError, Pictures, has_picture
from dicom_node.web.reviews import matters, reading_token
from dicom_node.web.site import Site, TheSite
from dicom_node.web.stored import reading_of
from inference.identifiers import SopInstanceUid
from inference.reading import StackReading, Status

PAGE_LENGTH: Final = 50
_BLANK: Final = BeforeValidator(lambda value: value or None)  # forms send every field

router = APIRouter(include_in_schema=False, dependencies=[Depends(needs("viewer"))])


def _scanner(name: str | None) -> str | None:
    if name is not None and not (len(name) <= 128 and name.isprintable()):  # PostgreSQL takes no NUL
        raise ValueError("must be at most 128 printable characters")
    return name


def _day(day: date | None) -> date | None:
    if day == date.max:  # there is no midnight after it
        raise ValueError(f"must be before {date.max}")
    return day


_Scanner = Annotated[str | None, _BLANK, AfterValidator(_scanner)]
_Day = Annotated[date | None, _BLANK, AfterValidator(_day)]


class Wanted(BaseModel):
    """The filters of the worklist, as its form sends them: every field, empty for any."""

    state: Annotated[SeriesState | None, _BLANK] = None
    flagged: Annotated[bool | None, _BLANK] = None
    status: Annotated[Status | None, _BLANK] = None
    scanner: _Scanner = None
    reviewed: Annotated[bool | None, _BLANK] = None
    since: _Day = None
    until: _Day = None  # itself included
    after: Annotated[int | None, _BLANK, Field(ge=0, lt=1 << 63)] = None

    def filter(self) -> SeriesFilter:
        """For the ledger; days are those of UTC."""
        same = self.model_dump(include={"state", "flagged", "status", "scanner", "reviewed"})
        return SeriesFilter(
            since=None if self.since is None else _midnight(self.since),
            until=None if self.until is None else _midnight(self.until) + timedelta(days=1),
            **same,
        )

    def page(self, after: int | None) -> str:
        """The URL of the same worklist, going on after a key."""
        values = self.model_copy(update={"after": after}).model_dump(mode="json", exclude_none=True)
        return f"/?{urlencode(values)}" if values else "/"


@router.get("/")
def worklist(site: TheSite, look: TheLook, wanted: Annotated[Wanted, Query()]) -> HTMLResponse:
    """Series, the newest first, that fit the filters."""
    found = site.ledger.worklist(wanted.filter(), after=wanted.after, limit=PAGE_LENGTH + 1)
    shown = found[:PAGE_LENGTH]
    patients = {line.key: patient(site.spool, line.series_instance_uid) for line in shown} if _named(site, look) else {}
    return look.page(
        "worklist.html",
        series=shown,
        patients=patients,
        wanted=wanted,
        scanners=[(name, name) for name in site.ledger.scanners()],
        filtered=bool(wanted.model_fields_set),
        first=wanted.page(None) if wanted.after is not None else None,
        following=wanted.page(shown[-1].key) if len(found) > PAGE_LENGTH else None,
    )


@router.get("/series/{series_instance_uid}")
def series(site: TheSite, look: TheLook, series_instance_uid: UidInPath) -> HTMLResponse:
    """Everything about one series."""
    record = known_series(site, series_instance_uid)
    row = record.reading
    reading = None if row is None else reading_of(row)
    stacks = () if reading is None else reading.stacks
    return look.page(
        "series.html",
        conflicts=[path.stem.partition("-")[2] for path in site.spool.conflicts_of(record.summary.series_instance_uid)],
        record=record,
        summary=record.summary,
        patient=patient(site.spool, record.summary.series_instance_uid) if _named(site, look) else None,
        reading=reading,
        reading_token=None if row is None else reading_token(row),
        stacks=[] if row is None else [_stack_view(record, row, stack) for stack in stacks],
        matters=[[] if row is None else matters(stack, row, record.reviews) for stack in stacks],
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


def _stack_view(record: SeriesRecord, row: ReadingRow, stack: StackReading) -> StackView:
    url = f"/series/{record.summary.series_instance_uid}/stacks/{stack.index}.png"
    claimant = "Description" if row.outcome.claims is None else "Header"  # see reading_of
    return stack_view(stack, montage=url if has_picture(stack) else None, claimant=claimant)


def _has(record: SeriesRecord, report_uid: str) -> bool:
    return any(report.sop_instance_uid == report_uid for report in record.reports)


def _named(site: Site, look: Look) -> bool:
    """Whether whoever looks may see whose series it is."""
    return site.settings.show_patient and look.person.signed_in


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
