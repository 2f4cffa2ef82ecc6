"""Spans of a series are in one trace, say nothing of the patient, and cost nothing where they are off."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from dicom_factory import series, write
from dicom_node.deliver import DeliveryError
from dicom_node.deliver.memory import MemoryDestination
from dicom_node.receive.quarantine import StoreRequest
from dicom_node.settings import TracingSettings
from dicom_node.tracing import Tracing, trace_id, tracing
from dicom_node.work.files import SpoolFiles
from dicom_node.work.pipeline import Pipeline, WorkPolicy
from inference.identifiers import SeriesInstanceUid
from inference.read import Reader
from web_node import NOW, make_intake, make_site


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Where the spans of this process go."""
    exporter = InMemorySpanExporter()
    tracing.send_to(SimpleSpanProcessor(exporter))
    yield exporter
    tracing.close()


def work(folder: Path, destination: MemoryDestination) -> SeriesInstanceUid:
    """A series from its first instance to its report."""
    site = make_site(folder)
    intake = make_intake(site.ledger, site.spool)
    for image in series(3, EchoTime=0.09, RepetitionTime=4000, PatientName="Doe^Jane", PatientID="4711"):
        uid = intake.take(StoreRequest.of_file(write(image, folder / "sent.dcm").read_bytes())).series_instance_uid
    policy = WorkPolicy(owner="w", lease_s=60, retry_s=1, retry_max_s=1, delivery_max_attempts=9, send="all")
    later = NOW + timedelta(seconds=40)
    pipeline = Pipeline(
        ledger=site.ledger, files=SpoolFiles(site.spool), reader=lambda: Reader(model=None),
        destinations={destination.name: destination}, policy=policy, clock=lambda: later,
    )  # fmt: skip
    pipeline.read(uid)
    for delivery in site.ledger.due_deliveries(later, 9):
        pipeline.deliver(delivery)
    return uid


def said(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


def test_a_series_is_one_trace_from_its_first_instance_to_its_report(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    uid = work(tmp_path, MemoryDestination(name="pacs"))
    found = {span.name: span for span in spans.get_finished_spans()}
    assert list(found) == ["receive", "wait", "report", "read", "deliver"]
    assert {span.context.trace_id for span in found.values()} == {trace_id(uid)}
    read, report = found["read"], found["report"]
    assert report.parent is not None
    assert report.parent.span_id == read.context.span_id
    assert (found["wait"].end_time or 0) - (found["wait"].start_time or 0) == 40_000_000_000
    request = f"{trace_id(uid):032x}"[:16]
    assert said(found["receive"]) == {"mrclip.request_id": request, "mrclip.instances": 3}
    assert said(found["deliver"]) == {
        "mrclip.request_id": request, "mrclip.attempt": 1, "mrclip.destination": "pacs",
    }  # fmt: skip
    text = "".join(span.to_json() for span in found.values())
    assert not any(secret in text for secret in ("Doe", "4711", uid))


def test_what_fails_is_told_by_its_kind_and_never_by_the_text_of_an_exception(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    destination = MemoryDestination(name="pacs", failures=[DeliveryError("the peer is away", retry=True)])
    work(tmp_path, destination)
    (deliver,) = [span for span in spans.get_finished_spans() if span.name == "deliver"]
    assert (deliver.status.status_code, deliver.status.description) == (StatusCode.ERROR, "the peer is away")
    with pytest.raises(ValueError, match="Doe"), tracing.span("read", SeriesInstanceUid("1.2.3")):
        raise ValueError("Doe^Jane")
    broken = spans.get_finished_spans()[-1]
    assert (broken.status.status_code, broken.status.description) == (StatusCode.ERROR, "ValueError")
    assert not broken.events


def test_an_attribute_that_is_not_on_the_list_is_a_fault(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="patient"), tracing.span("read", SeriesInstanceUid("1.2.3"), patient="x"):
        pass


def test_nothing_is_imported_where_it_is_off() -> None:
    # FastAPI looks for the interface by itself; whatever makes and sends spans is in these two.
    ours = "{'opentelemetry.sdk', 'opentelemetry.exporter'}"
    script = f"import sys, dicom_node.wiring; sys.exit(not {ours}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_spans_reach_a_collector() -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        ours, uid = Tracing(), SeriesInstanceUid("1.2.3")
        ours.set_up(TracingSettings(otlp_endpoint=f"http://127.0.0.1:{server.server_port}/v1/traces"))
        with ours.span("read", uid):
            pass
        ours.close()
        server.shutdown()
        thread.join()
    ((path, body),) = received
    assert path == "/v1/traces"
    assert trace_id(uid).to_bytes(16) in body
