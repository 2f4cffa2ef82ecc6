"""Storage Commitment with a real Orthanc, as the one who asks and as the one who is asked."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dicom_factory import series, write_series
from orthanc_server import Orthanc
from peers import free_port, listens, program, running, wait_for
from serving import Served, serve, write_settings

pytestmark = pytest.mark.peer("Orthanc")
MR = "1.2.840.10008.5.1.4.1.1.4"


@contextmanager
def orthanc(folder: Path, *, node_port: int, dicom_port: int) -> Iterator[Orthanc]:
    """Debian's Orthanc without plugins, the node as modality `mrclip`."""
    http = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": http,
        "DicomPort": dicom_port,
        "DicomAet": "ORTHANC",
        "Plugins": [],
        "AuthenticationEnabled": False,
        "DicomModalities": {"mrclip": ["MRCLIP", "127.0.0.1", node_port]},
    }
    config, log = folder / "orthanc.json", folder / f"orthanc-{time.monotonic_ns()}.log"
    config.write_text(json.dumps(settings))
    with running([program("Orthanc"), str(config)], log=log, ready=lambda: listens(http), deadline_s=30):
        yield Orthanc(http_port=http, dicom_port=dicom_port, log=log)


def node_settings(tmp_path: Path, dicom_port: int, **destination: Any) -> Path:
    orthanc_peer = {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": dicom_port}
    to = [{"name": "orthanc", **orthanc_peer, **destination}] if destination else []
    return write_settings(tmp_path, commitment={"peers": [orthanc_peer]}, destinations=to)


def asked(peer: Orthanc, instances: list[list[str]]) -> dict[str, Any]:
    """What Orthanc was told about instances that it asked the node for."""
    body = json.dumps({"DicomInstances": instances}).encode()
    answer = peer.post("/modalities/mrclip/storage-commitment", body)
    wait_for(lambda: peer.get(answer["Path"])["Status"] != "Pending", 60, what="the report being in Orthanc")
    report: dict[str, Any] = peer.get(answer["Path"])
    return report


def test_orthanc_asks_and_is_told_what_is_safe_and_what_is_not(tmp_path: Path) -> None:
    images, dicom_port = series(3), free_port()
    with (
        serve(node_settings(tmp_path, dicom_port)) as node,
        orthanc(tmp_path / "orthanc", node_port=node.ports["dicom"], dicom_port=dicom_port) as peer,
    ):
        for path in write_series(images, tmp_path / "images"):
            stored = peer.post("/instances", path.read_bytes())
        peer.post("/modalities/mrclip/store", stored["ParentSeries"].encode())
        uids = [str(image.SOPInstanceUID) for image in images]
        well = asked(peer, [[MR, uid] for uid in uids])
        assert (well["Status"], well["RemoteAET"], well["Failures"]) == ("Success", "MRCLIP", [])
        assert sorted(one["SOPInstanceUID"] for one in well["Success"]) == sorted(uids)

        ill = asked(peer, [[MR, uids[0]], [MR, "1.2.3.4.5"]])
        assert ill["Status"] == "Failure"
        assert [one["SOPInstanceUID"] for one in ill["Success"]] == uids[:1]
        assert [(one["SOPInstanceUID"], one["FailureReason"]) for one in ill["Failures"]] == [("1.2.3.4.5", 0x0112)]
        wait_for(lambda: reported(node) == ["reported", "reported"], what="the ledger")


def reported(node: Served) -> list[str]:
    return [state for (state,) in node.query("SELECT state FROM commitments")]


def test_a_report_counts_as_delivered_once_orthanc_committed_to_it(tmp_path: Path) -> None:
    images, dicom_port = series(3, EchoTime=0.09, RepetitionTime=4000), free_port()
    with (
        serve(node_settings(tmp_path, dicom_port, commitment=True)) as node,
        orthanc(tmp_path / "orthanc", node_port=node.ports["dicom"], dicom_port=dicom_port) as peer,
    ):
        for path in write_series(images, tmp_path / "images"):
            stored = peer.post("/instances", path.read_bytes())
        peer.post("/modalities/mrclip/store", stored["ParentSeries"].encode())
        node.wait_until_answered(1)
        assert len(peer.series_of("SR")) == 1
        assert node.query("SELECT state, stored, asks FROM deliveries") == [("delivered", 1, 1)]
        assert len(node.query("SELECT * FROM commitment_asks")) == 1
