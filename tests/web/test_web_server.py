"""The thread that serves."""

import socket
import threading
import urllib.request

import pytest

from dicom_node.errors import SettingsError
from dicom_node.web.app import WebServer, make_app
from web_node import Site


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
