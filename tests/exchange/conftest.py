"""What tests of the exchange share: one S3 for all, a store on each kind of it, and a ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_node.exchange.store import ObjectStore
from dicom_node.ledger.engine import open_engine
from dicom_node.ledger.migrations import migrate
from dicom_node.ledger.store import Ledger
from object_store import S3, environment, s3


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A running S3."""
    with s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["s3", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    """An empty store in S3, or in a folder."""
    if request.param == "file":
        yield ObjectStore(f"file://{tmp_path / 'store'}")
        return
    server: S3 = request.getfixturevalue("s3_server")
    with environment(server.environment):
        yield ObjectStore(f"{server.url}/{tmp_path.name}")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    migrate(engine)
    yield Ledger(engine)
    engine.dispose()
