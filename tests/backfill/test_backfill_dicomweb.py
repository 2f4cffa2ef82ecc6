"""A DICOMweb server with bad manners, scripted."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from dicom_node.backfill.archive import ArchiveError, RemoteSeries
from dicom_node.backfill.dicomweb import DicomWeb
from http_answers import saying
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from peers import free_port

Answer = tuple[int, str, bytes]
REMOTE = RemoteSeries(
    study_instance_uid=StudyInstanceUid("1.2"), series_instance_uid=SeriesInstanceUid("1.3"), instances=None
)
RELATED = 'multipart/related; type="application/dicom"; boundary=x'
JSON = "application/dicom+json"


@contextmanager
def scripted(answers: Callable[[str], Answer]) -> Iterator[str]:
    """A web server that answers a path as `answers` says; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content_type, body = answers(self.path)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/web"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def matches(*uids: str, tag: str = "00080018") -> bytes:
    return json.dumps([{tag: {"vr": "UI", "Value": [one]}} for one in uids]).encode()


@pytest.mark.parametrize(
    ("answer", "retry", "text"),
    [
        ((503, "text/plain", b""), True, "503"),
        ((404, "text/plain", b""), False, "404"),
        ((302, "text/plain", b""), False, "302"),
        ((200, "text/html", b"<p>sign in"), False, "text/html"),
        ((200, RELATED, b"--x\r\nContent-Type: a/b\r\n\r\nDICM"), True, "ends early"),
        ((200, RELATED, b"nothing of the kind"), True, "ends early"),
        ((200, RELATED, b"*" * 2000), False, "more than 1000 bytes"),
    ],
)
def test_an_instance_that_does_not_come_is_an_error_that_says_whether_to_ask_again(
    answer: Answer, retry: bool, text: str
) -> None:
    with scripted(lambda _: answer) as url, pytest.raises(ArchiveError, match=text) as caught:
        DicomWeb(url, max_instance_bytes=1000).fetch(REMOTE, SopInstanceUid("1.4"))
    assert caught.value.retry is retry


def test_an_instance_comes_in_one_part_or_bare() -> None:
    part = b"\r\n--x\r\nContent-Type: application/dicom\r\nContent-Length: 9\r\n\r\nDI\r\n\r\n--C\r\n--x--\r\n"
    for answer in ((200, RELATED, part), (200, "application/dicom", b"DI\r\n\r\n--C")):
        with scripted(lambda _, answer=answer: answer) as url:
            assert DicomWeb(url, max_instance_bytes=1000).fetch(REMOTE, SopInstanceUid("1.4")) == b"DI\r\n\r\n--C"


def test_a_search_ends_also_where_the_archive_knows_no_pages_or_caps_them() -> None:
    found = [f"1.4.{number}" for number in range(7)]
    with scripted(lambda _: (200, JSON, matches(*found))) as url:
        assert DicomWeb(url, max_instance_bytes=1).instances(REMOTE) == found

    def capped(path: str) -> Answer:
        offset = int(path.partition("offset=")[2])
        return (200, JSON, matches(*found[offset : offset + 3])) if offset < 7 else (204, "", b"")

    with scripted(capped) as url:
        assert DicomWeb(url, max_instance_bytes=1).instances(REMOTE) == found


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"Content-Length: 5000\r\n\r\n", id="nothing of it"),
        pytest.param(b"Content-Length: 5000\r\n\r\n[]", id="a part of it"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n", id="no last chunk"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\nff\r\n[]", id="a part of a chunk"),
        pytest.param(b"\r\n", id="no length and nothing"),
    ],
)
def test_an_answer_that_ends_early_is_no_answer(answer: bytes) -> None:
    told = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom\r\n" + answer
    with saying(told) as url:
        server = DicomWeb(url, max_instance_bytes=1000)
        for ask in (lambda: server.instances(REMOTE), lambda: server.fetch(REMOTE, SopInstanceUid("1.4"))):
            with pytest.raises(ArchiveError, match="ends early") as caught:
                ask()
            assert caught.value.retry


@pytest.mark.parametrize(
    "answer",
    [
        b"204 No Content\r\n\r\n",
        b"200 OK\r\nContent-Length: 0\r\n\r\n",
        b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n",
        b"200 OK\r\n\r\n[]",
    ],
)
def test_a_search_that_finds_nothing_says_so_in_many_ways(answer: bytes) -> None:
    with saying(b"HTTP/1.1 " + answer) as url:
        assert DicomWeb(url, max_instance_bytes=1).instances(REMOTE) == []


@pytest.mark.parametrize("body", [b"[{}]", matches("../../etc"), matches("1.2?x=1"), b"{}", b"<html>"])
def test_a_match_without_a_uid_is_not_followed(body: bytes) -> None:
    with scripted(lambda _: (200, JSON, body)) as url, pytest.raises(ArchiveError):
        DicomWeb(url, max_instance_bytes=1).instances(REMOTE)


@pytest.mark.parametrize(("said", "count"), [("2", 2), ('"2"', 2), ("NaN", None), ("Infinity", None), ('"abc"', None)])
def test_an_odd_count_of_instances_is_none(said: str, count: int | None) -> None:
    found = json.loads(matches("1.3", tag="0020000E"))[0]

    def answers(path: str) -> Answer:
        if "/series" not in path:
            return (200, JSON, matches("1.2", tag="0020000D"))
        told = json.dumps([{**found, "00201209": {"vr": "IS", "Value": ["?"]}}]).replace('"?"', said)
        return (200, JSON, told.encode())

    with scripted(answers) as url:
        (series,) = DicomWeb(url, max_instance_bytes=1).series(date(2024, 3, 1))
    assert series.instances == count


def test_an_archive_that_is_away_may_be_asked_again() -> None:
    with pytest.raises(ArchiveError, match="does not answer") as caught:
        DicomWeb(f"http://127.0.0.1:{free_port()}", max_instance_bytes=1).instances(REMOTE)
    assert caught.value.retry
