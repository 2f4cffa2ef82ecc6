"""The main job as its users see it: real senders, a real node process, a real destination."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pydicom
import pytest
from click.testing import CliRunner
from highdicom.sr import srread

import tiny_bundle
from dicom_factory import series, uid, write_series
from dicom_node.cli import group
from peers import StoreScp, program, storescp, wait_for
from serving import MRCLIP, Served, serve, write_settings

pytestmark = pytest.mark.peer("storescp", "storescu", "dcmsend")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three series of phantoms: one true, one with the echo time in seconds, one whose header is another contrast's."""
    folder = tmp_path_factory.mktemp("study")
    for name, shown, said in (("true", "T2", "T2"), ("seconds", "T2", "T2"), ("swapped", "T2", "T1")):
        header = tiny_bundle.protocol(said)
        echo_time_ms = header.EchoTime_ms / 1000 if name == "seconds" else header.EchoTime_ms
        images = series(
            6,
            seed=name,
            StudyInstanceUID=uid("study"),
            EchoTime=round(echo_time_ms, 4),
            RepetitionTime=header.RepetitionTime_ms,
            FlipAngle=90,
            SeriesDescription=f"{said} tse tra",
            ProtocolName=f"{said} tse tra",
            pixels=tiny_bundle.phantom(tiny_bundle.protocol(shown), seed=len(name)),
        )
        write_series(images, folder / name)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows phantoms."""
    return tiny_bundle.write(tmp_path_factory.mktemp("bundle") / "tiny").folder


@pytest.fixture
def destination(tmp_path: Path) -> Iterator[StoreScp]:
    """DCMTK's storescp."""
    with storescp(tmp_path) as peer:
        yield peer


def config_for(tmp_path: Path, peer: StoreScp, bundle: Path | str = "none", *, processes: int = 1) -> Path:
    to = {"name": "pacs", "ae_title": peer.ae_title, "host": peer.host, "port": peer.port}
    scp = {"processes": processes}
    return write_settings(tmp_path, scp=scp, reader={"bundle": str(bundle)}, destinations=[to])


def storescu(node: Served, folder: Path) -> None:
    command = [program("storescu"), "-aec", "MRCLIP", "+sd", "+r", "127.0.0.1", str(node.ports["dicom"]), str(folder)]
    subprocess.run(command, check=True, capture_output=True, env={"TCP_NODELAY": "1"})


def dcmsend(node: Served, folder: Path) -> None:
    command = [program("dcmsend"), "-aec", "MRCLIP", "+sd", "+r", "127.0.0.1", str(node.ports["dicom"]), str(folder)]
    subprocess.run(command, check=True, capture_output=True, env={"TCP_NODELAY": "1"})


def test_series_in_by_storescu_and_one_report_each_out(
    tmp_path: Path, study: Path, bundle: Path, destination: StoreScp
) -> None:
    with serve(config_for(tmp_path, destination, bundle)) as node:
        storescu(node, study)
        node.wait_until_answered(3)
        assert node.stop() == 0

    agreement = {}
    for path in destination.files():
        report: Any = srread(path)
        evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
        (group,) = report.content.get_image_measurement_groups()
        shown = {image.referenced_sop_instance_uid for image in group.source_images}
        assert shown == {item.ReferencedSOPInstanceUID for item in evidence.ReferencedSOPSequence}
        values = {one.name.meaning: one.value.meaning for one in group.get_qualitative_evaluations()}
        agreement[evidence.SeriesInstanceUID] = values["Agreement"]
    uids = {folder.name: pydicom.dcmread(next(folder.iterdir())).SeriesInstanceUID for folder in study.iterdir()}
    said = {name: agreement[series_uid] for name, series_uid in uids.items()}
    assert said == {"true": "Consistent", "seconds": "Inconsistent", "swapped": "Inconsistent"}


def test_same_study_twice_from_two_senders_and_after_a_restart_makes_no_more_reports(
    tmp_path: Path, study: Path, destination: StoreScp
) -> None:
    config = config_for(tmp_path, destination, processes=2)
    with serve(config) as node:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda send: send(node, study), (storescu, dcmsend)))
        node.wait_until_answered(3)
        before = [path.name for path in destination.files()]
        dcmsend(node, study)
        node.wait_until_answered(3)
    with serve(config) as node:
        storescu(node, study)
        node.wait_until_answered(3)
        assert [path.name for path in destination.files()] == before
        assert len(node.query("SELECT id FROM readings")) == 3
    assert len(before) == 1  # rules alone: only the echo time in seconds is worth a report


def test_a_late_slice_brings_a_report_that_names_its_predecessor(
    tmp_path: Path, study: Path, destination: StoreScp
) -> None:
    images = sorted((study / "seconds").glob("*.dcm"))
    early, late = tmp_path / "early", tmp_path / "late"
    for folder, chosen in ((early, images[:-1]), (late, images[-1:])):
        folder.mkdir()
        for path in chosen:
            (folder / path.name).write_bytes(path.read_bytes())
    with serve(config_for(tmp_path, destination)) as node:
        storescu(node, early)
        node.wait_until_answered(1)
        first = pydicom.dcmread(destination.files()[0])
        storescu(node, late)
        wait_for(lambda: len(destination.files()) == 2, what="the second report")
        second = next(
            report
            for report in map(pydicom.dcmread, destination.files())
            if report.SOPInstanceUID != first.SOPInstanceUID
        )
    named = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_a_destination_that_was_away_gets_its_report_when_it_is_back(tmp_path: Path, study: Path) -> None:
    with storescp(tmp_path / "first") as peer:
        config = config_for(tmp_path, peer)
    with serve(config) as node:
        storescu(node, study)
        wait_for(lambda: node.query("SELECT reason FROM deliveries WHERE reason IS NOT NULL"), what="a failed delivery")
        with storescp(tmp_path / "second", port=peer.port) as back:
            wait_for(lambda: node.query("SELECT state FROM deliveries") == [("delivered",)], what="the delivery")
            assert len(back.files()) == 1


def test_the_log_names_no_patient(tmp_path: Path, destination: StoreScp) -> None:
    images = series(2, PatientName="SECRET^NAME", PatientID="SECRET-ID", AccessionNumber="SECRET-AN", EchoTime=0.09)
    write_series(images, tmp_path / "secret")
    with serve(config_for(tmp_path, destination)) as node:
        storescu(node, tmp_path / "secret")
        node.wait_until_answered(1)
        node.stop()
        assert "SECRET" not in node.log.read_text()


def test_a_wrong_key_is_named_before_anything_starts(tmp_path: Path) -> None:
    config = write_settings(tmp_path, scp={"prot": 104})
    run = subprocess.run([*MRCLIP, "serve", "--config", str(config)], check=False, capture_output=True, text=True)
    assert run.returncode == 2
    assert "scp.prot" in run.stderr


def test_a_node_whose_start_fails_late_says_why_and_ends(tmp_path: Path) -> None:
    config = write_settings(tmp_path)
    secret = tmp_path / "data" / "web-secret"
    secret.mkdir(parents=True)
    command = [*MRCLIP, "serve", "--config", str(config)]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert f"{secret}: Is a directory; must be a file that the node's user may read" in run.stderr


def test_check_config_prints_what_it_understood(tmp_path: Path) -> None:
    config = write_settings(tmp_path, scp={"ae_title": "READER"}, queue={"broker_url": "redis://:hush@broker/0"})
    run = subprocess.run(
        [*MRCLIP, "check-config", "--config", str(config)], check=False, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "ae_title: READER" in run.stdout
    assert "broker_url: redis://:***@broker/0" in run.stdout
    assert "rules alone" in run.stdout


def test_check_config_refuses_spans_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    config = write_settings(tmp_path, tracing={"otlp_endpoint": "http://192.0.2.1:4318/v1/traces"})
    run = CliRunner().invoke(group, ["check-config", "--config", str(config)])
    assert run.exit_code == 2
    assert "tracing.otlp_endpoint: OpenTelemetry is not installed; pip install 'mrclip[otel]'" in run.stderr


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"ledger": {"database_url": "nonsense"}}, "ledger.database_url is not sqlite:///FILE or postgresql://"),
        ({"ledger": {"database_url": "postgresql://u:hush@h:many/d"}}, "ledger.database_url is not sqlite:///FILE or"),
        ({"ledger": {"database_url": "mysql://u:hush@h/d"}}, "ledger.database_url names mysql; must be sqlite or"),
        ({"queue": {"broker_url": "redis://b"}, "spool": {"url": "nonsense://hush"}}, "spool.url must be the URL of a"),
        ({"scp": {"tls": {"certificate": "absent.pem", "key": "absent.key"}}}, "scp.tls: absent.pem and absent.key"),
        (
            {"destinations": [{"name": "a", "ae_title": "A", "host": "h", "port": 1, "tls": {"ca": "absent.pem"}}]},
            "destinations.a.tls.ca: absent.pem holds no certificates",
        ),
        (
            {"commitment": {"peers": [{"ae_title": "A", "host": "h", "port": 1, "tls": {"ca": "absent.pem"}}]}},
            "commitment.peers.0.tls.ca: absent.pem holds no certificates",
        ),
        ({"reader": {"bundle": "/absent"}}, "reader.bundle: /absent is not a folder"),
    ],
)
def test_check_config_refuses_what_no_node_would_start_with(tmp_path: Path, section: Any, named: str) -> None:
    run = CliRunner().invoke(group, ["check-config", "--config", str(write_settings(tmp_path, **section))])
    assert run.exit_code == 2
    assert run.stderr.splitlines()[-1].startswith(f"Error: {named}")
    assert "hush" not in run.output
    assert not (tmp_path / "data").exists()
