"""A process that serves associations whose connections another one accepts (`pool`).

It ends when it is told to, or when that other process is gone. Signals are left to that one: a service manager and a
terminal send them to both.
"""

import gc
import itertools
import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from pydicom import config
from pynetdicom.association import Association

from dicom_node import logs
from dicom_node.errors import NodeError
from dicom_node.ledger.records import ReceivedInstance
from dicom_node.receive.channel import Channel
from dicom_node.receive.guard import Connection, Connections, HandedServer, Limits
from dicom_node.receive.recorder import InstanceLedger, Recorder
from dicom_node.receive.server import StorageService, end_associations, limits
from dicom_node.settings import Settings, given_settings
from dicom_node.wiring_receive import (
    make_commitment_scp,
    make_intake,
    make_recorder,
    make_reporter,
    open_spool,
    reach_ledger,
)
from inference.identifiers import SeriesInstanceUid

log = logging.getLogger(__name__)

_VERDICT_S: Final = 10.0  # for the other process to say whether there may be one more association


class Worker:
    """Serves what it is given until the channel ends."""

    def __init__(self, settings: Settings, channel: Channel) -> None:
        self._channel = channel
        ledger, self._engine = reach_ledger(settings)
        spool = open_spool(settings, settled=False)  # the recorder settles it
        self._recorder = make_recorder(settings, ledger=_Counted(ledger, channel), spool=spool)
        # Nobody starts this reporter: what it is to be woken for, the node's own one finds in the ledger.
        reporter = make_reporter(settings, ledger=ledger, spool=spool)
        self._connections = HandedConnections(limits(settings.scp), channel)
        service = StorageService(
            settings.scp,
            make_intake(settings, ledger=self._recorder, spool=spool),
            commitment=make_commitment_scp(settings, ledger=ledger, reporter=reporter, recorder=self._recorder),
            senders=RemoteSenders(channel, self._recorder),
        )
        self._server = service.server(HandedServer, (settings.scp.host, settings.scp.port), self._connections)

    def run(self) -> None:
        """Serve."""
        self._recorder.start()
        gc.freeze()  # what is here now stays, so nobody needs to look through it
        self._channel.say("ready")
        within_s = self._serve()
        self._connections.close()
        end_associations(self._server, within_s=within_s)
        self._recorder.stop()
        self._engine.dispose()

    def _serve(self) -> float:
        """Until there is nothing more to do; within how many seconds associations are to end then."""
        while (message := self._channel.hear()) is not None:
            match message.words:
                case ["connection", int(number), str(host), int(port)] if message.descriptor is not None:
                    link = socket.socket(fileno=message.descriptor)
                    self._server.take(Connection(link, host, number=number), (host, port))
                case ["may", int(number), bool(verdict)]:
                    self._connections.decide(number, verdict)
                case ["stop", int() | float() as within_s]:
                    return within_s
                case _:
                    log.error("a message makes no sense", extra={"count": len(message.words)})
        return 0.0


class HandedConnections(Connections):
    """Connections that were admitted elsewhere; there it is also known how many associations there are."""

    def __init__(self, limits: Limits, channel: Channel) -> None:
        super().__init__(limits, refused=lambda why: channel.say("refused", why))
        self._channel = channel
        self._verdicts: dict[int, bool] = {}
        self._closed = False

    def admit(self, connection: Connection) -> bool:
        """Count a connection in."""
        with self._changed:
            self._open.append(connection)
        return True

    def associate(self, connection: Connection) -> bool:
        """Whether there may be one more association."""
        number = connection.number
        self._channel.say("associate", number)
        with self._changed:
            self._changed.wait_for(lambda: self._closed or number in self._verdicts, _VERDICT_S)
            connection.associated = self._verdicts.pop(number, False)
            return connection.associated

    def decide(self, number: int, verdict: bool) -> None:
        """Whether connection `number` may associate."""
        with self._changed:
            self._verdicts[number] = verdict
            self._changed.notify_all()

    def close(self) -> None:
        """No more associations."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def leave(self, connection: Connection) -> None:
        """The connection has ended."""
        self._channel.say("left", connection.number)
        super().leave(connection)


class RemoteSenders:
    """Tells the process that accepts connections which association sends which series: it knows those of all."""

    def __init__(self, channel: Channel, recorder: Recorder) -> None:
        self._channel, self._recorder = channel, recorder
        self._numbers = itertools.count(1)
        self._known: dict[Association, tuple[int, set[SeriesInstanceUid]]] = {}
        self._lock = threading.Lock()

    def seen(self, association: Association, series: SeriesInstanceUid) -> None:
        """The association sent an instance of the series."""
        with self._lock:
            number, known = self._known.setdefault(association, (next(self._numbers), set()))
            if series in known:
                return
            known.add(series)
        self._channel.say("sends", number, series)

    def ended(self, association: Association) -> frozenset[SeriesInstanceUid]:
        """The association has ended; what that means for its series is for the other process to say."""
        with self._lock:
            number, _ = self._known.pop(association, (None, None))
        if number is not None:
            try:
                self._recorder.flush()  # a series is hurried after its last row, not before
            except NodeError as error:
                log.warning("rows are late", extra={"reason": str(error)})
            self._channel.say("ended", number)
        return frozenset()


class _Counted:
    def __init__(self, ledger: InstanceLedger, channel: Channel) -> None:
        self._ledger, self._channel = ledger, channel

    def record_instances(
        self, instances: Iterable[ReceivedInstance], *, now: datetime, due_at: datetime
    ) -> Sequence[ReceivedInstance]:
        rows = list(instances)
        strange = self._ledger.record_instances(rows, now=now, due_at=due_at)
        self._channel.say("received", len(rows))
        return strange

    def release(self, series: Iterable[SeriesInstanceUid], *, due_at: datetime) -> None:
        self._ledger.release(series, due_at=due_at)


def main(descriptor: int) -> None:
    """Serve on the channel that was inherited as `descriptor`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=descriptor))
    message = channel.hear()
    if message is None:
        return
    _, level, settings = message.words
    logs.set_up(level)
    # A warning for each odd UID of a request goes nowhere, and looking for them takes a third of an association.
    config.settings.reading_validation_mode = config.IGNORE
    Worker(given_settings(settings), channel).run()  # the environment is in them already


if __name__ == "__main__":
    main(int(sys.argv[1]))
