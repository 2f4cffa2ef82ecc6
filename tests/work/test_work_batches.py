"""A worker with several threads reads several series at once, encodes them together, and loses none."""

import subprocess
from pathlib import Path

import pytest

import tiny_bundle
from dicom_factory import series, write_series
from ordeal import Broker, Worker
from peers import program
from serving import serve, write_settings

SERIES = 6


@pytest.mark.peer("redis-server", "dcmsend")
def test_a_worker_with_threads_and_batches_answers_every_series(tmp_path: Path) -> None:
    tiny_bundle.write(tmp_path / "bundle")
    for number in range(SERIES):
        images = series(4, seed=number, EchoTime=90, RepetitionTime=4000)
        write_series(images, tmp_path / "images" / str(number))
    broker = Broker(tmp_path)
    broker.start()
    config = write_settings(
        tmp_path,
        queue={"broker_url": broker.url},
        reader={"bundle": str(tmp_path / "bundle"), "batch": 64},
        destinations=[{"name": "archive", "folder": str(tmp_path / "archive")}],
    )
    try:
        with serve(config) as node:
            send = [program("dcmsend"), "-aec", "MRCLIP", "+sd", "+r", "127.0.0.1", str(node.ports["dicom"])]
            subprocess.run([*send, str(tmp_path / "images")], check=True, capture_output=True)
            worker = Worker(config, tmp_path / "worker.log", "--pool", "threads", "--concurrency", "4")
            try:
                node.wait_until_answered(SERIES)
            finally:
                worker.stop()
            assert node.query("SELECT count(*), sum(attempts) FROM series") == [(SERIES, 0)]
        assert worker.process.returncode == 0
        assert len(list((tmp_path / "archive").rglob("*.dcm"))) == SERIES
    finally:
        broker.kill()
