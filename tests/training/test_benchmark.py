"""The figures of a benchmark, each against one that a person can check, and the whole on series of known truth."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tiny_bundle
from dicom_factory import write_series
from inference.bundle import open_bundle
from inference.model import load_model
from inference.read import Reader
from training.benchmark.command import command
from training.benchmark.header_only import compare
from training.benchmark.observe import observe
from training.benchmark.shares import auroc, auroc_interval, share
from training.benchmark.truth import read_truth
from training.errors import RefusedError
from training.simulate.command import command as simulation


def test_exact_interval_of_nothing_in_ten_ends_at_thirty_one_percent() -> None:
    low, high = share([False] * 10).interval
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025 ** (1 / 10))  # Clopper and Pearson: (1 - p)^10 = 0.025


def test_exact_interval_of_half() -> None:
    assert share([True] * 5 + [False] * 5).interval == pytest.approx((0.1871, 0.8129), abs=1e-4)


def test_auroc_counts_pairs_and_ties_half() -> None:
    assert auroc([0.1, 0.4], [0.4, 0.9]) == (1 + 1 + 0.5 + 1) / 4
    assert auroc([1.0], [0.0]) == 0.0


def test_scores_of_one_series_are_drawn_together() -> None:
    scores = np.random.default_rng(0).normal(size=40).tolist()
    names = [f"{index}" for index in range(40)]
    # the same scores before and after: whichever series are drawn, nothing separates the two
    assert auroc_interval(scores, scores, of=(names, names)) == (0.5, 0.5)
    # nine scores of each series tell hardly more than one of each
    once = auroc_interval(scores[:20], scores[20:], of=(names[:20], names[20:]))
    repeated = auroc_interval(scores[:20] * 9, scores[20:] * 9, of=(names[:20] * 9, names[20:] * 9))
    assert repeated == once


def test_an_area_without_one_kind_of_score_has_no_interval() -> None:
    assert all(math.isnan(bound) for bound in auroc_interval([], [0.5], of=([], ["1"])))


def test_phantoms_and_unsure_rows_are_not_counted(tmp_path: Path) -> None:
    rows = [("1", "T2", "human brain", "yes"), ("2", "T2", "phantom", "yes"), ("3", "PD", "shoulder", "no")]
    with (tmp_path / "files.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["SOPInstanceUID", "label_class", "object", "sure", "series_id"])
        writer.writerows([uid, label, thing, sure, uid] for uid, label, thing, sure in rows)
    truths = read_truth(tmp_path)
    found = [truths.of(uid, "") for uid in ("1", "2", "3")]
    assert [one is not None and one.counted for one in found] == [True, False, False]
    assert [one is not None and one.readable for one in found] == [True, False, True]


def test_folder_without_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"neither files\.csv nor truth\.csv"):
        read_truth(tmp_path)


TRUTH = "series,SeriesInstanceUID,contrast,post_contrast,fat_suppressed,region"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "truth.csv",
            TRUTH.replace("contrast,post", "weighting,post") + "\n1,1.2,T1,no,no,head\n",
            "column contrast is",
        ),
        ("truth.csv", TRUTH + "\n1,1.2,T1,no,no\n", "line 2: has no value for column region"),
        ("truth.csv", TRUTH + "\n", "names no series"),
        ("truth.csv", "\xff", "cannot be read as CSV"),
        ("files.csv", "SOPInstanceUID,series_id,label_class,object\n1.2,1,T1,human brain\n", "column sure is missing"),
    ],
)
def test_a_table_that_does_not_say_enough_is_refused_by_name(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(RefusedError, match=rf"{name}.*{words}"):
        read_truth(tmp_path)


def test_what_simulate_writes_can_be_benchmarked(tmp_path: Path) -> None:
    bundle, data, out = tiny_bundle.write(tmp_path / "tiny").folder, tmp_path / "simulated", tmp_path / "out"
    small = ["--drawn", "--studies", "1", "--series", "2", "--slices", "2", "--head-share", "1", "--seed", "3"]
    done = CliRunner().invoke(simulation, [str(data), *small], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    with (data / "truth.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    rows[1] |= {"corruption": "te-by-five", "grade": "clear"}
    with (data / "truth.csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    truths = read_truth(data).by_series.values()
    assert [one.fat_suppressed for one in truths] == [row["fat_suppressed"] == "yes" for row in rows]
    arguments = [str(data), "--bundle", str(bundle), "--out", str(out)]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads((out / "benchmark.json").read_text())["data"]["simulated"]
    assert found["contrast"]["series"] == sum(row["contrast"] != "" for row in rows) > 0
    assert " of 1 " in found["flagged"], "the other one's header is wrong"


def test_a_folder_of_other_series_than_its_table_names_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle.write(tmp_path / "tiny").folder
    (tmp_path / "data").mkdir()
    (tmp_path / "data/truth.csv").write_text(TRUTH + "\n1,1.2,T1,no,no,head\n")
    with pytest.raises(RefusedError, match="holds no series that its table names"):
        CliRunner().invoke(
            command, [str(tmp_path / "data"), "--bundle", str(bundle), "--out", str(tmp_path)], catch_exceptions=False
        )


@pytest.mark.parametrize(
    ("option", "value"), [("--alarm-rate", "5"), ("--alarm-rate", "-1"), ("--alarm-rate", "nan"), ("--corrupt", "-1")]
)
def test_a_setting_that_cannot_be_is_refused_by_name(tmp_path: Path, option: str, value: str) -> None:
    done = CliRunner().invoke(command, [str(tmp_path), option, value])
    assert (done.exit_code, f"'{option}'" in done.output) == (2, True)


def _phantoms(folder: Path, *, truths: dict[int, str]) -> Path:
    """Series of T1, T2 and FLAIR phantoms with right headers; `truths` replaces what the table calls them."""
    rows = []
    for number, contrast in enumerate(("T1", "T2", "FLUID_ATTENUATED") * 2):
        datasets = tiny_bundle.dicom(tiny_bundle.protocol(contrast), slices=3, seed=number)
        write_series(datasets, folder / str(number))
        truth = truths.get(number, contrast)
        rows.append([number, datasets[0].SeriesInstanceUID, truth, "False", "False", "head", "test"])
    with (folder / "truth.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["series", "SeriesInstanceUID", "contrast", "post_contrast", "fat_suppressed", "region", "protocol"]
        )
        writer.writerows(rows)
    return folder


def test_phantoms_of_the_signal_equation_are_read_and_reported(tmp_path: Path) -> None:
    bundle = tiny_bundle.write(tmp_path / "tiny").folder
    data, out = _phantoms(tmp_path / "phantoms", truths={1: "T1"}), tmp_path / "out"  # one is called what it is not
    done = CliRunner().invoke(
        command, [str(data), "--bundle", str(bundle), "--out", str(out), "--corrupt", "6", "--alarm-rate", "0.05"]
    )
    assert done.exit_code == 0, done.output
    found = json.loads((out / "benchmark.json").read_text())["data"]["phantoms"]
    assert found["contrast"]["series"] == 6
    assert (found["contrast"]["right"]["count"], found["contrast"]["right"]["total"]) == (5, 6)
    assert found["abstention_curve"][0] == {"probability": 0.0, "stacks": 6, "answered": 6, "right": 5}
    assert found["estimates"]["EchoTime"]["stacks"] == 6
    assert found["estimates"]["EchoTime"]["median_factor"] < 1.5
    assert found["corruptions"]["te-in-seconds"]["auroc"] == 1.0
    assert found["corruptions"]["swap-header"]["auroc"] > 0.8
    assert "1: T1 read as T2" in (out / "benchmark.md").read_text()
    assert {path.name for path in out.glob("*.svg")} == {
        f"phantoms-{kind}.svg" for kind in ("confusion", "abstention", "corruptions")
    }


def test_what_another_program_says_of_the_same_series_is_counted_by_its_words(tmp_path: Path) -> None:
    bundle = tiny_bundle.write(tmp_path / "tiny").folder
    data = _phantoms(tmp_path / "phantoms", truths={})
    observed = observe(data, read_truth(data), Reader(model=load_model(open_bundle(bundle))))
    with (data / "truth.csv").open(newline="") as table:
        uids = [row["SeriesInstanceUID"] for row in csv.DictReader(table)]
    said = dict(zip(uids, (["t1w"], ["flair"], ["unknown"], ["t1w", "t2w"], [], ["flair"]), strict=True))
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(said)}'\n")
    program.chmod(0o755)
    found = compare(program, [data], observed.stacks)
    assert found["right"].startswith("3 of 4")  # T1, T1 and T2 where T1 is right, FLAIR; not FLAIR for T2
    assert found["unanswered"].startswith("2 of 6")
