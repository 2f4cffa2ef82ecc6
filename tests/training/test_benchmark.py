"""The figures of a benchmark, each against one that a person can check, and the whole on series of known truth."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import tiny_bundle
from dicom_factory import write_series
from training.benchmark import command
from training.benchmark_figures import auroc, share
from training.benchmark_truth import read_truth
from training.errors import RefusedError


def test_exact_interval_of_nothing_in_ten_ends_at_thirty_one_percent() -> None:
    low, high = share([False] * 10).interval
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025 ** (1 / 10))  # Clopper and Pearson: (1 - p)^10 = 0.025


def test_exact_interval_of_half() -> None:
    assert share([True] * 5 + [False] * 5).interval == pytest.approx((0.1871, 0.8129), abs=1e-4)


def test_auroc_counts_pairs_and_ties_half() -> None:
    assert auroc([0.1, 0.4], [0.4, 0.9]) == (1 + 1 + 0.5 + 1) / 4
    assert auroc([1.0], [0.0]) == 0.0


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


def test_phantoms_of_the_signal_equation_are_read_and_reported(tmp_path: Path) -> None:
    bundle = tiny_bundle.write(tmp_path / "tiny").folder
    data = tmp_path / "phantoms"
    rows = []
    for number, contrast in enumerate(("T1", "T2", "T2")):
        datasets = tiny_bundle.dicom(tiny_bundle.protocol(contrast), slices=3, seed=number)
        write_series(datasets, data / str(number))
        truth = "T1" if number == 2 else contrast  # the last one is called what it is not
        rows.append([number, datasets[0].SeriesInstanceUID, truth, "False", "False", "head", "test"])
    with (data / "truth.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["series", "SeriesInstanceUID", "contrast", "post_contrast", "fat_suppressed", "region", "protocol"]
        )
        writer.writerows(rows)
    done = CliRunner().invoke(command, [str(data), "--bundle", str(bundle), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out" / "benchmark.json").read_text())["data"]["phantoms"]["contrast"]
    assert found["series"] == 3
    assert (found["right"]["count"], found["right"]["total"]) == (2, 3)
    assert "2: T1 read as T2" in (tmp_path / "out" / "benchmark.md").read_text()
