"""The Orthanc that is installed, with the plugin as it ships or without it, as a peer of a test."""

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO

from peers import free_port, listens, program, running, wait_for

PACKAGE = Path(__file__).parents[1] / "orthanc_plugin"
PYTHON_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancPython.so")


class RefusedError(Exception):
    """Orthanc answered with an error; its status is the argument."""


@dataclass(frozen=True, kw_only=True)
class Orthanc:
    """A running Orthanc, over REST."""

    http_port: int
    dicom_port: int
    log: Path

    @property
    def url(self) -> str:
        """Where its REST interface is."""
        return f"http://127.0.0.1:{self.http_port}"

    def get(self, path: str) -> Any:
        """A resource as JSON."""
        return json.loads(self.ask("GET", path))

    def post(self, path: str, body: bytes = b"") -> Any:
        """The JSON answer to a POST."""
        return json.loads(self.ask("POST", path, body))

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The answer to a request, redirections followed; RefusedError where it is none."""
        request = urllib.request.Request(f"{self.url}{path}", data=body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise RefusedError(error.code) from None

    def store(self, images: list[Dataset]) -> str:
        """Store images over REST; Orthanc's identifier of their series."""
        for image in images:
            file = DicomBytesIO()
            image.save_as(file, enforce_file_format=True)
            answer = self.post("/instances", file.getvalue())
        return str(answer["ParentSeries"])

    def series_of(self, modality: str) -> list[str]:
        """Identifiers of the series of a modality."""
        found = {one: self.get(f"/series/{one}")["MainDicomTags"]["Modality"] for one in self.get("/series")}
        return [one for one, its in found.items() if its == modality]

    def metadata(self, series: str) -> dict[str, str]:
        """What the plugin wrote on a series, by name."""
        found = self.get(f"/series/{series}/metadata?expand")
        return {name: value for name, value in found.items() if name.startswith("Mrclip")}

    def labels(self, series: str) -> list[str] | None:
        """The labels of a series; None where this Orthanc has none (before 1.12)."""
        return self.get(f"/series/{series}/labels") if self.get("/system").get("HasLabels") else None

    def queue(self) -> dict[str, Any]:
        """What the plugin still has to do."""
        return self.get("/mrclip/queue")

    def wait_until_idle(self, deadline_s: float = 60) -> None:
        """Return once the plugin has nothing left to do."""
        wait_for(lambda: not self.queue()["tasks"], deadline_s, what=f"an empty queue (now {self.queue()})")

    def sent(self, series: str) -> int:
        """How many C-STORE jobs succeeded in sending a series."""
        jobs = [self.get(f"/jobs/{job}") for job in self.get("/jobs")]
        return sum(series in job["Content"]["ParentResources"] and job["State"] == "Success" for job in jobs)


@contextmanager
def orthanc(
    folder: Path, *, settings: dict[str, Any], dicom_port: int, http_port: int | None = None
) -> Iterator[Orthanc]:
    """Orthanc in `folder`, where it finds again what it held before. The plugin is a copy of its folder alone."""
    if not PYTHON_PLUGIN.exists():
        pytest.fail(f"{PYTHON_PLUGIN} is not there: apt-get install orthanc-python")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(PACKAGE, folder / "etc" / "orthanc_plugin", dirs_exist_ok=True)
    http = free_port() if http_port is None else http_port
    shipped = json.loads((PACKAGE / "orthanc.json").read_text())
    document = {
        **shipped,
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": http,
        "DicomPort": dicom_port,
        "StableAge": 1,
        "AuthenticationEnabled": False,
        "PythonScript": str(folder / "etc" / "orthanc_plugin" / "plugin.py"),
        **settings,
        "Mrclip": {**shipped["Mrclip"], "RetrySeconds": 1, "RetryMaxSeconds": 2, **settings.get("Mrclip", {})},
    }
    config, log = folder / "orthanc.json", folder / f"orthanc-{len(list(folder.glob('orthanc-*.log')))}.log"
    config.write_text(json.dumps(document))
    with running([program("Orthanc"), str(config)], log=log, ready=lambda: listens(http), deadline_s=30):
        yield Orthanc(http_port=http, dicom_port=dicom_port, log=log)
