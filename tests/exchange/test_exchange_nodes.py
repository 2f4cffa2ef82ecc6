"""Two nodes and a worker in processes of their own share a PostgreSQL, a Redis, and an S3 or a folder."""

import subprocess
from pathlib import Path

import pydicom
import pytest
from sqlalchemy import Engine, create_engine, text

from dicom_factory import series, write_series
from object_store import S3
from ordeal import Broker, Worker
from peers import program, storescp, wait_for
from postgres_server import postgres
from serving import Served, serve, write_settings

SERIES, SLICES = 4, 6
NAMES = ("one", "two", "worker")
Spools = dict[str, dict[str, str]]  # the section `spool` of the settings, by name


def send(node: Served, *paths: Path) -> None:
    command = [program("dcmsend"), "-aec", "MRCLIP", "127.0.0.1", str(node.ports["dicom"]), *map(str, paths)]
    subprocess.run(command, check=True, capture_output=True, env={"TCP_NODELAY": "1"})


def states(ledger: Engine) -> list[tuple[str, int, int]]:
    with ledger.connect() as connection:
        rows = connection.execute(text("SELECT state, instances, attempts FROM series"))
        return [(str(state), int(instances), int(attempts)) for state, instances, attempts in rows]


@pytest.fixture(params=["s3", "folder"])
def spools(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spools:
    """The spools of two nodes and a worker: one each with copies in an S3, or one for all."""
    if request.param == "folder":
        return {name: {"path": str(tmp_path / "shared" / "spool")} for name in NAMES}
    server: S3 = request.getfixturevalue("s3_server")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    url = f"{server.url}/{tmp_path.name}"
    return {name: {"path": str(tmp_path / name / "spool"), "url": url} for name in NAMES}


@pytest.mark.peer("redis-server", "initdb", "postgres", "storescp", "dcmsend")
def test_series_of_which_two_nodes_got_slices_have_one_report_each(tmp_path: Path, spools: Spools) -> None:
    broker = Broker(tmp_path)
    broker.start()
    try:
        with storescp(tmp_path) as peer, postgres() as database_url:
            to = {"name": "pacs", "ae_title": peer.ae_title, "host": peer.host, "port": peer.port}
            configs = {}
            for name in NAMES:
                (tmp_path / name).mkdir()
                configs[name] = write_settings(
                    tmp_path / name, ledger={"database_url": database_url}, queue={"broker_url": broker.url},
                    destinations=[to], spool=spools[name],
                )  # fmt: skip
            ledger = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
            with serve(configs["one"]) as one, serve(configs["two"]) as two:
                for number in range(SERIES):
                    images = series(SLICES, seed=number, EchoTime=0.09, RepetitionTime=4000)
                    paths = write_series(images, tmp_path / "images" / str(number))
                    send(one, *paths[::2])
                    send(two, *paths[1::2])
                worker = Worker(configs["worker"], tmp_path / "worker.log")
                try:
                    expected = [("answered", SLICES, 0)] * SERIES
                    wait_for(lambda: states(ledger) == expected, 90, what=f"the answers (now {states(ledger)})")
                    # Each node has every report in its spool, for its pages and for good.
                    kept = [Path(spools[name]["path"]) / "reports" for name in ("one", "two")]
                    wait_for(lambda: [len(list(folder.glob("*.json"))) for folder in kept] == [SERIES] * 2)
                finally:
                    worker.stop()
                    ledger.dispose()
            reports = [pydicom.dcmread(path) for path in peer.files()]
    finally:
        broker.kill()
    assert sorted(map(sources, reports)) == [SLICES] * SERIES
    if spools["worker"] != spools["one"]:
        assert list((tmp_path / "worker" / "spool").rglob("*.dcm")) == []


def sources(report: pydicom.Dataset) -> int:
    """How many instances a report is made from."""
    evidence = report.CurrentRequestedProcedureEvidenceSequence
    return sum(len(one.ReferencedSOPSequence) for study in evidence for one in study.ReferencedSeriesSequence)
