"""One HTTP connection, which waits only so long for its peer: uvicorn waits for ever for the rest of a request.

Whoever reaches the port could otherwise fill it with connections that say nothing, and nobody would be answered.
"""

import asyncio
from typing import Final, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

_REQUEST_WITHIN_S: Final = 10.0  # all of it; a body has at most 64 KiB


class Connection(H11Protocol):
    """Ends where its request does not come in time; of too many, the one idle longest gives way to a new one."""

    idle_since_s = 0.0
    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] - as uvicorn has it
        """A peer connects."""
        super().connection_made(transport)
        self.idle_since_s = self.loop.time()
        self._watch()
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """The peer says something of its request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """A request is answered; the next one may follow."""
        self.idle_since_s = self.loop.time()
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone, or we ended it."""
        super().connection_lost(exc)
        self._stop_watch()

    def is_idle(self) -> bool:
        """Whether the peer has to do something: say a request, or take an answer."""
        return self._is_asked() or self.transport.get_write_buffer_size() > 0

    def _watch(self) -> None:
        """Give the peer its time from when it is its turn until it has said a whole request."""
        if not self._is_asked():
            self._stop_watch()
        elif self._limit is None:
            self._limit = self.loop.call_later(_REQUEST_WITHIN_S, self.transport.close)

    def _stop_watch(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _is_asked(self) -> bool:
        """Whether the peer has to say something."""
        return not self.cycle or self.cycle.response_complete or self.cycle.more_body

    def _make_room(self) -> None:
        others = cast("set[Connection]", self.connections) - {self}
        oldest = min((one for one in others if one.is_idle()), key=lambda one: one.idle_since_s, default=None)
        if oldest is not None:
            self.connections.discard(oldest)  # now: the loop tells it later, and others may connect before
            oldest.transport.abort()
