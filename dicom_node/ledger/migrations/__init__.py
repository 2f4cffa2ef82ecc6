"""The schema of the ledger, revision by revision."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine, text

from dicom_node.errors import SettingsError

_LOCK: Final = 0x6D72636C6970  # "mrclip"; any number that nobody else takes in the same database


def migrate(engine: Engine) -> None:
    """Bring the schema of a database, empty or older, to this version's; two processes may do it at once.

    Raises SettingsError where the database is of a newer version than the program.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise SettingsError(f"ledger.database_url is of a newer version of mrclip: {error}") from error
