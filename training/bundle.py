"""The default bundle by one command: simulate, train, leave groups out in turn, calibrate, export.

    python -m training.bundle OUT --real REAL --labels LABELS

Without REAL it learns from simulation alone, without LABELS the heads are MNI152; the model card says so. The stages
keep what they make in the run folder (`runs/bundle`); `--stages` does some of them again.

* *simulate* fills the caches;
* *base* trains the image tower on simulation alone, on all cores;
* *again* simulates other people and goes on with the tower, on all slices (done twice, it goes on twice);
* *towers* goes on with real slices in every batch, and trains the metadata tower on what comes out;
* *clean*, beside it, writes clean series of anatomy that training never sees;
* *folds* does the same as *towers* with a part of the real groups left out, each group once, as many at a time as there
  are cores;
* *finish* sets temperature, threshold, gate and alarms by what the folds say of the groups they have not seen.
"""

import argparse
import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import torch

from training import clean_series, real_series, simulated_cache
from training.bundle_data import (
    Classes,
    MixedSamples,
    classes_of,
    real_share,
    simulated_share,
    strange_share,
)
from training.bundle_finish import finish
from training.bundle_run import Run
from training.bundle_train import LARGEST_PX, embed, train_captions, train_images
from training.models.build import Built, build
from training.models.inputs import field_table
from training.recipe import Recipe, load_recipe
from training.strange import strange_images

log = logging.getLogger(__name__)

RECIPE: Final = "bundle"
REAL_SHARE: Final = 1 / 3  # of a batch
STRANGE_SHARE: Final = 1 / 12  # of a batch, beside it
OBJECT_MINUTES: Final = 1 / 12  # of the time that is spent on simulation
EMBEDDED_STEPS: Final = 60  # batches whose embeddings the metadata tower learns from
HEADERS: Final = 8  # for every left-out volume to calibrate on
CALIBRATION_HEADS, TEST_HEADS = ("head_17", "head_18"), ("head_19", "head_20")
AGAIN: Final = ("optimiser.learning_rate=6.0e-4", "optimiser.warmup_steps=30", "seed=1")
GO_ON: Final = ("optimiser.learning_rate=4.0e-4", "optimiser.warmup_steps=30")  # from a tower that has learnt
AGAIN_SEED: Final = 101  # of the people simulated in the stage `again`
LOG_FORMAT: Final = "%(asctime)s %(process)d %(message)s"
STAGES: Final = ("simulate", "base", "again", "towers", "clean", "folds", "finish")


def simulate(run: Run, *, minutes: float, first_seed: int = 1) -> None:
    """Fill the caches to train on, a process a core, each with a seed of its own."""
    cores = os.cpu_count() or 1
    seeds = range(first_seed, first_seed + cores)
    caches = [(run.cache, seed, minutes * (1 - OBJECT_MINUTES), ()) for seed in seeds]
    caches += [(run.objects, seed, minutes * OBJECT_MINUTES, ("--objects",)) for seed in seeds]
    labels = () if run.labels is None else ("--labels", str(run.labels))
    with processes(cores) as pool:
        filled = [
            pool.submit(
                simulated_cache.main, [str(folder), "--seed", str(seed), "--minutes", str(spent), *more, *labels]
            )
            for folder, seed, spent, more in caches
        ]
        finished(filled)


def clean(run: Run, to_calibrate: int, to_test: int) -> None:
    """Write clean series of anatomy that training never sees: to calibrate on, and to test with."""
    torch.set_num_threads(1)
    for name, seed, heads, count in (
        ("calibration", 2001, CALIBRATION_HEADS, to_calibrate),
        ("test", 3001, TEST_HEADS, to_test),
    ):
        source = clean_series.CleanSeries(seed=seed, heads=clean_series.heads(run.labels, heads))
        clean_series.write(source, run.clean.with_name(name), count=count)


def finished(begun: Iterable[Future[None]]) -> None:
    """Wait for all of them; the first error of any is raised."""
    for one in as_completed(begun):
        one.result()


def processes(count: int) -> ProcessPoolExecutor:
    """Processes that share nothing with this one: torch does not survive a fork."""
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"))


@dataclass(frozen=True, kw_only=True)
class Start:
    """What every stage of training begins with."""

    built: Built
    samples: MixedSamples
    classes: Classes


def start(run: Run, recipe: Recipe, *, strange: bool) -> Start:
    """An untrained model, the cache and the real slices of groups not left out; `strange` images too or not."""
    seen, left_out = run.slices(LARGEST_PX)
    cache = simulated_cache.read(run.cache)
    log.info("slices: %d simulated, %d real (%d left out)", len(cache.images), len(seen), len(left_out))
    classes = classes_of(cache, seen)
    of_batch = round(recipe.data.batch_size * REAL_SHARE) if seen else 0
    spec = recipe.data.augment
    shares = [
        simulated_share(cache, recipe.data.batch_size - of_batch, size_px=LARGEST_PX, spec=spec),
        real_share(seen, of_batch, classes, spec),
    ]
    known = [caption for share in shares for caption in share.captions]
    metadata = recipe.model.metadata
    table = field_table(known, metadata.fields, min_count=metadata.vocabulary_min_count)
    if strange:
        count = round(recipe.data.batch_size * STRANGE_SHARE)
        odd = strange_images(simulated_cache.read(run.objects), cache)
        shares.append(strange_share(odd, count, size_px=LARGEST_PX, spec=spec))
    torch.manual_seed(recipe.seed)
    samples = MixedSamples(shares, classes, pixels=recipe.pixels, seed=recipe.seed)
    return Start(built=build(recipe.model, table), samples=samples, classes=classes)


def base(run: Run, recipe: Recipe, *, begin: Path | None = None) -> None:
    """Train the image tower on simulation alone: no group is left out of it, so that all folds can begin here."""
    begun = start(run.simulated_alone(), recipe, strange=True)
    train_images(begun.built, begun.samples, begun.classes, recipe, run.simulated_tower, begin=begin)


def images(run: Run, recipe: Recipe) -> None:
    """Go on with real slices in every batch."""
    begun = start(run, recipe, strange=True)
    train_images(begun.built, begun.samples, begun.classes, recipe, run.image_tower, begin=run.simulated_tower)


def captions(run: Run, recipe: Recipe) -> None:
    """Train the metadata tower on the embeddings of the image tower."""
    built, samples = (begun := start(run, recipe, strange=False)).built, begun.samples
    prototypes = torch.load(run.image_tower, weights_only=True)
    tower = {name.removeprefix("image."): value for name, value in prototypes.items() if name.startswith("image.")}
    built.model.image.load_state_dict(tower)
    size = recipe.model.image.size_px
    embeddings, drawn = embed(built, samples, size_px=size, first=recipe.optimiser.steps, steps=EMBEDDED_STEPS)
    train_captions(built, embeddings, drawn, recipe)
    table = built.table
    torch.save({"fields": "" if table is None else table.to_json(), "model": built.model.state_dict()}, run.towers)


def towers(run: Run, recipe: Recipe) -> None:
    """Both towers from the one that knows simulation, on one core: the other runs have the others."""
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    images(run, recipe)
    captions(run, recipe)


def fold(run: Run, recipe: Recipe) -> None:
    """Train without the groups of a fold, and write what was left out as DICOM."""
    if not run.towers.exists():
        towers(run, recipe)
    stacks = real_series.volumes_of(run.slices(recipe.model.image.size_px)[1])
    trainable = {name: slices for name, slices in stacks.items() if not slices[0].kept_from_training}
    number = int(run.folder.name)
    if not run.left_out_series.exists():
        real_series.write(run.left_out_series, stacks, seed=1000 * number)
        for again in range(HEADERS):
            seed = 1000 * (number + 10 * (again + 1))
            real_series.write(run.left_out_clean / str(again), trainable, seed=seed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the bundle; must not exist")
    parser.add_argument("--run", type=Path, default=Path("runs/bundle"))
    parser.add_argument("--real", type=Path, help="folder with slices.csv")
    parser.add_argument("--labels", type=Path, help="folder of head label maps")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--folds", nargs="+", type=int, help="of the stage `folds`, these numbers alone")
    parser.add_argument("--simulate-minutes", type=float, default=26.0)
    parser.add_argument("--again-minutes", type=float, default=24.0, help="of simulation in the stage `again`")
    parser.add_argument("--again-steps", type=int, default=2200, help="after those of the base")
    parser.add_argument("--clean-series", type=int, default=3580, help="to set thresholds and alarms by")
    parser.add_argument("--test-series", type=int, default=2050, help="clean ones too, for `mrclip-train benchmark`")
    parser.add_argument("--real-steps", type=int, default=350, help="with real slices, after those of the base")
    parser.add_argument("--set", nargs="*", default=[], help="overrides of the recipe, e.g. optimiser.steps=100")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    run = Run(folder=options.run, real=options.real, labels=options.labels)
    recipe = load_recipe(RECIPE, options.set)
    once_more = load_recipe(RECIPE, [*options.set, *AGAIN, f"optimiser.steps={options.again_steps}"])
    with_real = load_recipe(RECIPE, [*options.set, *GO_ON, f"optimiser.steps={options.real_steps}"])
    if "simulate" in options.stages:
        simulate(run, minutes=options.simulate_minutes)
    if "base" in options.stages:
        base(run, recipe)
    if "again" in options.stages:
        simulate(run, minutes=options.again_minutes, first_seed=AGAIN_SEED)
        base(run, once_more, begin=run.simulated_tower)
    with processes(os.cpu_count() or 1) as pool:
        begun = [pool.submit(towers, run, with_real)] if "towers" in options.stages else []
        if "clean" in options.stages:
            begun.append(pool.submit(clean, run, options.clean_series, options.test_series))
        if "folds" in options.stages:
            for part in run.folds(recipe.model.image.size_px):
                if options.folds is None or int(part.folder.name) in options.folds:
                    begun.append(pool.submit(fold, part, with_real))
        finished(begun)
    if "finish" in options.stages:
        steps = sum(one.optimiser.steps for one in (recipe, once_more, with_real))
        bundle = finish(run, load_recipe(RECIPE, [*options.set, f"optimiser.steps={steps}"]), options.out)
        log.info("%s: %s %s", bundle.folder, bundle.manifest.name, bundle.sha256[:12])


if __name__ == "__main__":
    main()
