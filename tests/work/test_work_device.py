"""A machine that cannot read says so at once, and costs no series an attempt."""

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import tiny_bundle
from dicom_factory import series, write
from dicom_node.ledger.records import LIVE
from dicom_node.receive.quarantine import StoreRequest
from dicom_node.work.files import SpoolFiles
from dicom_node.work.pipeline import Pipeline, WorkPolicy
from inference.encoder import CudaError
from inference.model import load_model
from inference.read import Reader
from peers import free_port
from serving import MRCLIP, write_settings
from web_node import NOW, make_intake, make_site


class Lost:
    """An encoder whose GPU is lost while it works."""

    dim, caption_fields = 7, frozenset[str]()

    def encode_images(self, pixels: object) -> object:
        raise CudaError("CUDA failed while it encoded: EPFail")

    def encode_captions(self, captions: object) -> object:
        raise AssertionError("the images come first")


def test_a_series_waits_for_a_machine_that_can_read_it_and_loses_no_attempt(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    intake = make_intake(site.ledger, site.spool)
    for image in series(3, EchoTime=90, RepetitionTime=4000):
        uid = intake.take(StoreRequest.of_file(write(image, tmp_path / "sent.dcm").read_bytes())).series_instance_uid
    model = load_model(tiny_bundle.write(tmp_path / "bundle", calibrated=False), threads=1)
    reader = Reader(model=replace(model, encoder=Lost()))
    policy = WorkPolicy(owner="w", lease_s=60, retry_s=10, retry_max_s=10, delivery_max_attempts=9, send="all")
    now = NOW + timedelta(seconds=40)
    pipeline = Pipeline(
        ledger=site.ledger, files=SpoolFiles(site.spool), reader=lambda: reader, destinations={}, policy=policy,
        clock=lambda: now,
    )  # fmt: skip
    pipeline.read(uid)
    row = site.ledger.series(uid)
    assert row is not None
    assert (row.summary.state, row.summary.reason) == ("receiving", "CUDA failed while it encoded: EPFail")
    assert site.ledger.due(now, 9, priority=LIVE) == []
    later = now + timedelta(seconds=10)
    assert site.ledger.due(later, 9, priority=LIVE) == [uid]
    job = site.ledger.claim(uid, owner="another", reader_digest=reader.digest, now=later, lease_s=60)
    assert job is not None
    assert job.attempt == 1


@pytest.mark.parametrize(
    ("reader", "options", "said"),
    [
        ({"bundle": "none-here"}, [], "reader.bundle: none-here is not a folder"),
        (
            {"bundle": None, "device": "cuda"},
            ["--pool", "threads"],
            "CUDA was asked for, and this ONNX Runtime has only",
        ),
    ],
    ids=["forks", "does-not-fork"],
)
def test_a_worker_that_cannot_read_ends_at_once_and_says_why(
    reader: dict[str, object], options: Sequence[str], said: str, tmp_path: Path
) -> None:
    config = write_settings(tmp_path, queue={"broker_url": "redis://127.0.0.1:1/0"}, reader=reader)
    command = [*MRCLIP, "worker", "--config", str(config), *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (["worker"], 1, "Error: the ledger does not answer: OperationalError (Connection refused)"),
        (
            ["worker", "--pool", "threads"],
            1,
            "Error: the ledger does not answer: OperationalError (Connection refused)",
        ),
        (["beat"], 1, "Error: the ledger does not answer: OperationalError (Connection refused)"),
        (["worker", "--queues", "raed"], 2, "'raed' is no queue; must be read or deliver, or both with a comma"),
    ],
    ids=["forks", "threads", "beat", "queue"],
)
def test_a_ledger_that_is_away_and_a_queue_that_is_none_are_said_in_a_line(
    command: Sequence[str], status: int, said: str, tmp_path: Path
) -> None:
    url = f"postgresql://mrclip:secret@127.0.0.1:{free_port()}/mrclip"
    config = write_settings(tmp_path, queue={"broker_url": "redis://127.0.0.1:1/0"}, ledger={"database_url": url})
    called = [*MRCLIP, *command, "--config", str(config)]
    done = subprocess.run(called, check=False, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.splitlines()[-1].endswith(said)
    assert "Traceback" not in done.stderr
