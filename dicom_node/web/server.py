"""Serves the application from a thread of this process, on a port that is bound before anything else happens."""

import logging
import socket
import threading
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from dicom_node.addresses import binding
from dicom_node.web.connection import Connection

log = logging.getLogger(__name__)

_BACKLOG: Final = 128
_MOST_CONNECTIONS: Final = 256
_STOP_WITHIN_S: Final = 5  # for requests that are being answered when the server stops


class WebServer:
    """Runs from `start` to `stop`."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        """`port` 0 takes any free one."""
        self._host, self._asked_port = host, port
        config = uvicorn.Config(
            app,
            log_config=None,  # the node's own logging, which no patient gets into
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,  # the address of a peer is who connects, not who it says it is
            server_header=False,
            timeout_graceful_shutdown=_STOP_WITHIN_S,
            http=Connection,
            limit_concurrency=_MOST_CONNECTIONS,
            h11_max_incomplete_event_size=64 << 10,
        )
        self._server = _Server(config)
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind the port and answer requests. SettingsError where the port is not to be had."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        with binding("web", self._host, self._asked_port):
            self._socket = socket.create_server((self._host, self._asked_port), family=family, backlog=_BACKLOG)
        self._thread = threading.Thread(target=self._run, args=(self._socket,), name="web")
        self._thread.start()
        self._server.answering.wait()
        log.info("listening", extra={"host": self._host, "port": self.port})

    @property
    def port(self) -> int:
        """The port it listens on, also where it was asked for any."""
        if self._socket is None:
            raise RuntimeError("the web server has not been started")
        return int(self._socket.getsockname()[1])

    def stop(self) -> None:
        """Finish what is being answered, then end. Stopping twice, or before the start, is harmless."""
        if self._thread is None or self._socket is None:
            return
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _run(self, listener: socket.socket) -> None:
        try:
            self._server.run(sockets=[listener])
        finally:
            self._server.answering.set()  # nobody waits for what will not come


class _Server(uvicorn.Server):
    """Tells when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answering = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()
