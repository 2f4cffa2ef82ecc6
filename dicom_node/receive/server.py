"""The receiving DICOM peer: Verification, Storage and Storage Commitment (PS3.4 A, B and J) on pynetdicom.

The handler neither raises nor thinks: it hands bytes to the intake, and every outcome is a status. 0x0000 leaves only
after the bytes are whole and synced in the spool; `recorder` says when their row is in the ledger.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache
from socketserver import BaseServer
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from pydicom.uid import UID
from pynetdicom import _config, acse, evt
from pynetdicom._validators import validate_ui
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from dicom_node.addresses import binding
from dicom_node.commitment.scp import CommitmentScp
from dicom_node.errors import SUCCESS, CannotUnderstandError, NodeError, SopClassNotSupportedError
from dicom_node.receive.guard import Connections, GuardedServer, Handler, Limits, Refusal
from dicom_node.receive.intake import Intake
from dicom_node.receive.negotiation import negotiated
from dicom_node.receive.part10 import IMPLEMENTATION_VERSION_NAME
from dicom_node.receive.quarantine import StoreRequest
from dicom_node.receive.storage_classes import presentation_contexts
from dicom_node.report.uids import IMPLEMENTATION_CLASS_UID
from dicom_node.settings import ScpSettings
from dicom_node.tls import server_context
from inference.identifiers import SeriesInstanceUid

log = logging.getLogger(__name__)

_CANNOT_UNDERSTAND: Final = 0xC000
_DUPLICATE: Final = 0x0111  # Duplicate SOP Instance (PS3.7 C.5.7)
_LONGEST_UID: Final = 64  # characters (PS3.5 9.1)
_ABORT_GRACE_S: Final = 1.0  # for an A-ABORT to leave

Server = TypeVar("Server", bound=GuardedServer)
Key = TypeVar("Key", bound=Hashable)


class StorageScp:
    """A DICOM peer that runs from `start` to `stop`, in this process."""

    def __init__(
        self,
        settings: ScpSettings,
        intake: Intake,
        *,
        commitment: CommitmentScp | None = None,
        refused: Callable[[Refusal], None] = lambda why: None,
    ) -> None:
        """`commitment` makes it offer Storage Commitment; `refused` hears of every peer that is turned away.

        SettingsError where certificates are wrong.
        """
        self._settings, self._refused = settings, refused
        self._service = StorageService(settings, intake, commitment=commitment)
        self._server: GuardedServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind the port and begin to accept. SettingsError where the port is not to be had."""
        settings = self._settings
        connections = Connections(limits(settings), refused=self._refused)
        with binding("scp", settings.host, settings.port):
            self._server = self._service.server(GuardedServer, (settings.host, settings.port), connections)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="scp")
        self._thread.start()
        log.info("listening", extra={"ae_title": settings.ae_title, "host": settings.host, "port": self.port})

    @property
    def port(self) -> int:
        """The port it listens on, also where the settings say 0."""
        if self._server is None:
            raise RuntimeError("the SCP has not been started")
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Accept no more, let running associations end in time, abort the others. Stopping twice is harmless."""
        server, thread = self._server, self._thread
        if server is None or thread is None or not thread.is_alive():
            return
        BaseServer.shutdown(server)  # not its own: that one would look for the server among those of the entity
        server.server_close()
        thread.join()
        end_associations(server, within_s=self._settings.stop_timeout_s)
        log.info("stopped", extra={"ae_title": self._settings.ae_title})


def limits(settings: ScpSettings) -> Limits:
    """The limits that the settings ask for."""
    return Limits(
        associations=settings.max_associations,
        connections_per_host=settings.max_connections_per_peer,
        pdu_bytes=settings.max_pdu_bytes,
        message_bytes=settings.max_instance_bytes,
        timeout_s=settings.network_timeout_s,
        calling_hosts=settings.calling_hosts,
    )


def end_associations(server: GuardedServer, *, within_s: float) -> None:
    """Let running associations end in time, and abort the others."""
    if not server.connections.wait_until_empty(within_s):
        for association in server.active_associations:
            said = {"address": association.requestor.address, "reason": "the node stops"}
            log.warning("association is ended", extra=said)
            association.abort(block=False)
        if not server.connections.wait_until_empty(_ABORT_GRACE_S):
            server.connections.cut_all()
            server.connections.wait_until_empty(_ABORT_GRACE_S)


class StorageService:
    """What the peer does on its associations, whoever accepts their connections."""

    def __init__(
        self,
        settings: ScpSettings,
        intake: Intake,
        *,
        commitment: CommitmentScp | None = None,
        senders: "Sending | None" = None,
    ) -> None:
        """`senders` knows who else sends a series; None: nobody but this service. SettingsError: certificates."""
        self._settings, self._intake = settings, intake
        self._ssl_context = None if settings.tls is None else server_context(settings.tls)
        self._commitment = commitment
        self._senders = Senders[Association]() if senders is None else senders

    def server(self, kind: type[Server], address: tuple[str, int], connections: Connections) -> Server:
        """A server of this service on `address`."""
        # pynetdicom's own handlers would log what data sets and identifiers hold.
        _config.LOG_HANDLER_LEVEL = "none"
        _config.VALIDATORS["UI"] = _valid_uid
        cast("Any", acse).negotiate_as_acceptor = negotiated
        return kind(
            self._entity(),
            address,
            handlers=self._handlers(),
            connections=connections,
            ssl_context=self._ssl_context,
            service=self,
        )

    def _entity(self) -> ApplicationEntity:
        settings = self._settings
        entity = ApplicationEntity(ae_title=settings.ae_title)
        entity.supported_contexts = presentation_contexts(settings.accept_other_storage)
        if self._commitment is not None:
            entity.supported_contexts += self._commitment.contexts()
        entity.require_called_aet = True
        entity.require_calling_aet = list(settings.calling_ae_titles)
        entity.maximum_pdu_size = settings.max_pdu_bytes
        entity.maximum_associations = 1 << 30  # the guard counts; pynetdicom would count idle sockets too
        entity.acse_timeout = settings.acse_timeout_s
        entity.dimse_timeout = settings.network_timeout_s
        entity.network_timeout = settings.network_timeout_s
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        return entity

    def _handlers(self) -> list[Handler]:
        more = [] if self._commitment is None else self._commitment.handlers()
        return [(evt.EVT_C_STORE, self._store), *more]

    def store(self, request: StoreRequest, association: Association) -> int:
        """Answer a request to store."""
        begun = time.monotonic()
        try:
            taken = self._intake.take(request)
        except NodeError as error:
            return _refused(error)
        series = taken.series_instance_uid
        self._senders.seen(association, series)
        if log.isEnabledFor(logging.DEBUG):
            log.debug("instance taken", extra={"series_uid": series, "seconds": round(time.monotonic() - begun, 4)})
        conflict = taken.stored.arrival == "conflict"
        return _DUPLICATE if conflict and self._settings.duplicates == "refuse" else SUCCESS

    def ended(self, association: Association) -> None:
        """An association is over: what nobody sends any more is due soon."""
        series = self._senders.ended(association)
        if not series:
            return
        try:
            self._intake.released(series)
        except NodeError as error:  # they are due all the same, when they have been quiet for longer
            log.warning("series not released", extra={"count": len(series), "reason": str(error)})

    def _store(self, event: evt.Event) -> int:
        """Answer a C-STORE request that the reactor left to pynetdicom."""
        try:
            request = _request(event)
        except NodeError as error:
            return _refused(error)
        return self.store(request, event.assoc)


def _refused(error: NodeError) -> int:
    """The status of an instance that is not taken."""
    status = _CANNOT_UNDERSTAND if error.status is None else error.status
    log.warning("instance not taken", extra={"status": f"{status:04X}", "reason": str(error)})
    return status


def _valid_uid(uid: UID) -> tuple[bool, str]:
    """What pynetdicom says of a UID. A request for an association holds hundreds, and the next one the same."""
    return _known_uid(uid) if len(uid) <= _LONGEST_UID else validate_ui(uid)


@lru_cache(maxsize=4096)
def _known_uid(uid: UID) -> tuple[bool, str]:
    return validate_ui(uid)


class Sending(Protocol):
    """Knows which association sends some of which series."""

    def seen(self, association: Association, series: SeriesInstanceUid) -> None:
        """The association sent an instance of the series."""
        ...

    def ended(self, association: Association) -> frozenset[SeriesInstanceUid]:
        """The series that nobody sends any more now that the association has ended, as far as it is for us to say."""
        ...


class Senders(Generic[Key]):
    """Which association sent some of which series: the end of one does not hurry a series that another still sends."""

    def __init__(self) -> None:
        self._series: dict[Key, set[SeriesInstanceUid]] = {}
        self._lock = threading.Lock()

    def seen(self, association: Key, series: SeriesInstanceUid) -> None:
        """The association sent an instance of the series."""
        with self._lock:
            self._series.setdefault(association, set()).add(series)

    def ended(self, association: Key) -> frozenset[SeriesInstanceUid]:
        """The series of an association that has ended, less those that others are sending."""
        with self._lock:
            mine: Iterable[SeriesInstanceUid] = self._series.pop(association, ())
            return frozenset(mine).difference(*self._series.values())


def _request(event: evt.Event) -> StoreRequest:
    request, context = event.request, event.context
    if not isinstance(request, C_STORE) or request.DataSet is None:
        raise CannotUnderstandError("the request has no data set (PS3.7 9.1.1)")
    if request.AffectedSOPClassUID != context.abstract_syntax:
        raise SopClassNotSupportedError(
            f"the request's SOP class is not that of its presentation context, {context.abstract_syntax} (PS3.7 C.4.2)"
        )
    return StoreRequest(
        sop_class_uid=str(request.AffectedSOPClassUID),
        sop_instance_uid=str(request.AffectedSOPInstanceUID),
        transfer_syntax_uid=str(context.transfer_syntax),
        data_set=request.DataSet.getbuffer(),
        calling_aet=event.assoc.requestor.ae_title,
    )
