"""What tests of the node share: ledgers on both databases, a spool, and a node that receives."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.store import Ledger
from dicom_node.receive.intake import Intake, QuietTimes
from dicom_node.receive.quarantine import Quarantine
from dicom_node.receive.server import StorageScp
from dicom_node.receive.spool import Spool
from dicom_node.settings import ScpSettings
from peers import program
from postgres_server import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a private PostgreSQL cluster."""
    with postgres() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of an empty database, gone after the test."""
    name = f"test_{abs(hash(request.node.nodeid))}"
    engine = create_engine(postgres_server.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield postgres_server.removesuffix("postgres") + name
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peer("initdb", "postgres"))])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A database with the ledger's tables."""
    engine = open_engine(database_url, busy_timeout_s=5)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    """An empty ledger."""
    return Ledger(engine)


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """A node that receives, with what is behind it."""

    scp: StorageScp
    spool: Spool
    quarantine: Quarantine
    ledger: Ledger
    intake: Intake
    refused: list[str]  # why peers were turned away

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.scp.port


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Any]:
    """Starts receiving nodes: `receiver(max_associations=1)`; they stop when the test ends."""
    started: list[tuple[StorageScp, Engine]] = []

    def start(*, spool: Spool | None = None, **settings: Any) -> Receiver:
        root = tmp_path / f"node-{len(started)}"
        root.mkdir()
        database = open_engine(f"sqlite:///{root / 'ledger.sqlite3'}", busy_timeout_s=5)
        migrate(database)
        ledger, kept = Ledger(database), spool or Spool(root / "spool")
        quarantine = Quarantine(kept.root)
        intake = Intake(
            ledger=ledger,
            spool=kept,
            quarantine=quarantine,
            quiet=QuietTimes(quiet_s=30, quiet_after_release_s=2),
            clock=lambda: datetime.now(UTC),
        )
        chosen = {"host": "127.0.0.1", "port": 0, "stop_timeout_s": 1, **settings}
        refused: list[str] = []
        scp = StorageScp(ScpSettings(**chosen), intake, refused=refused.append)
        scp.start()
        started.append((scp, database))
        return Receiver(scp=scp, spool=kept, quarantine=quarantine, ledger=ledger, intake=intake, refused=refused)

    yield start
    for scp, database in started:
        scp.stop()
        database.dispose()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost and its key."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-subj", "/CN=localhost", "-days", "2", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key
