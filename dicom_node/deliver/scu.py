"""Sending by C-STORE: an association with a peer, one store request, and what its answer means."""

import queue
import socket
import ssl
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.status import STATUS_SUCCESS, STATUS_WARNING, code_to_category
from pynetdicom.transport import AddressInformation

from dicom_node.deliver import DeliveryError
from dicom_node.polling import PolledSocket

# Out of resources (PS3.4 B.2.3: A7xx; PS3.7 C.5: 0213) and a failure that names no reason (PS3.7 C.5.8: 0110) pass.
# All others (A9xx, Cxxx, 0122, 0124, ...) are about the object or the configuration and stay.
_PASSING: Final = (*range(0xA700, 0xA800), 0x0110, 0x0213)


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """A storage SCP and how long to wait for it."""

    ae_title: str
    host: str
    port: int
    calling_ae_title: str = "MRCLIP"
    connect_s: float = 10.0
    association_s: float = 30.0  # for its answer to the request
    tls: ssl.SSLContext | None = None  # one for clients; None: without TLS
    tls_name: str | None = None  # that its certificate must have; None: its host
    response_s: float = 60.0  # for its answer to one C-STORE once it is sent, and for any byte at all

    def __str__(self) -> str:
        return f"{self.ae_title} at {self.host}:{self.port}"


class AssociationEndedError(DeliveryError):
    """The association ended before the answer came."""

    def __init__(self) -> None:
        super().__init__("the peer did not answer, or ended the association", retry=True)


@contextmanager
def association(
    peer: Peer, contexts: Sequence[PresentationContext], *, roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = ()
) -> Generator[Association, None, None]:
    """An association with `peer`, released at the end of the block; DeliveryError where there is none to be had."""
    entity = _Caller(ae_title=peer.calling_ae_title)
    entity.connection_timeout = peer.connect_s
    entity.acse_timeout = peer.association_s
    entity.dimse_timeout = entity.network_timeout = peer.response_s
    try:
        link = entity.associate(  # pyright: ignore[reportUnknownMemberType] - some of its other arguments are untyped
            peer.host,
            peer.port,
            contexts=list(contexts),
            ae_title=peer.ae_title,
            ext_neg=list(roles),
            tls_args=None if peer.tls is None else (peer.tls, peer.tls_name or peer.host),
        )
    except OSError as error:  # the name of the host is not known
        raise DeliveryError(f"{peer}: {error.strerror}", retry=True) from error
    except UnicodeError as error:  # it cannot even be asked for
        rule = "its labels must have 1 to 63 characters"
        raise DeliveryError(f"{peer}: host {peer.host!r} is no name; {rule} (RFC 1035 2.3.4)", retry=True) from error
    if not link.is_established:
        raise _not_established(peer, link)
    _send_at_once(link)
    link.dimse = _Answers(link)  # nothing was asked yet, so nothing is in the old one
    try:
        yield link
    finally:
        if link.is_established:
            link.release()


def store(link: Association, dataset: Dataset) -> None:
    """Store one instance; a warning (Bxxx) is stored too. DeliveryError with the status where it is not."""
    try:
        answer = link.send_c_store(dataset)
    except RuntimeError as error:
        raise AssociationEndedError from error
    except (ValueError, AttributeError) as error:  # no context was accepted, or it has no SOP class or instance UID
        raise DeliveryError("the peer accepts neither this SOP class nor its transfer syntax", retry=False) from error
    if "Status" not in answer:
        raise AssociationEndedError
    status = int(answer.Status)
    if code_to_category(status) not in (STATUS_SUCCESS, STATUS_WARNING):
        raise DeliveryError(f"the peer answered status 0x{status:04X}", retry=status in _PASSING)


class _Caller(ApplicationEntity):
    """Calls with a socket that may have any number: a node with many peers has many."""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[ssl.SSLContext, str] | None
    ) -> PolledSocket:
        link = PolledSocket(assoc, address=address)
        link.tls_args = tls_args
        return link


class _Answers(DIMSEServiceProvider):
    """Leaves answers to who asked, and waits for them for `response_s` from when the last of a question was sent.

    pynetdicom's reactor also takes messages off the queue and pauses while somebody asks, but a thread that was about
    to look when the pause began looks all the same. On a busy machine it then takes the answer away, and whoever asked
    waits until `response_s`. That it counts from when a question is queued: what takes longer to send would be aborted
    while it is sent.
    """

    def get_msg(self, block: bool = False) -> Any:
        """The next message; for the reactor, which does not block, only a request of the peer's."""
        provider: Any = super()
        if block:
            return self._next()
        _, waiting = provider.peek_msg()
        if getattr(waiting, "MessageIDBeingRespondedTo", None) is not None:
            return None, None
        return provider.get_msg(block)

    def _next(self) -> Any:
        ours: Any = self  # pynetdicom leaves the type of its messages open
        to_send = self.dul.to_provider_queue.qsize()
        while True:
            try:
                return ours.msg_queue.get(timeout=self.dimse_timeout)
            except queue.Empty:
                before, to_send = to_send, self.dul.to_provider_queue.qsize()
                if to_send >= before:  # nothing came, and nothing went out either
                    return None, None


def _send_at_once(link: Association) -> None:
    """TCP_NODELAY: else the end of each instance waits 40 ms for an acknowledgement that the peer is delaying."""
    transport = link.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _not_established(peer: Peer, link: Association) -> DeliveryError:
    if link.rejected_contexts:
        return DeliveryError(f"{peer} accepts none of the SOP classes and transfer syntaxes", retry=False)
    if link.is_rejected:
        return DeliveryError(f"{peer} rejected the association", retry=True)
    return DeliveryError(f"{peer} cannot be reached or did not answer", retry=True)
