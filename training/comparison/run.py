"""Train every candidate with every seed, measure all in the same way, and write the table."""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import torch

from training.comparison.table import Candidate, Outcome
from training.data.labels import PAPER, label_map
from training.data.rows import SliceRow, read_rows, write_rows
from training.evaluate.report import Options, Rows, measure
from training.files import write_json
from training.preprocess.run import preprocess
from training.recipe import Recipe, load_recipe
from training.rehearsal.study import write_study
from training.train.checkpoint import load_trained
from training.train.command import train_on
from training.train.loop import LAST

log = logging.getLogger(__name__)

_CPU: Final = torch.device("cpu")
_PEOPLE: Final = 48
_STUDY_SEED: Final = 0
_TEXT: Final = ("model=tiny_text",)

CANDIDATES: Final = (
    Candidate(
        name="published: multi-positive, published labels, text",
        overrides=(*_TEXT, "model.metadata.template=paper", "data.dropout.field=0", "data.dropout.only_contrast=0"),
        published_labels=True,
    ),
    Candidate(name="multi-positive, text", overrides=_TEXT),
    Candidate(name="multi-positive, fields"),
    Candidate(name="CLIP, text", overrides=(*_TEXT, "loss=clip")),
    Candidate(name="CLIP, fields", overrides=("loss=clip",)),
    Candidate(name="DHN-NCE, fields", overrides=("loss=dhn_nce",)),
    Candidate(name="SigLIP, fields", overrides=("loss=siglip",)),
    Candidate(name="soft targets (continuous), fields", overrides=("loss=soft_targets",)),
    Candidate(name="Rank-N-Contrast (continuous), fields", overrides=("loss=rank_n_contrast",)),
)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The same for every run."""

    steps: int = 250
    seeds: Sequence[int] = (0, 1, 2)


def compare(out: Path, budget: Budget = Budget()) -> list[Outcome]:
    """One outcome for every candidate and seed; those that are below `out` already are not made again."""
    data, published = _data(out)
    outcomes: list[Outcome] = []
    for seed in budget.seeds:
        for number, candidate in enumerate(CANDIDATES):
            run = out / "runs" / f"{number}-{seed}"
            source = published if candidate.published_labels else data
            outcomes.append(_outcome(candidate, seed, source, data, run, budget))
            log.info("%s, seed %d: R@1 %.3f", candidate.name, seed, outcomes[-1].recall_at_1)
    return outcomes


def _data(out: Path) -> tuple[Path, Path]:
    """The slices, once with our labels and once with those that were published."""
    data, published = out / "data", out / "published"
    if not (data / "test.csv").exists():
        for person in range(_PEOPLE):
            write_study(out / "dicom", person, seed=_STUDY_SEED)
        preprocess(out / "dicom", data, load_recipe("tiny").preprocess)
    for part in ("train", "val"):
        rows = read_rows(data / f"{part}.csv")
        numbers = label_map((row.caption for row in rows), PAPER)
        write_rows(published / f"{part}.csv", [_relabelled(row, numbers.number(row.caption), data) for row in rows])
    return data, published


def _relabelled(row: SliceRow, label: int, data: Path) -> SliceRow:
    return replace(row, label=label, filepath=str((data / row.filepath).resolve()))


def _outcome(candidate: Candidate, seed: int, source: Path, data: Path, run: Path, budget: Budget) -> Outcome:
    result = run / "outcome.json"
    if result.exists():
        return Outcome(**json.loads(result.read_text()))
    recipe = _recipe(candidate, seed, budget)
    since = time.process_time()
    train_on(recipe, source, run)
    cpu_s = time.process_time() - since
    trained = load_trained(run / LAST, _CPU)
    test, train = (Rows(rows=read_rows(data / f"{part}.csv"), folder=data) for part in ("test", "train"))
    report, _ = measure(trained, test, train, _CPU, Options(distance=True))
    found, probe = report.without_description, report.probes["contrast"]
    if probe is None or found.parameters is None or found.parameters["EchoTime_ms"].median_absolute is None:
        raise ValueError("the comparison's data name several contrasts and echo times")
    outcome = Outcome(
        name=candidate.name,
        seed=seed,
        recall_at_1=found.image_to_caption.recall[1],
        chance_at_1=found.image_to_caption.chance[1],
        volume_recall_at_1=found.volume_mean.recall[1],
        reverse_recall_at_1=found.caption_to_image.recall[1],
        echo_error_ms=found.parameters["EchoTime_ms"].median_absolute,
        probe_balanced=probe.linear_balanced,
        cpu_s=round(cpu_s, 1),
    )
    write_json(result, asdict(outcome))
    return outcome


def _recipe(candidate: Candidate, seed: int, budget: Budget) -> Recipe:
    settings = (f"seed={seed}", f"optimiser.steps={budget.steps}", f"run.save_every={budget.steps}", "run.trackers=[]")
    return load_recipe("tiny", [*candidate.overrides, *settings])
