"""Being told of a series by an Orthanc, and fetching it: from a scripted one that can misbehave."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydicom import dcmread

from dicom_factory import series
from dicom_node.receive.fetch import Fetcher, Source
from dicom_node.settings import OrthancSource
from peers import wait_for
from web_node import Answer, Node, make_intake, make_site, served

SERIES = "-".join(["0123abcd"] * 5)


class Script(ThreadingHTTPServer):
    """Answers by path; remembers who asked for what."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.kept_back: dict[str, int] = {}  # bytes at the end of a body that are promised and do not come
        self.asked: list[str] = []
        self.authorization: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def hold(self, images: list[object]) -> None:
        """Hold the images as one series."""
        names = [f"instance-{number}" for number in range(len(images))]
        self.answers[f"/series/{SERIES}"] = (200, json.dumps({"Instances": names}).encode())
        for name, image in zip(names, images, strict=True):
            file = BytesIO()
            image.save_as(file, enforce_file_format=True)  # type: ignore[attr-defined]
            self.answers[f"/instances/{name}/file"] = (200, file.getvalue())


class _Handler(BaseHTTPRequestHandler):
    server: Script

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.authorization.add(self.headers.get("Authorization"))
        status, body = self.server.answers.get(self.path, (404, b""))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body.decode())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) - self.server.kept_back.get(self.path, 0)])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def source() -> Iterator[Script]:
    with Script() as script:
        thread = threading.Thread(target=script.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield script
        script.shutdown()
        thread.join()


@pytest.fixture
def node(tmp_path: Path, source: Script) -> Iterator[Node]:
    site = make_site(tmp_path)
    asked = Source(url=source.url, username="mrclip", password="secret")
    intake = make_intake(site.ledger, site.spool)
    fetcher = Fetcher({source.url: asked}, intake, max_instance_bytes=1 << 20)
    with served(replace(site, fetcher=fetcher)) as node:
        yield node
    fetcher.close()


def tell(node: Node, orthanc: str, series: str = SERIES) -> Answer:
    body = json.dumps({"orthanc": orthanc, "series": series}).encode()
    return node.ask("POST", "/api/v1/notify", headers={"Content-Type": "application/json"}, body=body)


def instances(node: Node) -> list[int]:
    return [line.instances for line in node.ledger.page()]


def test_a_series_is_fetched_and_due_like_any_other(node: Node, source: Script) -> None:
    images = series(3)
    source.hold(images)
    answer = tell(node, f"{source.url}/")
    assert (answer.status, answer.json) == (202, {"status": "accepted"})
    wait_for(lambda: instances(node) == [3], what="the series being there")
    (line,) = node.ledger.page()
    assert line.series_instance_uid == images[0].SeriesInstanceUID
    assert len(node.site.spool.instances(line.series_instance_uid)) == 3
    # Released at its end: due at once, and not after the quiet time of 30 s.
    wait_for(lambda: node.ledger.oldest_due(node.site.clock())["reading"] is not None, what="the series being due")
    assert source.authorization == {"Basic bXJjbGlwOnNlY3JldA=="}


def test_only_sources_of_the_settings_are_asked(node: Node, source: Script) -> None:
    for url in ("http://127.0.0.1:1", f"{source.url}@evil.example", f"{source.url}/..", ""):
        answer = tell(node, url)
        assert (answer.status, answer.json["error"]["code"]) == (404, "unknown-source")
    assert source.asked == []


@pytest.mark.parametrize("identifier", ["", "../../etc", SERIES.upper(), f"{SERIES}/../x", SERIES[:-1]])
def test_what_is_no_identifier_of_orthancs_is_refused(node: Node, source: Script, identifier: str) -> None:
    answer = tell(node, source.url, identifier)
    assert answer.status == 422
    assert "series" in answer.json["error"]["message"]
    assert source.asked == []


def test_a_body_that_is_no_notice_is_refused(node: Node) -> None:
    for body in (b"", b"{", b"[]", b'{"orthanc": 1}', b'{"orthanc": "x", "series": "y", "more": 1}'):
        headers = {"Content-Type": "application/json"}
        assert node.ask("POST", "/api/v1/notify", headers=headers, body=body).status == 422, body


def test_what_cannot_be_taken_is_kept_and_passed_over(node: Node, source: Script) -> None:
    source.hold(series(4))
    source.answers["/instances/instance-1/file"] = (200, b"not DICOM")
    tell(node, source.url)
    wait_for(lambda: instances(node) == [3], what="the other three")
    assert [entry.request.data_set for entry in node.site.quarantine.entries()] == [b"not DICOM"]


@pytest.mark.parametrize(
    "answer", [(500, b""), (200, b"{"), (200, b"{}"), (200, b"[]"), (302, b"/instances/instance-0/file")]
)
def test_a_source_that_misbehaves_stops_nothing(node: Node, source: Script, answer: tuple[int, bytes]) -> None:
    source.hold(series(1))
    good = source.answers[f"/series/{SERIES}"]
    source.answers[f"/series/{SERIES}"] = answer
    assert tell(node, source.url).status == 202
    wait_for(lambda: source.asked == [f"/series/{SERIES}"], what="the first try")
    source.answers[f"/series/{SERIES}"] = good
    tell(node, source.url)
    wait_for(lambda: instances(node) == [1], what="the second try")
    assert len(source.asked) == 3, "no redirection is followed"


def test_a_file_that_is_too_long_is_not_read(node: Node, source: Script) -> None:
    source.hold(series(1))
    source.answers["/instances/instance-0/file"] = (200, bytes((1 << 20) + 1))
    tell(node, source.url)
    wait_for(lambda: len(source.asked) == 2, what="the try")
    node.site.fetcher.close()
    assert instances(node) == []


def test_a_file_that_ends_early_is_not_taken_for_the_whole(node: Node, source: Script) -> None:
    (image,) = images = series(1)
    source.hold(images)
    source.kept_back["/instances/instance-0/file"] = len(image.PixelData) // 2
    tell(node, source.url)
    wait_for(lambda: len(source.asked) == 2, what="the first try")
    source.kept_back.clear()
    tell(node, source.url)
    wait_for(lambda: len(source.asked) == 4 and instances(node) == [1], what="the second try")
    node.site.fetcher.close()
    (path,) = node.site.spool.instances(image.SeriesInstanceUID)
    assert dcmread(path).PixelData == image.PixelData
    assert node.site.spool.conflicts() == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "127.0.0.1:8042", "http://", "ftp://x"])
def test_a_source_must_be_an_http_address(url: str) -> None:
    with pytest.raises(ValidationError):
        OrthancSource(url=url)
