"""No container engine runs here: what the images are made of is linted, and what they start is started without them."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from dicom_factory import series, write_series
from dicom_node.settings import load_settings
from ordeal import Broker
from peers import program, running, storescp, wait_for
from postgres_server import postgres
from serving import MRCLIP

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
MANIFESTS = [one for one in yaml.safe_load_all((ROOT / "configs" / "kubernetes" / "mrclip.yaml").read_text()) if one]


def check(command: list[str]) -> None:
    """A tool of our environment that finds nothing wrong."""
    run = subprocess.run([str(Path(sys.prefix) / "bin" / command[0]), *command[1:]], check=False, capture_output=True)
    assert run.returncode == 0, (run.stdout + run.stderr).decode()


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_a_dockerfile_is_well_formed_and_copies_what_there_is(path: Path) -> None:
    check(["hadolint", str(path)])
    tracked = (ROOT / ".dockerignore").read_text().splitlines()
    for names in re.findall(r"^COPY (?!--from)(.+)$", path.read_text(), re.MULTILINE):
        for name in names.split()[:-1]:
            assert (ROOT / name).exists(), name
            assert f"!{name.split('/')[0]}" in tracked, f"{name} is not sent to the builder"


def test_the_compose_file_and_the_manifests_are_what_their_schemas_say() -> None:
    check(["check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(DOCKER / "compose.yaml")])
    check(["kubernetes-validate", "--strict", str(ROOT / "configs" / "kubernetes" / "mrclip.yaml")])
    for service in COMPOSE["services"].values():
        if "build" in service:
            assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_settings_of_the_images_are_settings(tmp_path: Path) -> None:
    load_settings(DOCKER / "node.yaml")
    (settings,) = [one["data"]["node.yaml"] for one in MANIFESTS if one["kind"] == "ConfigMap"]
    (tmp_path / "node.yaml").write_text(settings)
    load_settings(tmp_path / "node.yaml")
    ours = json.loads((DOCKER / "orthanc.json").read_text())
    shipped = json.loads((ROOT / "orthanc_plugin" / "orthanc.json").read_text())
    assert ours.keys() >= shipped.keys()
    assert ours["UserMetadata"] == shipped["UserMetadata"]
    assert ours["Mrclip"].keys() == shipped["Mrclip"].keys()


def commands() -> Iterator[tuple[str, ...]]:
    """What containers of the node's images start."""
    for service in COMPOSE["services"].values():
        if str(service["image"]).startswith("mrclip") and service["image"] != "mrclip-orthanc":
            yield tuple(service["command"])
    for one in MANIFESTS:
        if one["kind"] == "Deployment":
            (container,) = one["spec"]["template"]["spec"]["containers"]
            yield tuple(container["args"])


@pytest.mark.peer("redis-server", "initdb", "postgres", "storescp", "dcmsend")
def test_what_the_containers_start_works_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = sorted(set(commands()))
    assert [command[0] for command in started] == ["beat", "serve", "worker", "worker"]
    write_series(series(2, EchoTime=0.09, RepetitionTime=4000), tmp_path / "images")
    settings = yaml.safe_load((DOCKER / "node.yaml").read_text())
    settings["spool"] = {"path": str(tmp_path / "data" / "spool"), "reserve_bytes": 0}
    settings |= {"scp": {"host": "127.0.0.1", "port": 0}, "reader": {"bundle": "none"}}
    settings["web"] |= {"host": "127.0.0.1", "port": 0}
    settings["series"] = {"quiet_s": 3, "quiet_after_release_s": 0.3}
    broker, config = Broker(tmp_path), tmp_path / "node.yaml"
    broker.start()
    try:
        with postgres() as ledger, storescp(tmp_path) as peer:
            environment = {"MRCLIP__LEDGER__DATABASE_URL": ledger, "MRCLIP__QUEUE__BROKER_URL": broker.url}
            assert environment.keys() == COMPOSE["x-mrclip"]["environment"].keys()
            for name, value in {**environment, "MRCLIP_CONFIG": str(config)}.items():
                monkeypatch.setenv(name, value)
            to = settings["destinations"][0]
            settings["destinations"] = [{**to, "ae_title": peer.ae_title, "host": peer.host, "port": peer.port}]
            config.write_text(yaml.safe_dump(settings))
            with ExitStack() as stack:
                logs = [tmp_path / f"{number}.log" for number in range(len(started))]
                for command, log in zip(started, logs, strict=True):
                    ready = b" ready." if command[0] == "worker" else b'"ready"'
                    stack.enter_context(
                        running(
                            [*MRCLIP, *command],
                            log=log,
                            ready=lambda log=log, ready=ready: ready in log.read_bytes(),
                            deadline_s=90,
                        )
                    )
                (said,) = [line for line in logs[1].read_text().splitlines() if '"ready"' in line]
                send = [
                    program("dcmsend"),
                    "-aec",
                    "MRCLIP",
                    "+sd",
                    "127.0.0.1",
                    str(json.loads(said)["ports"]["dicom"]),
                ]
                subprocess.run([*send, str(tmp_path / "images")], check=True, capture_output=True)
                wait_for(peer.files, 60, what="the report")
            assert len(peer.files()) == 1
    finally:
        broker.kill()
