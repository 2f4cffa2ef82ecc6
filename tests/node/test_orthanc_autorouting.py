"""A real Orthanc sends what it stores to the node, by the Lua rule that ships with the plugin."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dicom_factory import series, write_series
from peers import free_port, listens, program, running, wait_for
from serving import serve, write_settings

pytestmark = pytest.mark.peer("Orthanc")
LUA = Path(__file__).parents[2] / "orthanc_plugin" / "autorouting.lua"


class Orthanc:
    """Its REST interface."""

    def __init__(self, http: int) -> None:
        self._base = f"http://127.0.0.1:{http}"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self._base}{path}", timeout=20) as answer:
            return json.load(answer)

    def post(self, path: str, body: bytes) -> Any:
        with urllib.request.urlopen(urllib.request.Request(f"{self._base}{path}", data=body), timeout=20) as answer:
            return json.load(answer)

    def modalities(self) -> list[str]:
        """Modality (0008,0060) of every series it holds."""
        return sorted(self.get(f"/series/{one}")["MainDicomTags"]["Modality"] for one in self.get("/series"))


@contextmanager
def orthanc(folder: Path, *, node_port: int, dicom_port: int) -> Iterator[Orthanc]:
    """Debian's Orthanc with our Lua rule, the node as modality `mrclip`."""
    http = free_port()
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": http,
        "DicomPort": dicom_port,
        "DicomAet": "ORTHANC",
        "StableAge": 1,
        "LuaScripts": [str(LUA)],
        "Plugins": [],
        "AuthenticationEnabled": False,
        "DicomModalities": {"mrclip": ["MRCLIP", "127.0.0.1", node_port]},
    }
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "orthanc.json"
    config.write_text(json.dumps(settings))
    with running([program("Orthanc"), str(config)], log=folder / "orthanc.log", ready=lambda: listens(http)):
        yield Orthanc(http)


def test_what_orthanc_stores_is_read_and_the_report_comes_back_without_a_loop(tmp_path: Path) -> None:
    images = series(4, EchoTime=0.09, RepetitionTime=4000, SeriesDescription="t2 tse")
    dicom_port = free_port()
    back = {"name": "orthanc", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": dicom_port}
    with (
        serve(write_settings(tmp_path, destinations=[back])) as node,
        orthanc(tmp_path / "orthanc", node_port=node.ports["dicom"], dicom_port=dicom_port) as peer,
    ):
        for path in write_series(images, tmp_path / "images"):
            peer.post("/instances", path.read_bytes())
        wait_for(lambda: peer.modalities() == ["MR", "SR"], 60, what="the report being in Orthanc")
        (study,) = peer.get("/studies")
        assert len(peer.get(f"/studies/{study}")["Series"]) == 2
        # The report becomes stable too, and must not be sent anywhere.
        report = next(
            one for one in peer.get("/series") if peer.get(f"/series/{one}")["MainDicomTags"]["Modality"] == "SR"
        )
        wait_for(lambda: peer.get(f"/series/{report}")["IsStable"], 60, what="the report being stable")
        jobs = [peer.get(f"/jobs/{job}") for job in peer.get("/jobs")]
        assert {job["State"] for job in jobs} == {"Success"}
        assert [job["Content"]["ParentResources"] for job in jobs if report in job["Content"]["ParentResources"]] == []
        assert list(node.states().values()) == ["answered"]
