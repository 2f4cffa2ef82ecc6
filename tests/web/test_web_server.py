"""The thread that serves."""

import asyncio
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from dicom_node.errors import SettingsError
from dicom_node.web import connection, server
from dicom_node.web.app import WebServer, make_app
from dicom_node.web.connection import Connection
from peers import wait_for
from web_node import Node, Site, served

BEGUN = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


def test_a_port_of_its_own_is_known_once_it_started(site: Site) -> None:
    server = WebServer(make_app(site), "127.0.0.1", 0)
    server.start()
    port = server.port
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            assert answer.status == 200
            assert "server" not in answer.headers
    finally:
        server.stop()
    server.stop()
    assert not any(thread.name == "web" for thread in threading.enumerate())
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))


def test_a_port_that_is_taken_is_an_error_at_the_start(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = WebServer(make_app(site), "127.0.0.1", port)
        with pytest.raises(SettingsError) as caught:
            server.start()
    assert str(caught.value) == f"web.host and web.port: cannot listen on 127.0.0.1:{port}: Address already in use"


def test_a_server_that_was_not_started_has_no_port_and_stops(site: Site) -> None:
    server = WebServer(make_app(site), "127.0.0.1", 0)
    with pytest.raises(RuntimeError, match="not been started"):
        _ = server.port
    server.stop()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        BEGUN + b"X-A: ",
        b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\n" + FORM + b"Content-Length: 9\r\n\r\na=",
        BEGUN + b"\r\n" + BEGUN,
    ],
    ids=["nothing", "header", "body", "second"],
)
def test_a_connection_ends_where_no_whole_request_comes(
    site: Site, said: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection, "_REQUEST_WITHIN_S", 0.05)
    with served(site) as node, socket.create_connection(("127.0.0.1", node.port), timeout=20) as peer:
        peer.sendall(said)
        answer = b"".join(iter(lambda: peer.recv(4096), b""))
    assert answer.count(b"HTTP/1.1 200 OK") == (said.count(b"\r\n\r\n") if said.startswith(BEGUN) else 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.fixture
def full(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """A node that takes eight connections."""
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 8)
    with served(site) as node:
        yield node


def test_idle_connections_give_way_to_new_ones(full: Node) -> None:
    with ExitStack() as stack:
        peers: list[socket.socket] = []
        for _ in range(20):
            peers.append(stack.enter_context(socket.create_connection(("127.0.0.1", full.port), timeout=20)))
            peers[-1].sendall(BEGUN)
        for _ in range(3):
            assert full.get("/healthz").status == 200
        with suppress(ConnectionResetError):
            assert peers[0].recv(1) == b""
        peers[-1].sendall(b"Connection: close\r\n\r\n")
        assert peers[-1].recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_a_peer_that_takes_no_answer_is_idle(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Connection] = []
    made = Connection.connection_made

    def narrow(self: Connection, transport: asyncio.Transport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        made(self, transport)
        seen.append(self)

    monkeypatch.setattr(Connection, "connection_made", narrow)
    with socket.create_connection(("127.0.0.1", node.port), timeout=20) as peer:
        peer.sendall((BEGUN.replace(b"/healthz", b"/api/v1/openapi.json") + b"\r\n") * 400)
        wait_for(lambda: seen and seen[0].flow.write_paused, what="an answer that is not taken")
        assert seen[0].is_idle()
