"""`mrclip-train simulate` and the demo study: what they write is what their tables say."""

import csv
import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from inference.claims import claim
from inference.read import Reader, read_paths
from inference.sources import Instance, find, group, load
from inference.stacks import split
from training.errors import RefusedError
from training.simulate import demo
from training.simulate.command import command
from training.simulate.people.head import mni152_head
from training.simulate.physics.tissues import Tissue

SMALL = ["--drawn", "--studies", "1", "--series", "2", "--slices", "2", "--head-share", "1", "--seed", "3"]


def simulated(out: Path, *options: str) -> list[dict[str, str]]:
    result = CliRunner().invoke(command, [str(out), *SMALL, *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    with (out / "truth.csv").open(newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_table_names_every_series_and_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    rows = simulated(tmp_path / "one")
    assert len(rows) == 2
    assert {row["corruption"] for row in rows} == {""}
    reading = read_paths([tmp_path / "one"], Reader(model=None))
    assert {series.series_instance_uid for series in reading.series} == {row["SeriesInstanceUID"] for row in rows}
    assert not any(series.flagged for series in reading.series)
    simulated(tmp_path / "two")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_a_corruption_is_done_and_named(tmp_path: Path) -> None:
    rows = simulated(tmp_path, "--corruption", "tr-in-microseconds", "--enhanced-share", "1")
    assert {(row["corruption"], row["grade"]) for row in rows} == {("tr-in-microseconds", "gross")}
    assert all(series.flagged for series in read_paths([tmp_path], Reader(model=None)).series)


def test_an_unknown_corruption_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="te-in-seconds"):
        CliRunner().invoke(command, [str(tmp_path), "--corruption", "nonsense"], catch_exceptions=False)


def test_a_used_folder_is_refused_because_its_table_would_lose_series(tmp_path: Path) -> None:
    simulated(tmp_path)
    before = digests(tmp_path)
    with pytest.raises(RefusedError, match=r"is not empty; its truth\.csv is to name every series"):
        simulated(tmp_path, "--seed", "4")
    assert digests(tmp_path) == before


def test_a_seed_below_nothing_is_refused_by_name(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [str(tmp_path), "--seed", "-1"])
    assert (done.exit_code, "'--seed'" in done.output) == (2, True)


def test_without_label_maps_a_head_grows_round_mni152() -> None:
    head = mni152_head(np.random.default_rng(0))
    litres = {kind: float((head.tissue == int(kind)).sum()) * np.prod(head.spacing_mm) / 1e6 for kind in Tissue}
    assert head.region == "head"
    assert 0.3 < litres[Tissue.WHITE_MATTER] < 1.0  # of an adult: about half a litre each (Luders 2002)
    assert 0.4 < litres[Tissue.GREY_MATTER] < 1.2
    assert litres[Tissue.SKIN] > 0.05


def test_the_demo_study_lies_where_it_says_and_is_compressed(tmp_path: Path) -> None:
    demo.write(demo.study(None, 1, slices=2), tmp_path / "study.zip")
    with zipfile.ZipFile(tmp_path / "study.zip") as archive:
        assert len({name.split("/")[0] for name in archive.namelist()}) == len(demo.PARTS)
    loaded = [one for one in map(load, find([tmp_path / "study.zip"])) if isinstance(one, Instance)]
    series, _ = group(loaded)
    headers = {one[0].headers[0].series_description: one[0].headers[0] for one in series.values()}
    assert len(series) == len(demo.PARTS)
    seconds = next(header for header in headers.values() if header.series_description == "t2_tse_cor")
    assert seconds.echo_time_ms is not None
    assert seconds.echo_time_ms < 1
    liar = next(header for header in headers.values() if header.series_description == "t1_se_tra")
    assert claim(liar).label == "T1"  # the pixels are a FLAIR's


def test_the_shipped_demo_study_is_that_of_its_generator() -> None:
    path = Path(__file__).parents[2] / "dicom_node" / "demo_study" / "study.zip"
    assert path.stat().st_size < 5_000_000
    loaded = [one for one in map(load, find([path])) if isinstance(one, Instance)]
    series, _ = group(loaded)
    described = [members[0].headers[0].series_description for members in series.values()]
    expected = [part.description for part in demo.PARTS[:-1]] + ["t1_se_tra"]
    assert sorted(map(str, described)) == sorted(expected)
    assert all(len(split([h for one in members for h in one.headers])) == 1 for members in series.values())
