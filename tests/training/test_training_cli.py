"""The command line: every command on a small study, and what it says when it refuses."""

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from inference.bundle import open_bundle
from training import cli as commands
from training.cli import COMMANDS, cli
from training.data.rows import read_rows, write_rows
from training.errors import RefusedError
from training.rehearsal.study import write_study

SMALL = (
    "optimiser.steps=4", "optimiser.warmup_steps=1", "data.batch_size=12", "run.log_every=2", "run.trackers=[]",
    "model.embed_dim=16", "model.image.overrides={depths:[1,1,1,1],dims:[8,16,24,32],patch_size:4}",
)  # fmt: skip


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Commands and Hydra point the root logger at streams that end with them."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    for person in range(4):
        write_study(folder / "dicom", person, seed=0)
    done = run("preprocess", folder / "dicom", folder / "data", "--recipe", "tiny", "--workers", 1)
    assert done.exit_code == 0
    assert "32 volumes: train " in done.output
    done = run("train", folder / "data", folder / "run", "--recipe", "tiny", *SMALL)
    assert done.exit_code == 0
    return folder


@pytest.mark.parametrize(
    "arguments", [("preprocess", "."), ("simulate", "--drawn", "--studies", "1"), ("benchmark", ".", "--out")]
)
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path, arguments: Sequence[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RefusedError, match=f"^{tmp_path / 'file' / 'out'}: cannot be made: Not a directory"):
        run(*arguments, tmp_path / "file" / "out")


def test_train_writes_a_checkpoint_and_its_numbers(work: Path) -> None:
    lines = [json.loads(line) for line in (work / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 4]
    assert lines[-1].keys() == {
        "step", "validation_recall_at_1", "validation_chance_at_1", "validation_median_rank"
    }  # fmt: skip


def test_test_measures_and_traces(work: Path) -> None:
    done = run("test", work / "run/last.pt", work / "data", "--distance", "--tracepreds", "--out", work / "results")
    assert done.exit_code == 0
    assert "image_to_caption, without" in done.output
    report = json.loads((work / "results/test.json").read_text())
    assert report["with_description"]["parameters"]["EchoTime_ms"]["both"] > 0
    assert (work / "results/cases.html").read_text().startswith("<!doctype html>")


def test_export_writes_a_bundle_once(work: Path) -> None:
    arguments = ("export", work / "run/last.pt", work / "data", work / "bundle", "--name", "small", "--version", "7")
    done = run(*arguments)
    assert done.exit_code == 0
    bundle = open_bundle(work / "bundle")
    assert (bundle.manifest.name, bundle.manifest.version) == ("small", "7")
    assert bundle.sha256 in done.output
    with pytest.raises(RefusedError, match="never written to again"):
        run(*arguments)


def test_a_name_that_no_bundle_may_have_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_text("never read")
    with pytest.raises(RefusedError, match=r"name is 'First'; a bundle's has lower case letters"):
        run("export", tmp_path / "a.pt", tmp_path, tmp_path / "bundle", "--name", "First")
    with pytest.raises(RefusedError, match=r"version is '1 beta'"):
        run("import", tmp_path / "a.pt", tmp_path / "bundle", "--version", "1 beta")


def test_a_table_without_slices_is_refused_where_slices_are_needed(work: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "test.csv", [])
    with pytest.raises(RefusedError, match=r"test\.csv: holds no slice to measure on"):
        run("test", work / "run/last.pt", tmp_path, "--out", tmp_path)
    write_rows(tmp_path / "train.csv", [])
    with pytest.raises(RefusedError, match=r"train\.csv: holds no slice; its captions make the label grid"):
        run("export", work / "run/last.pt", tmp_path, tmp_path / "bundle")
    rows = read_rows(work / "data/test.csv")
    write_rows(tmp_path / "test.csv", [replace(row, filepath=str(work / "data" / row.filepath)) for row in rows[:4]])
    assert run("test", work / "run/last.pt", tmp_path, "--out", tmp_path).exit_code == 0  # nothing to learn probes on
    assert json.loads((tmp_path / "test.json").read_text())["probes"] == {}


def test_a_sweep_makes_one_run_for_every_combination(work: Path) -> None:
    steps = [setting for setting in SMALL if "steps" not in setting]
    sweep = ("loss=clip,siglip", "optimiser.steps=2", "optimiser.warmup_steps=1")
    done = run("train", work / "data", work / "sweep", "--recipe", "tiny", "--multirun", *steps, *sweep)
    assert done.exit_code == 0
    runs = sorted(path.parent.name for path in (work / "sweep").rglob("last.pt"))
    assert len(runs) == 2
    assert "loss=clip" in runs[0]
    assert "loss=siglip" in runs[1]


def test_a_broken_picture_is_left_out_by_name_before_training(work: Path) -> None:
    rows = (work / "data/train.csv").read_text().splitlines()
    picture = work / "data" / rows[1].split(",")[0]
    whole = picture.read_bytes()
    picture.write_bytes(whole[:40])
    try:
        done = run("train", work / "data", work / "run2", "--recipe", "tiny", *SMALL)
    finally:
        picture.write_bytes(whole)
    assert f"left out: {picture}: cannot be read as an image" in done.output
    assert (work / "run2/last.pt").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(name: str) -> None:
    done = run(name, "--help")
    assert done.exit_code == 0
    assert f"mrclip-train {name}" in done.output.split("Example")[1]


def test_the_list_of_commands_imports_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands.importlib, "import_module", lambda name: pytest.fail(f"imported {name}"))
    done = run("--help")
    assert all(name in done.output for name in COMMANDS)


@pytest.mark.parametrize("arguments", [("train", "--help"), ("train", ".", "run")])
def test_without_its_extra_a_command_says_what_to_install(
    arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "training.train.command", raising=False)
    monkeypatch.setitem(sys.modules, "hydra", None)
    monkeypatch.setattr("sys.argv", ["mrclip-train", *arguments])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "mrclip-train: hydra is not installed; pip install 'mrclip[training]'\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", ".", "run", "--recipe", "nothing"), "there is no recipe 'nothing'"),
        (("train", ".", "run", "optimiser.stepz=3"), "optimiser.stepz"),
        (("train", ".", "run", "loss.name=best"), "loss.name is 'best'"),
        (("train", ".", "run"), r"train.csv: cannot be read as CSV"),
    ],
)
def test_what_is_refused_is_one_line_and_status_2(
    arguments: Sequence[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["mrclip-train", *arguments])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
