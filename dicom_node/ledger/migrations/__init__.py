"""The schema of the ledger, revision by revision."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text

from dicom_node.errors import SettingsError
from dicom_node.ledger.engine import translated

_LOCK: Final = 0x6D72636C6970  # "mrclip"; any number that nobody else takes in the same database


def migrate(engine: Engine) -> None:
    """Bring the schema of a database, empty or older, to this version's; two processes may do it at once.

    Raises SettingsError where the database is of a newer version than the program, LedgerUnavailableError where it
    does not answer.
    """
    config = _config()
    with translated(), engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise SettingsError(f"ledger.database_url is of a newer version of mrclip: {error}") from error


def revisions(connection: Connection) -> tuple[str | None, str, bool]:
    """The revision of a database (None: it has no tables), the newest one, and whether the former is known here."""
    scripts = ScriptDirectory.from_config(_config())
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    return current, scripts.get_current_head() or "", current in known


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
