"""From a reading and its instances to the report on it: where `inference` and highdicom meet."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pydicom import Dataset

from dicom_node.report.companions import companions
from dicom_node.report.context import Companions, ReportContext
from dicom_node.report.imprint import is_ours
from dicom_node.report.sr import build
from inference import rules
from inference.identifiers import SopInstanceUid
from inference.read import Reader, SeriesResult
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
    """The report on `reading`, with every instance of the series as evidence. OSError if a file is gone or another."""
    context = replace(_context(reader, created_at), predecessor_sop_instance_uid=predecessor)
    return build(reading, _evidence(instances), context=context)


def make_companions(
    result: SeriesResult,
    instances: Sequence[Instance],
    reader: Reader,
    *,
    report: SopInstanceUid,
    created_at: datetime,
    wanted: Companions,
) -> list[Dataset]:
    """What goes with a report, as far as it is wanted. OSError if a file is gone or another."""
    if not wanted.any_for(result.reading):
        return []
    found = companions(
        result.reading,
        _evidence(instances),
        pictures={stack.index: stack.pictures() for stack in result.stacks},
        report=report,
        context=_context(reader, created_at),
        wanted=wanted,
    )
    return list(found)


def _evidence(instances: Sequence[Instance]) -> list[Dataset]:
    """The data sets of instances, read again: long after, in a folder that others write to."""
    return [_same(instance, instance.dataset()) for instance in instances]


def _same(instance: Instance, dataset: Dataset) -> Dataset:
    if str(dataset.get("SOPInstanceUID")) != instance.sop_instance_uid:
        raise OSError(f"{instance.source.label}: the file holds another instance by now")
    return dataset


def _context(reader: Reader, created_at: datetime) -> ReportContext:
    return ReportContext(
        reader_digest=reader.digest,
        rules_version=rules.VERSION,
        model=None if reader.model is None else reader.model.identity,
        created_at=created_at,
    )


def no_report_reason(reading: SeriesReading, instances: Sequence[Instance], send: str) -> str | None:
    """Why a series gets no report under the setting report.send; None if it gets one.

    `answered`: it has a stack that was read, or a finding; `flagged`: it asks for a person; `all`: always. What we
    made ourselves gets none, whatever the setting says: an archive may send it back.
    """
    if is_ours(reading.modality, instances[0].header.manufacturer):
        return "it was made by mrclip"
    answered = any(stack.status == "read" or stack.findings for stack in reading.stacks)
    if send == "all" or (send == "flagged" and reading.flagged) or (send == "answered" and answered):
        return None
    if answered:
        return "not flagged, and report.send is flagged"
    reasons = sorted({f"{stack.status}: {stack.reason.message}" for stack in reading.stacks if stack.reason})
    return "; ".join(reasons) or "nothing to say"
