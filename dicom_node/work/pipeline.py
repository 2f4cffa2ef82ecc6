"""From the key of a series to its report, and from the key of a delivery to its destination.

Called by threads of this process and by Celery workers alike. Doing a task twice is harmless: a claim is taken by one,
every UID and time in a report derives from the claimed key, and the ledger takes a result once.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

from dicom_node.commitment import Reference, Request, new_transaction_uid
from dicom_node.deliver import Committer, DeliveryError, Destination, back_off
from dicom_node.deliver.report_file import read_report
from dicom_node.errors import LedgerUnavailableError, NodeError
from dicom_node.exchange.store import StoreError
from dicom_node.ledger.records import Delivery, Job, Outcome, Profile, ReportRow
from dicom_node.ledger.store import Ledger
from dicom_node.logs import request_of
from dicom_node.report.context import NO_COMPANIONS, Companions
from dicom_node.report.make import make_companions, make_report, no_report_reason
from dicom_node.tracing import tracing
from dicom_node.work.files import WorkFiles
from dicom_node.work.lease import kept
from dicom_node.work.profile import profile_of
from inference.encoder import CudaError
from inference.identifiers import SeriesInstanceUid, SopInstanceUid
from inference.read import Reader, read_series
from inference.reading import SeriesReading
from inference.reasons import Refused
from inference.sources import Instance, SourceFile, load

log = logging.getLogger(__name__)


class UnreadableSeriesError(NodeError):
    """No instance of a series can be read; after the last attempt it is quarantined with this reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkPolicy:
    """Times and limits of the work; every one comes from the settings."""

    owner: str
    lease_s: float
    retry_s: float
    retry_max_s: float
    delivery_max_attempts: int
    send: str  # answered, flagged, all
    commitment_answer_s: float = 3600.0  # how long a destination may take to commit to what it took
    commitment_max_asks: int = 24
    companions: Companions = NO_COMPANIONS  # what goes with each report
    timezone: tzinfo = UTC  # of a report's dates and times where its images name none


class Pipeline:
    """Does what the ledger says is due."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        files: WorkFiles,
        reader: Callable[[], Reader],
        destinations: Mapping[str, Destination],
        policy: WorkPolicy,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger, self._files, self._reader = ledger, files, reader
        self._destinations, self._policy, self._clock = destinations, policy, clock

    def read(self, series: SeriesInstanceUid) -> None:
        """Read `series` if it is due and nobody else has it; its report and deliveries follow in one transaction."""
        reader = self._reader()
        policy = self._policy
        job = self._ledger.claim(
            series, owner=policy.owner, reader_digest=reader.digest, now=self._clock(), lease_s=policy.lease_s
        )
        if job is not None:
            with request_of(series):
                self._read(job, reader)

    def _read(self, job: Job, reader: Reader) -> None:
        policy, series, begun_s = self._policy, job.series_instance_uid, time.monotonic()
        _say_waited(job, self._clock())
        with (
            kept(
                lambda: self._ledger.renew(job, now=self._clock(), lease_s=policy.lease_s), every_s=policy.lease_s / 3
            ),
            tracing.span("read", series, attempt=job.attempt, reader_digest=reader.digest) as span,
        ):
            try:
                with self._files.instances(job) as paths:
                    outcome = self._outcome(job, paths, reader)
                self._ledger.finish(job, outcome, now=self._clock())
            except LedgerUnavailableError:
                raise  # nothing can be said to it; the lease runs out, and the series is due again
            # Its files will be there, or can be kept, later; or it is this machine that cannot read.
            except (StoreError, CudaError) as error:
                span.failed(type(error).__name__)
                log.warning("reading postponed", extra={"series_uid": series, "reason": str(error)})
                now = self._clock()
                self._ledger.postpone(job, str(error), now=now, retry_at=now + timedelta(seconds=policy.retry_s))
                return
            except Exception as error:
                span.failed(type(error).__name__)
                log.exception("reading failed", extra={"series_uid": series, "attempt": job.attempt})
                # The text of the error may quote the patient; its type and place are in the log.
                retry_at = self._clock() + timedelta(seconds=self._pause_s(job.attempt))
                self._ledger.fail(job, f"{type(error).__name__} while reading", now=self._clock(), retry_at=retry_at)
                return
        said = {"series_uid": series, "instances": len(job.sop_instance_uids), "seconds": _since(begun_s)}
        log.info("series read", extra=said)

    def deliver(self, delivery_id: int) -> None:
        """Try one delivery that is due; a failure is retried later or, where that cannot help, kept with its reason."""
        policy, now = self._policy, self._clock()
        delivery = self._ledger.claim_delivery(delivery_id, owner=policy.owner, now=now, lease_s=policy.lease_s)
        if delivery is not None:
            with request_of(delivery.source_series_uid):
                self._deliver(delivery)

    def _deliver(self, delivery: Delivery) -> None:
        policy, begun_s = self._policy, time.monotonic()
        source, name = delivery.source_series_uid, delivery.destination
        said = {"series_uid": source, "destination": name}

        def renew() -> bool:
            return self._ledger.renew_delivery(delivery, now=self._clock(), lease_s=policy.lease_s)

        with (
            kept(renew, every_s=policy.lease_s / 3),
            tracing.span("deliver", source, attempt=delivery.attempt, destination=name) as span,
        ):
            try:
                if self._attempt(delivery):
                    return  # to be committed to
            except LedgerUnavailableError:
                raise  # nothing can be said to it; the lease runs out, and the delivery is due again
            except DeliveryError as error:
                span.failed(str(error))
                self._not_delivered(delivery, str(error), retry=error.retry)
                log.warning("report not delivered", extra={**said, "attempt": delivery.attempt, "reason": str(error)})
                return
            except Exception as error:
                span.failed(type(error).__name__)
                log.exception("delivery failed", extra={**said, "attempt": delivery.attempt})
                # The text of the error may quote the patient; its type and place are in the log.
                self._not_delivered(delivery, f"{type(error).__name__} while delivering", retry=True)
                return
            self._ledger.delivered(delivery, now=self._clock())
        log.info("report delivered", extra={**said, "seconds": _since(begun_s)})

    def _not_delivered(self, delivery: Delivery, reason: str, *, retry: bool) -> None:
        """Due again later, or dead where that cannot help or was tried often enough."""
        again = retry and delivery.attempt < self._policy.delivery_max_attempts
        retry_at = self._clock() + timedelta(seconds=self._pause_s(delivery.attempt)) if again else None
        self._ledger.delivery_failed(delivery, reason, now=self._clock(), retry_at=retry_at)

    def _attempt(self, delivery: Delivery) -> bool:
        """Send what was not taken yet, and have it committed to where that is asked for; whether it is."""
        destination = self._destination(delivery)
        try:
            with self._files.report(delivery.report.sop_instance_uid) as paths:
                if not delivery.stored:
                    self._send(destination, paths)
                if destination.committer is not None:
                    self._ask(delivery, destination.committer, paths)
        except StoreError as error:
            raise DeliveryError(str(error), retry=True) from error
        return destination.committer is not None

    def _send(self, destination: Destination, paths: Sequence[Path]) -> None:
        """The report, then what goes with it; all of it again where one of them fails."""
        report, *companions = paths
        destination.deliver(report)
        for path in companions:
            try:
                destination.deliver(path)
            except DeliveryError as error:
                raise DeliveryError(f"picture or key objects of the report: {error}", retry=error.retry) from error

    def _ask(self, delivery: Delivery, committer: Committer, paths: Sequence[Path]) -> None:
        """Have the destination commit to what it took; the delivery is made when it has answered that it does."""
        policy = self._policy
        if delivery.asks >= policy.commitment_max_asks:
            said = f"; the last time: {delivery.reason}" if delivery.reason else ""
            text = f"the peer took the report and did not commit to it, asked {delivery.asks} times{said}"
            raise DeliveryError(text, retry=False)
        files = [read_report(path) for path in paths]
        references = tuple(
            Reference(sop_class_uid=str(file.dataset.SOPClassUID), sop_instance_uid=file.sop_instance_uid)
            for file in files
        )
        request = Request(transaction_uid=new_transaction_uid(), references=references)
        # Before it is asked: its answer may come while the question is still being answered.
        if self._ledger.asking(delivery, request.transaction_uid, now=self._clock()):
            committer.ask(request)
            answer_by = self._clock() + timedelta(seconds=policy.commitment_answer_s)
            self._ledger.asked(delivery, answer_by=answer_by)

    def _pause_s(self, attempt: int) -> float:
        return back_off(attempt, first_s=self._policy.retry_s, longest_s=self._policy.retry_max_s)

    def _destination(self, delivery: Delivery) -> Destination:
        destination = self._destinations.get(delivery.destination)
        if destination is None:
            raise DeliveryError(f"no destination is named {delivery.destination!r} in the settings", retry=False)
        return destination

    def _outcome(self, job: Job, paths: Sequence[Path], reader: Reader) -> Outcome:
        instances = _loaded(job, paths)
        result = read_series(instances, reader)
        reading = result.reading
        read = _outcome(reading, profile_of(result, instances))
        reason = no_report_reason(reading, instances, self._policy.send)
        if reason is not None:
            return replace(read, reason=reason)
        with tracing.span("report"):
            created_at = job.created_at.astimezone(self._policy.timezone)
            report = make_report(reading, instances, reader, created_at=created_at, predecessor=job.predecessor_uid)
            row = ReportRow(
                sop_instance_uid=SopInstanceUid(report.SOPInstanceUID),
                sop_class_uid=report.SOPClassUID,
                series_instance_uid=SeriesInstanceUid(report.SeriesInstanceUID),
            )
            outcome = replace(read, report=row, reason=None, destinations=tuple(self._destinations))
            companions = make_companions(
                result, instances, reader, report=row.sop_instance_uid, created_at=created_at,
                wanted=self._policy.companions,
            )  # fmt: skip
            self._files.keep(report, companions, job=job, outcome=outcome)
            return outcome


def _loaded(job: Job, paths: Sequence[Path]) -> list[Instance]:
    """The instances of a job from their files; what cannot be read is left out, and all of it is an error."""
    loaded = [load(SourceFile(path=path)) for path in paths]
    refused = [one for one in loaded if isinstance(one, Refused)]
    for one in refused:
        log.warning("instance cannot be read", extra={"series_uid": job.series_instance_uid, "code": one.code})
    instances = [one for one in loaded if isinstance(one, Instance)]
    if not instances:
        first = f"; the first: {refused[0].code}, {refused[0].message}" if refused else ""
        raise UnreadableSeriesError(f"none of {len(paths)} instances can be read{first}")
    return instances


def _outcome(reading: SeriesReading, profile: Profile) -> Outcome:
    """What a reading came to, before its report."""
    return Outcome(
        document=json.dumps(reading.to_json(), allow_nan=False),
        contrast=reading.contrast,
        score=reading.score,
        p_value=reading.p_value,
        flagged=reading.flagged,
        report=None,
        reason="no report was made",
        profile=profile,
        claims=json.dumps([stack.claimed_contrast for stack in reading.stacks]),
    )


def _say_waited(job: Job, now: datetime) -> None:
    """What happened to the series before somebody began to read it."""
    count = len(job.sop_instance_uids)
    tracing.record("receive", job.series_instance_uid, begun_at=job.first_at, ended_at=job.last_at, instances=count)
    tracing.record("wait", job.series_instance_uid, begun_at=job.last_at, ended_at=now)


def _since(begun_s: float) -> float:
    return round(time.monotonic() - begun_s, 3)
