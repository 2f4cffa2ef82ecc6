"""The default bundle by one command: simulate, train, measure on what training never saw, export.

    python -m training.bundle OUT --real REAL --labels LABELS

Without REAL it learns from simulation alone, without LABELS the heads are MNI152; the model card says so. The stages
keep what they make in the run folder (`runs/bundle`); `--stages` does some of them again.
"""

import argparse
import csv
import json
import logging
import math
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
import torch

from inference.bundle import Bundle
from inference.fields import field_table as stored_table
from training import bundle_finish as last
from training import clean_series, simulated_cache
from training.bundle_card import about
from training.bundle_data import (
    Classes,
    MixedSamples,
    RealSlice,
    classes_of,
    read_real,
    real_share,
    simulated_share,
    strange_images,
    strange_share,
)
from training.bundle_train import embed, train_captions, train_images
from training.export.bundle import export
from training.files import write_json
from training.models.build import Built, build
from training.models.inputs import field_table
from training.recipe import Recipe, load_recipe
from training.train.checkpoint import Trained

log = logging.getLogger(__name__)

RECIPE: Final = "bundle"
REAL_SHARE: Final = 1 / 4  # of a batch
STRANGE_SHARE: Final = 1 / 12  # of a batch, beside it
OBJECT_MINUTES: Final = 1 / 12  # of the time that is spent on simulation
HELD_OUT_EVERY: Final = 5  # about one group of real slices in so many is kept from training
EMBEDDED_STEPS: Final = 60  # batches whose embeddings the metadata tower learns from
TEMPERED_ON: Final = 220  # clean series; the others of the folder calibrate the alarms
CALIBRATION_HEADS, TEST_HEADS = ("head_17", "head_18"), ("head_19", "head_20")
STAGES: Final = ("simulate", "images", "captions", "finish")


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Where a run keeps what it makes, and what it is made from."""

    folder: Path
    real: Path | None
    labels: Path | None

    @property
    def cache(self) -> Path:
        """Simulated slices to train on."""
        return self.folder / "cache" / "train"

    @property
    def objects(self) -> Path:
        """Simulated slices of test objects."""
        return self.folder / "cache" / "objects"

    @property
    def clean(self) -> Path:
        """Clean simulated series of held-out anatomy, to calibrate on; `test` beside it is for the benchmark."""
        return self.folder / "clean" / "calibration"

    @property
    def image_tower(self) -> Path:
        """The trained image tower."""
        return self.folder / "image_tower.pt"

    @property
    def towers(self) -> Path:
        """Both trained towers."""
        return self.folder / "towers.pt"


def held_out_groups(slices: Sequence[RealSlice]) -> frozenset[str]:
    """The groups (patients) that are kept from training: every fifth by name."""
    return frozenset(sorted({one.group for one in slices})[2::HELD_OUT_EVERY])


def simulate(run: Run, *, minutes: float, series: int) -> None:
    """Fill the caches to train on, a process a core, and write clean series of anatomy that training never sees."""
    cores = os.cpu_count() or 1
    caches = [(run.cache, number, minutes * (1 - OBJECT_MINUTES), ()) for number in range(1, cores + 1)]
    caches += [(run.objects, number, minutes * OBJECT_MINUTES, ("--objects",)) for number in range(1, cores + 1)]
    labels = () if run.labels is None else ("--labels", str(run.labels))
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        filled = [
            pool.submit(
                simulated_cache.main, [str(folder), "--seed", str(seed), "--minutes", str(spent), *more, *labels]
            )
            for folder, seed, spent, more in caches
        ]
        for one in filled:
            one.result()
    for name, seed, heads in (("calibration", 2001, CALIBRATION_HEADS), ("test", 3001, TEST_HEADS)):
        source = clean_series.CleanSeries(seed=seed, heads=clean_series.heads(run.labels, heads))
        clean_series.write(source, run.clean.with_name(name), count=series)


@dataclass(frozen=True, kw_only=True)
class Start:
    """What both stages of training begin with."""

    built: Built
    samples: MixedSamples
    classes: Classes


def start(run: Run, recipe: Recipe, *, strange: bool) -> Start:
    """An untrained model, the cache and the real slices whose group is not held out; `strange` images too or not."""
    seen, held_out = _real(run, recipe)
    cache = simulated_cache.read(run.cache)
    log.info("slices: %d simulated, %d real (%d held out)", len(cache.images), len(seen), len(held_out))
    classes = classes_of(cache)
    of_batch = round(recipe.data.batch_size * REAL_SHARE) if seen else 0
    spec = recipe.data.augment
    shares = [
        simulated_share(cache, recipe.data.batch_size - of_batch, size_px=recipe.model.image.size_px, spec=spec),
        real_share(seen, of_batch, classes, spec),
    ]
    known = [caption for share in shares for caption in share.captions]
    metadata = recipe.model.metadata
    table = field_table(known, metadata.fields, min_count=metadata.vocabulary_min_count)
    if strange:
        size, count = recipe.model.image.size_px, round(recipe.data.batch_size * STRANGE_SHARE)
        odd = strange_images(simulated_cache.read(run.objects), cache)
        shares.append(strange_share(odd, count, size_px=size, spec=spec))
    torch.manual_seed(recipe.seed)
    samples = MixedSamples(shares, classes, pixels=recipe.pixels, seed=recipe.seed)
    return Start(built=build(recipe.model, table), samples=samples, classes=classes)


def images(run: Run, recipe: Recipe) -> None:
    """Train the image tower."""
    begun = start(run, recipe, strange=True)
    train_images(begun.built, begun.samples, begun.classes, recipe, run.image_tower)


def captions(run: Run, recipe: Recipe) -> None:
    """Train the metadata tower on the embeddings of the image tower."""
    built, samples = (begun := start(run, recipe, strange=False)).built, begun.samples
    built.model.image.load_state_dict(torch.load(run.image_tower, weights_only=True))
    embeddings, drawn = embed(built, samples, first=recipe.optimiser.steps, steps=EMBEDDED_STEPS)
    train_captions(built, embeddings, drawn, recipe)
    table = built.table
    torch.save({"fields": "" if table is None else table.to_json(), "model": built.model.state_dict()}, run.towers)


def finish(run: Run, recipe: Recipe, out: Path, *, tempered_on: int = TEMPERED_ON) -> Bundle:
    """Measure what the bundle needs on held-out series, `tempered_on` of the clean ones among them, and write it."""
    trained = _load(run, recipe)
    seen, held_out = _real(run, recipe)
    cache = simulated_cache.read(run.cache)
    known = last.reference(trained, cache, seen)
    held = _held(run, trained, cache, held_out, _folders(run)[:tempered_on])
    scale = last.temperature(last.grid_of(trained, _staged(run, trained, cache)), held)
    trained.built.model.log_scale.data.fill_(math.log(scale))
    grid = replace(last.grid_of(trained, _staged(run, trained, cache)), logit_scale=scale)
    table = last.accuracy_table(grid, held)
    log.info("held out: %s", table)
    write_json(run.folder / "held-out.json", {"scale": scale, "accuracy": table})
    facts = about(
        real=seen,
        labels=run.labels is not None,
        cache=cache,
        held_out=table,
        minimum_probability=last.least_probability(table),
        start=recipe.model.image.start,
    )
    strange = last.strange_reference(trained, strange_images(simulated_cache.read(run.objects), cache))
    given = last.Ingredients(cache=cache, known=known, strange=strange, held=held, clean=_folders(run)[tempered_on:])
    return last.finish(trained, out, about=facts, given=given)


def _real(run: Run, recipe: Recipe) -> tuple[list[RealSlice], list[RealSlice]]:
    """Real slices to train on, and those held out."""
    slices = read_real(run.real, recipe.model.image.size_px) if run.real else []
    groups = held_out_groups(slices)
    return [one for one in slices if one.group not in groups], [one for one in slices if one.group in groups]


def _folders(run: Run) -> list[Path]:
    """The clean series; the first set temperature and gate, the others calibrate the alarms."""
    return sorted(path for path in run.clean.iterdir() if path.is_dir())


def _load(run: Run, recipe: Recipe) -> Trained:
    stored = torch.load(run.towers, weights_only=True)
    built = build(recipe.model, stored_table(json.loads(stored["fields"])))
    built.model.load_state_dict(stored["model"])
    built.model.eval().requires_grad_(False)
    return Trained(built=built, recipe=recipe, step=recipe.optimiser.steps)


def _staged(run: Run, trained: Trained, cache: simulated_cache.CachedSlices) -> Bundle:
    """A bundle to measure with, made anew."""
    folder = run.folder / "staged"
    shutil.rmtree(folder, ignore_errors=True)
    facts = about(real=[], labels=True, cache=cache, held_out={}, minimum_probability=0.0, start="random")
    examples = last.standardised(trained, cache.images[:16])
    files = {last.names.LABEL_GRID: last.weighted_grid(cache)}
    return export(trained, folder, replace(facts, files=files), captions=cache.captions, images=examples).bundle


def _held(
    run: Run, trained: Trained, cache: simulated_cache.CachedSlices, slices: Sequence[RealSlice], clean: Sequence[Path]
) -> last.Held:
    """The mean embeddings of held-out real volumes and of the clean series."""
    means_of: list[np.ndarray] = []
    shown: list[str] = []
    if slices:
        means = last.mean_by(
            last.embedded(trained, np.stack([one.image for one in slices])), [one.volume for one in slices]
        )
        said = {one.volume: str(one.caption.contrast) for one in slices}
        means_of.extend(means.values())
        shown.extend(said[volume] for volume in means)
    real = [True] * len(means_of)
    with (run.clean / "truth.csv").open(newline="", encoding="utf-8") as file:
        truth = {row["SeriesInstanceUID"]: row["contrast"] for row in csv.DictReader(file)}

    for uid, image in last.clean_embeddings(_staged(run, trained, cache), clean):
        means_of.append(image)
        shown.append(truth[uid])
    return last.Held(images=np.stack(means_of), shown=shown, real=real + [False] * (len(means_of) - len(real)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the bundle; must not exist")
    parser.add_argument("--run", type=Path, default=Path("runs/bundle"))
    parser.add_argument("--real", type=Path, help="folder with slices.csv")
    parser.add_argument("--labels", type=Path, help="folder of head label maps")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--simulate-minutes", type=float, default=20.0)
    parser.add_argument("--clean-series", type=int, default=700, help="to calibrate on, and as many to test with")
    parser.add_argument("--set", nargs="*", default=[], help="overrides of the recipe, e.g. optimiser.steps=100")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run = Run(folder=options.run, real=options.real, labels=options.labels)
    recipe = load_recipe(RECIPE, options.set)
    if "simulate" in options.stages:
        simulate(run, minutes=options.simulate_minutes, series=options.clean_series)
    if "images" in options.stages:
        images(run, recipe)
    if "captions" in options.stages:
        captions(run, recipe)
    if "finish" in options.stages:
        bundle = finish(run, recipe, options.out)
        log.info("%s: %s %s", bundle.folder, bundle.manifest.name, bundle.sha256[:12])


if __name__ == "__main__":
    main()
