"""`mrclip calibrate`: clean series of a site become the calibration that the node reads with."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import tiny_bundle
from dicom_factory import write_series
from dicom_node.commands.calibrate import command
from dicom_node.commands.read import command as read
from dicom_node.work.readers import Readers
from inference.bundle import open_bundle
from inference.calibration import CalibrationError, read_calibration
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


def calibration_for(bundle_sha256: str, bundle: Path) -> bytes:
    """The calibration of a bundle as a site's own, of another bundle."""
    document = json.loads((bundle / "calibration.json").read_bytes())
    return json.dumps({**document, "source": "site", "bundle_sha256": bundle_sha256}).encode()


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


def test_a_calibration_of_another_bundle_is_refused_by_name(bundle: Path, series: Path, tmp_path: Path) -> None:
    other = tmp_path / "calibration.json"
    other.write_bytes(calibration_for("f" * 64, bundle))
    for chosen, why in ((bundle, f"made with bundle {'f' * 12}"), ("none", "rules alone have no alarms")):
        refused = CliRunner().invoke(read, [str(series), "--bundle", str(chosen), "--calibration", str(other)])
        assert refused.exit_code == 2, refused.output
        assert f"Error: {other}: {why}" in refused.stderr
    missing = CliRunner().invoke(read, [str(series), "--calibration", str(tmp_path / "none.json")])
    assert (missing.exit_code, "'--calibration'" in missing.stderr) == (2, True)


def test_a_node_says_once_that_the_calibration_beside_its_spool_is_of_another_bundle(
    bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "calibration.json"
    file.write_bytes(calibration_for("f" * 64, bundle))
    readers = Readers(bundle=str(bundle), calibration=file, alarm_rate=0.01)
    models = [readers.current().model for _ in range(2)]
    assert [model.identity.calibration for model in models if model is not None] == ["bundle", "bundle"]
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said.startswith(f"calibration not used: {file}: made with bundle {'f' * 12}")


def test_a_calibration_that_cannot_be_read_is_named(bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    file.write_text("{}")
    with pytest.raises(CalibrationError, match=rf"^{file}: not a calibration"):
        Readers(bundle=str(bundle), calibration=file, alarm_rate=0.01).current()


def test_rules_alone_have_nothing_to_calibrate(series: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [str(series), "--bundle", "none", "--output", str(tmp_path / "c.json")])
    assert done.exit_code == 2
    assert "rules alone have no alarms" in done.output
    assert not (tmp_path / "c.json").exists()
