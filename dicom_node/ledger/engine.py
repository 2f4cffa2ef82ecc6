"""Opens the ledger's database and runs transactions in it: a SQLite file, or PostgreSQL by URL, with the same code."""

import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from dicom_node.errors import LedgerUnavailableError, SettingsError

# Something is wrong with the row. Every other error is the database's: it is away, locked, read-only or damaged.
ROW_FAULTS: Final = (DataError, IntegrityError)
_READ_ONLY: Final = "mrclip_read_only"


def open_engine(url: str, *, busy_timeout_s: float = 30) -> Engine:
    """An engine for `url`: sqlite:///file or postgresql://…; a writer that waits longer than the timeout fails.

    Raises SettingsError for any other database, and for PostgreSQL without the extra `postgres`.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # their texts quote the URL, which may hold a password
        raise SettingsError("ledger.database_url is not sqlite:///FILE or postgresql://USER@HOST:PORT/NAME") from None
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(parsed.set(drivername="sqlite"), busy_timeout_s)
        case "postgresql":
            return _postgresql(parsed, busy_timeout_s)
        case other:
            raise SettingsError(f"ledger.database_url names {other}; must be sqlite or postgresql")


class Transactions:
    """Every use of the database is one transaction: `write` or `read`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(**{_READ_ONLY: True})
        # SQLite has one writer. Threads of this process queue up here, fairly and asleep, instead of in the
        # database's busy handler, which polls; other processes still meet there.
        self._turn = threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @contextmanager
    def write(self) -> Generator[Session]:
        """One transaction that may write; it is committed unless the block raises.

        Raises LedgerUnavailableError where the database does not answer or stays locked, and one of ROW_FAULTS.
        """
        with self._turn, translated(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Generator[Session]:
        """One transaction that sees one state of the database and waits for no writer."""
        with translated(), Session(self._reading) as session, session.begin():
            yield session


@contextmanager
def translated() -> Generator[None]:
    """A block in which whatever a database says is a LedgerUnavailableError, but what is wrong with a row."""
    try:
        yield
    except ROW_FAULTS:
        raise
    except (DBAPIError, PoolTimeoutError) as error:
        raise LedgerUnavailableError(f"the ledger does not answer: {_cause(error)}") from error


def check_writable(session: Session) -> None:
    """Raise LedgerUnavailableError where the database answers and takes nothing in, as a standby of PostgreSQL does."""
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    if on_postgresql and session.scalar(text("SHOW transaction_read_only")) == "on":
        raise LedgerUnavailableError("the ledger's database is read-only")


def _cause(error: DBAPIError | PoolTimeoutError) -> str:
    """The kind of an error, and why there is no connection where there is none.

    The text of any other error may quote a statement and its values.
    """
    cause = getattr(error, "orig", None)
    kind = type(cause or error).__name__
    if isinstance(error, PoolTimeoutError):
        return kind
    if error.statement is not None or not isinstance(error, InterfaceError | OperationalError):
        return f"{kind} {getattr(cause, 'sqlite_errorname', '')}".rstrip()
    # psycopg: `connection to server at "192.0.2.1", port 5432 failed: Connection refused`, and hints below it.
    why = str(cause).strip().partition("\n")[0].rpartition(" failed: ")[2]
    return f"{kind} ({why})"


def _sqlite(url: URL, busy_timeout_s: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": busy_timeout_s, "isolation_level": None})

    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        _prepare_sqlite(connection, busy_timeout_s)

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    _write_ahead(connection, time.monotonic() + busy_timeout_s)
    # synchronous=NORMAL: with a write-ahead log a killed process loses nothing and a power cut the last moments, never
    # the database. The spool, which is synced, is the truth: `reconcile` takes those moments in again at the start.
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: sqlite3.Connection, until: float) -> None:
    """Switch the journal. SQLite does not wait for that lock, so of processes that begin a ledger together all but one
    would fail."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # The driver begins no transaction of its own (isolation_level=None). A writer takes the lock at once: a
    # transaction that reads first and writes later cannot wait for the lock, SQLite makes it fail.
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _postgresql(url: URL, busy_timeout_s: float) -> Engine:
    try:
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args={"options": f"-c lock_timeout={int(busy_timeout_s * 1000)}"},
        )
    except ImportError:  # also where it is there without the library of PostgreSQL
        message = "ledger.database_url: psycopg is not installed; pip install 'mrclip[postgres]'"
        raise SettingsError(message) from None
