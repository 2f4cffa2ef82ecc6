"""The training loop, to be read from top to bottom."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from inference.fields import FieldTable
from training.data.batches import Batch, Batches, mixed_seed
from training.data.dropout import drop_fields
from training.data.targets import targets
from training.errors import DivergedError, RefusedError
from training.models.build import Built, build
from training.models.contrast import ContrastModel
from training.models.inputs import field_table
from training.recipe import OptimiserSpec, Recipe
from training.train import checkpoint as checkpoints
from training.train import gradient_cache
from training.train.average import WeightAverage
from training.train.checkpoint import Checkpoint, Trained
from training.train.distributed import average, how_many, is_first, same_everywhere
from training.train.objective import objective
from training.train.schedule import cosine
from training.train.trackers import Trackers

log = logging.getLogger(__name__)

LAST = "last.pt"
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
Evaluate = Callable[[Built], Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class State:
    """What changes while training; a checkpoint holds all of it, so a resumed run ends as an uninterrupted one."""

    built: Built
    averaged: WeightAverage[ContrastModel]
    optimiser: torch.optim.Optimizer
    step: int  # steps done when this state was made


def train(
    recipe: Recipe,
    source: Batches,
    folder: Path,
    *,
    device: torch.device,
    rank: int = 0,
    evaluate: Evaluate | None = None,
) -> Trained:
    """Train to the end, going on from `folder`/last.pt where there is one; the averaged model comes back.

    Raises RefusedError before the first step if the checkpoint is of another recipe, or if a batch is to be divided
    that the network normalises as a whole.
    """
    # ---- model, from scratch or from the last checkpoint
    state = _start(recipe, source, folder, device)
    model, steps = state.built.model, recipe.optimiser.steps
    autocast = partial(torch.autocast, device.type, torch.bfloat16, enabled=recipe.run.precision == "bf16")
    if is_first():
        _announce(recipe, state, device)

    with Trackers(recipe.run.trackers, folder, recipe.to_dict(), resumed=state.step) as trackers:
        batches = source.steps(state.step) if state.step < steps else iter(())
        clock = _Clock()
        for done, batch in zip(range(state.step + 1, steps + 1), batches, strict=False):
            # ---- one step
            model.train()
            rate = _set_rate(state.optimiser, recipe.optimiser, done - 1)
            loss = _backward(recipe, state.built, batch, mixed_seed(recipe.seed, done, rank), autocast)
            norm = _step(recipe.optimiser, state)
            state.averaged.update(model, done - 1)
            clock.seen += len(batch.images)

            # ---- numbers
            if _is_due(done, recipe.run.log_every, steps):
                values = {"loss": loss.item(), "learning_rate": rate, "scale": model.scale.item()}
                trackers.record(done, {**values, "gradient_norm": norm, "images_per_s": clock.rate()})

            # ---- checkpoint and evaluation, by the first process
            if is_first() and _is_due(done, recipe.run.save_every, steps):
                _save(recipe, state, done, folder / LAST)
            if is_first() and evaluate and _is_due(done, recipe.run.evaluate_every, steps):
                trackers.record(done, evaluate(_averaged(state)))
    return Trained(built=_averaged(state), recipe=recipe, step=steps)


def _start(recipe: Recipe, source: Batches, folder: Path, device: torch.device) -> State:
    last = folder / LAST
    stored = checkpoints.load(last) if last.exists() else None
    if stored is not None:
        checkpoints.check_same_recipe(last, stored.recipe, recipe)
    torch.manual_seed(recipe.seed)
    built = build(recipe.model, _table(recipe, source) if stored is None else stored.table)
    check_undivided(recipe, built.model, processes=how_many())
    if stored is not None:
        checkpoints.load_weights(built, stored.model, last)
    # convolutions of few channels run twice as fast with the channels last, on a CPU above all
    built.model.to(device).to(memory_format=torch.channels_last)
    same_everywhere(built.model.state_dict().values())
    averaged = WeightAverage(built.model, recipe.optimiser.average_decay)
    optimiser = make_optimiser(built.model, recipe.optimiser)
    if stored is not None:
        averaged.model.load_state_dict(stored.average)
        optimiser.load_state_dict(stored.optimiser)
    return State(built=built, averaged=averaged, optimiser=optimiser, step=stored.step if stored else 0)


def check_undivided(recipe: Recipe, model: nn.Module, *, processes: int) -> None:
    """RefusedError where a batch is divided that the network normalises as a whole, frozen parts included.

    Every part would be normalised by itself, and a gradient cache would count it twice in the running statistics.
    """
    if not any(isinstance(part, BATCH_NORMS) for part in model.modules()):
        return
    rule = f"{recipe.model.image.name} has batch normalisation, which takes a batch as a whole"
    if processes > 1:
        raise RefusedError(f"{processes} processes share a batch; must be 1: {rule}")
    if 0 < recipe.run.micro_batch < recipe.data.batch_size:
        least = f"must be 0 or at least data.batch_size ({recipe.data.batch_size})"
        raise RefusedError(f"run.micro_batch is {recipe.run.micro_batch}; {least}: {rule}")


def _table(recipe: Recipe, source: Batches) -> FieldTable | None:
    metadata = recipe.model.metadata
    if metadata.kind == "text":
        return None
    return field_table(source.captions(), metadata.fields, min_count=metadata.vocabulary_min_count)


def make_optimiser(model: nn.Module, spec: OptimiserSpec) -> torch.optim.Optimizer:
    """AdamW; biases, norms, the scale and other vectors do not decay (as in open_clip)."""
    decaying = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    free = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": decaying, "weight_decay": spec.weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=spec.learning_rate, betas=(spec.beta1, spec.beta2), eps=spec.epsilon)


def _set_rate(optimiser: torch.optim.Optimizer, spec: OptimiserSpec, step: int) -> float:
    rate = cosine(step, base=spec.learning_rate, warmup_steps=spec.warmup_steps, steps=spec.steps)
    for group in optimiser.param_groups:
        group["lr"] = rate
    return rate


def _backward(
    recipe: Recipe, built: Built, batch: Batch, seed: int, autocast: Callable[[], AbstractContextManager[object]]
) -> torch.Tensor:
    """Gradients of one batch; the loss comes back."""
    device = built.model.log_scale.device
    captions = drop_fields(batch.captions, recipe.data.dropout, seed=seed)
    samples = gradient_cache.Samples(
        batch.images.to(device, non_blocking=True), tuple(tensor.to(device) for tensor in built.inputs.encode(captions))
    )
    return gradient_cache.backward(
        built.model,
        samples,
        objective(built.model, targets(batch.captions, batch.labels).to(device), recipe.loss),
        micro_batch=recipe.run.micro_batch or len(batch.images),
        seed=seed,
        autocast=autocast,
    )


def _step(spec: OptimiserSpec, state: State) -> float:
    """Average the gradients over the processes, clip them, move the weights; the gradient's norm comes back."""
    model = state.built.model
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    average(gradients)
    norm = nn.utils.clip_grad_norm_(model.parameters(), spec.clip_norm or math.inf)
    if not norm.isfinite():
        raise DivergedError("the gradient is not finite; lower optimiser.learning_rate or take run.precision=fp32")
    state.optimiser.step()
    state.optimiser.zero_grad(set_to_none=True)
    model.clamp_scale()
    return norm.item()


def _averaged(state: State) -> Built:
    return Built(model=state.averaged.model, inputs=state.built.inputs, table=state.built.table)


def _is_due(done: int, every: int, steps: int) -> bool:
    return done == steps or (every > 0 and done % every == 0)


class _Clock:
    """Samples a second since it was last asked."""

    def __init__(self) -> None:
        self.seen, self._since = 0, time.perf_counter()

    def rate(self) -> float:
        now = time.perf_counter()
        rate, self.seen, self._since = self.seen / (now - self._since), 0, now
        return rate


def _save(recipe: Recipe, state: State, step: int, path: Path) -> None:
    content = Checkpoint(
        recipe=recipe,
        table=state.built.table,
        step=step,
        model=state.built.model.state_dict(),
        average=state.averaged.model.state_dict(),
        optimiser=state.optimiser.state_dict(),
    )
    checkpoints.save(path, content)


def _announce(recipe: Recipe, state: State, device: torch.device) -> None:
    counts = [
        sum(weight.numel() for weight in tower.parameters())
        for tower in (state.built.model.image, state.built.model.metadata)
    ]
    log.info(
        "model: %s, %.2f M image and %.2f M metadata parameters", recipe.model.image.name, *(n / 1e6 for n in counts)
    )
    log.info(
        "loss: %s; batch: %d; precision: %s; device: %s",
        recipe.loss.name,
        recipe.data.batch_size,
        recipe.run.precision,
        device,
    )
    log.info("steps: %d to %d", state.step, recipe.optimiser.steps)
