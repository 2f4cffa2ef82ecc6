"""A node's web part on a free port, over a ledger and a spool in a folder, asked with real requests."""

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydicom import Dataset

from dicom_factory import series
from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.records import Job, Outcome, ReceivedInstance, ReportRow
from dicom_node.ledger.store import Ledger
from dicom_node.receive.fetch import Fetcher
from dicom_node.receive.intake import Intake, QuietTimes
from dicom_node.receive.part10 import read_file_meta
from dicom_node.receive.quarantine import Quarantine
from dicom_node.receive.spool import EncodedInstance, Spool
from dicom_node.settings import WebSettings
from dicom_node.web.accounts import Accounts
from dicom_node.web.app import WebServer, make_app
from dicom_node.web.metrics import Metrics
from dicom_node.web.site import Site
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from inference.read import Reader
from inference.reading import SeriesReading, StackReading
from reading_factory import series_reading

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
READER = "ab" * 32


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back for a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class Node:
    """A running web part, and a hand in its ledger."""

    def __init__(self, site: Site, port: int) -> None:
        self.site, self.port, self.ledger = site, port, site.ledger

    @property
    def url(self) -> str:
        """Where the node is."""
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """The answer to one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(status=response.status, headers=names, body=response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        """The answer to a GET."""
        return self.ask("GET", path, headers=headers)

    def receive(self, images: Sequence[Dataset], *, at: datetime = NOW) -> SeriesInstanceUid:
        """Have the ledger know a series; it is due at once."""
        for image in images:
            instance = ReceivedInstance(
                study_instance_uid=StudyInstanceUid(str(image.StudyInstanceUID)),
                series_instance_uid=SeriesInstanceUid(str(image.SeriesInstanceUID)),
                sop_instance_uid=SopInstanceUid(str(image.SOPInstanceUID)),
                sop_class_uid=str(image.SOPClassUID),
                modality="MR",
                calling_aet="MR1",
            )
            self.ledger.record_instance(instance, now=at, due_at=at)
        return SeriesInstanceUid(str(images[0].SeriesInstanceUID))

    def keep(self, images: Sequence[Dataset]) -> None:
        """Put the images into the spool, as the receiver would."""
        for image in images:
            file = BytesIO()
            image.save_as(file, enforce_file_format=True)
            meta = read_file_meta(file.getbuffer())
            self.site.spool.store(
                EncodedInstance(
                    series_instance_uid=SeriesInstanceUid(str(image.SeriesInstanceUID)),
                    sop_instance_uid=SopInstanceUid(str(image.SOPInstanceUID)),
                    sop_class_uid=str(image.SOPClassUID),
                    transfer_syntax_uid=meta.transfer_syntax_uid,
                    data_set=file.getvalue()[meta.data_set_offset :],
                )
            )

    def claim(self, uid: SeriesInstanceUid) -> Job:
        """Take the series to read it."""
        job = self.ledger.claim(uid, owner="test", reader_digest=READER, now=NOW, lease_s=60)
        assert job is not None
        return job

    def read(
        self, images: Sequence[Dataset], stacks: Sequence[StackReading] | None = None, **outcome: Any
    ) -> SeriesReading:
        """Receive a series and have it read, with a report to destination `pacs` unless `outcome` says otherwise."""
        job = self.claim(self.receive(images))
        reading = series_reading(images, stacks)
        assert self.ledger.finish(job, outcome_of(reading, **outcome), now=NOW + timedelta(seconds=1))
        return reading


def outcome_of(reading: SeriesReading, **fields: Any) -> Outcome:
    """The outcome of a reading: a report that owes itself to `pacs`."""
    report = ReportRow(
        sop_instance_uid=SopInstanceUid(f"{reading.series_instance_uid[:50]}.9"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        series_instance_uid=SeriesInstanceUid(f"{reading.series_instance_uid[:50]}.8"),
    )
    outcome = Outcome(
        document=json.dumps(reading.to_json(), allow_nan=False),
        contrast=reading.contrast,
        score=reading.score,
        p_value=reading.p_value,
        flagged=reading.flagged,
        report=report,
        destinations=("pacs",),
        claims=json.dumps([stack.claimed_contrast for stack in reading.stacks]),
    )
    return replace(outcome, **fields)


def images(count: int = 2, *, seed: object = 0) -> list[Dataset]:
    """A short series."""
    return series(count, seed=seed)


def make_intake(ledger: Ledger, spool: Spool) -> Intake:
    """The way of instances into a site."""
    quiet = QuietTimes(quiet_s=30, quiet_after_release_s=0)
    return Intake(ledger=ledger, spool=spool, quarantine=Quarantine(spool.root), quiet=quiet, clock=lambda: NOW)


@cache
def _empty_ledger() -> bytes:
    """The file of an empty ledger: running the migrations for every test would take longer than the tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "ledger.sqlite3")
        engine = open_engine(f"sqlite:///{path}")
        migrate(engine)
        engine.dispose()
        return path.read_bytes()


def make_site(folder: Path, **fields: Any) -> Site:
    """A site over an empty ledger and spool in `folder`."""
    (folder / "ledger.sqlite3").write_bytes(_empty_ledger())
    engine = open_engine(f"sqlite:///{folder / 'ledger.sqlite3'}")
    spool = Spool(folder / "spool")
    quarantine, ledger, metrics = Quarantine(spool.root), Ledger(engine), Metrics()
    metrics.watch(ledger, quarantine, lambda: NOW + timedelta(seconds=90))
    values: dict[str, Any] = {
        "ledger": ledger,
        "spool": spool,
        "quarantine": quarantine,
        "metrics": metrics,
        "reader": lambda: Reader(model=None),
        "registry": None,
        "clock": lambda: NOW,
        "settings": WebSettings(),
        "accounts": Accounts(folder / "accounts.yaml"),
        "fetcher": Fetcher({}, make_intake(ledger, spool), max_instance_bytes=1 << 20),
        "secret": "of the tests",
    }
    return Site(**{**values, **fields})


@contextmanager
def served(site: Site) -> Iterator[Node]:
    """`site`, served until the block ends."""
    server = WebServer(make_app(site), "127.0.0.1", 0)
    server.start()
    try:
        yield Node(site, server.port)
    finally:
        server.stop()
