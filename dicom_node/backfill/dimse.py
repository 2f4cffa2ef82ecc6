"""An archive that speaks DIMSE: C-FIND to find, C-GET or C-MOVE to retrieve (PS3.4 C), Study Root.

Instances are retrieved one by one, as over DICOMweb. With C-GET they come on the same association; where an archive
has no C-GET it is asked to send (C-MOVE) to a port of ours, which it must know by our AE title.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import date
from typing import Any, Final, Self, TypeVar, cast

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context, build_role
from pynetdicom.status import STATUS_PENDING, STATUS_SUCCESS, code_to_category

from dicom_node.backfill.archive import ArchiveError, RemoteSeries, whole_number
from dicom_node.deliver import DeliveryError
from dicom_node.deliver.scu import Peer, association
from dicom_node.receive.part10 import file_meta
from dicom_node.receive.storage_classes import MR_CLASSES, TRANSFER_SYNTAXES, presentation_contexts
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, is_uid

T = TypeVar("T")

# Study Root Query/Retrieve Information Model (PS3.4 C.6.2)
FIND: Final = UID("1.2.840.10008.5.1.4.1.2.2.1")
MOVE: Final = UID("1.2.840.10008.5.1.4.1.2.2.2")
GET: Final = UID("1.2.840.10008.5.1.4.1.2.2.3")
_STORED: Final = 0x0000
_NOT_ASKED_FOR: Final = 0x0124  # PS3.7 C.4.1: not authorised
# Out of resources (PS3.4 C.4: A7xx), unable to process for now (C000 by custom), sub-operations failed (B000).
_PASSING: Final = frozenset({0xA700, 0xA701, 0xA702, 0xB000, 0xC000})

_Answers = Iterable[tuple[Dataset, Dataset | None]]


class DimseArchive:
    """One association with an archive, opened when it is needed and again after an error. Use it as a context."""

    def __init__(self, peer: Peer, *, max_instance_bytes: int, move_port: int | None = None) -> None:
        """`move_port`: retrieve by C-MOVE to this port (0: any free one) and our calling AE title; None: by C-GET."""
        self._peer, self._max_instance_bytes, self._move_port = peer, max_instance_bytes, move_port
        self._link: Association | None = None
        self._open = ExitStack()
        self._server = ExitStack()
        self._asked_for: SopInstanceUid | None = None
        self._arrived: bytes | None = None
        self._turn = threading.Lock()
        self.port: int | None = None

    def __enter__(self) -> Self:
        if self._move_port is not None:
            self._listen(self._move_port)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        self._server.close()

    def series(self, day: date) -> Iterator[RemoteSeries]:
        """The MR series of studies of that day."""
        studies = self._find("STUDY", StudyInstanceUID="", StudyDate=f"{day:%Y%m%d}", ModalitiesInStudy="MR")
        for study in studies:
            study_uid = _uid(study, "StudyInstanceUID")
            wanted: dict[str, Any] = {"Modality": "MR", "NumberOfSeriesRelatedInstances": None}
            for found in self._find("SERIES", StudyInstanceUID=study_uid, SeriesInstanceUID="", **wanted):
                if found.get("Modality", "MR") in ("MR", ""):  # not every archive matches by it
                    yield RemoteSeries(
                        study_instance_uid=StudyInstanceUid(study_uid),
                        series_instance_uid=SeriesInstanceUid(_uid(found, "SeriesInstanceUID")),
                        instances=whole_number(_received(found, "NumberOfSeriesRelatedInstances")),
                    )

    def instances(self, series: RemoteSeries) -> list[SopInstanceUid]:
        """The instances of a series."""
        found = self._find("IMAGE", **_keys(series), SOPInstanceUID="")
        return [SopInstanceUid(_uid(one, "SOPInstanceUID")) for one in found]

    def fetch(self, series: RemoteSeries, instance: SopInstanceUid) -> bytes:
        """One instance as a Part 10 file."""
        identifier = _identifier("IMAGE", **_keys(series), SOPInstanceUID=instance)
        with self._turn:
            self._asked_for, self._arrived = instance, None
        try:
            self._asked(lambda link: _last(self._retrieve(link, identifier)))
        finally:
            with self._turn:
                arrived, self._asked_for, self._arrived = self._arrived, None, None
        if arrived is None:
            raise ArchiveError("the archive says that it sent the instance, and did not", retry=False)
        if len(arrived) > self._max_instance_bytes:
            raise ArchiveError(f"the archive sent more than {self._max_instance_bytes} bytes", retry=False)
        return arrived

    def _retrieve(self, link: Association, identifier: Dataset) -> _Answers:
        if self._move_port is None:
            return link.send_c_get(identifier, GET)
        return link.send_c_move(identifier, self._peer.calling_ae_title, MOVE)

    def _find(self, level: str, **keys: object) -> list[Dataset]:
        identifier = _identifier(level, **keys)
        return self._asked(lambda link: _matches(link.send_c_find(identifier, FIND)))

    def _asked(self, ask: Callable[[Association], T]) -> T:
        """What asking comes to; the association is given up with every error, as nobody knows what is left on it."""
        try:
            return ask(self._linked())
        except ArchiveError:
            self._open.close()
            self._link = None
            raise
        except (DeliveryError, RuntimeError, ValueError) as error:
            # RuntimeError: it ended meanwhile. ValueError: the archive accepted the association and not this service.
            self._open.close()
            self._link = None
            service = "C-GET" if self._move_port is None else "C-MOVE"
            refused = f"the archive does not offer what is asked of it (C-FIND, {service})"
            message = refused if isinstance(error, ValueError) else f"the archive does not answer: {error}"
            raise ArchiveError(message, retry=not isinstance(error, ValueError)) from error

    def _linked(self) -> Association:
        if self._link is None or not self._link.is_established:
            self._open.close()
            contexts, roles = _contexts(get=self._move_port is None)
            self._link = self._open.enter_context(association(self._peer, contexts, roles=roles))
            self._link.bind(evt.EVT_C_STORE, self._store)  # pyright: ignore[reportUnknownMemberType] - partly typed
        return self._link

    def _listen(self, port: int) -> None:
        entity = ApplicationEntity(self._peer.calling_ae_title)
        entity.require_called_aet = True
        entity.require_calling_aet = [self._peer.ae_title]
        entity.supported_contexts = presentation_contexts("refuse")
        try:
            server = entity.start_server(  # pyright: ignore[reportUnknownMemberType] - partly typed
                ("", port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
            )
        except OSError as error:
            raise ArchiveError(f"port {port} cannot be listened on: {error.strerror}", retry=False) from error
        if server is None:
            raise ArchiveError(f"port {port} cannot be listened on", retry=False)
        self.port = int(server.server_address[1])
        self._server.callback(server.shutdown)

    def _store(self, event: Event) -> int:
        """What the archive sends; nothing but what it was asked for."""
        request = cast("C_STORE", event.request)
        with self._turn:
            uid, data_set = request.AffectedSOPInstanceUID, request.DataSet
            if uid != self._asked_for or data_set is None:
                return _NOT_ASKED_FOR
            meta = file_meta(
                sop_class_uid=str(request.AffectedSOPClassUID),
                sop_instance_uid=str(uid),
                transfer_syntax_uid=str(event.context.transfer_syntax),
                sending_aet=self._peer.ae_title,
            )
            self._arrived = b"".join((meta, data_set.getbuffer()))
        return _STORED


def _contexts(*, get: bool) -> tuple[list[PresentationContext], list[SCP_SCU_RoleSelectionNegotiation]]:
    """What is proposed; for C-GET each storage class with each transfer syntax, so that instances come as they are
    kept, and with us as their SCP (PS3.7 D.3.3.4)."""
    if not get:
        return [build_context(FIND), build_context(MOVE)], []
    storage = [build_context(uid, [syntax]) for uid in MR_CLASSES for syntax in TRANSFER_SYNTAXES]
    return [build_context(FIND), build_context(GET), *storage], [build_role(uid, scp_role=True) for uid in MR_CLASSES]


def _identifier(level: str, **keys: object) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def _keys(series: RemoteSeries) -> dict[str, str]:
    return {"StudyInstanceUID": series.study_instance_uid, "SeriesInstanceUID": series.series_instance_uid}


def _matches(answers: _Answers) -> list[Dataset]:
    """The identifiers of a search that went through."""
    found: list[Dataset] = []
    for answer, identifier in answers:
        if _is_pending(answer) and identifier is not None:
            found.append(identifier)
    return found


def _last(answers: _Answers) -> None:
    """Go through the answers to a retrieval."""
    for answer, _ in answers:
        _is_pending(answer)


def _is_pending(answer: Dataset) -> bool:
    """Whether more is to come; ArchiveError where the archive failed."""
    if "Status" not in answer:
        raise ArchiveError("the archive did not answer, or ended the association", retry=True)
    status = int(answer.Status)
    category = code_to_category(status)
    if category not in (STATUS_PENDING, STATUS_SUCCESS):
        raise ArchiveError(f"the archive answers with status 0x{status:04X}", retry=status in _PASSING)
    return category == STATUS_PENDING


def _received(match: Dataset, keyword: str) -> object:
    """A value as it was received, which is bytes: it becomes part of nothing before it was looked at."""
    return match.get_item(keyword).value if keyword in match else None


def _uid(match: Dataset, keyword: str) -> str:
    value = _received(match, keyword)
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace").rstrip("\0 ")
    if not is_uid(value):
        raise ArchiveError(f"a match of the archive has no valid {keyword}", retry=False)
    return str(value)
