"""The object store is away, and the node is killed: nothing is lost, the series waits and says why."""

import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from dicom_factory import series, write_series
from object_store import CREDENTIALS, s3
from ordeal import Broker, Worker
from peers import free_port, program, wait_for
from serving import Served, serve, write_settings


def ready(node: Served) -> tuple[int, dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{node.ports['web']}/readyz", timeout=20) as answer:
        return answer.status, json.loads(answer.read())


@pytest.mark.peer("redis-server", "dcmsend")
def test_a_series_waits_for_the_store_and_survives_a_killed_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(name, value)
    broker = Broker(tmp_path)
    broker.start()
    config = write_settings(
        tmp_path,
        queue={"broker_url": broker.url},
        spool={"url": "s3://series/mrclip"},
        destinations=[{"name": "archive", "folder": str(tmp_path / "archive")}],
    )
    paths = write_series(series(3, EchoTime=0.09, RepetitionTime=4000), tmp_path / "images")
    try:
        with serve(config) as node:
            command = [program("dcmsend"), "-aec", "MRCLIP", "127.0.0.1", str(node.ports["dicom"]), *map(str, paths)]
            subprocess.run(command, check=True, capture_output=True)
            wait_for(lambda: ready(node)[1]["store"]["ok"] is False, 60, what="the node saying that the store is away")
            status, said = ready(node)
            assert (status, said["ready"]) == (200, True)  # it goes on receiving
            assert "s3://series/mrclip does not answer" in said["store"]["message"]
            waiting = "SELECT state, attempts, reason LIKE '%s3://series/mrclip does not answer%' FROM series"
            wait_for(lambda: node.query(waiting) == [("receiving", 0, 1)], what="the series saying what it waits for")
            assert not any(secret in node.log.read_text() for secret in CREDENTIALS.values())
            node.process.kill()
            node.process.wait()
        with s3(tmp_path, port) as server, serve(config) as node:
            worker = Worker(config, tmp_path / "worker.log")
            try:
                node.wait_until_answered(1, 90)
                wait_for(
                    lambda: "store" in ready(node)[1] and ready(node)[1]["store"]["ok"], what="the store being well"
                )
            finally:
                worker.stop()
            kinds = sorted(name.partition("/")[0] for name in server.names())
            assert kinds == ["instances"] * 3 + ["reports"] * 2
        assert len(list((tmp_path / "archive").rglob("*.dcm"))) == 1
    finally:
        broker.kill()
