"""Figures for Prometheus: what came in here, and what the ledger holds.

A scrape must not cost more the more series there are. What waits is asked for anew each time, which is one step into an
index; how many series there are in each state takes a walk over an index and is asked at most once in `COUNT_EVERY_S`.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dicom_node.ledger.records import Counts, ReceivedInstance
from dicom_node.ledger.store import Ledger
from dicom_node.receive.intake import ArrivalLedger
from dicom_node.receive.quarantine import Quarantine
from inference.identifiers import SeriesInstanceUid

COUNT_EVERY_S: Final = 30.0


class Metrics:
    """The figures of one process. `counted` makes it count what comes in, `watch` what the ledger holds."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._received = Counter(
            "mrclip_instances_received", "Instances that were taken in by this process", registry=self._registry
        )

    def counted(self, ledger: ArrivalLedger) -> ArrivalLedger:
        """`ledger` for the intake, with everything that goes into it counted."""
        return _CountedArrivals(ledger, self._received)

    def watch(self, ledger: Ledger, quarantine: Quarantine, clock: Callable[[], datetime]) -> None:
        """Give the figures of `ledger` and of `quarantine` too."""
        self._registry.register(_LedgerFigures(ledger, quarantine, clock))

    def text(self) -> bytes:
        """Everything in Prometheus' text format. Raises LedgerUnavailableError."""
        return generate_latest(self._registry)


class _CountedArrivals:
    def __init__(self, ledger: ArrivalLedger, received: Counter) -> None:
        self._ledger, self._received = ledger, received

    def record_instance(self, instance: ReceivedInstance, *, now: datetime, due_at: datetime) -> None:
        self._ledger.record_instance(instance, now=now, due_at=due_at)
        self._received.inc()

    def release(self, series: Iterable[SeriesInstanceUid], *, due_at: datetime) -> None:
        self._ledger.release(series, due_at=due_at)


class _LedgerFigures(Collector):
    def __init__(self, ledger: Ledger, quarantine: Quarantine, clock: Callable[[], datetime]) -> None:
        self._ledger, self._quarantine, self._clock = ledger, quarantine, clock
        self._counted: tuple[float, Counts, int] | None = None
        self._turn = threading.Lock()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: else the registry would ask the ledger for figures when it is built."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families, counted now or a moment ago."""
        counts, files = self._counts()
        series = GaugeMetricFamily("mrclip_series", "Series in the ledger by state", labels=["state"])
        for state, count in counts.series.items():
            series.add_metric([state], count)
        yield series
        deliveries = GaugeMetricFamily("mrclip_deliveries", "Deliveries of reports by state", labels=["state"])
        for state, count in counts.deliveries.items():
            deliveries.add_metric([state], count)
        yield deliveries
        yield GaugeMetricFamily("mrclip_quarantined_files", "Data sets that could not be taken in", files)
        now = self._clock()
        waiting = GaugeMetricFamily(
            "mrclip_oldest_due_age_seconds", "How long the oldest work has been due; 0 if none is", labels=["work"]
        )
        for work, since in self._ledger.oldest_due(now).items():
            waiting.add_metric([work], 0.0 if since is None else (now - since).total_seconds())
        yield waiting

    def _counts(self) -> tuple[Counts, int]:
        with self._turn:
            now_s = time.monotonic()
            if self._counted is None or now_s - self._counted[0] >= COUNT_EVERY_S:
                self._counted = now_s, self._ledger.counts(), self._quarantine.count()
            return self._counted[1:]
