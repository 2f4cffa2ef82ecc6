"""Associations that wait for what happens, where pynetdicom's own look for it a thousand times a second.

pynetdicom runs two threads an association, each in a loop with a sleep of 1 ms: an instance waits in both, and idle
associations keep a processor busy. What is replaced of it here: the waiting in `DULServiceProvider` (its loop, its
state machine and its queues stay), `Association._run_reactor`, and for responses to C-STORE, which are built for every
instance, `DIMSEServiceProvider.send_msg`. Each gives what the stock class gives; the tests compare them.
"""

# pynetdicom's own annotations leave some types open.
# pyright: reportUnknownMemberType=false

import select
import socket
import ssl
import threading
from struct import pack
from typing import Any, Final, cast

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA

_LOOK_S: Final = 0.1  # how late a timer may be noticed
_COMMAND_LAST: Final = b"\x03"  # of a fragment: all of a command set (PS3.8 E.2)
_PDU_OVERHEAD_BYTES: Final = 6  # that a fragment adds to the value, of what the peer allows


class WaitingDul(DULServiceProvider):
    """Sleeps until the peer sends, its own side wants to send, or a timer is to be looked at."""

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self._run_loop_delay = 0
        self._waker, self._sleeper = socket.socketpair()
        self._sleeper.setblocking(False)
        self._happened = threading.Event()  # there may be something for the association to take

    def run_reactor(self) -> None:
        """Run until killed."""
        try:
            super().run_reactor()
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

    def _is_transport_event(self) -> bool:
        if self.to_user_queue.qsize() or self.assoc.dimse.msg_queue.qsize():
            self._happened.set()
        # Waiting for the connection to close (Sta13), the stock method closes it; it must not be kept.
        if self.event_queue.empty() and self.state_machine.current_state != "Sta13":
            self._sleep()
            if self._kill_thread:
                return False
        return super()._is_transport_event()

    def _sleep(self) -> None:
        link = None if self.socket is None else self.socket.socket
        if isinstance(link, ssl.SSLSocket) and link.fileno() >= 0 and link.pending():
            return  # decrypted already: the socket would not show it
        poll = select.poll()
        poll.register(self._sleeper, select.POLLIN)
        if link is not None and link.fileno() >= 0:
            poll.register(link, select.POLLIN)
        woken = {number for number, _ in poll.poll(_LOOK_S * 1000)}
        if self._sleeper.fileno() in woken:
            self._sleeper.recv(4096)

    def _wake(self) -> None:
        try:
            self._waker.send(b"\x00")
        except OSError:  # the thread has ended
            self._happened.set()


class WaitingAssociation(Association):
    """Serves one request after the other, asleep in between."""

    def _run_reactor(self) -> None:
        self._is_paused = False
        while not self._kill:
            if self.dimse.msg_queue.empty():
                cast("WaitingDul", self.dul).wait_for_work()
            self._is_paused = True
            self._reactor_checkpoint.wait()  # cleared while somebody else takes what arrives
            self._is_paused = False
            item = cast("Any", self.dimse.get_msg(block=False))
            if item != (None, None):
                self._serve_request(item[1], item[0])
            if self._has_ended():
                self.kill()
                return

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
        elif self.dul.idle_timer_expired():
            self.abort()
        else:
            return False
        return True


class QuickResponses(DIMSEServiceProvider):
    """Encodes what answers a C-STORE by itself; everything else as pynetdicom does."""

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send a message."""
        command = _store_response(primitive)
        largest = self.maximum_pdu_size
        if command is None or 0 < largest < len(command) + _PDU_OVERHEAD_BYTES:
            super().send_msg(primitive, context_id)
            return
        data = P_DATA()
        data.presentation_data_value_list = cast("Any", [[context_id, _COMMAND_LAST + command]])
        self.dul.send_pdu(data)


def _store_response(primitive: Any) -> bytes | None:
    """The command set of a C-STORE response (PS3.7 9.3.1.2); None where it is none, or says more."""
    if not isinstance(primitive, C_STORE) or primitive.MessageIDBeingRespondedTo is None or primitive.Status is None:
        return None
    if primitive.AffectedSOPClassUID is None or primitive.AffectedSOPInstanceUID is None:
        return None
    if getattr(primitive, "ErrorComment", None) or getattr(primitive, "OffendingElement", None):
        return None
    elements = b"".join(
        (
            _uid(0x0002, str(primitive.AffectedSOPClassUID)),
            pack("<HHLH", 0, 0x0100, 2, 0x8001),  # Command Field: C-STORE-RSP
            pack("<HHLH", 0, 0x0120, 2, primitive.MessageIDBeingRespondedTo),
            pack("<HHLH", 0, 0x0800, 2, 0x0101),  # no data set
            pack("<HHLH", 0, 0x0900, 2, primitive.Status),
            _uid(0x1000, str(primitive.AffectedSOPInstanceUID)),
        )
    )
    return pack("<HHLL", 0, 0, 4, len(elements)) + elements


def _uid(element: int, uid: str) -> bytes:
    value = uid.encode("ascii")
    value += b"\x00" * (len(value) % 2)
    return pack("<HHL", 0, element, len(value)) + value
