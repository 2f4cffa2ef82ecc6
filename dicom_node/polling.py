"""Sockets of associations that may have any number: pynetdicom asks `select`, which knows no descriptor above 1023."""

import select
import ssl
from typing import Final

from pynetdicom.transport import AssociationSocket

_CLOSED: Final = "Evt17"  # Transport connection closed (PS3.8 9.2.3)


class PolledSocket(AssociationSocket):
    """The stock socket, except for how it finds out whether something can be read, and that it is always closed."""

    @property
    def ready(self) -> bool:
        """Whether there is something to read, also the end of the stream; tells the state machine if it is closed."""
        link = self.socket
        if link is None or not self._is_connected:
            return False
        poll = select.poll()
        try:
            poll.register(link, select.POLLIN)
            found = poll.poll(0)
        except (OSError, ValueError):  # the socket was closed by another thread: it has no number any more
            self.event_queue.put(_CLOSED)
            return False
        if any(what & select.POLLNVAL for _, what in found):
            self.event_queue.put(_CLOSED)
            return False
        # TLS may have decrypted more than was asked for: the socket below would not show it.
        return bool(found) or (isinstance(link, ssl.SSLSocket) and link.pending() > 0)

    def _shutdown_socket(self) -> None:
        # The stock one shuts down first, which fails where nobody is connected (any more), and then leaves the
        # descriptor to the garbage collector: one for every try to reach a peer that is away.
        link = self.socket
        super()._shutdown_socket()
        if link is not None:
            link.close()
