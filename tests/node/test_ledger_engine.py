"""Opening a ledger that another process is making at the same moment."""

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from dicom_node.ledger.engine import open_engine


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
