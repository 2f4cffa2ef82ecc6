"""Figures for Prometheus: what came in here, and what the ledger holds.

A scrape must not cost more the more series there are. What waits is asked for anew each time, which is one step into an
index; how many series there are in each state takes a walk over an index and is asked at most once in `COUNT_EVERY_S`.
What was finished is counted up from the ledger as it gets there, whichever worker did it. So all nodes of one ledger
count the same, apart from the instances that each of them received.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dicom_node.ledger.records import LATER, Counts, FinishedReading, MadeDelivery, Priority, ReceivedInstance, Work
from dicom_node.ledger.store import Ledger
from dicom_node.receive.guard import Refusal
from dicom_node.receive.quarantine import Quarantine
from dicom_node.receive.recorder import InstanceLedger
from dicom_node.work.readers import READER_ERRORS
from inference.identifiers import SeriesInstanceUid
from inference.read import Reader

COUNT_EVERY_S: Final = 30.0
# Something may get into the ledger a little after the time it says: workers' clocks differ, transactions wait.
_LATE_S: Final = 120.0
_Counted = tuple[Counts, dict[tuple[Work, Priority], int], int, dict[str, datetime]]
Row = TypeVar("Row", FinishedReading, MadeDelivery)
_SECONDS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 300, 600, 1800, 3600)


class Metrics:
    """The figures of one process. `counted` makes it count what comes in, `watch` what the ledger holds."""

    def __init__(self) -> None:
        disable_created_metrics()  # when each figure began: as many lines again, and nobody asks
        self._registry = CollectorRegistry()
        self._received = Counter(
            "mrclip_instances_received", "Instances that were taken in by this node", registry=self._registry
        )
        self._refused = Counter(
            "mrclip_peers_refused", "Connections and associations that were refused", ["why"], registry=self._registry
        )
        for why in get_args(Refusal):  # so that there is a first value to compare with
            self._refused.labels(why)
        self._done = _Done(self._registry)
        self._catch_up: Callable[[], None] = lambda: None
        self._turn = threading.Lock()

    def counted(self, ledger: InstanceLedger) -> InstanceLedger:
        """`ledger` for a recorder, with everything that goes into it counted."""
        return _CountedArrivals(ledger, self.received)

    def received(self, count: int) -> None:
        """So many instances were taken in."""
        self._received.inc(count)

    def refused(self, why: Refusal) -> None:
        """A peer was turned away."""
        self._refused.labels(why).inc()

    def watch(
        self,
        ledger: Ledger,
        quarantine: Quarantine,
        clock: Callable[[], datetime],
        *,
        reader: Callable[[], Reader] | None = None,
    ) -> None:
        """Give the figures of `ledger` and of `quarantine` too, count up what is finished from now on, and name the
        reader."""
        self._registry.register(_LedgerFigures(ledger, quarantine, clock))
        if reader is not None:
            self._registry.register(_ReaderFigure(reader))
        finished, made = _Since(clock(), _finished_at), _Since(clock(), _made_at)

        def catch_up() -> None:
            for reading in finished.new(ledger.finished_readings(finished.since)):
                self._done.reading(reading)
            for delivery in made.new(ledger.made_deliveries(made.since)):
                self._done.delivery(delivery)

        self._catch_up = catch_up

    def text(self) -> bytes:
        """Everything in Prometheus' text format. Raises LedgerUnavailableError."""
        with self._turn:
            self._catch_up()
        return generate_latest(self._registry)


class _Done:
    """What was finished, counted up."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def seconds(name: str, text: str) -> Histogram:
            return Histogram(f"mrclip_{name}_seconds", text, registry=registry, buckets=_SECONDS)

        of = ["scanner"]
        self._read = Counter("mrclip_series_read", "Series that were read", ["scanner", "status"], registry=registry)
        self._flagged = Counter("mrclip_series_flagged", "Series that were flagged", of, registry=registry)
        self._delivered = Counter("mrclip_reports_delivered", "Accepted reports", ["destination"], registry=registry)
        self._waiting = seconds("waiting", "From the last instance of a series to the beginning of its first reading")
        self._reading = seconds("reading", "From the beginning of the first reading to its result")
        self._delivery = seconds("delivery", "From a report to its acceptance")
        self._answer = seconds("answer", "From the last instance of a live series to an accepted report")

    def reading(self, reading: FinishedReading) -> None:
        """Count a reading."""
        scanner = reading.scanner or "unknown"
        self._read.labels(scanner, reading.status or "none").inc()
        if reading.flagged:
            self._flagged.labels(scanner).inc()
        self._waiting.observe(_seconds(reading.last_at, reading.begun_at))
        self._reading.observe(_seconds(reading.begun_at, reading.finished_at))

    def delivery(self, delivery: MadeDelivery) -> None:
        """Count a delivery."""
        self._delivered.labels(delivery.destination).inc()
        self._delivery.observe(_seconds(delivery.owed_at, delivery.made_at))
        if delivery.priority != LATER:
            self._answer.observe(_seconds(delivery.last_at, delivery.made_at))


class _Since(Generic[Row]):
    """Gives each row once, though it is asked again for what may have come late."""

    def __init__(self, start: datetime, at: Callable[[Row], datetime]) -> None:
        self.since, self._start, self._at = start, start, at
        self._seen: dict[int, datetime] = {}

    def new(self, rows: Iterable[Row]) -> list[Row]:
        """Those of `rows` that were not given before."""
        found = [row for row in rows if row.key not in self._seen]
        self._seen.update((row.key, self._at(row)) for row in found)
        newest = max(self._seen.values(), default=self._start)
        self.since = max(self._start, newest - timedelta(seconds=_LATE_S))
        self._seen = {key: at for key, at in self._seen.items() if at >= self.since}
        return found


def _finished_at(reading: FinishedReading) -> datetime:
    return reading.finished_at


def _made_at(delivery: MadeDelivery) -> datetime:
    return delivery.made_at


def _seconds(begin: datetime, end: datetime) -> float:
    return max(0.0, (end - begin).total_seconds())


class _CountedArrivals:
    def __init__(self, ledger: InstanceLedger, received: Callable[[int], None]) -> None:
        self._ledger, self._received = ledger, received

    def record_instances(
        self, instances: Iterable[ReceivedInstance], *, now: datetime, due_at: datetime
    ) -> Sequence[ReceivedInstance]:
        rows = list(instances)
        strange = self._ledger.record_instances(rows, now=now, due_at=due_at)
        self._received(len(rows))
        return strange

    def release(self, series: Iterable[SeriesInstanceUid], *, due_at: datetime) -> None:
        self._ledger.release(series, due_at=due_at)


class _ReaderFigure(Collector):
    def __init__(self, reader: Callable[[], Reader]) -> None:
        self._reader = reader

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        names = ["reader_digest", "model", "version", "model_digest"]
        figure = GaugeMetricFamily("mrclip_reader", "1 for what reads now", labels=names)
        try:
            reader = self._reader()
        except (*READER_ERRORS, OSError):  # /readyz says what is wrong with it
            pass
        else:
            model = None if reader.model is None else reader.model.identity
            said = ("none", "", "") if model is None else (model.name, model.version, model.sha256)
            figure.add_metric([reader.digest, *said], 1)
        yield figure


class _LedgerFigures(Collector):
    def __init__(self, ledger: Ledger, quarantine: Quarantine, clock: Callable[[], datetime]) -> None:
        self._ledger, self._quarantine, self._clock = ledger, quarantine, clock
        self._counted: tuple[float, _Counted] | None = None
        self._turn = threading.Lock()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: else the registry would ask the ledger for figures when it is built."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families, counted now or a moment ago."""
        counts, due, files, undelivered = self._counts()
        series = GaugeMetricFamily("mrclip_series", "Series in the ledger by state", labels=["state"])
        for state, count in counts.series.items():
            series.add_metric([state], count)
        yield series
        deliveries = GaugeMetricFamily("mrclip_deliveries", "Deliveries of reports by state", labels=["state"])
        for state, count in counts.deliveries.items():
            deliveries.add_metric([state], count)
        yield deliveries
        queued = GaugeMetricFamily("mrclip_due", "Work that is due and not begun", labels=["work", "priority"])
        for (work, priority), count in due.items():
            queued.add_metric([work, "later" if priority == LATER else "live"], count)
        yield queued
        yield GaugeMetricFamily("mrclip_quarantined_files", "Data sets that could not be taken in", files)
        now = self._clock()
        waiting = GaugeMetricFamily(
            "mrclip_oldest_due_age_seconds", "How long the oldest work has been due; 0 if none is", labels=["work"]
        )
        for work, since in self._ledger.oldest_due(now).items():
            waiting.add_metric([work], 0.0 if since is None else (now - since).total_seconds())
        yield waiting
        owed = GaugeMetricFamily(
            "mrclip_oldest_undelivered_age_seconds",
            "How long the oldest report waits that a destination has not accepted",
            labels=["destination"],
        )
        for destination, since in undelivered.items():
            owed.add_metric([destination], _seconds(since, now))
        yield owed

    def _counts(self) -> _Counted:
        with self._turn:
            now_s = time.monotonic()
            if self._counted is None or now_s - self._counted[0] >= COUNT_EVERY_S:
                due = self._ledger.due_counts(self._clock())
                counted = self._ledger.counts(), due, self._quarantine.count(), self._ledger.undelivered_since()
                self._counted = now_s, counted
            return self._counted[1]
