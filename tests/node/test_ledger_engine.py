"""Opening a ledger that another process is making at the same moment, and one that takes nothing in."""

import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from dicom_node.doctor.index import check_ledger
from dicom_node.errors import LedgerUnavailableError
from dicom_node.ledger.engine import ROW_FAULTS, open_engine
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.records import ReceivedInstance
from dicom_node.ledger.store import Ledger
from dicom_node.settings import Settings
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def receive(ledger: Ledger, *, modality: str = "MR") -> None:
    """Have a ledger take an instance in."""
    instance = ReceivedInstance(
        study_instance_uid=StudyInstanceUid("1.2"),
        series_instance_uid=SeriesInstanceUid("1.2.3"),
        sop_instance_uid=SopInstanceUid("1.2.3.1"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        modality=modality,
    )
    ledger.record_instance(instance, now=NOW, due_at=NOW)


def hold(path: Path) -> sqlite3.Connection:
    """A connection that is writing to a new database, as another process does at its first start."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE made (x)")
    return other


def test_a_ledger_that_is_being_made_is_waited_for(tmp_path: Path) -> None:
    other = hold(tmp_path / "ledger.sqlite3")
    released = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    released.start()
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", busy_timeout_s=10)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    released.join()
    engine.dispose()
    other.close()


def test_a_ledger_that_stays_locked_fails_after_the_timeout(tmp_path: Path) -> None:
    other = hold(tmp_path / "ledger.sqlite3")
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite3'}", busy_timeout_s=0.1)
    with pytest.raises(OperationalError, match="locked"):
        engine.connect()
    other.close()
    engine.dispose()


@pytest.mark.peer("initdb", "postgres")
def test_a_server_that_only_reads_is_unavailable_and_no_fault_of_a_row(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    migrate(engine)
    ledger = Ledger(engine)
    ledger.check()
    with engine.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {engine.url.database} SET default_transaction_read_only = on"))
    engine.dispose()
    with pytest.raises(LedgerUnavailableError, match="ReadOnlySqlTransaction"):
        receive(ledger)
    with pytest.raises(LedgerUnavailableError, match="read-only"):
        ledger.check()
    assert ledger.page() == []
    (found,) = check_ledger(Settings.model_validate({"ledger": {"database_url": postgres_url}}), NOW)
    assert (found.state, "read-only" in found.message) == ("broken", True)
    engine.dispose()


@pytest.mark.peer("initdb", "postgres")
def test_a_value_that_a_server_does_not_take_is_a_fault_of_its_row(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    migrate(engine)
    with pytest.raises(ROW_FAULTS):
        receive(Ledger(engine), modality="M\0R")
    receive(Ledger(engine))
    engine.dispose()


def test_a_file_that_is_damaged_is_unavailable_and_no_fault_of_a_row(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    path.write_bytes(b"no database" * 1000)
    engine = open_engine(f"sqlite:///{path}")
    ledger = Ledger(engine)
    for ask in (ledger.check, lambda: receive(ledger)):
        with pytest.raises(LedgerUnavailableError, match="SQLITE_NOTADB"):
            ask()
    engine.dispose()
