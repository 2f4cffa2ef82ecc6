"""What stands before every request, and what every answer carries."""

import http.client
import socket
from pathlib import Path

import pytest

from dicom_node.receive.spool import Spool
from web_node import Node, images, make_site, served

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}


def test_every_answer_forbids_scripts_frames_and_other_hosts(node: Node) -> None:
    for path in ("/healthz", "/api/v1/series", "/nothing"):
        headers = node.get(path).headers
        assert headers.items() >= HEADERS.items(), path
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "http" not in policy


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:8104", 200),
        ("LOCALHOST", 200),
        ("[::1]:8104", 200),
        ("192.0.2.7", 200),
        ("evil.example", 421),
        ("evil.example:8104", 421),
        ("localhost.evil.example", 421),
        ("localhost@evil.example", 421),
        ("evil.example#localhost", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_a_name_that_is_not_ours_is_refused(node: Node, host: str, status: int) -> None:
    # A page may have its own name resolve to this machine; the browser then lets it read our answers.
    assert node.get("/healthz", Host=host).status == status


def test_a_fault_of_ours_carries_them_too_and_quotes_nothing(tmp_path: Path) -> None:
    class Broken(Spool):
        def check_room(self, size_bytes: int) -> None:
            raise RuntimeError("DOE^JANE")

    with served(make_site(tmp_path, spool=Broken(tmp_path / "spool"))) as node:
        answer = node.get("/readyz")
    assert answer.status == 500
    assert answer.headers.items() >= HEADERS.items()
    assert answer.json["error"]["code"] == "internal-error"
    assert "DOE" not in answer.text


def test_a_missing_host_is_refused(node: Node) -> None:
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 421


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"Sec-Fetch-Site": "same-origin"}, 202),
        ({"Sec-Fetch-Site": "none"}, 202),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"}, 403),
    ],
)
def test_another_site_cannot_have_the_browser_change_anything(node: Node, headers: dict[str, str], status: int) -> None:
    uid = node.receive(images())
    assert node.ask("POST", f"/api/v1/series/{uid}/read", headers=headers).status == status


def test_our_own_origin_may_change_something(node: Node) -> None:
    uid = node.receive(images())
    own = {"Origin": f"http://127.0.0.1:{node.port}"}
    assert node.ask("POST", f"/api/v1/series/{uid}/read", headers=own).status == 202


def test_a_body_that_is_long_or_of_unknown_length_is_not_read(node: Node) -> None:
    path = f"/api/v1/series/{node.receive(images())}/read"
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
    connection.putrequest("POST", path)
    connection.putheader("Content-Length", str(1 << 40))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    assert node.ask("POST", path, headers={"Transfer-Encoding": "chunked"}, body=b"0\r\n\r\n").status == 411
