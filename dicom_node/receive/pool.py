"""Several processes behind one port: this one accepts connections and hands each to one that serves it.

Who may connect is decided here, once for all of them. A process that ends by itself is replaced: its peers see an
abort, what it acknowledged is in the spool, and the ledger is brought up to that.
"""

import itertools
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from socketserver import BaseRequestHandler, TCPServer
from typing import Any, Final, cast, get_args

from pydantic import SecretStr
from pynetdicom.transport import AddressInformation

from dicom_node.addresses import binding
from dicom_node.errors import NodeError
from dicom_node.receive.channel import Message, channels
from dicom_node.receive.guard import Connection, Connections, Refusal
from dicom_node.receive.server import Senders, limits
from dicom_node.settings import Settings
from dicom_node.tls import server_context
from inference.identifiers import SeriesInstanceUid

log = logging.getLogger(__name__)

_START_S: Final = 60.0
_STOP_GRACE_S: Final = 10.0  # beyond what associations get
_AGAIN_S: Final = 1.0  # a process that ended is replaced no sooner
_ABORT_PDU: Final = b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00"  # by the provider, no reason given (PS3.8 9.3.8)

Released = Callable[[Iterable[SeriesInstanceUid]], None]


class ProcessNotStartedError(NodeError):
    """A process that serves associations did not become ready."""


class ScpPool:
    """A DICOM peer that runs from `start` to `stop`, in processes of its own."""

    def __init__(
        self,
        settings: Settings,
        *,
        count: int,
        released: Released,
        received: Callable[[int], None],
        refused: Callable[[Refusal], None],
        lost: Callable[[], None],
    ) -> None:
        """`released`: nobody sends these series any more; `received`: so many instances were taken in; `refused`: a
        peer was turned away; `lost`: a process ended by itself, so the ledger may be behind the spool.

        SettingsError where certificates are wrong.
        """
        if settings.scp.tls is not None:
            server_context(settings.scp.tls)  # each process makes its own; here is where errors are seen
        self._settings, self._count = settings, count
        self._released, self._received, self._lost = released, received, lost
        self._connections = Connections(limits(settings.scp), refused=refused)
        self._senders = Senders[tuple[int, int]]()  # by process and association
        self._numbers = itertools.count(1)
        self._processes: list[_Process] = []
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scp-aside")  # what may wait for the ledger
        self._door: _Door | None = None
        self._accepting: threading.Thread | None = None

    def start(self) -> None:
        """Bind the port, start the processes and begin to accept. SettingsError where the port is not to be had."""
        scp = self._settings.scp
        with binding("scp", scp.host, scp.port):
            self._door = _Door((scp.host, scp.port), self._take)
        for _ in range(self._count):
            self._add()
        with self._changed:
            ready = self._changed.wait_for(lambda: len(self._ready()) == self._count or self._any_ended(), _START_S)
        if not ready or self._any_ended():
            self.stop()
            raise ProcessNotStartedError("a receiving process did not start; its log says why")
        self._accepting = threading.Thread(target=self._door.serve_forever, args=(0.1,), name="scp")
        self._accepting.start()
        log.info("listening", extra={"ae_title": scp.ae_title, "host": scp.host, "port": self.port})

    @property
    def port(self) -> int:
        """The port it listens on, also where the settings say 0."""
        if self._door is None:
            raise RuntimeError("the SCP has not been started")
        return int(self._door.server_address[1])

    @property
    def process_ids(self) -> list[int]:
        """The processes that serve, by their number in the system."""
        with self._changed:
            return [process.popen.pid for process in self._processes]

    def stop(self) -> None:
        """Accept no more, let running associations end in time, abort the others. Stopping twice is harmless."""
        if self._door is None or self._stopping.is_set():
            return
        if self._accepting is not None:
            self._door.shutdown()
            self._accepting.join()
        self._door.server_close()
        self._stopping.set()
        with self._changed:
            processes = list(self._processes)
        for process in processes:
            process.channel.say("stop", self._settings.scp.stop_timeout_s)
        for process in processes:
            process.end(self._settings.scp.stop_timeout_s + _STOP_GRACE_S)
        self._aside.shutdown()
        log.info("stopped", extra={"ae_title": self._settings.scp.ae_title})

    def _ready(self) -> list["_Process"]:
        return [process for process in self._processes if process.ready]

    def _any_ended(self) -> bool:
        return any(process.popen.poll() is not None for process in self._processes)

    def _add(self) -> None:
        process = _Process(next(self._numbers), self._settings)
        with self._changed:
            self._processes.append(process)
        process.thread = threading.Thread(target=self._hear, args=(process,), name="scp-process", daemon=True)
        process.thread.start()

    def _take(self, link: socket.socket, address: tuple[str, int]) -> None:
        """Admit a connection and hand it on.

        A connection belongs to whoever takes it out of `connections` of its process: here where it cannot be handed
        on, or the thread that hears the process, which drops what a process that has ended leaves.
        """
        connection = Connection(link, address[0], number=next(self._numbers))
        if not self._connections.admit(connection):
            log.warning("too many connections", extra={"address": connection.host})
            self._connections.refused("connections")
            link.close()
            return
        give_up_at = time.monotonic() + self._settings.scp.acse_timeout_s
        while time.monotonic() < give_up_at and (process := self._free(give_up_at)) is not None:
            process.connections[connection.number] = connection
            words = ("connection", connection.number, address[0], address[1])
            if process.channel.say(*words, descriptor=link.fileno()):
                return
            if process.connections.pop(connection.number, None) is None:
                return  # the process has ended, and the connection was dropped with it
        log.warning("nobody serves", extra={"address": connection.host})
        self._connections.leave(connection)
        link.close()

    def _free(self, give_up_at: float) -> "_Process | None":
        """The process that serves the fewest connections."""
        with self._changed:
            self._changed.wait_for(self._ready, max(0.0, give_up_at - time.monotonic()))
            return min(self._ready(), key=lambda process: len(process.connections), default=None)

    def _hear(self, process: "_Process") -> None:
        while (message := process.channel.hear()) is not None:
            self._act(process, message)
        self._gone(process)

    def _act(self, process: "_Process", message: Message) -> None:
        match message.words:
            case ["ready"]:
                with self._changed:
                    process.ready = True
                    self._changed.notify_all()
            case ["associate", int(number)]:
                connection = process.connections.get(number)
                verdict = connection is not None and self._connections.associate(connection)
                process.channel.say("may", number, verdict)
            case ["left", int(number)]:
                connection = process.connections.pop(number, None)
                if connection is not None:
                    self._connections.leave(connection)
                    connection.link.close()
            case ["sends", int(association), str(series)]:
                process.sending.add(association)
                self._senders.seen((process.number, association), SeriesInstanceUid(series))
            case ["ended", int(association)]:
                self._ended(process, association)
            case ["received", int(count)]:
                self._received(count)
            case ["refused", str(why)] if why in get_args(Refusal):
                self._connections.refused(cast("Refusal", why))
            case _:
                log.error("a message makes no sense", extra={"count": len(message.words)})

    def _ended(self, process: "_Process", association: int) -> None:
        process.sending.discard(association)
        series = self._senders.ended((process.number, association))
        if series:
            self._aside.submit(self._release, series)

    def _release(self, series: Iterable[SeriesInstanceUid]) -> None:
        try:
            self._released(series)
        except NodeError as error:  # they are due all the same, when they have been quiet for longer
            log.warning("series not released", extra={"reason": str(error)})

    def _gone(self, process: "_Process") -> None:
        """A process has ended, and with it its associations."""
        with self._changed:
            process.ready = False
            self._changed.notify_all()
        for association in process.sending:  # cut off: what they sent is not hurried
            self._senders.ended((process.number, association))
        while process.connections:
            _, connection = process.connections.popitem()
            self._drop(connection)
        if self._stopping.is_set():
            return
        log.error("a receiving process has ended", extra={"code": process.popen.wait()})
        self._aside.submit(self._catch_up)
        if self._stopping.wait(_AGAIN_S) or self._accepting is None:
            return
        with self._changed:
            self._processes.remove(process)
        process.channel.close()
        self._add()

    def _drop(self, connection: Connection) -> None:
        if self._settings.scp.tls is None:
            try:
                connection.link.send(_ABORT_PDU, socket.MSG_DONTWAIT)
            except OSError:  # the peer was faster
                log.debug("connection was closed already")
        connection.cut()
        self._connections.leave(connection)
        connection.link.close()

    def _catch_up(self) -> None:
        try:
            self._lost()
        except NodeError as error:  # the next start does it
            log.warning("the ledger is behind the spool", extra={"reason": str(error)})


class _Process:
    """A process that serves, as this one sees it."""

    def __init__(self, number: int, settings: Settings) -> None:
        self.number = number
        self.channel, theirs = channels()
        self.ready = False
        self.connections: dict[int, Connection] = {}
        self.sending: set[int] = set()
        self.thread: threading.Thread | None = None
        descriptor = theirs.fileno()
        self.popen = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", "-m", "dicom_node.receive.worker", str(descriptor)],
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        level = logging.getLevelName(logging.getLogger("dicom_node").getEffectiveLevel())
        self.channel.say("settings", level, _plain(settings.model_dump()))

    def end(self, within_s: float) -> None:
        """Wait until it has ended; kill it where it does not in time."""
        try:
            self.popen.wait(within_s)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        if self.thread is not None:
            self.thread.join()
        self.channel.close()


class _Door(TCPServer):
    """Accepts connections and does nothing else with them."""

    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], take: Callable[[socket.socket, tuple[str, int]], None]) -> None:
        self.address_family = AddressInformation.from_tuple(address).address_family
        self._take = take
        super().__init__(address, BaseRequestHandler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept."""
        link, address = self.socket.accept()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a response is one small segment
        return link, address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand it on."""
        self._take(request, (str(client_address[0]), int(client_address[1])))


def _plain(value: object) -> Any:
    """A value of the settings as JSON knows it. Secrets too: it goes to a process of our own, over no network."""
    match value:
        case SecretStr():
            return value.get_secret_value()
        case dict():
            return {key: _plain(one) for key, one in cast("dict[str, object]", value).items()}
        case list() | tuple():
            return [_plain(one) for one in cast("list[object]", value)]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
