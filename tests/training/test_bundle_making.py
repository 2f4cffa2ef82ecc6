"""The default bundle's own steps: what an image is trained to show, strange images, the threshold, and the whole."""

import csv
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom import dcmread

import tiny_bundle
from dicom_factory import write_series
from inference.captions import Caption
from inference.model import load_model
from inference.read import Reader, read_paths
from training import bundle, bundle_judges, bundle_run, bundle_train, left_out, real_series, simulated_cache
from training.benchmark.truth import read_truth
from training.bundle import base, captions, fold, images
from training.bundle_data import STRANGE, Classes, Sample, classes_of, shown, strange_share
from training.bundle_finish import finish
from training.bundle_run import FOLDS, Run, dealt
from training.bundle_train import SIZES_PX, _shrunk, _size, image_loss, positives
from training.data.augment import AugmentSpec
from training.recipe import load_recipe
from training.simulate.stream import LabelRow, SimulatedBatch
from training.strange import drawn_images, strange_images

CONTRASTS = ("T1", "T2", "PROTON_DENSITY", "FLUID_ATTENUATED", "DIFFUSION")


def fill(folder: Path, *, series: int, strange: bool = False) -> None:
    """A cache of two slices a series, of phantoms whose contrast follows from the signal equation."""
    folder.mkdir(parents=True)
    pictures, claims, rows = [], [], []
    for number, contrast in enumerate(itertools.islice(itertools.cycle(CONTRASTS), series)):
        said = tiny_bundle.protocol(contrast, seed=number)
        for index in range(2):
            drawn = (tiny_bundle.strange if strange else lambda said=said, **k: tiny_bundle.phantom(said, **k))(
                seed=2 * number + index, size_px=64
            )
            pictures.append(drawn.clip(0, 1000) / 1000)
            claims.append(said)
            label = None if strange else contrast
            rows.append(LabelRow(label, False, bool(said.fat_suppressed), "se", "head", contrast.lower(), number))
    tensor = torch.from_numpy(np.stack(pictures).astype(np.float32))[:, None]
    simulated_cache.write(SimulatedBatch(tensor, claims, rows, []), folder / "step-000001-000000.npz")


def real_folder(folder: Path) -> Path:
    """Eighteen volumes of six groups as PNG, with the columns that real slices have."""
    columns = (
        "file", "volume_id", "repo", "licence", "tier", "label", "post_contrast", "fat_suppressed", "plane", "TE_ms",
        "TR_ms", "TI_ms", "FA_deg", "sure", "group", "leave_out_for_real_mr", "object",
    )  # fmt: skip
    folder.mkdir()
    with (folder / "slices.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for number in range(18):
            label, contrast = (("T1", "T1"), ("T2", "T2"), ("FLAIR", "FLUID_ATTENUATED"))[number % 3]
            drawn = tiny_bundle.phantom(tiny_bundle.protocol(contrast), seed=900 + number, size_px=64)
            Image.fromarray((drawn.clip(0, 1000) // 4).astype(np.uint8)).save(folder / f"{number}.png")
            kept = "yes" if number == 17 else "no"
            writer.writerow(
                [f"{number}.png", f"v{number}", "someone/data", "CC0", "A", label, "no", "no", "tra", "", "", "", "",
                 "yes", f"g{number % 6}", kept, "human brain"]
            )  # fmt: skip
    return folder


def clean_folder(folder: Path) -> None:
    """Twelve clean series as DICOM with their truth."""
    folder.mkdir(parents=True)
    with (folder / "truth.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["series", "SeriesInstanceUID", "contrast", "post_contrast", "fat_suppressed", "region"])
        for number, contrast in enumerate(itertools.islice(itertools.cycle(CONTRASTS), 12)):
            made = tiny_bundle.dicom(tiny_bundle.protocol(contrast, seed=500 + number), slices=3, seed=500 + number)
            write_series(made, folder / f"{number:02d}")
            writer.writerow([f"{number:02d}", made[0].SeriesInstanceUID, contrast, "False", "False", "head"])


def test_what_an_image_shows_leaves_out_what_pixels_cannot_tell() -> None:
    agent = Caption(contrast="T1", post_contrast=True, EchoTime_ms=10.0)
    assert shown(agent) == shown(Caption(contrast="T1", post_contrast=True, EchoTime_ms=99.0))
    assert shown(agent) != shown(Caption(contrast="T1", post_contrast=False))
    assert shown(Caption(contrast="T2", post_contrast=True)) == shown(Caption(contrast="T2"))
    assert shown(Caption(contrast="DIFFUSION", b_value_s_mm2=0.0)) != shown(
        Caption(contrast="DIFFUSION", b_value_s_mm2=1000.0)
    )


def test_image_loss_sums_the_kinds_that_show_the_same_and_real_slices_compete_among_what_is_really_shown() -> None:
    classes = Classes({"a": "T1", "b": "T1", "c": "T2", "d": "DIFFUSION"}, really_shown={"T1", "T2"})
    probabilities = torch.tensor([[0.5, 0.2, 0.2, 0.1], [0.1, 0.1, 0.6, 0.2]])
    sample = Sample(torch.zeros(2, 1, 1, 1), [], torch.tensor([classes.shown.index("T1")] * 2), torch.tensor([0, -1]))
    # the second is real: its kind is unknown, and no real slice shows diffusion
    of_shown = -(np.log(0.7) + np.log(0.2 / 0.8)) / 2
    assert image_loss(probabilities.log(), sample, classes).item() == pytest.approx(of_shown - 0.3 * np.log(0.5) / 2)


def test_positives_are_of_one_kind_or_show_the_same_where_a_kind_is_unknown() -> None:
    found = positives(torch.tensor([0, 0, 0, 1]), torch.tensor([1, 2, -1, 3]))
    assert found.tolist() == [
        [True, False, True, False],
        [False, True, True, False],
        [True, True, True, False],
        [False, False, False, True],
    ]


def test_rows_kept_for_evaluation_are_never_trained_on_and_groups_are_left_out_whole_and_once(tmp_path: Path) -> None:
    run = Run(folder=tmp_path / "run", real=real_folder(tmp_path / "real"), labels=None)
    seen, left_out = run.slices(64)
    assert (len(seen), left_out) == (17, [])
    folds = run.folds(64)
    assert [sorted(one.left_out) for one in folds] == [["g0", "g4"], ["g1", "g5"], ["g2"], ["g3"]]
    for one in folds:
        seen, left_out = one.slices(64)
        assert not {row.group for row in seen} & {row.group for row in left_out}
        assert not any(row.kept_from_training for row in seen)
        assert one.cache == run.cache
    assert sum(len(one.slices(64)[1]) for one in folds) == 18
    assert len(dealt(["a", "b"])) == 2
    assert FOLDS == 4


def test_what_only_one_group_shows_is_left_out_for_folds_but_never_trained_on(tmp_path: Path) -> None:
    folder = real_folder(tmp_path / "real")
    table = (folder / "slices.csv").read_text().splitlines()
    table = [line.replace(",T2,", ",PD,", 1) if line.startswith("1.png") else line for line in table]
    (folder / "slices.csv").write_text("\n".join(table) + "\n")
    run = Run(folder=tmp_path / "run", real=folder, labels=None)
    assert "PROTON_DENSITY" not in {one.caption.contrast for one in run.slices(64)[0]}
    assert "PROTON_DENSITY" in {one.caption.contrast for part in run.folds(64) for one in part.slices(64)[1]}


def test_volumes_of_a_tier_are_written_as_series_that_the_benchmark_reads(tmp_path: Path) -> None:
    folder = real_folder(tmp_path / "real")
    table = (folder / "slices.csv").read_text().splitlines()
    marked = [line.replace(",A,", ",B,", 1) if number in (1, 2) else line for number, line in enumerate(table)]
    (folder / "slices.csv").write_text("\n".join(marked) + "\n")
    real_series.main([str(tmp_path / "series"), "--real", str(folder)])
    named = read_truth(tmp_path / "series").by_instance
    written = {str(dcmread(path).SOPInstanceUID) for path in (tmp_path / "series").glob("*/*.dcm")}
    assert set(named) == written
    assert sorted(truth.label for truth in named.values()) == ["T1", "T2"]


def test_strange_images_claim_nothing_and_scrambling_keeps_every_grey_value(tmp_path: Path) -> None:
    fill(tmp_path / "people", series=5)
    fill(tmp_path / "objects", series=5, strange=True)
    people, objects = simulated_cache.read(tmp_path / "people"), simulated_cache.read(tmp_path / "objects")
    share = strange_share(strange_images(objects, people), 4, size_px=64, spec=AugmentSpec())
    assert {caption.contrast for caption in share.captions} == {None}
    assert classes_of(people).kinds.count(STRANGE) == 1
    sorted_people = {tuple(np.sort(image.ravel())) for image in people.images}
    scrambled = share.images[len(objects.images) :][: len(people.images)]
    assert {tuple(np.sort(image.ravel())) for image in scrambled} == sorted_people
    assert not any(np.array_equal(image, other) for image in scrambled for other in people.images)


def test_drawn_strange_images_follow_from_the_seed_and_are_no_two_alike() -> None:
    first, again = (drawn_images(25, 64, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first, again)
    assert len({image.tobytes() for image in first}) == 25
    assert first.std(axis=(1, 2)).min() > 5  # none is empty


def test_images_are_shrunk_without_aliases_and_never_made_larger() -> None:
    stripes = torch.arange(64).remainder(2).float().expand(1, 1, 64, 64)
    assert _shrunk(stripes, 64) is stripes
    assert _shrunk(stripes, 96) is stripes
    small = _shrunk(stripes, 32)
    assert small.shape == (1, 1, 32, 32)
    assert torch.allclose(small[..., 4:-4], torch.full((1, 1, 32, 24), 0.5), atol=0.02)


def test_the_size_of_a_step_follows_from_the_seed_and_every_size_is_drawn() -> None:
    sizes = [_size(0, step) for step in range(100)]
    assert sizes == [_size(0, step) for step in range(100)]
    assert set(sizes) == set(SIZES_PX)


def test_the_least_probability_is_enough_for_real_and_for_simulated_series() -> None:
    table = {
        "real": {
            f"{least:.2f}": {"answered": 10, "right": 7 if least < 0.6 else 10} for least in bundle_judges.THRESHOLDS
        },
        "simulated": {f"{least:.2f}": {"answered": 1000, "right": 900} for least in bundle_judges.THRESHOLDS},
    }
    assert bundle_judges.least_probability(table) == 0.6
    sure = {name: {least: {"answered": 10, "right": 10} for least in rows} for name, rows in table.items()}
    assert bundle_judges.least_probability(sure) == bundle_judges.LEAST_PROBABLE


def test_the_gate_turns_away_by_distance_what_lies_beyond_left_out_series_and_most_strange_images() -> None:
    near, far = np.linspace(0.0, 0.2, 101).tolist(), np.linspace(0.0, 0.3, 101).tolist()
    assert bundle_judges.farthest([near, far], [0.1, 0.2, 0.9]) == pytest.approx(0.297)
    assert bundle_judges.farthest([near], [0.1, 0.2, 0.9]) == pytest.approx(0.2)
    assert bundle_judges.farthest([near, far], [0.1, 0.4, 0.9]) == pytest.approx(0.4)


def test_a_bundle_is_made_of_caches_real_slices_and_clean_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_train, "CAPTION_STEPS", 40)
    monkeypatch.setattr(bundle, "EMBEDDED_STEPS", 6)
    monkeypatch.setattr(bundle_run, "FOLDS", 2)
    run = Run(folder=tmp_path / "run", real=real_folder(tmp_path / "real"), labels=None)
    fill(run.cache, series=40)
    fill(run.objects, series=10, strange=True)
    clean_folder(run.clean)
    recipe = load_recipe(
        "bundle",
        ["model.image.name=mobilenetv4_conv_small", "model.image.size_px=64", "model.image.start=random",
         "model.image.frozen_blocks=0", "data.batch_size=24", "optimiser.steps=4", "optimiser.warmup_steps=1"],
    )  # fmt: skip
    torch.manual_seed(0)
    base(run, recipe)
    images(run, recipe)
    captions(run, recipe)
    for part in run.folds(64):
        fold(part, recipe)
    made = finish(run, recipe, tmp_path / "out", tempered_on=6)
    card = (made.folder / "MODEL_CARD.md").read_text()
    assert "https://github.com/someone/data" in card
    assert "17 real slices of 6 groups" in card
    calibration = load_model(made).calibration
    assert calibration is not None
    assert calibration.provenance.kind == "mixed"
    # half of the simulated series, and 17 volumes under eight headers each
    assert len(calibration.surprises_nats) == 6 + 8 * 17
    simulated, real = calibration.populations
    assert (len(simulated["contrast"]["all"].nats), len(real["contrast"]["all"].nats)) == (6, 8 * 17)
    reading = read_paths([run.clean / "00"], Reader(model=load_model(made)))
    assert reading.model is not None
    assert reading.series[0].stacks[0].status in ("read", "abstained")
    left_out.main([str(run.folder), "--real", str(run.real), "--out", str(tmp_path / "left-out")])
    found = json.loads((tmp_path / "left-out" / "left-out.json").read_text())
    assert found["data"][left_out.OWN]["contrast"]["series"] == 17
    assert found["data"][left_out.KEPT]["contrast"]["series"] == 1
    assert re.fullmatch(rf"\d+ of {8 * 17} \(.* %; \d+ of 17 volumes\)", found["flagged_under_drawn_headers"])
    # T1, T2 and FLAIR: each of 18 volumes with the header of two other classes
    assert found["swaps"]["kinds"]["swap-header"]["series"] == 36
    assert found["swaps"]["near"]["T1 and T2"]["series"] == 12
    # all of these have times of their own; T1 with and without an agent would not
    (one,) = reading.series
    agent = left_out.Swapped(
        corruption="swap-parameters", series="1", classes=("T1C", "T1"), description="T1", before=one, after=one
    )
    assert agent.is_read == (one.stacks[0].status == "read")
    assert not agent.times_differ
    assert not agent.says_another
    assert replace(agent, description="T1 post KM").says_another
    assert replace(agent, classes=("T2", "T1")).says_another
    assert not replace(agent, classes=("T2", "T1"), description="WIP").says_another
    said = found["swaps"]["kinds"]["swap-description, where it says another"]
    assert 0 < said["series"] <= found["swaps"]["kinds"]["swap-description"]["series"]
    parameters = found["swaps"]["kinds"]["swap-parameters"]
    differ = found["swaps"]["kinds"]["swap-parameters, where times differ"]
    assert (differ["series"], differ["auroc"]) == (parameters["series"], parameters["auroc"])
    assert parameters["read"] <= parameters["series"]
    assert (
        f"| swap-header | 36 | {found['swaps']['kinds']['swap-header']['auroc']:.3f} ("
        in (tmp_path / "left-out" / "left-out.md").read_text()
    )
