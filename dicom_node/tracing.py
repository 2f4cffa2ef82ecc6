"""Spans for OpenTelemetry: receive, wait, read with report, deliver. Off unless set up, and then nothing is imported.

All spans of a series are in one trace, whose id derives from the series as its request id does (`logs.request_of`). So
they find each other whichever process made them and whatever became of the message that led to them: messages may be
lost or repeated, and that of a delivery does not know its series.

Attributes are of the kinds below: counts, digests and names from the settings. Texts of exceptions are left out, as
they may quote the values they choke on.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from dicom_node.errors import SettingsError
from dicom_node.settings import TracingSettings
from inference.identifiers import SeriesInstanceUid

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

ATTRIBUTES: Final = frozenset({"attempt", "destination", "instances", "reader_digest", "request_id"})


class Span:
    """Something that takes time; does nothing where there is no tracing."""

    def __init__(self, span: "trace.Span | None" = None) -> None:
        self._span = span

    def failed(self, reason: str) -> None:
        """It failed; `reason` must not name the patient."""
        if self._span is not None:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_status(Status(StatusCode.ERROR, reason))


class Tracing:
    """Where the spans of this process go."""

    def __init__(self) -> None:
        self._provider: TracerProvider | None = None
        self._tracer: trace.Tracer | None = None

    def set_up(self, settings: TracingSettings) -> None:
        """Send spans to the collector that the settings name, if they do. SettingsError without the extra `otel`."""
        if settings.otlp_endpoint is None or self._tracer is not None:
            return
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            message = "tracing.otlp_endpoint: OpenTelemetry is not installed; pip install 'mrclip[otel]'"
            raise SettingsError(message) from None
        self.send_to(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_endpoint)))

    def send_to(self, processor: "SpanProcessor") -> None:
        """Send spans there."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        named = "OTEL_SERVICE_NAME" in os.environ
        self._provider = TracerProvider(resource=Resource.create(None if named else {"service.name": "mrclip"}))
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("mrclip")

    def close(self) -> None:
        """Send what is left, and no more."""
        if self._provider is not None:
            self._provider.shutdown()
        self._provider = self._tracer = None

    @contextmanager
    def span(self, name: str, series: SeriesInstanceUid | None = None, **attributes: str | int) -> Generator[Span]:
        """A span until the end of the block, in the trace of `series`; without it, in the one of the span around it."""
        if self._tracer is None:
            yield _OFF
            return
        with self._tracer.start_as_current_span(
            name,
            context=None if series is None else _context(series),
            attributes=_attributes(series, attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield Span(span)
            except BaseException as error:
                Span(span).failed(type(error).__name__)
                raise

    def record(
        self, name: str, series: SeriesInstanceUid, *, begun_at: datetime, ended_at: datetime, **attributes: str | int
    ) -> None:
        """A span that is over."""
        if self._tracer is not None:
            span = self._tracer.start_span(
                name,
                context=_context(series),
                start_time=_nanoseconds(begun_at),
                attributes=_attributes(series, attributes),
            )
            span.end(_nanoseconds(max(begun_at, ended_at)))


_OFF: Final = Span()
tracing: Final = Tracing()  # of this process, as a logger is


def trace_id(series: SeriesInstanceUid) -> int:
    """The id of the trace of a series; in hexadecimal it begins with the request id."""
    return int.from_bytes(sha256(series.encode("ascii")).digest()[:16])


def _context(series: SeriesInstanceUid) -> "Context":
    """As if a span elsewhere had begun the trace; nobody makes it, since nobody is there from beginning to end."""
    from opentelemetry import trace

    digest = sha256(series.encode("ascii")).digest()
    root = trace.SpanContext(
        trace_id=trace_id(series),
        span_id=int.from_bytes(digest[16:24]),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(root))


def _attributes(series: SeriesInstanceUid | None, attributes: dict[str, str | int]) -> dict[str, str | int]:
    if not attributes.keys() <= ATTRIBUTES:
        raise ValueError(f"no span has the attributes {sorted(attributes.keys() - ATTRIBUTES)}")
    request = {} if series is None else {"request_id": f"{trace_id(series):032x}"[:16]}
    return {f"mrclip.{name}": value for name, value in {**request, **attributes}.items()}


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1e6) * 1000
