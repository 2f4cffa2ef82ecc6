"""Pictures and key objects of a report on their way: with the report, to the same places, and never back in."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage
from pynetdicom import AE, evt

from dicom_factory import series, write_series
from orthanc_server import orthanc
from peers import StoreScp, free_port, program, storescp, wait_for
from serving import Served, serve, write_settings

BOTH = {"secondary_capture": True, "key_objects": True}
SECONDS = {"EchoTime": 0.09, "RepetitionTime": 4000, "SeriesDescription": "t2 tse"}  # an echo time in seconds


def send(node: Served, *folders: Path) -> None:
    command = [program("dcmsend"), "-aec", "MRCLIP", "+sd", "+r", "127.0.0.1", str(node.ports["dicom"])]
    subprocess.run([*command, *map(str, folders)], check=True, capture_output=True)


def to(peer: StoreScp) -> list[dict[str, Any]]:
    return [{"name": "pacs", "ae_title": peer.ae_title, "host": peer.host, "port": peer.port}]


@pytest.mark.peer("storescp", "dcmsend")
def test_they_arrive_with_their_report_once_and_are_no_series_to_report_on(tmp_path: Path) -> None:
    images = tmp_path / "images"
    write_series(series(3, seed="seconds", **SECONDS), images)
    with storescp(tmp_path) as peer:
        config = write_settings(
            tmp_path,
            destinations=to(peer),
            report={**BOTH, "send": "all"},
            scp={"accept_other_storage": "store"},
        )
        with serve(config) as node:
            send(node, images)
            node.wait_until_answered(1)
            before = {path.name: path.read_bytes() for path in peer.files()}
            assert sorted(dcmread(path).Modality for path in peer.files()) == ["KO", "OT", "SR"]
        with serve(config) as node:
            send(node, peer.folder)  # an archive that sends back whatever it gets
            node.wait_until_answered(4)
            send(node, images)
            node.wait_until_answered(4)
            reasons = node.query("SELECT reason FROM series WHERE modality != 'MR'")
            assert reasons == [("it was made by mrclip",)] * 3
        assert {path.name: path.read_bytes() for path in peer.files()} == before


@pytest.mark.peer("dcmsend")
def test_a_destination_that_takes_reports_only_gets_them_and_the_rest_is_a_dead_letter(tmp_path: Path) -> None:
    got: list[str] = []

    def store(event: evt.Event) -> int:
        got.append(event.request.AffectedSOPClassUID)
        return 0x0000

    entity: Any = AE(ae_title="STORESCP")
    entity.add_supported_context(Comprehensive3DSRStorage)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        peer = StoreScp(port=server.server_address[1], folder=tmp_path)
        write_series(series(2, seed="refused", **SECONDS), tmp_path / "images")
        with serve(write_settings(tmp_path, destinations=to(peer), report=BOTH)) as node:
            send(node, tmp_path / "images")
            wait_for(lambda: node.query("SELECT 1 FROM deliveries WHERE state = 'dead'"), 60, what="a dead letter")
            ((reason,),) = node.query("SELECT reason FROM deliveries")
        assert "picture or key objects of the report" in reason
        assert "accepts none of the SOP classes" in reason
        assert got == [Comprehensive3DSRStorage]
    finally:
        server.shutdown()


@pytest.mark.peer("Orthanc", "dcmsend")
def test_orthanc_gets_them_and_never_sends_them_back(tmp_path: Path) -> None:
    dicom_port = free_port()
    back = {"name": "orthanc", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": dicom_port}
    config = write_settings(
        tmp_path, destinations=[back], report={**BOTH, "send": "all"}, scp={"accept_other_storage": "store"}
    )
    with serve(config) as node:
        settings = {
            "DicomModalities": {"mrclip": ["MRCLIP", "127.0.0.1", node.ports["dicom"]]},
            "Mrclip": {
                "NodeUrl": f"http://127.0.0.1:{node.ports['web']}",
                "Rules": {"Modalities": ["MR", "OT", "SR", "KO"]},  # as careless as can be
            },
        }
        with orthanc(tmp_path / "orthanc", settings=settings, dicom_port=dicom_port) as peer:
            source = peer.store(series(2, seed="pictures", **SECONDS))

            def ours_in_orthanc() -> list[str]:
                return [one for modality in ("SR", "OT", "KO") for one in peer.series_of(modality)]

            wait_for(lambda: "MrclipReport" in peer.metadata(source), 60, what="the metadata on the series")
            wait_for(lambda: len(ours_in_orthanc()) == 3, 30, what="report, picture and key objects")
            ours = ours_in_orthanc()
            assert {peer.get(f"/series/{one}/study")["ID"] for one in ours} == {
                peer.get(f"/series/{source}/study")["ID"]
            }
            wait_for(lambda: all(peer.get(f"/series/{one}")["IsStable"] for one in ours), 30, what="stable series")
            peer.post("/mrclip/backfill")
            peer.wait_until_idle()
            assert [peer.sent(one) for one in (source, *ours)] == [1, 0, 0, 0]
            assert len(node.states()) == 1
