"""A socket that reads ahead, no more than a PDU may have, and no longer than it may take.

pynetdicom reads six bytes and then the rest, 4096 at a time, believes the length that a PDU claims and waits for it
without a deadline.
"""

# pynetdicom's own annotations leave some types open.
# pyright: reportUnknownMemberType=false

import logging
import select
import socket
import ssl
import time
from collections.abc import Callable
from struct import Struct
from typing import Final

from pynetdicom import evt
from pynetdicom.association import Association

from dicom_node.polling import PolledSocket
from dicom_node.receive.messages import fragments

log = logging.getLogger(__name__)

_AHEAD_BYTES: Final = 1 << 18  # a PDU of the usual size and more, so that most come in one piece
_HEAD: Final = Struct(">BBL")  # type, a reserved byte, length (PS3.8 9.3.1)
_DATA: Final = 0x04
_ABORT_PDU: Final = (
    b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x06"  # by the provider, invalid parameter value (PS3.8 9.3.8)
)


class BufferedSocket(PolledSocket):
    """The socket of an association; it never blocks, and is waited for here."""

    def __init__(
        self, association: Association, link: socket.socket, *, longest_pdu_bytes: int, timeout_s: float
    ) -> None:
        """`timeout_s`: for a PDU to be complete once it began, and for the peer to take an answer."""
        super().__init__(association, client_socket=link)
        link.setblocking(False)  # with a timeout, each call would first ask whether it may
        self._longest, self._timeout_s = longest_pdu_bytes, timeout_s
        self._ahead = memoryview(bytearray(_AHEAD_BYTES))
        self._begin = self._end = 0  # of what was read ahead

    @property
    def has_buffered(self) -> bool:
        """Whether something was read ahead: the socket would not show it."""
        return self._begin < self._end

    @property
    def ready(self) -> bool:
        """Whether there is something to read, also the end of the stream; tells the state machine if it is closed."""
        return self.has_buffered or super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """Exactly `nr_bytes`, or fewer where the peer ends the connection. OSError: too many, or too slow."""
        if nr_bytes > self._longest:
            self._say(f"a PDU claims {nr_bytes} bytes; must be at most {self._longest}")
            self.send(_ABORT_PDU)
            raise ConnectionAbortedError(f"a PDU claims {nr_bytes} bytes; must be at most {self._longest}")
        self._fill(nr_bytes)
        received = bytearray(self._ahead[self._begin : min(self._begin + nr_bytes, self._end)])
        self._begin += len(received)
        return received

    def take_data(self) -> list[tuple[int, memoryview]] | None:
        """The next PDU's presentation data values, where it is P-DATA-TF; None, and nothing is taken, where it is not.

        They are parts of what was read ahead, and hold until more is read. Raises OSError where the PDU does not come,
        or not whole.
        """
        if not self._fill(_HEAD.size):
            return None
        kind, _, length = _HEAD.unpack_from(self._ahead, self._begin)
        if kind != _DATA or length > self._longest:
            return None
        if not self._fill(_HEAD.size + length):
            raise ConnectionAbortedError("the connection ended within a PDU")
        begin = self._begin + _HEAD.size
        items = fragments(self._ahead[begin : begin + length])
        if items is not None:
            self._begin = begin + length
        return items

    def send(self, bytestream: bytes) -> None:
        """Send all of it; tells the state machine where that does not succeed, or not in time."""
        deadline, rest = time.monotonic() + self._timeout_s, memoryview(bytestream)
        try:
            while rest:
                rest = rest[self._now(_send, rest, select.POLLOUT, deadline) :]
        except OSError:
            self.event_queue.put("Evt17")  # transport connection closed (PS3.8 9.2.3)
            return
        evt.trigger(self.assoc, evt.EVT_DATA_SENT, {"data": bytestream})

    def _fill(self, count: int) -> bool:
        """Read until so many bytes are there; whether they are, as the connection may end before."""
        if self._begin + count > len(self._ahead) or self._begin == self._end:
            self._to_front(count)
        deadline = 0.0
        while self._end - self._begin < count:
            deadline = deadline or time.monotonic() + self._timeout_s
            got = self._now(_receive, self._ahead[self._end :], select.POLLIN, deadline)
            if got == 0:
                return False
            self._end += got
        return True

    def _to_front(self, count: int) -> None:
        """Move what was read ahead, so that there is room for `count` bytes."""
        rest = self._ahead[self._begin : self._end]
        if count > len(self._ahead):
            self._ahead = memoryview(bytearray(count))
        self._ahead[: len(rest)] = rest  # also where the two overlap
        self._begin, self._end = 0, len(rest)

    def _now(self, act: "_Act", data: memoryview, wants: int, deadline: float) -> int:
        """Bytes that the socket takes or gives, as soon as it can; `wants` is what to poll for."""
        while (link := self.socket) is not None:
            try:
                return act(link, data)
            except ssl.SSLWantReadError:
                wants = select.POLLIN
            except ssl.SSLWantWriteError:
                wants = select.POLLOUT
            except BlockingIOError:
                pass
            try:
                _wait(link, wants, deadline)
            except TimeoutError:  # the state machine will take it for a peer that has gone
                what = "no whole PDU came" if act is _receive else "the peer took no answer"
                self._say(f"{what} within {self._timeout_s:g} s")
                raise
        raise ConnectionAbortedError("the connection was closed")

    def _say(self, reason: str) -> None:
        known = self.assoc.requestor.address_info  # None where nobody said where the connection comes from
        said = {} if known is None else {"address": known.address}
        log.warning("association is ended", extra={**said, "reason": reason})


_Act = Callable[[socket.socket, memoryview], int]


def _send(link: socket.socket, data: memoryview) -> int:
    return link.send(data)


def _receive(link: socket.socket, room: memoryview) -> int:
    return link.recv_into(room)


def _wait(link: socket.socket, wants: int, deadline: float) -> None:
    """Return when the socket can. TimeoutError where it cannot in time."""
    rest_s, poll = deadline - time.monotonic(), select.poll()
    try:
        poll.register(link, wants)
    except ValueError as error:  # another thread closed it: it has no number any more
        raise ConnectionAbortedError("the connection was closed") from error
    if rest_s <= 0 or not poll.poll(rest_s * 1000):
        raise TimeoutError("the peer is too slow")
