"""Health, readiness and figures."""

import re
import shutil
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from dicom_node.exchange.store import StoreError
from dicom_node.ledger.records import ReceivedInstance
from dicom_node.receive.quarantine import StoreRequest
from dicom_node.receive.spool import Spool
from dicom_node.work.broker import ask
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from inference.manifest import BundleError
from peers import free_port
from reading_factory import unread_stack
from web_node import NOW, Node, images, make_site, served


def figure(node: Node, name: str) -> float:
    """One figure of /metrics by its name and labels."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", node.get("/metrics").text, re.MULTILINE)
    assert found is not None, f"no figure {name}"
    return float(found[1])


def test_a_node_that_is_whole_is_alive_and_ready(node: Node) -> None:
    assert node.get("/healthz").json == {"status": "alive"}
    answer = node.get("/readyz")
    assert answer.status == 200
    assert answer.json["ready"] is True
    assert answer.json.keys() == {"ready", "ledger", "spool", "bundle"}


def test_a_bundle_that_is_not_whole_is_told(tmp_path: Path) -> None:
    def broken() -> None:
        raise BundleError("image_encoder.onnx", expected="sha256 aa", found="sha256 bb")

    with served(make_site(tmp_path, reader=broken)) as node:
        answer = node.get("/readyz")
        assert answer.status == 503
        assert answer.json["bundle"] == {
            "ok": False,
            "message": "image_encoder.onnx: expected sha256 aa, found sha256 bb",
        }
        assert answer.json["ledger"]["ok"] is True
        assert node.get("/healthz").status == 200


def test_a_spool_without_room_is_told(tmp_path: Path) -> None:
    with served(make_site(tmp_path, spool=Spool(tmp_path / "spool", reserve_bytes=1 << 62))) as node:
        answer = node.get("/readyz")
        assert answer.status == 503
        assert "kept in reserve" in answer.json["spool"]["message"]


def test_an_object_store_that_is_away_is_told_and_the_node_goes_on_receiving(tmp_path: Path) -> None:
    def away() -> None:
        raise StoreError("it is away")

    with served(make_site(tmp_path, store=away)) as node:
        answer = node.get("/readyz")
        assert answer.status == 200
        assert answer.json["store"] == {"ok": False, "message": "it is away"}


def test_a_broker_that_is_away_is_told_and_the_node_goes_on_receiving(tmp_path: Path) -> None:
    url = SecretStr(f"redis://:password@127.0.0.1:{free_port()}/0")
    with served(make_site(tmp_path, broker=partial(ask, url, timeout_s=1.0))) as node:
        answer = node.get("/readyz")
    assert answer.status == 200
    assert answer.json["broker"]["ok"] is False
    assert "127.0.0.1" in answer.json["broker"]["message"]
    assert "password" not in answer.text


def test_a_spool_that_is_gone_is_told_without_its_path(node: Node, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "spool")
    answer = node.get("/readyz")
    assert answer.status == 503
    assert answer.json["spool"] == {"ok": False, "message": "No such file or directory"}


def test_figures_are_those_of_the_ledger(node: Node) -> None:
    node.read(images(seed=1))
    node.read(images(seed=2), [unread_stack()], report=None, reason="no-model", destinations=())
    node.receive(images(seed=3))
    answer = node.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert figure(node, 'mrclip_series{state="read"}') == 1
    assert figure(node, 'mrclip_series{state="answered"}') == 1
    assert figure(node, 'mrclip_series{state="receiving"}') == 1
    assert figure(node, 'mrclip_series{state="quarantined"}') == 0
    assert figure(node, 'mrclip_deliveries{state="pending"}') == 1
    # The clock of the figures is 90 s after the series became due, 89 s after the delivery did.
    assert figure(node, 'mrclip_oldest_due_age_seconds{work="reading"}') == 90
    assert figure(node, 'mrclip_oldest_due_age_seconds{work="delivery"}') == 89


def test_nothing_due_has_no_age(node: Node) -> None:
    assert figure(node, 'mrclip_oldest_due_age_seconds{work="reading"}') == 0


def test_what_comes_in_is_counted(node: Node) -> None:
    ledger = node.site.metrics.counted(node.ledger)
    instance = ReceivedInstance(
        study_instance_uid=StudyInstanceUid("1.2"),
        series_instance_uid=SeriesInstanceUid("1.2.3"),
        sop_instance_uid=SopInstanceUid("1.2.3.4"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
    )
    assert figure(node, "mrclip_instances_received_total") == 0
    ledger.record_instances([instance], now=NOW, due_at=NOW)
    ledger.release([instance.series_instance_uid], due_at=NOW)
    assert figure(node, "mrclip_instances_received_total") == 1
    assert node.ledger.series(instance.series_instance_uid) is not None


def test_quarantined_files_are_counted(node: Node) -> None:
    request = StoreRequest(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        sop_instance_uid="1.2.3",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        data_set=b"no data set",
        calling_aet="MR1",
    )
    node.site.quarantine.keep(request, reason="cannot be parsed", status=0xC000, now=NOW)
    assert figure(node, "mrclip_quarantined_files") == 1


def test_scrapes_do_not_count_each_time(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    counts = node.ledger.counts
    monkeypatch.setattr(node.ledger, "counts", lambda: asked.append(1) or counts())
    for _ in range(3):
        assert node.get("/metrics").status == 200
    assert asked == [1]
