"""What people say to readings: the forms on a series' page, and the list of all reviews for audit and training."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Final, cast, get_args

from fastapi import APIRouter, Depends, Query
from fastapi.responses import RedirectResponse

from dicom_node.ledger.records import CONTRAST, ReadingRow, Review, SeriesRecord, Verdict
from dicom_node.web.access import Reviewer, needs
from dicom_node.web.api import ERRORS, UidInPath, known_series
from dicom_node.web.documents import Document
from dicom_node.web.errors import ProblemError, only_known_parameters
from dicom_node.web.forms import Form
from dicom_node.web.site import TheSite
from dicom_node.web.stored import reading_of
from inference.labels import CONTRASTS, UNKNOWN
from inference.reading import Finding, StackReading

pages = APIRouter(include_in_schema=False)
api = APIRouter(
    prefix="/api/v1",
    tags=["reviews"],
    responses=ERRORS,
    dependencies=[Depends(needs("reviewer")), Depends(only_known_parameters)],
)

_MAX_CORRECTION: Final = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Matter:
    """Something of a stack that can be judged, and the judgement that holds."""

    finding: int | None  # its place in the stack's findings; None: the contrast
    title: str
    held: Review | None
    choices: tuple[str, ...]  # what a correction can be; empty: any text


class ReviewDocument(Document):
    """What a person said to one finding of a reading, or to the contrast of one of its stacks."""

    key: int
    series_instance_uid: str
    instances_digest: str
    reader_digest: str
    stack: int
    finding: int | None
    subject: str
    verdict: Verdict
    correction: str | None
    user: str
    at: datetime


class ReviewsDocument(Document):
    """Reviews, the oldest first; `next` is what `after` takes for the page that follows, null on the last one."""

    reviews: list[ReviewDocument]
    next: int | None


@api.get("/reviews")
def everything(
    site: TheSite,
    after: Annotated[int, Query(ge=0, lt=1 << 63, description="`next` of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> ReviewsDocument:
    """Every review that was ever made; the newest on one matter holds."""
    found = site.ledger.reviews(after=after, limit=limit + 1)
    shown = [ReviewDocument(key=key, **asdict(review)) for key, review in found[:limit]]
    return ReviewsDocument(reviews=shown, next=shown[-1].key if len(found) > limit else None)


@pages.post("/series/{series_instance_uid}/review")
def review(site: TheSite, person: Reviewer, form: Form, series_instance_uid: UidInPath) -> RedirectResponse:
    """A judgement on one matter of the reading that the page showed."""
    record = known_series(site, series_instance_uid)
    row = _judged(record, form)
    stack = _stack(row, form)
    finding, said = _finding(stack, form)
    verdict = _verdict(form)
    entry = Review(
        series_instance_uid=record.summary.series_instance_uid,
        instances_digest=row.instances_digest,
        reader_digest=row.reader_digest,
        stack=stack.index,
        finding=finding,
        subject=CONTRAST if said is None else said.code,
        verdict=verdict,
        correction=_correction(form, verdict, said),
        user=person.name,
        at=site.clock(),
    )
    site.ledger.review(entry, digest=site.spool.store_review(entry))
    return RedirectResponse(f"/series/{series_instance_uid}#review-{stack.index}", 303)


def matters(stack: StackReading, row: ReadingRow, reviews: tuple[Review, ...]) -> list[Matter]:
    """What can be judged of a stack: its contrast if there is something to see, and each finding."""
    held = {one.matter: one for one in reviews}
    key = row.instances_digest, row.reader_digest, stack.index

    def matter(finding: int | None, title: str, choices: tuple[str, ...] = ()) -> Matter:
        return Matter(finding=finding, title=title, held=held.get((*key, finding)), choices=choices)

    listed = [matter(place, finding.code) for place, finding in enumerate(stack.findings)]
    if stack.status == "unsupported":
        return listed
    shown = "no contrast was read" if stack.contrast is None else stack.contrast.label
    return [matter(None, f"contrast: {shown}", (*CONTRASTS, UNKNOWN)), *listed]


def _judged(record: SeriesRecord, form: Mapping[str, str]) -> ReadingRow:
    row = record.reading
    if row is None or form.get("reading") != reading_token(row):
        raise ProblemError(409, "stale-reading", "the series was read again meanwhile; open its page again and repeat")
    return row


def reading_token(row: ReadingRow) -> str:
    """What a form says to name the reading that its page showed."""
    return f"{row.instances_digest}:{row.reader_digest}"


def _stack(row: ReadingRow, form: Mapping[str, str]) -> StackReading:
    for stack in reading_of(row).stacks:
        if form.get("stack") == str(stack.index):
            return stack
    raise ProblemError(422, "invalid-parameter", "stack: is none of this reading")


def _finding(stack: StackReading, form: Mapping[str, str]) -> tuple[int | None, Finding | None]:
    wanted = form.get("finding", "")
    if wanted == "":
        return None, None
    for place, finding in enumerate(stack.findings):
        if wanted == str(place):
            return place, finding
    raise ProblemError(422, "invalid-parameter", "finding: is none of this stack")


def _verdict(form: Mapping[str, str]) -> Verdict:
    verdict = form.get("verdict")
    if verdict not in get_args(Verdict):
        raise ProblemError(422, "invalid-parameter", f"verdict: must be one of {', '.join(get_args(Verdict))}")
    return cast("Verdict", verdict)


def _correction(form: Mapping[str, str], verdict: Verdict, finding: Finding | None) -> str | None:
    if verdict != "corrected":
        return None
    text = form.get("correction", "").strip()
    if finding is None and text not in (*CONTRASTS, UNKNOWN):
        raise ProblemError(422, "invalid-parameter", "correction: must be one of the contrast labels")
    if not 0 < len(text) <= _MAX_CORRECTION or not text.isprintable():
        raise ProblemError(422, "invalid-parameter", f"correction: must be a text of 1 to {_MAX_CORRECTION} characters")
    return text
