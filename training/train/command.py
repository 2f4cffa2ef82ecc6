"""`mrclip-train train`."""

import logging
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click
import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from training.data.batches import CsvBatches, Shard, read_slice
from training.data.rows import SliceRow, read_rows
from training.errors import RefusedError
from training.evaluate.embed import caption_gallery, embed_slices
from training.evaluate.retrieval import image_to_caption
from training.models.build import Built
from training.recipe import PACKAGED, Recipe, load_recipe, recipe_file, recipe_from
from training.train.distributed import local_device, processes
from training.train.loop import train

log = logging.getLogger(__name__)

_EVALUATED = 2000  # validation slices at most, evenly taken

EXAMPLE = """\b
Examples:
  mrclip-train train data/ runs/first --recipe tiny
  mrclip-train train data/ runs/first --recipe tiny loss=siglip seed=1
  mrclip-train train data/ runs/sweep --recipe tiny --multirun loss=clip,dhn_nce seed=0,1,2
  torchrun --nproc-per-node 4 -m training train data/ runs/big
"""


@click.command("train", epilog=EXAMPLE)
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("run", type=click.Path(file_okay=False, path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--recipe", default="default", show_default=True, help="A recipe of the package, or a YAML file.")
@click.option("--multirun", "-m", is_flag=True, help="Sweep: every combination of overrides with commas, with Hydra.")
def command(*, data: Path, run: Path, overrides: tuple[str, ...], recipe: str, multirun: bool) -> None:
    """Train on the slices that `preprocess` wrote to DATA; checkpoints and numbers go to RUN.

    Called again with the same recipe, it goes on from RUN/last.pt. OVERRIDES are Hydra's.
    """
    if multirun:
        _sweep(data, run, recipe, overrides)
    else:
        train_on(load_recipe(recipe, overrides), data, run)


def train_on(recipe: Recipe, data: Path, run: Path) -> None:
    """One run, in this process or in those that torchrun started."""
    device = local_device(recipe.run.device)
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    rows = _readable(read_rows(data / "train.csv"), data)
    validation = read_rows(data / "val.csv") if (data / "val.csv").exists() else []
    every = max(1, len(validation) // _EVALUATED)
    with processes(device) as shard:
        source = batches(recipe, rows, data, shard)
        evaluate = partial(_evaluate, recipe, _readable(validation[::every], data), data) if validation else None
        train(recipe, source, run, device=device, rank=shard.rank, evaluate=evaluate)


def batches(recipe: Recipe, rows: list[SliceRow], data: Path, shard: Shard) -> CsvBatches:
    """The training batches of a recipe."""
    return CsvBatches(rows, data, spec=recipe.data, pixels=recipe.pixels, seed=recipe.seed, shard=shard)


def _readable(rows: list[SliceRow], data: Path) -> list[SliceRow]:
    """The rows whose pictures can be read, so that no run ends at a broken one hours later; the others are named."""
    kept: list[SliceRow] = []
    for row in rows:
        try:
            read_slice(data / row.filepath, 8)
        except RefusedError as error:
            log.warning("left out: %s", error)
        else:
            kept.append(row)
    return kept


def _evaluate(recipe: Recipe, rows: list[SliceRow], data: Path, built: Built) -> Mapping[str, float]:
    import numpy as np

    device = built.model.log_scale.device
    images = embed_slices(built, rows, data, recipe.pixels, device)
    found = image_to_caption(
        images, np.array([row.label for row in rows]), caption_gallery(built, rows, device).gallery
    )
    return {
        "validation_recall_at_1": found.recall[1],
        "validation_chance_at_1": found.chance[1],
        "validation_median_rank": found.median_rank,
    }


def _sweep(data: Path, run: Path, recipe: str, overrides: tuple[str, ...]) -> None:
    """Hydra's multirun: one folder below `run` for every combination, each with the configuration beside it."""
    if "WORLD_SIZE" in os.environ:
        raise RefusedError("a sweep runs one model after the other; start torchrun for each of them instead")

    def task(config: DictConfig) -> None:
        train_on(recipe_from(config), data.resolve(), Path(HydraConfig.get().runtime.output_dir))

    file = recipe_file(recipe)
    arguments = ["--multirun", f"hydra.sweep.dir={run.resolve()}", "hydra.sweep.subdir=${hydra.job.override_dirname}"]
    before, sys.argv = sys.argv, ["mrclip-train", *arguments, *overrides, PACKAGED]  # hydra.main reads them from there
    try:
        hydra.main(version_base="1.3", config_path=str(file.parent), config_name=file.stem)(task)()
    finally:
        sys.argv = before
