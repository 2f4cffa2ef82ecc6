"""The plugin in a real Orthanc, with a real node: from a stored study to metadata on its series."""

from pathlib import Path
from typing import Any

import pytest

from dicom_factory import series
from orthanc_server import PYTHON_PLUGIN, Orthanc, orthanc
from peers import free_port, wait_for
from serving import Served, serve, write_settings

pytestmark = [
    pytest.mark.peer("Orthanc"),
    pytest.mark.skipif(not PYTHON_PLUGIN.exists(), reason="Debian's orthanc-python is not installed"),
]

FLAGGED = {"EchoTime": 0.09, "RepetitionTime": 4000, "SeriesDescription": "t2 tse"}  # an echo time in seconds


def node_settings(folder: Path, dicom_port: int, **sections: Any) -> Path:
    back = {"name": "orthanc", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": dicom_port}
    return write_settings(folder, destinations=[back], **sections)


def plugin_settings(node: Served, **mrclip: Any) -> dict[str, Any]:
    return {
        "DicomModalities": {"mrclip": ["MRCLIP", "127.0.0.1", node.ports["dicom"]]},
        "Mrclip": {"NodeUrl": f"http://127.0.0.1:{node.ports['web']}", **mrclip},
    }


def has_report(peer: Orthanc, source: str) -> bool:
    return "MrclipReport" in peer.metadata(source)


def test_what_is_stored_is_read_and_orthanc_says_what_was_seen(tmp_path: Path) -> None:
    dicom_port = free_port()
    with (
        serve(node_settings(tmp_path, dicom_port)) as node,
        orthanc(tmp_path / "orthanc", settings=plugin_settings(node), dicom_port=dicom_port) as peer,
    ):
        source = peer.store(series(3, seed="flagged", **FLAGGED))
        wait_for(lambda: has_report(peer, source), 60, what="the metadata on the series")
        said = peer.metadata(source)
        assert said["MrclipContrast"] == "UNKNOWN"
        assert said["MrclipFlagged"] == "true"
        assert float(said["MrclipScore"]) > 0.9
        assert len(said["MrclipReader"]) == 64
        (report,) = peer.series_of("SR")
        (instance,) = peer.get(f"/series/{report}")["Instances"]
        assert peer.get(f"/instances/{instance}/simplified-tags")["SOPInstanceUID"] == said["MrclipReport"]
        assert peer.get(f"/series/{report}/study")["ID"] == peer.get(f"/series/{source}/study")["ID"]
        wait_for(lambda: peer.get(f"/series/{report}")["IsStable"], 30, what="the report being stable")
        peer.wait_until_idle()
        assert peer.sent(source) == 1
        assert peer.sent(report) == 0
