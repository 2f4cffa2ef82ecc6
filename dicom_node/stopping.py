"""The wish of a service manager or a terminal that a command ends."""

import signal
import socket
import threading
from typing import Final

_ASKS: Final = (signal.SIGTERM, signal.SIGINT)


def stop_event() -> threading.Event:
    """An event that is set once SIGTERM or SIGINT came; to be called on the main thread.

    A handler of Python's does not do: it runs when the main thread gets to it, and a signal that comes just before that
    thread falls asleep in `Event.wait` leaves it asleep; one that comes within `Event.wait` would wait for the event's
    own lock. What writes to the wakeup descriptor is C code, which needs neither.
    """
    stop = threading.Event()
    heard, said = socket.socketpair()
    said.setblocking(False)
    threading.Thread(target=_listen, args=(heard, stop), name="signals", daemon=True).start()
    signal.set_wakeup_fd(said.detach())  # for as long as the process lives
    for number in _ASKS:
        signal.signal(number, lambda _number, _frame: None)
    return stop


def _listen(heard: socket.socket, stop: threading.Event) -> None:
    # For good: a second signal would find nobody to take it in, and Python would complain of the broken pipe.
    while True:
        if heard.recv(1)[0] in _ASKS:
            stop.set()
