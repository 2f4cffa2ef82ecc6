"""`mrclip calibrate`: clean series of a site become the calibration that the node reads with."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import tiny_bundle
from dicom_factory import write_series
from dicom_node.commands.calibrate import command
from inference.bundle import open_bundle
from inference.calibration import read_calibration
from inference.model import load_model


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows phantoms."""
    return tiny_bundle.write(tmp_path_factory.mktemp("bundle") / "tiny").folder


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clean series."""
    folder = tmp_path_factory.mktemp("series")
    for number, said in enumerate(tiny_bundle.clean_series(4, first_seed=900)):
        write_series(tiny_bundle.dicom(said, slices=3, seed=number), folder / str(number))
    return folder


def test_calibration_of_a_site_names_its_bundle_and_is_taken_by_it(bundle: Path, series: Path, tmp_path: Path) -> None:
    target = tmp_path / "calibration.json"
    done = CliRunner().invoke(command, [str(series), "--bundle", str(bundle), "--output", str(target)])
    assert done.exit_code == 0, done.output
    assert "4 series" in done.output
    assert "fewer than 99 series" in done.output
    opened = open_bundle(bundle)
    calibration = read_calibration(target.read_bytes())
    assert calibration.provenance.bundle_sha256 == opened.sha256
    assert load_model(opened, calibration=calibration).identity.calibration == "site"
    assert len(json.loads(target.read_text())["surprises_nats"]) == 4


def test_rules_alone_have_nothing_to_calibrate(series: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [str(series), "--bundle", "none", "--output", str(tmp_path / "c.json")])
    assert done.exit_code == 2
    assert "rules alone have no alarms" in done.output
    assert not (tmp_path / "c.json").exists()
