"""The plugin in a real Orthanc, with a real node: from a stored study to metadata on its series."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

import tiny_bundle
from dicom_factory import series, write_series
from orthanc_server import Orthanc, RefusedError, orthanc
from peers import free_port, program, wait_for
from serving import Served, serve, write_settings

pytestmark = pytest.mark.peer("Orthanc", "storescu")

UNKNOWN = "-".join(["00000000"] * 5)
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
        assert peer.labels(source) in (["mrclip-flagged"], None)
        (report,) = peer.series_of("SR")
        (instance,) = peer.get(f"/series/{report}")["Instances"]
        assert peer.get(f"/instances/{instance}/simplified-tags")["SOPInstanceUID"] == said["MrclipReport"]
        assert peer.get(f"/series/{report}/study")["ID"] == peer.get(f"/series/{source}/study")["ID"]
        wait_for(lambda: peer.get(f"/series/{report}")["IsStable"], 30, what="the report being stable")
        peer.wait_until_idle()
        assert peer.sent(source) == 1
        assert peer.sent(report) == 0


def test_a_late_slice_supersedes_what_was_said(tmp_path: Path) -> None:
    dicom_port = free_port()
    images = series(4, seed="late", **FLAGGED)
    with (
        serve(node_settings(tmp_path, dicom_port)) as node,
        orthanc(tmp_path / "orthanc", settings=plugin_settings(node), dicom_port=dicom_port) as peer,
    ):
        source = peer.store(images[:3])
        wait_for(lambda: has_report(peer, source), 60, what="the first report")
        first = peer.metadata(source)["MrclipReport"]
        peer.store(images[3:])
        wait_for(lambda: peer.metadata(source)["MrclipReport"] != first, 60, what="the second report")
        (report,) = peer.series_of("SR")
        assert len(peer.get(f"/series/{report}")["Instances"]) == 2
        peer.wait_until_idle()
        assert peer.sent(source) == 2


def test_nothing_is_lost_while_orthanc_is_restarted_or_the_node_is_away(tmp_path: Path) -> None:
    dicom_port, http_port = free_port(), free_port()
    folder = tmp_path / "orthanc"
    away = {"DicomModalities": {"mrclip": ["MRCLIP", "127.0.0.1", free_port()]}, "StableAge": 60}
    away["Mrclip"] = {"NodeUrl": f"http://127.0.0.1:{free_port()}", "UnstableSeconds": 2}
    with orthanc(folder, settings=away, dicom_port=dicom_port, http_port=http_port) as peer:
        # Still growing when Orthanc stops, which then forgets that it was.
        source = peer.store(series(3, seed="restarted", **FLAGGED))
        wait_for(lambda: peer.queue()["tasks"], 30, what="the series being queued")
    away["StableAge"] = 1
    with orthanc(folder, settings=away, dicom_port=dicom_port, http_port=http_port) as peer:
        wait_for(lambda: peer.queue()["tasks"][0]["attempts"] >= 1, 60, what="a failed attempt")
        (task,) = peer.queue()["tasks"]
        assert (task["kind"], task["subject"]) == ("forward", source)
        assert task["reason"]
        status = peer.get(f"/mrclip/series/{source}")
        assert "cannot be reached" in status["problem"]
        assert [one["kind"] for one in status["tasks"]] == ["forward"]
    with (
        serve(node_settings(tmp_path, dicom_port)) as node,
        orthanc(folder, settings=plugin_settings(node), dicom_port=dicom_port, http_port=http_port) as peer,
    ):
        wait_for(lambda: has_report(peer, source), 60, what="the report after all")
        peer.wait_until_idle()


def test_rules_routes_and_the_rest_interface(tmp_path: Path) -> None:
    dicom_port = free_port()
    with serve(node_settings(tmp_path, dicom_port)) as node:
        settings = plugin_settings(
            node,
            Rules={"NotDescription": "phantom"},
            Routes=[{"Flagged": True, "To": "quality"}, {"Flagged": False, "To": "nobody"}],
        )
        settings["DicomModalities"]["quality"] = ["MRCLIP", "127.0.0.1", node.ports["dicom"]]
        with orthanc(tmp_path / "orthanc", settings=settings, dicom_port=dicom_port) as peer:
            left_out = peer.store(series(1, seed="phantom", SeriesDescription="t1 Phantom"))
            not_mr = peer.store(series(1, seed="ct", Modality="CT"))
            source = peer.store(series(2, seed="routed", **FLAGGED))
            wait_for(lambda: peer.sent(source) == 2, 60, what="the series being routed")
            peer.wait_until_idle()
            assert peer.sent(left_out) == peer.sent(not_mr) == 0

            status = peer.get(f"/mrclip/series/{source}")
            assert status["reading"]["state"] == "answered"
            assert status["reading"]["flagged"] is True
            assert (status["problem"], status["tasks"]) == (None, [])

            assert peer.post(f"/mrclip/series/{source}/read") == {"requested": "read"}
            assert peer.post(f"/mrclip/series/{left_out}/read") == {"requested": "forward"}
            wait_for(lambda: peer.sent(left_out) == 1, 30, what="a series being forwarded because somebody asked")
            assert peer.post("/mrclip/backfill") == {"requested": "backfill"}
            peer.wait_until_idle()
            assert peer.sent(source) == 2, "the node has it already"

            for path, method, status in (
                (f"/mrclip/series/{UNKNOWN}", "GET", 404),
                (f"/mrclip/series/{UNKNOWN}/open", "GET", 404),
                (f"/mrclip/series/{UNKNOWN}/read", "POST", 404),
                ("/mrclip/backfill", "GET", 405),
                (f"/mrclip/series/{source}/read", "GET", 405),
            ):
                with pytest.raises(RefusedError, match=str(status)):
                    peer.ask(method, path, b"" if method == "POST" else None)
            # The button's target: the node's page, through a redirection.
            assert b"please check" in peer.ask("GET", f"/mrclip/series/{source}/open")
            node.stop()
            with pytest.raises(RefusedError, match="502"):
                peer.post(f"/mrclip/series/{source}/read")


def test_what_was_stored_before_is_read_when_somebody_asks_for_all_of_it(tmp_path: Path) -> None:
    dicom_port, folder = free_port(), tmp_path / "orthanc"
    with serve(node_settings(tmp_path, dicom_port)) as node:
        nothing = plugin_settings(node, Rules={"Modalities": ["US"]})
        with orthanc(folder, settings=nothing, dicom_port=dicom_port) as peer:
            sources = [peer.store(series(2, seed=f"old-{number}", **FLAGGED)) for number in range(3)]
            left_out = peer.store(series(1, seed="phantom", SeriesDescription="t1 Phantom"))
            wait_for(lambda: all(peer.get(f"/series/{one}")["IsStable"] for one in sources), 30, what="stable series")
            peer.wait_until_idle()
        settings = plugin_settings(node, Rules={"NotDescription": "phantom"})
        with orthanc(folder, settings=settings, dicom_port=dicom_port) as peer:
            peer.wait_until_idle()
            assert node.states() == {}, "they were stable long ago, so nothing asks for them"
            assert peer.post("/mrclip/backfill") == {"requested": "backfill"}
            wait_for(lambda: all(has_report(peer, one) for one in sources), 60, what="the reports")
            peer.wait_until_idle()
            assert [peer.sent(one) for one in (*sources, left_out)] == [1, 1, 1, 0]


def test_series_are_routed_by_what_the_image_shows(tmp_path: Path) -> None:
    bundle = tiny_bundle.write(tmp_path / "bundle").folder
    dicom_port = free_port()
    with serve(node_settings(tmp_path, dicom_port, reader={"bundle": str(bundle)})) as node:
        routes = [
            {"Contrast": ["T2"], "Flagged": False, "To": "research"},
            {"Contrast": ["T1"], "To": "elsewhere"},
        ]
        settings = plugin_settings(node, Routes=routes)
        settings["DicomModalities"]["research"] = settings["DicomModalities"]["mrclip"]
        with orthanc(tmp_path / "orthanc", settings=settings, dicom_port=dicom_port) as peer:
            header = tiny_bundle.protocol("T2")
            said = {"RepetitionTime": header.RepetitionTime_ms, "FlipAngle": 90, "SeriesDescription": "T2 tse tra"}
            pixels = tiny_bundle.phantom(header, seed=4)
            true = peer.store(series(6, seed="true", EchoTime=header.EchoTime_ms, pixels=pixels, **said))
            # The same image, whose echo time is in seconds: T2 too, but flagged, so no route fits.
            seconds = round(header.EchoTime_ms / 1000, 4)
            flagged = peer.store(series(6, seed="seconds", EchoTime=seconds, pixels=pixels, **said))
            wait_for(lambda: has_report(peer, true) and has_report(peer, flagged), 60, what="both reports")
            peer.wait_until_idle()
            seen = [(one["MrclipContrast"], one["MrclipFlagged"]) for one in map(peer.metadata, (true, flagged))]
            assert seen == [("T2", "false"), ("T2", "true")]
            assert [peer.labels(one) for one in (true, flagged)] in ([[], ["mrclip-flagged"]], [None, None])
            assert [peer.sent(one) for one in (true, flagged)] == [2, 1], "to the node, and one of them to research"


def test_the_node_fetches_what_it_is_told_of(tmp_path: Path) -> None:
    dicom_port, http_port = free_port(), free_port()
    url = f"http://127.0.0.1:{http_port}"
    with serve(node_settings(tmp_path, dicom_port, web={"orthancs": [{"url": url}]})) as node:
        settings = plugin_settings(node, Forward="notify", OrthancUrl=url)
        settings["DicomModalities"] = {}
        with orthanc(tmp_path / "orthanc", settings=settings, dicom_port=dicom_port, http_port=http_port) as peer:
            source = peer.store(series(3, seed="notify", **FLAGGED))
            wait_for(lambda: has_report(peer, source), 60, what="the report")
            peer.wait_until_idle()
            assert peer.get("/jobs") == [], "nothing was sent over DICOM"
            assert list(node.states().values()) == ["answered"]


def test_a_mistake_in_the_configuration_is_named_at_the_start(tmp_path: Path) -> None:
    settings = {"Mrclip": {"NodeUrls": "http://127.0.0.1"}}
    log = tmp_path / "orthanc"
    with pytest.raises(pytest.fail.Exception), orthanc(log, settings=settings, dicom_port=free_port()):
        pass
    assert "Mrclip has unknown keys: NodeUrls" in (log / "orthanc-0.log").read_text()


def test_a_study_sent_to_orthanc_over_dicom_is_read_too(tmp_path: Path) -> None:
    dicom_port = free_port()
    with (
        serve(node_settings(tmp_path, dicom_port)) as node,
        orthanc(
            tmp_path / "orthanc", settings=plugin_settings(node, Rules={"OriginAets": ["MR1"]}), dicom_port=dicom_port
        ) as peer,
    ):
        peer.store(series(1, seed="rest"))
        paths = write_series(series(3, seed="dicom", **FLAGGED), tmp_path / "images")
        send = [program("storescu"), "-aet", "MR1", "-aec", "ORTHANC", "127.0.0.1", str(dicom_port), *map(str, paths)]
        subprocess.run(send, check=True)
        uid = series(1, seed="dicom")[0].SeriesInstanceUID
        (source,) = [one["ID"] for one in peer.post("/tools/lookup", str(uid).encode())]
        wait_for(lambda: has_report(peer, source), 60, what="the report")
        assert list(node.states()) == [uid], "what came over REST came from no AE of the rule"


@pytest.mark.peer("chromium")
def test_a_button_in_the_explorer_opens_the_reading(tmp_path: Path) -> None:
    dicom_port = free_port()
    with (
        serve(node_settings(tmp_path, dicom_port)) as node,
        orthanc(tmp_path / "orthanc", settings=plugin_settings(node), dicom_port=dicom_port) as peer,
        sync_playwright() as playwright,
    ):
        source = peer.store(series(2, seed="button", **FLAGGED))
        wait_for(lambda: has_report(peer, source), 60, what="the report")
        options = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's own sandbox does not run as root
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=options)
        page = browser.new_page()
        page.goto(f"{peer.url}/app/explorer.html#series?uuid={source}")
        with page.expect_popup() as popup:
            page.get_by_role("link", name="MR contrast check").click()
        popup.value.wait_for_url(f"http://127.0.0.1:{node.ports['web']}/series/*")
        assert popup.value.get_by_text("please check").first.is_visible()
        browser.close()
