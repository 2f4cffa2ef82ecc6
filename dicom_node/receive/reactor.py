"""Associations that wait for what happens, where pynetdicom's own look for it a thousand times a second.

pynetdicom runs two threads an association, each in a loop with a sleep of 1 ms: an instance waits in both, and idle
associations keep a processor busy. What is replaced of it here: the waiting in `DULServiceProvider` (its loop, its
state machine and its queues stay), `Association._run_reactor`, the decoding of requests for an association
(`negotiation`), and for a plain C-STORE the way from the PDU to the response, where pynetdicom builds and checks
several objects for each. Each gives what the stock class gives; the tests compare them. What the stock classes tell
nobody but their own logger, which is silent here, is logged here or in `guard`.
"""

# pynetdicom's own annotations leave some types open.
# pyright: reportUnknownMemberType=false

import logging
import select
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, Final, cast

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

from dicom_node.receive.buffered import BufferedSocket
from dicom_node.receive.messages import (
    COMMAND,
    COMMAND_LAST,
    LAST,
    StoreCommand,
    data_pdu,
    store_command,
    store_request,
    store_response,
)
from dicom_node.receive.negotiation import KnownRequest, wrong_title
from dicom_node.receive.quarantine import StoreRequest

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.1  # how late a timer may be noticed
_REQUEST: Final = 0x01  # A-ASSOCIATE-RQ (PS3.8 9.3.2)
_ESTABLISHED: Final = "Sta6"  # data transfer (PS3.8 9.2.1)
_LONGEST_ANSWER_BYTES: Final = 512  # that a response to C-STORE may take: two UIDs and less than 100 bytes
_HANDLER_FAILED: Final = 0xC211  # what pynetdicom answers where a handler raises

Values = Sequence[tuple[int, bytes | memoryview]]  # presentation context and value of each item of a P-DATA-TF PDU


class WaitingDul(DULServiceProvider):
    """Sleeps until the peer sends, its own side wants to send, or a timer is to be looked at.

    A request to store is served here, on the thread that read it, where the association's own one has nothing to do:
    handing it over, and the answer back, costs more than the rest of pynetdicom.
    """

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self._run_loop_delay = 0
        self._waker, self._sleeper = socket.socketpair()
        self._sleeper.setblocking(False)
        self._poll, self._polled = select.poll(), -2  # the descriptor of the connection it looks at; none yet
        self._happened = threading.Event()  # there may be something for the association to take
        self.is_serving = False
        self.reason: str | None = None  # for which this side ends the association, where more is known than that

    def run_reactor(self) -> None:
        """Run until killed, or until the peer says what pynetdicom's state machine has no answer to."""
        try:
            super().run_reactor()
        except Exception as error:  # noqa: BLE001 - whatever a peer's PDUs make it raise
            log.warning("association is ended", extra={"reason": f"a PDU makes no sense here ({type(error).__name__})"})
            self.to_user_queue.put(cast("Any", None))  # somebody may wait for the request, or for an answer
        finally:
            self._waker.close()
            self._sleeper.close()
            self._happened.set()

    def send_pdu(self, primitive: Any) -> None:
        """Have a primitive sent."""
        super().send_pdu(primitive)
        self._wake()

    def kill_dul(self) -> None:
        """End the thread soon."""
        super().kill_dul()
        self._wake()

    def stop_dul(self) -> bool:
        """End the thread where the connection has ended; whether it has."""
        if self.state_machine.current_state != "Sta1":
            return False
        self.kill_dul()
        if self is not threading.current_thread():
            self.join()
        return True

    def wait_for_work(self) -> None:
        """Return when there may be something to take, or after a while."""
        self._happened.wait(_LOOK_S)
        self._happened.clear()  # before the queues are looked at, so that nothing is missed

    def serve_here(self, store: "Store") -> bool:
        """Serve a request on this thread; False where it is for the association's own."""
        self.is_serving = True
        try:
            return cast("WaitingAssociation", self.assoc).serve_if_idle(store)
        finally:
            self._idle_timer.restart()
            self.is_serving = False

    def send_now(self, context_id: int, value: bytes) -> bool:
        """Send a fragment at once; False where that is not for this thread, or something else goes before."""
        if threading.current_thread() is not self or self.to_provider_queue.queue or self.socket is None:
            return False
        if self.state_machine.current_state != _ESTABLISHED:
            return False
        self.socket.send(data_pdu(context_id, value))
        return True

    def _read_pdu_data(self) -> None:
        # While there is nothing but data, this goes on without the stock loop around it: that one sleeps for a moment
        # after each PDU, also where it sleeps for no time at all.
        while self.state_machine.current_state == _ESTABLISHED and isinstance(self.socket, BufferedSocket):
            try:
                items = self.socket.take_data()
            except OSError:
                self.event_queue.put("Evt17")  # transport connection closed (PS3.8 9.2.3)
                return
            if items is None:
                break
            cast("QuickStores", self.assoc.dimse).receive_values(items)
            if self._has_more_to_do or not self._sleep():
                return
            self._idle_timer.restart()
        super()._read_pdu_data()

    @property
    def _has_more_to_do(self) -> bool:
        """Whether there is something to do but read."""
        if self.to_user_queue.queue or self.assoc.dimse.msg_queue.queue:
            self._happened.set()
        return self._kill_thread or bool(self.event_queue.queue or self.to_provider_queue.queue)

    def _decode_pdu(self, bytestream: bytearray) -> Any:
        if bytestream[0] != _REQUEST:
            return cast("Any", super()._decode_pdu(bytestream))
        content, pdu = bytes(bytestream), KnownRequest()
        evt.trigger(self.assoc, evt.EVT_DATA_RECV, {"data": content})
        try:
            pdu.decode(content)
        except Exception:
            self.reason = wrong_title(content)
            raise
        evt.trigger(self.assoc, evt.EVT_PDU_RECV, {"pdu": pdu})
        return pdu, "Evt6"  # A-ASSOCIATE-RQ PDU received (PS3.8 9.2.3)

    def _is_transport_event(self) -> bool:
        # Waiting for the connection to close (Sta13), the stock method closes it; it must not be kept.
        if self.state_machine.current_state != "Sta13":
            if not self._has_more_to_do:
                self._sleep()
            if self._kill_thread:
                return False
        return super()._is_transport_event()

    def _sleep(self) -> bool:
        """Return when there is something to read, when woken, or after a while; whether there is something to read."""
        link = None if self.socket is None else self.socket.socket
        if isinstance(self.socket, BufferedSocket) and self.socket.has_buffered:
            return True
        if isinstance(link, ssl.SSLSocket) and link.fileno() >= 0 and link.pending():
            return True  # decrypted already: the socket would not show it
        number = -1 if link is None else link.fileno()
        if self._polled != number:
            self._poll = select.poll()
            self._poll.register(self._sleeper, select.POLLIN)
            if number >= 0:
                self._poll.register(number, select.POLLIN)
            self._polled = number
        woken = {found for found, _ in self._poll.poll(_LOOK_S * 1000)}
        if self._sleeper.fileno() in woken:
            self._sleeper.recv(4096)
        return number in woken

    def _wake(self) -> None:
        try:
            self._waker.send(b"\x00")
        except OSError:  # the thread has ended
            self._happened.set()


class WaitingAssociation(Association):
    """Serves one request after the other, asleep in between."""

    is_idle = False  # it has nothing to serve, and takes nothing from the queue until it says otherwise
    store: Callable[[StoreRequest, Association], int]  # the status of a request

    def _run_reactor(self) -> None:
        self._is_paused = False
        while not self._kill:
            self.is_idle = True
            if self.dimse.msg_queue.empty():
                cast("WaitingDul", self.dul).wait_for_work()
            self.is_idle = False
            self._is_paused = True
            self._reactor_checkpoint.wait()  # cleared while somebody else takes what arrives
            self._is_paused = False
            item = cast("Any", self.dimse.get_msg(block=False))
            if item != (None, None):
                self._serve_other(*item)
            if self._has_ended():
                self.kill()
                return

    def serve_if_idle(self, store: "Store") -> bool:
        """Serve a request on the calling thread, if nothing goes before it and nothing about it is special."""
        command, context = store.command, self._accepted_cx.get(store.context)
        if (
            context is None
            or context.abstract_syntax != command.sop_class_uid
            or not _is_storage(command.sop_class_uid)
        ):
            return False
        if not self.is_idle or self.dimse.msg_queue.queue or not self._reactor_checkpoint.is_set():
            return False
        if self._sent_release or 0 < self.requestor.maximum_length < _LONGEST_ANSWER_BYTES:
            return False
        self.dimse.cancel_req = {}
        request = StoreRequest(
            sop_class_uid=command.sop_class_uid,
            sop_instance_uid=command.sop_instance_uid,
            transfer_syntax_uid=str(context.transfer_syntax[0]),
            data_set=store.data_set.getbuffer(),
            calling_aet=self.requestor.ae_title,
        )
        try:
            status = self.store(request, self)
        except Exception as error:  # noqa: BLE001 - whatever it is, the stock class too answers and goes on
            log.error("a request to store is not served", extra={"reason": type(error).__name__})
            status = _HANDLER_FAILED
        if self.is_established:
            cast("QuickStores", self.dimse).answer(store, status)
        return True

    def _serve_other(self, context: int, message: Any) -> None:
        """Have pynetdicom serve a request; it says nothing of one that it does not serve."""
        said = {"address": self.requestor.address}
        if not message.is_valid_request:
            reason = f"{message.msg_type} lacks what it must have, or is no request (PS3.7 9.3, 10.3)"
            log.warning("a message is not answered", extra={**said, "reason": reason})
        self._serve_request(message, context)
        if self._sent_abort:
            log.warning("association is ended", extra={**said, "reason": f"aborted in serving {message.msg_type}"})

    def _has_ended(self) -> bool:
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released, self.is_established = True, False
            evt.trigger(self, evt.EVT_RELEASED, {})
        elif self.acse.is_aborted():
            self.dul.receive_pdu(wait=False)  # tells whoever listens for it
            self.is_aborted, self.is_established = True, False
            evt.trigger(self, evt.EVT_ABORTED, {})
        elif not self.dul.is_alive():
            return True
        elif self.dul.idle_timer_expired() and not cast("WaitingDul", self.dul).is_serving:
            reason = f"nothing came for {self.network_timeout} s"
            log.info("association is ended", extra={"address": self.requestor.address, "reason": reason})
            self.abort()
        else:
            return False
        return True


class QuickStores(DIMSEServiceProvider):
    """Takes requests to store apart by itself, and answers them so; everything else as pynetdicom does."""

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self._store: Store | None = None  # the request that is coming in

    @property
    def is_between(self) -> bool:
        """Whether no message is half here."""
        return self.message is None and self._store is None

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take in fragments of a message (PS3.8 E.2)."""
        self.receive_values(cast("Any", primitive.presentation_data_value_list))

    def receive_values(self, values: Values) -> None:
        """Take in fragments of a message, each with its presentation context."""
        begin = 0
        if self.is_between:
            self._store, begin = self._begun(values[0]), 1
        if self._store is None:
            self._leave(values)
            return
        for number in range(begin, len(values)):
            value = values[number][1]
            if value[0] & COMMAND:  # not here; what pynetdicom makes of it is the answer
                self._give_up(values[number:])
                return
            self._store.data_set.write(memoryview(value)[1:])
            if value[0] & LAST:
                self._finish()
                return  # as pynetdicom does: it does not look for another message in the same PDU

    def answer(self, store: "Store", status: int) -> None:
        """Send the response to a request."""
        value = COMMAND_LAST + store_response(store.command, status)
        if cast("WaitingDul", self.dul).send_now(store.context, value):
            return
        data = P_DATA()
        data.presentation_data_value_list = cast("Any", [[store.context, value]])
        self.dul.send_pdu(data)

    def _begun(self, first: tuple[int, bytes | memoryview]) -> "Store | None":
        """The request that begins with this fragment; None where it is another message, or somebody listens to all."""
        context, value = first
        if value[0] & (COMMAND | LAST) != COMMAND | LAST or self.assoc.get_handlers(evt.EVT_DIMSE_RECV):
            return None
        command = store_command(memoryview(value)[1:])
        if command is None:
            return None
        return Store(context=context, fragment=bytes(value), command=command, data_set=BytesIO())

    def _finish(self) -> None:
        store, self._store = cast("Store", self._store), None
        if not cast("WaitingDul", self.dul).serve_here(store):
            self.msg_queue.put((store.context, store_request(store.command, store.context, store.data_set)))

    def _give_up(self, rest: Values) -> None:
        """Let pynetdicom go on with a message from its beginning."""
        store, self._store = cast("Store", self._store), None
        begun = b"\x00" + store.data_set.getvalue()
        values: Values
        for values in ([(store.context, store.fragment)], [(store.context, begun)], rest):
            self._leave(values)

    def _leave(self, values: Values) -> None:
        """Leave fragments to pynetdicom."""
        data = P_DATA()
        data.presentation_data_value_list.extend(cast("Any", [(context, bytes(value)) for context, value in values]))
        super().receive_primitive(data)


@dataclass(kw_only=True, slots=True)
class Store:
    """A request to store whose data set is coming in."""

    context: int
    fragment: bytes  # that it began with
    command: StoreCommand
    data_set: BytesIO


@lru_cache
def _is_storage(sop_class_uid: str) -> bool:
    """Whether pynetdicom takes the class for one of those that are stored: it looks through lists."""
    return uid_to_service_class(sop_class_uid) is StorageServiceClass
