"""The JSON of the HTTP interface: its shape, for OpenAPI and for tests, and how it is made from what the ledger knows.

One series is an entry of `series` in mrclip.reading/1 (`inference.reading`) with `state` and `reports` beside it. Every
key is always present; what is not known, as long as the series was not read, is null.
"""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict

from dicom_node.ledger.records import DeliveryState, ReadingRow, ReportRow, SeriesRecord, SeriesState, SeriesSummary
from inference.reading import Severity, Source, Status
from inference.stacks import Plane


class Document(BaseModel):
    """A JSON object with exactly these keys."""

    model_config = ConfigDict(extra="forbid")


class ReasonDocument(Document):
    """Why a stack was not read; the codes are those of inference.reasons."""

    code: str
    message: str


class ImageDocument(Document):
    """An image that was shown to the model; frames count from 1."""

    sop_instance_uid: str
    frame: int


class ChoiceDocument(Document):
    """A label and its probability."""

    label: str
    probability: float


class AnswerDocument(Document):
    """Yes or no, and the probability of that."""

    value: bool
    probability: float


class ContrastDocument(Document):
    """What the image shows."""

    label: str
    probability: float
    alternatives: list[ChoiceDocument]
    post_contrast: AnswerDocument | None
    fat_suppressed: AnswerDocument | None


class EstimateDocument(Document):
    """A value estimated from the image, and the interval that holds it with probability `coverage`."""

    value: float
    low: float
    high: float
    coverage: float


class InconsistencyDocument(Document):
    """How strongly header and image, or the header and itself, contradict each other."""

    score: float
    p_value: float | None
    flagged: bool


class FindingDocument(Document):
    """One contradiction."""

    code: str
    source: Source
    attribute: str
    tag: str
    recorded: str | None
    expected: str | None
    p_value: float | None
    severity: Severity
    message: str
    suggestion: str | None


class StackDocument(Document):
    """One homogeneous stack of a series."""

    index: int
    status: Status
    reason: ReasonDocument | None
    selector: dict[str, float | str]
    slices: int
    plane: Plane | None
    oblique_deg: float | None
    images: list[ImageDocument]
    contrast: ContrastDocument | None
    estimates: dict[str, EstimateDocument]
    header: dict[str, float | str | None]
    inconsistency: InconsistencyDocument
    findings: list[FindingDocument]


class DeliveryDocument(Document):
    """Where a report stands on its way to one destination."""

    destination: str
    state: DeliveryState
    attempts: int
    next_at: datetime | None
    reason: str | None


class ReportDocument(Document):
    """A report that was made of the series; the last one supersedes the others."""

    sop_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    reader_digest: str
    created_at: datetime
    predecessor_sop_instance_uid: str | None
    deliveries: list[DeliveryDocument]


class SeriesDocument(Document):
    """One series: what was read, in which state it is, and its reports."""

    study_instance_uid: str
    series_instance_uid: str
    modality: str | None
    instances: int
    contrast: str | None
    score: float | None
    p_value: float | None
    flagged: bool | None
    stacks: list[StackDocument]
    state: SeriesState
    reports: list[ReportDocument]


class SummaryDocument(Document):
    """One line of a page of series."""

    key: int
    study_instance_uid: str
    series_instance_uid: str
    modality: str | None
    state: SeriesState
    instances: int
    attempts: int
    reason: str | None
    first_at: datetime
    last_at: datetime
    due_at: datetime | None
    lease_until: datetime | None
    contrast: str | None
    score: float | None
    flagged: bool | None
    status: Status | None
    scanner: str | None
    reviewed: bool


class PageDocument(Document):
    """Series, the newest first; `next` is what `after` takes for the page that follows, null on the last one."""

    series: list[SummaryDocument]
    next: int | None


class RequestedDocument(Document):
    """A series that will be read again."""

    series_instance_uid: str
    state: Literal["receiving", "reading"]


class ErrorDetail(Document):
    """What is wrong: a code for programs, a sentence for people."""

    code: str
    message: str


class ErrorDocument(Document):
    """The body of every answer that is an error."""

    error: ErrorDetail


def series_document(record: SeriesRecord) -> dict[str, Any]:
    """The JSON of one series; what was read comes as it was written when it was read."""
    read = _unread(record.summary) if record.reading is None else _document(record.reading)
    reports = [_report(record, made, made.outcome.report) for made in record.readings if made.outcome.report]
    return {**read, "state": record.summary.state, "reports": reports}


def page_document(summaries: list[SeriesSummary], *, limit: int) -> PageDocument:
    """A page of at most `limit` series, made from `summaries`, which has one more where another page follows."""
    shown = summaries[:limit]
    lines = [SummaryDocument(**asdict(summary)) for summary in shown]
    return PageDocument(series=lines, next=shown[-1].key if len(summaries) > limit else None)


def _document(reading: ReadingRow) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(reading.outcome.document))


def _unread(summary: SeriesSummary) -> dict[str, Any]:
    unknown = dict.fromkeys(("contrast", "score", "p_value", "flagged"))
    return {
        "study_instance_uid": summary.study_instance_uid,
        "series_instance_uid": summary.series_instance_uid,
        "modality": summary.modality,
        "instances": summary.instances,
        **unknown,
        "stacks": [],
    }


def _report(record: SeriesRecord, reading: ReadingRow, report: ReportRow) -> dict[str, Any]:
    deliveries = [
        {
            "destination": delivery.destination,
            "state": delivery.state,
            "attempts": delivery.attempts,
            "next_at": None if delivery.next_at is None else delivery.next_at.isoformat(),
            "reason": delivery.reason,
        }
        for delivery in record.deliveries
        if delivery.report_uid == report.sop_instance_uid
    ]
    return {
        "sop_instance_uid": report.sop_instance_uid,
        "series_instance_uid": report.series_instance_uid,
        "sop_class_uid": report.sop_class_uid,
        "reader_digest": reading.reader_digest,
        "created_at": reading.created_at.isoformat(),
        "predecessor_sop_instance_uid": reading.predecessor_uid,
        "deliveries": deliveries,
    }
