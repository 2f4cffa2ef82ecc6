"""A socket that reads ahead, no more than a PDU may have, and no longer than it may take.

pynetdicom reads six bytes and then the rest, 4096 at a time, believes the length that a PDU claims and waits for it
without a deadline.
"""

# pynetdicom's own annotations leave some types open.
# pyright: reportUnknownMemberType=false

import logging
import socket
import time
from struct import Struct
from typing import Final

from pynetdicom.association import Association

from dicom_node.polling import PolledSocket
from dicom_node.receive.messages import fragments

log = logging.getLogger(__name__)

_AHEAD_BYTES: Final = 1 << 16
_HEAD: Final = Struct(">BBL")  # type, a reserved byte, length (PS3.8 9.3.1)
_DATA: Final = 0x04
_ABORT_PDU: Final = (
    b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x06"  # by the provider, invalid parameter value (PS3.8 9.3.8)
)


class BufferedSocket(PolledSocket):
    """The socket of an association."""

    def __init__(
        self, association: Association, link: socket.socket, *, longest_pdu_bytes: int, timeout_s: float
    ) -> None:
        """`timeout_s`: for a PDU to be complete once it began."""
        super().__init__(association, client_socket=link)
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
            log.warning("PDU is too long", extra={"count": nr_bytes})
            self.send(_ABORT_PDU)
            raise ConnectionAbortedError(f"a PDU claims {nr_bytes} bytes; must be at most {self._longest}")
        received = bytearray(nr_bytes)
        with memoryview(received) as view:
            filled = self._take(view)
            deadline = time.monotonic() + self._timeout_s
            while filled < nr_bytes:
                if nr_bytes - filled >= _AHEAD_BYTES:
                    count = self._read(view[filled:], deadline)
                else:
                    self._begin, self._end = 0, self._read(self._ahead, deadline)
                    count = self._take(view[filled:])
                if count == 0:
                    break
                filled += count
        return received if filled == nr_bytes else received[:filled]

    def take_data(self) -> list[tuple[int, memoryview]] | None:
        """The next PDU's presentation data values, where it is P-DATA-TF; None, and nothing is taken, where it is not.

        Raises OSError where it does not come, or not whole.
        """
        head = self.recv(_HEAD.size)
        kind, _, length = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0, 0)
        if kind != _DATA or length > self._longest:
            self._unread(head)
            return None
        body = self.recv(length)
        if len(body) < length:
            raise ConnectionAbortedError("the connection ended within a PDU")
        items = fragments(memoryview(body))
        if items is None:
            self._unread(head + body)
        return items

    def _unread(self, taken: bytearray) -> None:
        whole = taken + self._ahead[self._begin : self._end]
        if len(whole) > len(self._ahead):
            self._ahead = memoryview(bytearray(len(whole)))
        self._ahead[: len(whole)] = whole
        self._begin, self._end = 0, len(whole)

    def _take(self, view: memoryview) -> int:
        count = min(len(view), self._end - self._begin)
        view[:count] = self._ahead[self._begin : self._begin + count]
        self._begin += count
        return count

    def _read(self, view: memoryview, deadline: float) -> int:
        link = self.socket
        if link is None:
            raise ConnectionAbortedError("the connection was closed")
        link.settimeout(max(0.001, deadline - time.monotonic()))
        return link.recv_into(view)
