"""A node as its users run it that is killed again and again while series are received, read and delivered.

Senders write down what was acknowledged and, where an association breaks, send its series again from the beginning, as
modalities do. The destination writes down every report that it gets.
"""

import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from dicom_factory import object_pixels, series
from dicom_node.deliver import DeliveryError
from dicom_node.deliver.scu import Peer, association, store
from peers import free_port, wait_for
from serving import serve, write_settings

PHASES: Final = ("receiving", "reading", "delivering")
IMAGES: Final = 5  # a series
_SENDERS: Final = 2
_WAITING: Final = 6  # series that are sent and not reported yet; then senders pause
_LONGEST_PAUSE_S: Final = {"receiving": 0.1, "reading": 0.3, "delivering": 0.05}  # between seeing a phase and killing


@dataclass(kw_only=True)
class Deaths:
    """What was done to a node and what came out."""

    kills: Counter[str] = field(default_factory=Counter[str])  # by what the node was seen to do
    caught: Counter[str] = field(default_factory=Counter[str])  # kills that interrupted something, by what
    series: int = 0
    acknowledged: int = 0  # instances
    lost: int = 0  # of them, not in the spool
    doubled: int = 0  # in the spool, or in the ledger, more than once
    half: int = 0  # files under a final name that are not what was sent
    parts: int = 0  # left after the last start
    unreported: int = 0  # series without a report on all their images
    reported_twice: int = 0  # series with two reports on the same images
    early: int = 0  # reports on some images of a series, before the rest came
    repeated: int = 0  # reports that came again, the same object
    unanswered: int = 0  # series, and deliveries, that the ledger does not call done

    def check(self) -> None:
        """Nothing is lost, doubled or half."""
        faults = {name: getattr(self, name) for name in _FAULTS}
        assert not any(faults.values()), faults


_FAULTS: Final = ("lost", "doubled", "half", "parts", "unreported", "reported_twice", "early", "unanswered")


class Destination:
    """A Storage SCP that writes down the reports it gets."""

    def __init__(self, port: int, dice: random.Random) -> None:
        self.port, self.requests = port, 0
        self.reports: dict[str, tuple[str, frozenset[str]]] = {}  # SOP Instance UID -> series and its images
        self.repeated = 0
        self._dice = dice

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Be there until the block ends."""
        entity = AE(ae_title="DESTINATION")
        entity.add_supported_context(Comprehensive3DSRStorage)
        server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._got)])
        assert server is not None
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()

    def reported(self) -> dict[str, list[frozenset[str]]]:
        """Images of each report, by series."""
        found: dict[str, list[frozenset[str]]] = {}
        for source, images in list(self.reports.values()):
            found.setdefault(source, []).append(images)
        return found

    def _got(self, event: evt.Event) -> int:
        self.requests += 1
        threading.Event().wait(self._dice.uniform(0, 0.04))  # time to be killed in before the answer and after it
        report = event.dataset
        (study,) = report.CurrentRequestedProcedureEvidenceSequence
        (source,) = study.ReferencedSeriesSequence
        images = frozenset(str(item.ReferencedSOPInstanceUID) for item in source.ReferencedSOPSequence)
        self.repeated += report.SOPInstanceUID in self.reports
        self.reports[str(report.SOPInstanceUID)] = (str(source.SeriesInstanceUID), images)
        return 0x0000


class Sender(threading.Thread):
    """Sends one series after the other until told that it is enough; a series again where its association broke."""

    def __init__(self, name: str, port: int, destination: Destination) -> None:
        super().__init__(name=name)
        self.sent: dict[str, list[Dataset]] = {}
        self.acknowledged: set[str] = set()
        self.enough = threading.Event()
        self._peer = Peer(ae_title="MRCLIP", host="127.0.0.1", port=port, calling_ae_title="SENDER", response_s=30)
        self._destination = destination
        self._pixels = object_pixels(256, 256)

    def run(self) -> None:
        """Send."""
        pause = threading.Event()
        while not self.enough.is_set():
            images = series(IMAGES, seed=f"{self.name}-{len(self.sent)}", pixels=self._pixels)
            uid = str(images[0].SeriesInstanceUID)
            self.sent[uid] = images
            while not self._send(images):
                pause.wait(0.05)  # it is being started
            while not self.enough.is_set() and self._waiting() > _WAITING:
                pause.wait(0.05)

    def _send(self, images: list[Dataset]) -> bool:
        try:
            with association(self._peer, [build_context(MRImageStorage, ExplicitVRLittleEndian)]) as link:
                for image in images:
                    store(link, image)
                    self.acknowledged.add(str(image.SOPInstanceUID))
                link.release()
                return link.is_released
        except DeliveryError:
            return False

    def _waiting(self) -> int:
        return len(self.sent.keys() - self._destination.reported().keys())


def undergo(folder: Path, *, kills: int, seed: int) -> Deaths:
    """Kill a node `kills` times, at moments drawn from `seed`, then let it finish; what came out."""
    dice, deaths = random.Random(seed), Deaths()
    plan = [PHASES[number % len(PHASES)] for number in range(kills)]
    dice.shuffle(plan)
    destination = Destination(free_port(), dice)
    config = _settings(folder, destination)
    port = _port(config)
    senders = [Sender(f"sender-{seed}-{number}", port, destination) for number in range(_SENDERS)]
    with destination.listening():
        for sender in senders:
            sender.start()
        try:
            for phase in plan:
                with serve(config) as node:
                    _wait_for(phase, folder, senders, destination, dice)
                    node.process.kill()
                    node.process.wait()
                deaths.kills[phase] += 1
                deaths.caught.update(_interrupted(folder))
        finally:
            for sender in senders:
                sender.enough.set()
        with serve(config) as node:
            for sender in senders:
                sender.join(120)
            node.wait_until_answered(sum(len(sender.sent) for sender in senders), 180)
            deaths.parts = len(list(_spool(folder).rglob("*.part")))
            assert node.stop() == 0
    _count(deaths, folder, senders, destination)
    return deaths


def _settings(folder: Path, destination: Destination) -> Path:
    to = {"name": "pacs", "ae_title": "DESTINATION", "host": "127.0.0.1", "port": destination.port}
    return write_settings(
        folder,
        scp={"port": free_port()},
        series={"quiet_s": 3, "quiet_after_release_s": 0.2},
        # A series that five workers died of would be set aside; here the same one may well be met so often.
        work={"lease_s": 2, "reading_max_attempts": 1000},
        report={"send": "all"},
        destinations=[to],
    )


def _port(config: Path) -> int:
    return int(yaml.safe_load(config.read_text())["scp"]["port"])


def _wait_for(phase: str, folder: Path, senders: list[Sender], destination: Destination, dice: random.Random) -> None:
    """Return at a random moment while the node does what `phase` says."""

    def acknowledged() -> int:
        return sum(len(sender.acknowledged) for sender in senders)

    match phase:
        case "receiving":
            enough = acknowledged() + dice.randint(1, 2 * IMAGES)
            wait_for(lambda: acknowledged() >= enough, 120, what="instances being received")
        case "reading":
            wait_for(lambda: _rows(folder, "SELECT 1 FROM series WHERE state = 'reading'"), 120, what="a reading")
        case _:
            before = destination.requests
            wait_for(lambda: destination.requests > before, 120, what="a report being delivered")
    threading.Event().wait(dice.uniform(0, _LONGEST_PAUSE_S[phase]))


def _interrupted(folder: Path) -> list[str]:
    """What a kill left unfinished."""
    return [
        name
        for name, left in (
            ("a file half written", next(_spool(folder).rglob("*.part"), None)),
            ("a series being received", _rows(folder, "SELECT 1 FROM series WHERE state = 'receiving'")),
            ("a series being read", _rows(folder, "SELECT 1 FROM series WHERE state = 'reading'")),
            ("a report being sent", _rows(folder, "SELECT 1 FROM deliveries WHERE state = 'sending'")),
        )
        if left
    ]


def _rows(folder: Path, statement: str) -> list[Any]:
    path = folder / "data" / "ledger.sqlite3"
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        return connection.execute(statement).fetchall()


def _spool(folder: Path) -> Path:
    return folder / "data" / "spool"


def _count(deaths: Deaths, folder: Path, senders: list[Sender], destination: Destination) -> None:
    sent = {uid: images for sender in senders for uid, images in sender.sent.items()}
    originals = {str(image.SOPInstanceUID): image for images in sent.values() for image in images}
    acknowledged = {uid for sender in senders for uid in sender.acknowledged}
    found = [dcmread(path) for path in (_spool(folder) / "instances").rglob("*.dcm")]
    held = Counter(str(dataset.SOPInstanceUID) for dataset in found)
    recorded = Counter(uid for (uid,) in _rows(folder, "SELECT sop_uid FROM instances"))
    deaths.series, deaths.acknowledged = len(sent), len(acknowledged)
    deaths.lost = len(acknowledged - held.keys()) + len(acknowledged - recorded.keys())
    aside = len(list((_spool(folder) / "conflicts").iterdir()))
    deaths.doubled = sum(count > 1 for count in (*held.values(), *recorded.values())) + aside
    deaths.half = sum(dataset != originals[str(dataset.SOPInstanceUID)] for dataset in found)
    reported = destination.reported()
    for uid, images in sent.items():
        reports = Counter(reported.get(uid, []))
        deaths.unreported += frozenset(str(image.SOPInstanceUID) for image in images) not in reports
        deaths.reported_twice += any(count > 1 for count in reports.values())
        deaths.early += max(0, len(reports) - 1)
    deaths.repeated = destination.repeated
    open_series = _rows(folder, "SELECT 1 FROM series WHERE state <> 'answered'")
    deaths.unanswered = len(open_series) + len(_rows(folder, "SELECT 1 FROM deliveries WHERE state <> 'delivered'"))
