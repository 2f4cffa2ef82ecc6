"""Limits around pynetdicom's server: how many connections, how long a PDU, how large a message, how long in coming.

pynetdicom believes the length that a PDU claims, reads it without a deadline, keeps what a peer sends in memory
whatever its size, counts idle sockets as associations and shakes hands for TLS on the thread that accepts. What is
replaced of it here: `AssociationSocket.recv` (and `ready`, in `polling`), `DIMSEServiceProvider.receive_primitive`,
`RequestHandler.handle` and hooks of `socketserver`.
"""

# pynetdicom's own annotations leave some types open.
# pyright: reportUnknownMemberType=false

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final, Literal, Protocol, cast

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from dicom_node.receive.buffered import BufferedSocket
from dicom_node.receive.quarantine import StoreRequest
from dicom_node.receive.reactor import QuickStores, Values, WaitingAssociation, WaitingDul

log = logging.getLogger(__name__)

Network = IPv4Network | IPv6Network
# Why a peer was turned away: too many connections, too many associations, `calling_hosts`, or a title on either side.
Refusal = Literal["connections", "associations", "host", "title"]
Handler = tuple[evt.InterventionEvent, Callable[[evt.Event], Any]]

# The longest association request that makes sense: 128 contexts with every transfer syntax there is (PS3.8 9.3.2).
_LONGEST_REQUEST_BYTES: Final = 1 << 19
_MESSAGES_WAITING: Final = 8  # a peer with one outstanding operation (PS3.7 D.3.3.3) leaves at most one
_ABORT_PDU: Final = (
    b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x06"  # by the provider, invalid parameter value (PS3.8 9.3.8)
)
_ABORTS: Final = frozenset({"AA-1", "AA-8"})  # actions of the state machine that send an A-ABORT (PS3.8 9.2.3)
_ASKED_TO_ABORT: Final = "Evt15"  # by us; who asks says why
_NO_SENSE: Final = "a PDU or a message cannot be understood, or does not belong here (PS3.8 9.2.3, PS3.7 9.3)"
_CALLING_NOT_RECOGNISED: Final = (0x01, 0x01, 0x03)  # A-ASSOCIATE-RJ: permanent, service-user (PS3.8 9.3.4)
_CONGESTED: Final = (0x02, 0x03, 0x02)  # A-ASSOCIATE-RJ: transient, presentation, local limit exceeded (PS3.8 9.3.4)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one peer, and all of them, may ask for."""

    associations: int
    connections_per_host: int
    pdu_bytes: int
    message_bytes: int
    timeout_s: float  # for a PDU or a TLS handshake to be complete
    calling_hosts: Mapping[str, Sequence[Network]] = field(default_factory=dict[str, Sequence[Network]])

    def may_call(self, calling_aet: str, host: str) -> bool:
        """Whether a title may be used from an address; one that is not bound may from everywhere."""
        if calling_aet not in self.calling_hosts:
            return True
        address = ip_address(host)
        mapped = getattr(address, "ipv4_mapped", None) or address  # of IPv4, on a port that takes both
        return any(mapped in network for network in self.calling_hosts[calling_aet])


class Service(Protocol):
    """What is done on associations for every instance, and at their end; the rest is handlers."""

    def store(self, request: StoreRequest, association: Association) -> int:
        """Take in what an association sends; the status that answers it."""
        ...

    def ended(self, association: Association) -> None:
        """An association that was on a connection is over, and so is that."""
        ...


class Connection:
    """A connection of a peer, from accept to close."""

    def __init__(self, link: socket.socket, host: str, *, number: int = 0) -> None:
        """`number` tells it from others where two processes speak of it."""
        self.link = link
        self.host = host
        self.number = number
        self.associated = False  # it asked for an association; until then it gives way to others

    def cut(self) -> None:
        """End it from any thread; the one that reads from it sees the end of the stream."""
        try:
            self.link.shutdown(socket.SHUT_RDWR)
        except OSError:  # the peer was faster
            log.debug("connection was closed already")


class Connections:
    """Who is connected; bounded by host and in all."""

    def __init__(self, limits: Limits, *, refused: Callable[[Refusal], object] = lambda why: None) -> None:
        """`refused` hears of every peer that is turned away."""
        self.limits, self.refused = limits, refused
        self._per_host = limits.connections_per_host
        self._associations = limits.associations
        self._total = limits.associations + limits.connections_per_host
        self._open: list[Connection] = []
        self._changed = threading.Condition()

    def admit(self, connection: Connection) -> bool:
        """Count a new connection in; where there are too many, the longest idle one is cut, or else this is refused."""
        with self._changed:
            same_host = [other for other in self._open if other.host == connection.host]
            if len(same_host) >= self._per_host and not self._cut_idle(same_host):
                return False
            if len(self._open) >= self._total and not self._cut_idle(self._open):
                return False
            self._open.append(connection)
            return True

    def associate(self, connection: Connection) -> bool:
        """The connection asks for an association; False if there are too many."""
        with self._changed:
            if sum(other.associated for other in self._open) >= self._associations:
                return False
            connection.associated = True
            return True

    def leave(self, connection: Connection) -> None:
        """The connection has ended."""
        with self._changed:
            if connection in self._open:
                self._open.remove(connection)
            self._changed.notify_all()

    def wait_until_empty(self, timeout_s: float) -> bool:
        """Whether every connection has ended in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout_s)

    def cut_all(self) -> None:
        """End every connection."""
        with self._changed:
            for connection in self._open:
                connection.cut()

    def _cut_idle(self, candidates: list[Connection]) -> bool:
        idle = next((connection for connection in candidates if not connection.associated), None)
        if idle is None:
            return False
        self._open.remove(idle)
        idle.cut()
        return True


class BoundedMessages(QuickStores):
    """Puts messages together from P-DATA, and ends the association where one grows too large or makes no sense."""

    def __init__(self, association: Association, limits: Limits) -> None:
        super().__init__(association)
        self._longest = limits.message_bytes
        self._received = 0

    def receive_values(self, values: Values) -> None:
        """Take in fragments of a message, each with its presentation context."""
        sizes = [len(value) for _, value in values]
        self._received += sum(sizes)
        if self._received > self._longest:
            self._end(f"a message has more than {self._longest} bytes")
            return
        if 0 in sizes or len(self.msg_queue.queue) >= _MESSAGES_WAITING:
            self._end("fragments are empty, or requests do not wait for responses")
            return
        try:
            super().receive_values(values)
        except Exception as error:  # noqa: BLE001 - whatever a peer's command set makes pynetdicom's parser raise
            self._end(f"a command set cannot be understood ({type(error).__name__})")
            return
        if self.is_between:
            self._received = 0

    def _end(self, reason: str) -> None:
        cast("WaitingDul", self.dul).reason = reason
        self.dul.event_queue.put("Evt19")  # invalid PDU: the state machine sends an A-ABORT (PS3.8 9.2.3)


class GuardedServer(ThreadedAssociationServer):
    """Accepts connections within limits; one thread a connection sees it through from handshake to close."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        entity: ApplicationEntity,
        address: tuple[str, int],
        *,
        handlers: Sequence[Handler],
        connections: Connections,
        ssl_context: ssl.SSLContext | None,
        service: Service,
    ) -> None:
        """`handlers` and `service` say what is done on associations."""
        self.limits = connections.limits
        self.service = service
        self.connections = connections
        self._admitted: dict[socket.socket, Connection] = {}
        super().__init__(
            entity,
            address,
            entity.ae_title,
            entity.supported_contexts,
            ssl_context,
            evt_handlers=list(handlers),
            request_handler=GuardedHandler,
        )

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection and nothing more: a handshake here would let one peer hold up all others."""
        link, address = cast("socket.socket", self.socket).accept()
        link.settimeout(self.limits.timeout_s)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a response is one small segment
        return link, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether the connection may stay."""
        connection = Connection(request, str(client_address[0]))
        if not self.connections.admit(connection):
            log.warning("too many connections", extra={"address": connection.host})
            self.connections.refused("connections")
            return False
        self._admitted[request] = connection
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """See a connection through, on its own thread."""
        connection = self._admitted.pop(request)
        try:
            if self.ssl_context is not None:
                connection.link = self.ssl_context.wrap_socket(request, server_side=True)
            GuardedHandler(connection, client_address, self)
        except OSError as error:
            log.warning("connection failed", extra={"address": connection.host, "reason": type(error).__name__})
        finally:
            self.shutdown_request(connection.link)
            self.connections.leave(connection)


class HandedServer(GuardedServer):
    """Sees connections through that another process accepts, on the address of that one."""

    def server_bind(self) -> None:
        """Bind nothing."""

    def server_activate(self) -> None:
        """Listen nowhere."""

    def take(self, connection: Connection, address: tuple[str, int]) -> None:
        """Take over a connection, on a thread of its own."""
        connection.link.settimeout(self.limits.timeout_s)
        self.connections.admit(connection)
        self._admitted[connection.link] = connection
        self.process_request(connection.link, address)


class GuardedHandler(RequestHandler):
    """Runs the association of one connection with bounded parts in it, until it ends."""

    def __init__(self, connection: Connection, client_address: Any, server: GuardedServer) -> None:
        self._connection, self._guarded = connection, server
        super().__init__(connection.link, client_address, server)

    def handle(self) -> None:
        """Run the association."""
        association = self._create_association()
        # Its class is named inside the function that makes it. The provider is another one, so it needs its timers.
        association.__class__ = WaitingAssociation
        association.dul = WaitingDul(association)
        cast("WaitingAssociation", association).store = self._guarded.service.store
        association.acse_timeout, association.network_timeout = self.ae.acse_timeout, self.ae.network_timeout
        limits = self._guarded.limits
        association.dimse = BoundedMessages(association, limits)
        association.dul.socket = BufferedSocket(
            association,
            self._connection.link,
            longest_pdu_bytes=max(limits.pdu_bytes, _LONGEST_REQUEST_BYTES),
            timeout_s=limits.timeout_s,
        )
        association.bind(evt.EVT_REQUESTED, self._requested)
        association.bind(evt.EVT_REJECTED, self._rejected)
        association.bind(evt.EVT_FSM_TRANSITION, self._moved)
        evt.trigger(association, evt.EVT_CONN_OPEN, {"address": self.client_address})
        association.start()
        association.join()
        self._guarded.service.ended(association)

    def _requested(self, event: evt.Event) -> None:
        host, request = self._connection.host, cast("A_ASSOCIATE", event.assoc.requestor.primitive)
        calling_aet = str(request.calling_ae_title).strip()
        if not self._guarded.limits.may_call(calling_aet, host):
            reason = "scp.calling_hosts does not let this title call from there"
            log.warning("association rejected", extra={"ae_title": calling_aet, "address": host, "reason": reason})
            self._guarded.connections.refused("host")
            self._reject(event.assoc, _CALLING_NOT_RECOGNISED)
        elif not self._guarded.connections.associate(self._connection):
            log.warning("too many associations", extra={"address": host})
            self._guarded.connections.refused("associations")
            self._reject(event.assoc, _CONGESTED)

    def _rejected(self, event: evt.Event) -> None:
        # By pynetdicom, which looks at nothing but titles that could be refused here.
        log.warning("title not recognised", extra={"address": self._connection.host})
        self._guarded.connections.refused("title")

    @staticmethod
    def _reject(association: Association, answer: tuple[int, int, int]) -> None:
        association.acse.send_reject(*answer)
        association.kill()

    def _moved(self, event: evt.Event) -> None:
        if event.action in _ABORTS and event.fsm_event != _ASKED_TO_ABORT:
            reason = cast("WaitingDul", event.assoc.dul).reason or _NO_SENSE
            log.warning("association is ended", extra={"address": self._connection.host, "reason": reason})
        # A connection that ends without a request, or after something else: the association would wait for one until
        # its timer runs out.
        if event.next_state == "Sta1" and event.assoc.requestor.primitive is None:
            event.assoc.dul.to_user_queue.put(cast("Any", None))
