"""Checkpoints: whole files that carry the recipe and the field table, so that a model can be built from one alone."""

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from inference.atomic import replace_file
from inference.fields import FieldTable, field_table
from training.errors import RefusedError
from training.models.build import Built, build
from training.recipe import Recipe, recipe_from
from training.train.saved import read_saved

FORMAT: Final = "mrclip.checkpoint/1"
_KEYS: Final = ("recipe", "fields", "step", "model", "average", "optimiser")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What is needed to go on with a run, or to use its model."""

    recipe: Recipe
    table: FieldTable | None
    step: int  # optimiser steps done
    model: dict[str, Any]
    average: dict[str, Any]
    optimiser: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained model in evaluation mode, on the device that was asked for."""

    built: Built
    recipe: Recipe
    step: int


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint`, whole or not at all."""
    document = {
        "format": FORMAT,
        "recipe": checkpoint.recipe.to_dict(),
        "fields": None if checkpoint.table is None else checkpoint.table.to_json(),
        "step": checkpoint.step,
        "model": checkpoint.model,
        "average": checkpoint.average,
        "optimiser": checkpoint.optimiser,
    }
    content = io.BytesIO()
    torch.save(document, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content.getvalue())


def load(path: Path) -> Checkpoint:
    """Read a checkpoint; RefusedError names the file and what is wrong with it."""
    document = read_saved(path)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise RefusedError(f"{path}: is not a checkpoint of this program; `mrclip-train import` takes open_clip's")
    missing = [key for key in _KEYS if key not in document]
    if missing:
        raise RefusedError(f"{path}: has no {missing[0]!r}; a checkpoint has {', '.join(_KEYS)}")
    fields = document["fields"]
    return Checkpoint(
        recipe=recipe_from(document["recipe"]),
        table=None if fields is None else field_table(json.loads(fields)),
        step=document["step"],
        model=document["model"],
        average=document["average"],
        optimiser=document["optimiser"],
    )


def load_trained(path: Path, device: torch.device) -> Trained:
    """The averaged model of a checkpoint, ready to be used."""
    checkpoint = load(path)
    built = build(checkpoint.recipe.model, checkpoint.table)
    load_weights(built, checkpoint.average, path)
    built.model.eval().requires_grad_(False).to(device)
    return Trained(built=built, recipe=checkpoint.recipe, step=checkpoint.step)


def load_weights(built: Built, weights: dict[str, Any], path: Path) -> None:
    """Put `weights` into the model; RefusedError names the first that does not fit."""
    own = built.model.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        if name not in weights or name not in own:
            where = "in the model only" if name in own else "in the file only"
            raise RefusedError(f"{path}: is of another architecture: {name} is {where}")
        if own[name].shape != weights[name].shape:
            shapes = f"{tuple(weights[name].shape)}, the model's {tuple(own[name].shape)}"
            raise RefusedError(f"{path}: is of another architecture: {name} is {shapes}")
    built.model.load_state_dict(weights)


def check_same_recipe(path: Path, stored: Recipe, wanted: Recipe) -> None:
    """RefusedError names what differs between a run and the checkpoint it is to go on from.

    How long, where and how often it writes may differ; what the next step does may not.
    """
    free = {
        "run.device",
        "run.threads",
        "run.log_every",
        "run.save_every",
        "run.evaluate_every",
        "run.trackers",
        "data.workers",
    }
    old, new = _flat(asdict(stored)), _flat(asdict(wanted))
    for key in {**new, **old}:  # one of model.image.overrides may be in either alone
        same = key in old and key in new and old[key] == new[key]
        if not same and key not in free and not key.startswith("preprocess."):
            before, now = (repr(one[key]) if key in one else "not set" for one in (old, new))
            raise RefusedError(
                f"{path}: cannot be resumed with another recipe: {key} was {before} and is {now}; "
                "take another folder or the same recipe"
            )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found
