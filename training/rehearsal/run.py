"""`python -m training.rehearsal OUT`: every step from DICOM to a reading, on phantoms, in minutes, with its figures."""

import json
import logging
import random
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from training.data.rows import SliceRow, read_rows, write_rows
from training.errors import RefusedError
from training.evaluate.report import Rows, measure
from training.export.about import About
from training.export.bundle import export
from training.files import write_json
from training.preprocess.run import preprocess
from training.recipe import Recipe, load_recipe
from training.rehearsal.study import Series, write_study
from training.train.checkpoint import Trained, load_trained
from training.train.command import train_on
from training.train.loop import LAST

log = logging.getLogger(__name__)

_CPU: Final = torch.device("cpu")
_HELD_OUT_SEED: Final = 1000  # people that preprocessing never saw


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How large a rehearsal is."""

    people: int = 40
    held_out: int = 8
    overrides: tuple[str, ...] = ()
    control_overrides: tuple[str, ...] = ()  # of the run on shuffled captions


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What came of it."""

    recall_at_1: float  # image to caption on patients that were not trained on, without the description
    chance_at_1: float
    control_recall_at_1: float  # after training on shuffled captions
    control_chance_at_1: float
    read_right: float  # share of held-out series that `mrclip read` labels with the contrast they were drawn with
    read_series: int
    seconds: dict[str, float]


def rehearse(out: Path, plan: Plan = Plan(), *, seed: int = 0) -> Figures:
    """Generate, preprocess, train, test, export, read, and train once more on shuffled captions."""
    clock = _Clock()
    for person in range(plan.people):
        write_study(out / "dicom", person, seed=seed)
    held_out = [one for person in range(plan.held_out) for one in write_study(out / "new", person, seed=_HELD_OUT_SEED)]
    clock.lap("generate")

    recipe = load_recipe("tiny", [f"seed={seed}", *plan.overrides])
    preprocess(out / "dicom", out / "data", recipe.preprocess, seed=seed)
    clock.lap("preprocess")

    trained = _train(recipe, out / "data", out / "run")
    clock.lap("train")
    recall, chance = _recall(trained, out / "data")
    clock.lap("test")

    images = _images(out / "data", recipe)
    captions = [row.caption for row in read_rows(out / "data" / "train.csv")]
    about = About(
        name="rehearsal", version="0", created="2026-01-01T00:00:00Z", licence="Apache-2.0",
        training_data="Ellipse phantoms.", slices=8,
    )  # fmt: skip
    export(trained, out / "bundle", about, captions=captions, images=images)
    clock.lap("export")
    right = _read(out / "new", out / "bundle", held_out)
    clock.lap("read")

    _shuffle(out / "data", out / "shuffled", seed)
    control_recipe = load_recipe("tiny", [f"seed={seed}", *plan.overrides, *plan.control_overrides])
    control = _train(control_recipe, out / "shuffled", out / "control")
    control_recall, control_chance = _recall(control, out / "data")
    clock.lap("control")
    figures = Figures(
        recall_at_1=recall, chance_at_1=chance, control_recall_at_1=control_recall, control_chance_at_1=control_chance,
        read_right=right, read_series=len(held_out), seconds=clock.laps,
    )  # fmt: skip
    write_json(out / "figures.json", asdict(figures))
    return figures


def _train(recipe: Recipe, data: Path, run: Path) -> Trained:
    train_on(recipe, data, run)
    return load_trained(run / LAST, _CPU)


def _recall(trained: Trained, data: Path) -> tuple[float, float]:
    report, _ = measure(trained, Rows(rows=read_rows(data / "test.csv"), folder=data), None, _CPU)
    found = report.without_description.image_to_caption
    return found.recall[1], found.chance[1]


def _images(data: Path, recipe: Recipe) -> Any:
    import numpy as np

    from inference.pixels import standardise
    from training.data.batches import read_slice

    rows = read_rows(data / "val.csv")[:32]
    slices = [read_slice(data / row.filepath, recipe.model.image.size_px) for row in rows]
    return standardise(np.stack(slices), recipe.pixels)


def _read(study: Path, bundle: Path, truth: list[Series]) -> float:
    """The share of series whose label is right, by the command line that a user has."""
    program = shutil.which("mrclip", path=str(Path(sys.executable).parent)) or shutil.which("mrclip")
    if program is None:
        raise RefusedError("the command mrclip is not installed; pip install mrclip[cpu,training]")
    done = subprocess.run(  # noqa: S603 - our own program on our own files
        [program, "read", str(study), "--json", "--bundle", str(bundle)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RefusedError(f"mrclip read ended with {done.returncode}: {done.stderr[-500:]}")
    said = {series["series_instance_uid"]: series["contrast"] for series in json.loads(done.stdout)["series"]}
    return sum(said.get(series.series_instance_uid) == series.contrast for series in truth) / len(truth)


def _shuffle(data: Path, out: Path, seed: int) -> None:
    """The training rows with captions and labels dealt anew: the images say nothing about them any more."""
    for part in ("train", "val"):
        rows = read_rows(data / f"{part}.csv")
        dealt = list(rows)
        random.Random(seed).shuffle(dealt)  # noqa: S311 - no secret
        write_rows(
            out / f"{part}.csv", [_with_caption_of(row, other, data) for row, other in zip(rows, dealt, strict=True)]
        )


def _with_caption_of(row: SliceRow, other: SliceRow, data: Path) -> SliceRow:
    picture = str((data / row.filepath).resolve())
    return replace(row, filepath=picture, text=other.text, label=other.label, caption=other.caption)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._since = round(now - self._since, 1), now
        log.info("%s: %.1f s", name, self.laps[name])
