"""From a reading and its instances to the report on it: where `inference` and highdicom meet."""

from collections.abc import Sequence
from datetime import datetime

from pydicom import Dataset

from dicom_node.report.context import ReportContext
from dicom_node.report.sr import build
from inference import rules
from inference.identifiers import SopInstanceUid
from inference.read import Reader
from inference.reading import SeriesReading
from inference.sources import Instance


def make_report(
    reading: SeriesReading,
    instances: Sequence[Instance],
    reader: Reader,
    *,
    created_at: datetime,
    predecessor: SopInstanceUid | None,
) -> Dataset:
    """The report on `reading`, with every instance of the series as evidence. OSError if a file is gone."""
    context = ReportContext(
        reader_digest=reader.digest,
        rules_version=rules.VERSION,
        model=None if reader.model is None else reader.model.identity,
        created_at=created_at,
        predecessor_sop_instance_uid=predecessor,
    )
    return build(reading, [instance.dataset() for instance in instances], context=context)


def no_report_reason(reading: SeriesReading, send: str) -> str | None:
    """Why a series gets no report under the setting report.send; None if it gets one.

    `answered`: it has a stack that was read, or a finding; `flagged`: it asks for a person; `all`: always.
    """
    answered = any(stack.status == "read" or stack.findings for stack in reading.stacks)
    if send == "all" or (send == "flagged" and reading.flagged) or (send == "answered" and answered):
        return None
    if answered:
        return "not flagged, and report.send is flagged"
    reasons = sorted({f"{stack.status}: {stack.reason.message}" for stack in reading.stacks if stack.reason})
    return "; ".join(reasons) or "nothing to say"
