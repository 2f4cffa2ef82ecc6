"""Every shared real series through a real node: exactly one report, or a ledger entry with its reason."""

import csv
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from highdicom.sr import srread

import tiny_bundle
from peers import program, storescp, wait_for
from serving import serve, write_settings

pytestmark = [pytest.mark.shared_data, pytest.mark.peer("dcmsend", "storescp", "dciodvfy")]

# Series of which no stack can be shown to a model, and about whose header the rules have nothing to say.
WITHOUT_REPORT = {
    "neurolabusc__dcm_qa_spec/456_svs_se_ave": "spectroscopy",
    "neurolabusc__dcm_qa_spec/457_svs_se": "spectroscopy",
    "neurolabusc__dcm_qa_xa30/531_DWI_dir80_PA_ColFA": "colour",
}


def test_each_series_gets_one_report_or_a_reason(shared: Path, tmp_path: Path) -> None:
    data = shared / "data" / "real-mr"
    with (data / "files.csv").open() as file:
        rows = list(csv.DictReader(file))
    folder_of = {row["SeriesInstanceUID"]: str(Path(row["relpath"]).parent) for row in rows}
    bundle = tiny_bundle.write(tmp_path / "tiny", calibrated=False).folder  # without a gate it reads whatever it can
    with storescp(tmp_path) as peer:
        to = {"name": "pacs", "ae_title": peer.ae_title, "host": peer.host, "port": peer.port}
        config = write_settings(
            tmp_path, reader={"bundle": str(bundle), "threads": 2}, destinations=[to],
            series={"quiet_s": 20, "quiet_after_release_s": 1},
        )  # fmt: skip
        with serve(config) as node:
            dicom = sorted(str(data / row["relpath"]) for row in rows)
            # One truncated and one deflated file are among them, which dcmsend itself cannot send.
            command = [program("dcmsend"), "-nh", "-aec", "MRCLIP", "127.0.0.1", str(node.ports["dicom"]), *dicom]
            subprocess.run(command, check=False, capture_output=True, env={"TCP_NODELAY": "1"})
            node.wait_until_answered(len(folder_of), deadline_s=240)
            found = node.query(
                "SELECT s.series_uid, s.state, r.reason, r.document, r.report_uid FROM series s"
                " JOIN readings r ON r.id = s.reading_id"
            )
            owed = sum(report is not None for *_, report in found)
            wait_for(lambda: len(peer.files()) == owed, 60, what=f"{owed} reports")
    assert len(found) == len(folder_of)
    assert {state for _, state, *_ in found} == {"answered"}
    without = {folder_of[uid]: reason for uid, _, reason, _, report in found if report is None}
    assert without.keys() <= WITHOUT_REPORT.keys(), without
    for folder, reason in without.items():
        assert reason.startswith("unsupported"), (folder, reason)
    readings = {report: json.loads(document) for *_, document, report in found if report is not None}
    for path in peer.files():
        check_report(path, readings)


def check_report(path: Path, readings: dict[str, Any]) -> None:
    """One group per stack, every encoded image named, no error of dciodvfy."""
    report: Any = srread(path)
    reading = readings[report.SOPInstanceUID]
    groups = report.content.get_image_measurement_groups()
    assert len(groups) == len(reading["stacks"])
    for group, stack in zip(groups, reading["stacks"], strict=True):
        named = {image.referenced_sop_instance_uid for image in group.source_images}
        assert {image["sop_instance_uid"] for image in stack["images"]} <= named
    said = subprocess.run([program("dciodvfy"), str(path)], check=False, capture_output=True, text=True).stderr
    assert not [line for line in said.splitlines() if line.startswith("Error")], said


def test_rules_accuse_at_most_one_clean_series(shared: Path) -> None:
    """Rules alone, on headers as scanners wrote them."""
    from inference.read import Reader, read_paths

    with (shared / "data" / "real-mr" / "series.csv").open() as file:
        folders = [shared / "data" / "real-mr" / row["dir"] for row in csv.DictReader(file)]
    severities: Counter[str] = Counter()
    for folder in folders:
        for series in read_paths([folder], Reader(model=None)).series:
            severities.update(finding.severity for stack in series.stacks for finding in stack.findings)
    assert severities["error"] <= 1, severities
