"""`mrclip read` as a researcher meets it: files in, one JSON object or a table out, and what it writes beside it."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from highdicom.sr import srread
from pydicom import dcmread

import tiny_bundle
from dicom_factory import mr_image, series, write, write_series
from dicom_node.cli import group
from dicom_node.commands.read_output import Sinks
from inference.read import Reader, SeriesResult, read_paths
from inference.sources import Instance
from serving import MRCLIP

# Every key of mrclip.reading/1, as the contract has them.
DOCUMENT = {"schema", "model", "alarm_rate", "series", "refused"}
SERIES = {
    "study_instance_uid", "series_instance_uid", "modality", "instances", "contrast", "score", "p_value", "flagged",
    "stacks",
}  # fmt: skip
STACK = {
    "index", "status", "reason", "selector", "slices", "plane", "oblique_deg", "images", "contrast", "estimates",
    "header", "inconsistency", "findings",
}  # fmt: skip
CONTRAST = {"label", "probability", "alternatives", "post_contrast", "fat_suppressed"}
HEADER = {
    "EchoTime_ms", "RepetitionTime_ms", "InversionTime_ms", "FlipAngle_deg", "b_value_s_mm2",
    "SeriesDescription_contrast",
}  # fmt: skip
FINDING = {
    "code", "source", "attribute", "tag", "recorded", "expected", "p_value", "severity", "message", "suggestion",
}  # fmt: skip


def run(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
    """`mrclip ARGUMENTS`, which must end with `status`."""
    command = [*MRCLIP, *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done


def document(*arguments: object) -> dict[str, Any]:
    """What `mrclip read … --json` prints: one object and nothing else."""
    read: dict[str, Any] = json.loads(run("read", *arguments, "--json").stdout)
    return read


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows phantoms."""
    return tiny_bundle.write(tmp_path_factory.mktemp("bundle") / "tiny").folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T2 series of phantoms with the echo time in seconds."""
    said = tiny_bundle.protocol("T2")
    made = series(
        5,
        EchoTime=0.1,
        RepetitionTime=said.RepetitionTime_ms,
        SeriesDescription="T2 tse tra",
        ProtocolName="T2 tse tra",
        pixels=tiny_bundle.phantom(said, seed=3),
    )
    folder = tmp_path_factory.mktemp("images")
    write_series(made, folder)
    return folder


def test_every_key_of_the_contract_is_there(images: Path, bundle: Path) -> None:
    said = document(images, "--bundle", bundle)
    (one,) = said["series"]
    (stack,) = one["stacks"]
    assert said.keys() == DOCUMENT
    assert said["model"].keys() == {"name", "version", "sha256", "calibration"}
    assert one.keys() == SERIES
    assert stack.keys() == STACK
    assert stack["contrast"].keys() == CONTRAST
    assert stack["header"].keys() == HEADER
    assert {frozenset(finding) for finding in stack["findings"]} == {frozenset(FINDING)}
    assert stack["inconsistency"].keys() == {"score", "p_value", "flagged"}
    assert {frozenset(value) for value in stack["estimates"].values()} == {
        frozenset({"value", "low", "high", "coverage"})
    }
    assert (stack["status"], stack["contrast"]["label"], stack["header"]["EchoTime_ms"]) == ("read", "T2", 0.1)
    assert len(stack["images"]) == 5
    assert one["flagged"] is True


def test_without_a_bundle_every_stack_abstains_and_the_rules_still_run(images: Path) -> None:
    said = document(images, "--bundle", "none")
    (stack,) = said["series"][0]["stacks"]
    assert said["model"] is None
    assert (stack["status"], stack["reason"]["code"]) == ("abstained", "no-model")
    assert (stack["contrast"], stack["estimates"], stack["images"]) == (None, {}, [])
    assert [finding["code"] for finding in stack["findings"] if finding["severity"] == "error"] == ["echo-time-unit"]


def test_a_zip_and_a_folder_say_the_same(images: Path, tmp_path: Path) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in images.iterdir():
            packed.write(path, path.name)
    assert document(archive, "--bundle", "none") == document(images, "--bundle", "none")


def test_the_files_beside_it(images: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "JST-9")
    page, npz, reports = tmp_path / "page.html", tmp_path / "embeddings.npz", tmp_path / "reports"
    said = document(images, "--bundle", bundle, "--html", page, "--embeddings", npz, "--sr", reports)
    uid = said["series"][0]["series_instance_uid"]
    with np.load(npz, allow_pickle=False) as embeddings:
        assert embeddings.files == [f"{uid}/0"]
        assert embeddings[f"{uid}/0"].shape[0] == 5
        np.testing.assert_allclose(np.linalg.norm(embeddings[f"{uid}/0"], axis=1), 1, rtol=1e-5)
    (report,) = reports.iterdir()
    said = srread(report)
    assert said.SeriesDescription == "MR contrast check"
    (equipment,) = said.ContributingEquipmentSequence
    assert equipment.ContributionDateTime == f"{said.ContentDate}{said.ContentTime}+0900", "in the machine's zone"
    text = page.read_text()
    assert text.count("data:image/png") == 5
    assert "seconds" in text


def replaced(path: Path) -> None:
    write(mr_image(seed="another"), path)


def nameless(path: Path) -> None:
    dataset = dcmread(path)
    del dataset.SOPInstanceUID
    dataset.save_as(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (Path.unlink, ": No such file or directory"),
        (partial(Path.write_text, data="no DICOM"), "neither the DICM prefix nor a data element at its start"),
        (replaced, ": the file holds another instance by now"),
        (nameless, ": the file holds another instance by now"),
    ],
)
def test_a_series_whose_file_changes_gets_no_report_and_the_others_do(
    change: Callable[[Path], object], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("changed", "whole"):
        write_series(series(2, seed=name, EchoTime=0.1, ProtocolName="T2 tse"), tmp_path / name)
    changed = dcmread(next((tmp_path / "changed").iterdir()))
    sinks = Sinks(reader=Reader(model=None), sr_folder=tmp_path / "reports", html_file=None, npz_file=None)

    def observe(instances: Sequence[Instance], result: SeriesResult) -> None:
        if instances[0].source.path.parent.name == "changed":
            change(instances[0].source.path)
        sinks.observe(instances, result)

    reading = read_paths([tmp_path], Reader(model=None), observe=observe, threads=1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"no report on series {changed.SeriesInstanceUID}: ")
    assert line.endswith(why)
    assert (len(reading.series), len(list((tmp_path / "reports").iterdir()))) == (2, 1)


def test_the_table_names_contrast_and_finding(images: Path, bundle: Path) -> None:
    table = run("read", images, "--bundle", bundle).stdout
    assert "T2" in table
    assert "EchoTime (0018,0081)" in table


def test_the_table_names_what_the_header_claims_by_all_it_says(tmp_path: Path) -> None:
    write_series(series(2, ImageType=["ORIGINAL", "PRIMARY", "P", "ND"], SeriesDescription="gre"), tmp_path)
    assert "PHASE" in run("read", tmp_path, "--bundle", "none").stdout


def test_nothing_to_read_is_exit_status_3_and_each_file_has_its_reason(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no DICOM here")
    done = run("read", tmp_path, "--bundle", "none", "--json", status=3)
    (refused,) = json.loads(done.stdout)["refused"]
    assert refused["code"] == "not-dicom"


def test_a_broken_file_is_refused_and_the_rest_is_read(images: Path, tmp_path: Path) -> None:
    for path in images.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    victim = next(tmp_path.iterdir())
    victim.write_bytes(victim.read_bytes()[:-100])
    said = document(tmp_path, "--bundle", "none")
    assert [refused["code"] for refused in said["refused"]] == ["truncated"]
    assert said["series"][0]["instances"] == 4


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("read",), "PATHS"),
        (("read", "/nowhere"), "/nowhere"),
        (("read", ".", "--bundle", "/nowhere"), "/nowhere"),
        (("read", ".", "--alarm-rate", "2"), "2"),
    ],
)
def test_bad_usage_is_exit_status_2_and_named(arguments: tuple[str, ...], named: str) -> None:
    assert named in run(*arguments, status=2).stderr


@pytest.mark.parametrize("command", ["read", "serve", "worker", "send", "demo", "replay", "bundles", "check-config"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    said = CliRunner().invoke(group, [command, "--help"], prog_name="mrclip", catch_exceptions=False)
    assert said.exit_code == 0
    assert f"mrclip {command}" in said.output
    assert f"  mrclip {command}" in said.output.partition("Example")[2]


def test_reading_imports_no_torch_no_highdicom_and_no_celery(images: Path, bundle: Path) -> None:
    script = (
        "import sys; from dicom_node.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'highdicom', 'celery', 'sqlalchemy', 'pynetdicom'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, "read", str(images), "--bundle", str(bundle), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stderr.strip().endswith("[]"), done.stderr
