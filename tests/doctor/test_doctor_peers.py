"""`mrclip doctor` on everybody the node talks to, and as the command that people call."""

import gc
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import TCPServer

import pytest
from celery.contrib.testing.worker import start_worker
from pydantic import SecretStr
from pydicom.uid import Comprehensive3DSRStorage
from pynetdicom import AE, evt

from dicom_node.doctor import Check
from dicom_node.doctor.peers import ask_broker, ask_destination, ask_folder, ask_node, ask_orthanc, ask_store
from dicom_node.receive.storage_classes import VERIFICATION
from dicom_node.settings import (
    DicomDestination,
    FolderDestination,
    OrthancSource,
    QueueSettings,
    ScpSettings,
    SpoolSettings,
)
from dicom_node.work.celery_app import make_app
from http_answers import answering
from object_store import environment
from peers import free_port, listens, program, running, storescp
from serving import MRCLIP, serve, write_settings

# pynetdicom leaves a socket that never connected to the garbage collector, which closes it and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Such sockets are closed while the warning is expected."""
    yield
    gc.collect()


@contextmanager
def scp(*classes: str, echo: int = 0x0000) -> Iterator[DicomDestination]:
    """A peer that supports some SOP classes and answers C-ECHO as it is told to."""
    entity = AE(ae_title="PEER")
    for uid in classes:
        entity.add_supported_context(uid)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, lambda event: echo)])
    assert server is not None
    try:
        yield DicomDestination(name="pacs", ae_title="PEER", host="127.0.0.1", port=server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


def state_of(destination: DicomDestination) -> tuple[str, str]:
    (check,) = ask_destination(destination, "MRCLIP").checks
    assert check.name == "destination pacs"
    return check.state, check.message


def test_a_destination_that_echoes_and_takes_reports_is_whole() -> None:
    with scp(VERIFICATION, Comprehensive3DSRStorage) as peer:
        assert state_of(peer)[0] == "ok"
    with scp(Comprehensive3DSRStorage) as peer:
        assert state_of(peer) == ("ok", f"PEER at 127.0.0.1:{peer.port} accepts reports (and no C-ECHO)")


def test_a_destination_that_takes_no_reports_echoes_with_an_error_or_is_away_is_broken() -> None:
    with scp(VERIFICATION) as peer:
        state, message = state_of(peer)
        assert (state, "does not accept Comprehensive 3D SR Storage" in message) == ("broken", True)
    with scp("1.2.840.10008.5.1.4.1.1.4") as peer:
        assert state_of(peer)[0] == "broken"
    with scp(VERIFICATION, Comprehensive3DSRStorage, echo=0x0110) as peer:
        state, message = state_of(peer)
        assert (state, "0x0110" in message) == ("broken", True)
    assert state_of(peer)[0] == "broken"


@pytest.mark.peer("storescp")
def test_a_destination_that_rejects_associations_is_broken(tmp_path: Path) -> None:
    with storescp(tmp_path, "--refuse") as peer:
        to = DicomDestination(name="pacs", ae_title=peer.ae_title, host=peer.host, port=peer.port)
        state, message = state_of(to)
        assert (state, "rejected" in message) == ("broken", True)
    with storescp(tmp_path / "open") as peer:
        to = DicomDestination(name="pacs", ae_title=peer.ae_title, host=peer.host, port=peer.port)
        assert state_of(to)[0] == "ok"


def test_a_folder_must_be_one_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder, state in ((tmp_path / "file" / "below", "broken"), (tmp_path, "ok"), (tmp_path / "new", "ok")):
        (check,) = ask_folder(FolderDestination(name="archive", folder=folder)).checks
        assert (check.name, check.state) == ("destination archive", state)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("status", "state"), [(200, "ok"), (401, "broken"), (404, "broken"), (307, "broken")])
def test_an_orthanc_must_let_us_in(status: int, state: str) -> None:
    with answering(status) as url:
        (check,) = ask_orthanc(OrthancSource(url=url, username="mrclip", password="secret")).checks  # type: ignore[arg-type]
    assert check.state == state
    assert "secret" not in f"{check}"


def test_an_orthanc_that_is_away_is_broken_and_one_with_another_time_says_so() -> None:
    with answering(200, Date="Sun, 01 Mar 2020 12:00:00 GMT") as url:
        answer = ask_orthanc(OrthancSource(url=url))
        assert answer.server == f"Orthanc {url}"
        assert answer.ahead_s is not None
        assert answer.ahead_s > 86400
    (check,) = ask_orthanc(OrthancSource(url=url)).checks
    assert check.state == "broken"


def test_a_host_that_can_be_no_name_is_broken() -> None:
    pacs = DicomDestination(name="pacs", ae_title="PEER", host="pacs..example.org", port=104)
    assert state_of(pacs)[0] == "broken"
    assert [one.state for one in ask_orthanc(OrthancSource(url="http://orthanc..example.org")).checks] == ["broken"]
    assert [one.state for one in ask_node(ScpSettings(host="node..example.org")).checks] == ["warning"]


def test_a_broker_that_is_away_is_broken() -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}/0"
    (check,) = ask_broker(QueueSettings(broker_url=url)).checks  # type: ignore[arg-type]
    assert check.state == "broken"
    assert check.message.startswith(url.replace("secret", "***"))
    assert "secret" not in f"{check}"
    assert ask_broker(QueueSettings()).checks[0].state == "ok"


@pytest.mark.peer("redis-server")
def test_a_broker_without_workers_is_a_warning(tmp_path: Path) -> None:
    port = free_port()
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with running(command, log=tmp_path / "redis.log", ready=lambda: listens(port)):
        answer = ask_broker(QueueSettings(broker_url=f"redis://127.0.0.1:{port}/0"))  # type: ignore[arg-type]
    assert [(check.name, check.state) for check in answer.checks] == [("broker", "ok"), ("workers", "warning")]
    assert abs(answer.ahead_s or 9) < 5


@pytest.mark.peer("redis-server")
@pytest.mark.filterwarnings("ignore::celery.exceptions.CPendingDeprecationWarning")
@pytest.mark.parametrize(
    ("queues", "state", "advised"),
    [("read", "warning", "mrclip worker --queues deliver"), ("read,deliver", "ok", None)],
)
def test_a_queue_without_workers_is_a_warning_though_others_have_some(
    queues: str, state: str, advised: str | None, tmp_path: Path
) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with (
        running(command, log=tmp_path / "redis.log", ready=lambda: listens(port)),
        make_app(url, visibility_timeout_s=60) as app,
        start_worker(app, pool="solo", queues=queues.split(","), perform_ping_check=False, shutdown_timeout=30),
    ):
        _, check = ask_broker(QueueSettings.model_validate({"broker_url": url})).checks
    assert (check.name, check.state) == ("workers", state)
    assert check.message == f"1 answer; queue read: 1, queue deliver: {queues.count('deliver')}"
    assert (advised or "") in (check.advice or "")


def test_an_object_store_is_listed_and_what_is_wrong_said_without_secrets(tmp_path: Path) -> None:
    def asked(url: str | None) -> Check:
        (check,) = ask_store(SpoolSettings(url=None if url is None else SecretStr(url))).checks
        assert "secret" not in f"{check}"
        return check

    assert asked(None).state == "ok"
    assert asked(f"file://{tmp_path}").state == "ok"
    assert asked("sftp://user:secret@nowhere/x").state == "broken"
    with environment({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "AWS_SECRET_ACCESS_KEY": "secret"}):
        away = asked("s3://series/x")
    assert away.state == "broken"
    assert "s3://series/x" in away.message


def test_another_program_on_our_port_is_broken() -> None:
    with TCPServer(("127.0.0.1", 0), lambda *_: None) as other:  # type: ignore[arg-type]
        thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        (check,) = ask_node(ScpSettings(host="127.0.0.1", port=other.server_address[1])).checks
        other.shutdown()
        thread.join()
    assert (check.state, "ss -ltnp" in str(check.advice)) == ("broken", True)


def doctor(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*MRCLIP, "doctor", "--config", str(config), *options]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_the_command_says_what_is_broken_by_its_exit_status_and_as_json(tmp_path: Path) -> None:
    port = free_port()
    config = write_settings(tmp_path, scp={"port": port}, destinations=[])
    with serve(config):
        well = doctor(config, "--json")
    document = json.loads(well.stdout)
    assert (well.returncode, document["schema"], document["ok"]) == (0, "mrclip.doctor/1", True), well
    assert {"name": "node", "state": "ok", "message": f"MRCLIP echoes on port {port}", "advice": None} in document[
        "checks"
    ]

    away = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": free_port()}
    ill = doctor(write_settings(tmp_path, destinations=[away]))
    assert ill.returncode == 1, ill.stderr
    lines = ill.stdout.splitlines()
    (index,) = (number for number, line in enumerate(lines) if line.startswith("broken"))
    assert "destination pacs" in lines[index]
    assert lines[index + 1].strip().startswith("->")
    assert doctor(write_settings(tmp_path, scp={"prot": 1})).returncode == 2
