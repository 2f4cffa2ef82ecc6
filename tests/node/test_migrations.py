"""The schema that migrations make is the schema that the models mean."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, inspect, text

from dicom_node.errors import SettingsError
from dicom_node.ledger import migrations
from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.models import Base
from dicom_node.ledger.store import Ledger


def downgrade(connection: Connection, revision: str) -> None:
    """Take the schema back."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.downgrade(config, revision)


def test_an_empty_database_becomes_what_the_models_mean(engine: Engine):
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    indices = {index["name"] for index in inspect(engine).get_indexes("series")}
    meant = {index.name for index in Base.metadata.tables["series"].indexes}
    assert meant <= indices


def test_migrating_again_keeps_what_is_there(engine: Engine):
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO series (study_uid, series_uid, state, instances, first_at, last_at, token, attempts)"
                " VALUES ('1', '1.2', 'receiving', 1, 0, 0, 0, 0)"
            )
        )
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT series_uid FROM series")).scalars().all() == ["1.2"]


def test_a_ledger_of_the_revision_before_is_taken_over_with_what_it_holds(engine: Engine):
    with engine.begin() as connection:
        downgrade(connection, "-1")
        connection.execute(
            text(
                "INSERT INTO series (study_uid, series_uid, state, instances, first_at, last_at, due_at, token,"
                " attempts) VALUES ('1', '1.2', 'receiving', 1, 0, 0, 0, 0, 0)"
            )
        )
    migrate(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    assert Ledger(engine).due(datetime(2026, 1, 1, tzinfo=UTC), 9) == ["1.2"]


def test_of_two_series_with_one_instance_the_first_keeps_it(engine: Engine):
    received = "receiving"
    series = ((1, "1.1", "answered", 2), (2, "1.2", "answered", 2), (3, "1.3", received, 1), (4, "1.4", received, 1))
    # By series, UID and time: 1.9 came to 1.2 first, 1.8 came to two at the same time.
    instances = ((1, "1.9", 7), (1, "1.8", 5), (2, "1.9", 6), (2, "1.7", 9), (3, "1.9", 8), (4, "1.8", 5))
    with engine.begin() as connection:
        downgrade(connection, "0007")
        for values in series:
            connection.exec_driver_sql(
                "INSERT INTO series (study_uid, id, series_uid, state, instances, first_at, last_at, token, attempts)"
                " VALUES ('1', {}, '{}', '{}', {}, 0, 0, 0, 0)".format(*values)
            )
        for values in instances:
            connection.exec_driver_sql(
                "INSERT INTO instances (sop_class_uid, size_bytes, series_id, sop_uid, received_at)"
                " VALUES ('1.5', 1, {}, '{}', {})".format(*values)
            )
        connection.exec_driver_sql(
            "INSERT INTO readings (series_id, instances_digest, reader_digest, created_at) VALUES (3, 'a', 'b', 0)"
        )
    migrate(engine)
    with engine.connect() as connection:
        left = connection.execute(text("SELECT series_id, sop_uid FROM instances ORDER BY 1, 2")).all()
        counts = connection.execute(text("SELECT series_uid, instances, state FROM series ORDER BY id")).all()
    assert left == [(1, "1.8"), (2, "1.7"), (2, "1.9")]
    # 1.3 was read before it; nobody ever read 1.4.
    assert counts == [("1.1", 1, "answered"), ("1.2", 2, "answered"), ("1.3", 0, "answered")]


def test_processes_that_start_together_migrate_once(database_url: str):
    engines = [open_engine(database_url, busy_timeout_s=10) for _ in range(3)]
    failed: list[Exception] = []

    def run(engine: Engine) -> None:
        try:
            migrate(engine)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=run, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert "deliveries" in inspect(engines[0]).get_table_names()
    for engine in engines:
        engine.dispose()


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path):
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match=r"newer version.*9999"):
        migrate(engine)
    engine.dispose()
