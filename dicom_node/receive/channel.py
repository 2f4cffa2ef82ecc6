"""What the process that accepts connections and those that serve them say to each other.

    accepts -> serves   settings (once), connection (with its socket), may (associate or not), stop
    serves -> accepts   ready, associate (may it?), left (a connection), sends (a series), ended (an association),
                        received (so many instances), refused (a peer, and why)

Each message is a JSON list: its name and its values.
"""

import json
import socket
import threading
from dataclasses import dataclass
from typing import Any, Final

_LONGEST_BYTES: Final = 1 << 17


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message, and the descriptor that came with it."""

    words: list[Any]
    descriptor: int | None


class Channel:
    """One end of a pair of sockets that keep messages apart; any thread may speak, one listens."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._turn = threading.Lock()

    def say(self, *words: object, descriptor: int | None = None) -> bool:
        """Send a message, with a descriptor that the other end gets a copy of; False if the other end is gone."""
        text = json.dumps(words).encode()
        try:
            with self._turn:
                socket.send_fds(self._link, [text], [] if descriptor is None else [descriptor])
        except OSError:
            return False
        return True

    def hear(self) -> Message | None:
        """Wait for the next message; None once the other end is gone."""
        try:
            text, descriptors, _, _ = socket.recv_fds(self._link, _LONGEST_BYTES, 1)
        except OSError:
            return None
        if not text:
            return None
        return Message(words=json.loads(text), descriptor=descriptors[0] if descriptors else None)

    def fileno(self) -> int:
        """The descriptor of this end."""
        return self._link.fileno()

    def close(self) -> None:
        """Close this end."""
        self._link.close()


def channels() -> tuple[Channel, Channel]:
    """Both ends."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(one), Channel(other)
