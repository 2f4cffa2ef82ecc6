"""What a bundle's temperature, threshold and gate are set by: series that the towers which judge them never saw.

Each fold judges the real volumes of the groups it left out, the whole run the clean simulated series, whose people it
never saw; what they say is pooled. Without real slices there are simulated series alone.
"""

import json
import logging
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8

from inference import manifest as names
from inference.bundle import Bundle
from inference.encoder import load_encoder
from inference.fields import field_table
from inference.gate import NearestNeighbours, unit
from inference.grid import Grid, embed_grid, grid_rows, mean_embedding
from inference.pixels import PixelError, prepare, read_slices, standardise
from inference.sources import Instance, find, load
from inference.stacks import choose, split
from training.benchmark.truth import read_truth
from training.bundle_card import about
from training.bundle_data import RealSlice, resized
from training.bundle_grid import weighted_grid
from training.bundle_run import Run
from training.export.bundle import Exported, export
from training.models.build import build
from training.recipe import Recipe
from training.simulated_cache import CachedSlices
from training.strange import strange_images
from training.train.checkpoint import Trained

log = logging.getLogger(__name__)

SCALES: Final = tuple(float(scale) for scale in np.geomspace(2.0, 60.0, 40))
REFERENCE: Final = 1500  # series whose embeddings the gate measures distance from, known and strange ones alike
RIGHT_ENOUGH: Final = 0.9  # of the answers that are given, of real and of simulated left-out series
THRESHOLDS: Final = (0.0, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9)
LEAST_PROBABLE: Final = 0.5  # below, all other answers together are likelier than the one that is given
GATE_RATE: Final = 0.01  # of left-out series, simulated or real, that the gate may turn away as too far from known ones


@dataclass(frozen=True, kw_only=True)
class Held:
    """Series that the towers never saw, by their mean embedding, with the answers that are right."""

    images: Float64[np.ndarray, "n d"]
    accepted: list[tuple[str, ...]]
    real: list[bool]


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The towers of a run or a fold, what their gate knows, and what they say of series they never saw."""

    run: Run
    trained: Trained
    exported: Exported  # with nothing yet that the judges set
    known: Float32[np.ndarray, "m d"]
    strange: Float32[np.ndarray, "s d"]
    grid: Grid
    held: Held


def judge(run: Run, recipe: Recipe, cache: CachedSlices, objects: CachedSlices, clean: Sequence[Path]) -> Judge:
    """Load the towers of `run` and have them see what they left out and the series of `clean`."""
    trained = load_towers(run, recipe)
    seen, _ = run.slices(recipe.model.image.size_px)
    exported = _exported(run, trained, cache, seen)
    grid = embed_grid(
        grid_rows(exported.bundle.read_json(names.LABEL_GRID)),
        load_encoder(exported.bundle),
        logit_scale=trained.built.model.scale.item(),
    )
    return Judge(
        run=run,
        trained=trained,
        exported=exported,
        known=reference(trained, cache, seen),
        strange=strange_reference(trained, strange_images(objects, cache)),
        grid=grid,
        held=_held(run, exported.bundle, clean),
    )


def load_towers(run: Run, recipe: Recipe) -> Trained:
    """The trained towers of a run."""
    stored = torch.load(run.towers, weights_only=True)
    built = build(recipe.model, field_table(json.loads(stored["fields"])))
    built.model.load_state_dict(stored["model"])
    built.model.eval().requires_grad_(False)
    return Trained(built=built, recipe=recipe, step=recipe.optimiser.steps)


def _exported(run: Run, trained: Trained, cache: CachedSlices, seen: Sequence[RealSlice]) -> Exported:
    """The towers as a bundle that answers everything, made anew."""
    folder = run.folder / "exported"
    shutil.rmtree(folder, ignore_errors=True)
    start = trained.recipe.model.image.start
    facts = about(
        real=seen, labels=run.labels is not None, cache=cache, held_out={}, minimum_probability=0.0, start=start
    )
    examples = standardised(trained, cache.images[:64])
    files = {names.LABEL_GRID: weighted_grid(cache)}
    made = export(trained, folder, replace(facts, files=files), captions=cache.captions, images=examples)
    log.info("torch against ONNX Runtime: largest difference %.2g", made.parity)
    return made


def _held(run: Run, bundle: Bundle, clean: Sequence[Path]) -> Held:
    """The left-out real volumes that may set anything, and clean simulated series."""
    real = series_folders(run.left_out_clean / "0")
    means: list[Float64[np.ndarray, " d"]] = []
    accepted: list[tuple[str, ...]] = []
    of_real: list[bool] = []
    for root, folders in ((run.left_out_clean / "0", real), (run.clean, clean)):
        truths = read_truth(root) if folders else None
        for instance, image in clean_embeddings(bundle, folders):
            truth = truths and truths.of(str(instance.sop_instance_uid), str(instance.series_instance_uid))
            if truth:
                means.append(image)
                accepted.append(truth.accepted)
                of_real.append(bool(real) and root != run.clean)
    return Held(images=np.stack(means), accepted=accepted, real=of_real)


def series_folders(root: Path) -> list[Path]:
    """The folders of a folder of series, by name; none where it is not there."""
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def standardised(trained: Trained, images: UInt8[np.ndarray, "n s s"]) -> Float32[np.ndarray, "n 1 t t"]:
    """Stored slices as the encoder takes them in."""
    spec = trained.recipe.pixels
    return standardise(resized(images, spec.size_px).astype(np.float32) / 255, spec)


@torch.inference_mode()
def embedded(trained: Trained, images: UInt8[np.ndarray, "n s s"]) -> Float32[np.ndarray, "n d"]:
    """The embeddings of stored slices, not augmented."""
    encode = trained.built.model.encode_images
    parts = [
        encode(torch.from_numpy(standardised(trained, images[start : start + 128]))).numpy()
        for start in range(0, len(images), 128)
    ]
    return np.concatenate(parts)


def mean_by(embeddings: Float32[np.ndarray, "n d"], keys: Sequence[str]) -> dict[str, Float64[np.ndarray, " d"]]:
    """The mean embedding of the slices of each series or volume."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        members[key].append(index)
    return {key: mean_embedding(embeddings[indices]) for key, indices in members.items()}


def clean_embeddings(bundle: Bundle, folders: Sequence[Path]) -> Iterator[tuple[Instance, Float64[np.ndarray, " d"]]]:
    """An instance and the mean embedding of the first stack of each series; those without an image are left out."""
    encoder, spec = load_encoder(bundle), bundle.manifest.image
    for folder in folders:
        instances = [one for one in map(load, find([folder])) if isinstance(one, Instance)]
        stack = split([header for one in instances for header in one.headers])[0]
        try:
            slices = read_slices(
                choose(stack, bundle.manifest.slices), {one.sop_instance_uid: one for one in instances}
            )
            pixels = prepare(slices, spec, pixel_spacing_mm=stack.header.pixel_spacing_mm)
        except PixelError:
            continue
        yield instances[0], mean_embedding(encoder.encode_images(pixels))


def temperature(judges: Sequence[Judge]) -> float:
    """The logit scale at which left-out contrasts are most probable, simulated and real series weighing the same."""
    losses: list[float] = []
    for scale in SCALES:
        real: list[float] = []
        simulated: list[float] = []
        for one in judges:
            found = -np.log(np.maximum(_probability_of_truth(replace(one.grid, logit_scale=scale), one.held), 1e-6))
            for loss, of_real in zip(found.tolist(), one.held.real, strict=True):
                (real if of_real else simulated).append(loss)
        losses.append(float(np.mean([np.mean(part) for part in (real, simulated) if part])))
    best = int(np.argmin(losses))
    log.info("temperature: scale %.1f, mean loss %.3f nats", SCALES[best], losses[best])
    return SCALES[best]


def posteriors(grid: Grid, images: Float64[np.ndarray, "n d"]) -> tuple[list[str], Float64[np.ndarray, "n c"]]:
    """The contrasts of the grid and their probability for each image."""
    contrasts = sorted({row.contrast for row in grid.rows})
    columns = np.array([contrasts.index(row.contrast) for row in grid.rows])
    rows = np.stack([np.exp(grid.log_posterior(image)) for image in images])
    return contrasts, np.stack([rows[:, columns == index].sum(axis=1) for index in range(len(contrasts))], axis=1)


def _probability_of_truth(grid: Grid, held: Held) -> Float64[np.ndarray, " n"]:
    contrasts, found = posteriors(grid, held.images)
    fits = np.array([[one in accepted for one in contrasts] for accepted in held.accepted])
    return (found * fits).sum(axis=1)


def accuracy_table(judges: Sequence[Judge], scale: float) -> dict[str, Any]:
    """Accuracy and abstention of left-out series at several thresholds of the probability, over all judges."""
    counts = {name: {least: [0, 0, 0] for least in THRESHOLDS} for name in ("real", "simulated")}
    for one in judges:
        contrasts, found = posteriors(replace(one.grid, logit_scale=scale), one.held.images)
        answers = [contrasts[int(index)] for index in found.argmax(axis=1)]
        for answer, best, accepted, real in zip(
            answers, found.max(axis=1).tolist(), one.held.accepted, one.held.real, strict=True
        ):
            for least, row in counts["real" if real else "simulated"].items():
                row[0] += 1
                row[1] += best >= least
                row[2] += best >= least and answer in accepted
    return {
        name: {
            f"{least:.2f}": dict(zip(("series", "answered", "right"), row, strict=True)) for least, row in rows.items()
        }
        for name, rows in counts.items()
    }


def least_probability(table: Mapping[str, Mapping[str, Mapping[str, int]]]) -> float:
    """The lowest threshold from `LEAST_PROBABLE` at which enough of the answers are right, of real and of simulated
    series alike; the highest where none is enough."""
    for least in (one for one in THRESHOLDS if one >= LEAST_PROBABLE):
        rows = [row[f"{least:.2f}"] for row in table.values() if row[f"{least:.2f}"]["answered"]]
        if rows and all(row["right"] / row["answered"] >= RIGHT_ENOUGH for row in rows):
            return least
    return THRESHOLDS[-1]


def gate_distance(judges: Sequence[Judge]) -> float:
    """The distance from known series beyond which the gate turns away whatever strange images say."""
    held: dict[bool, list[float]] = defaultdict(list)
    strange: list[float] = []
    for one in judges:
        gate = NearestNeighbours(reference=one.known)
        for image, real in zip(one.held.images, one.held.real, strict=True):
            held[real].append(gate.distance(image))
        strange += [gate.distance(image) for image in one.strange.astype(np.float64)]
    return farthest(list(held.values()), strange)


def farthest(held: Sequence[Sequence[float]], strange: Sequence[float]) -> float:
    """What a share `GATE_RATE` of left-out series lies beyond, of simulated or of real ones, or half of the strange
    images, whichever is farther.

    What is nearer to strange images than to known ones is turned away at any distance, so left-out series alone would
    draw the line closer than strange images ask for, and turn away anatomy of which they hold none.
    """
    return max(float(np.median(strange)), *(float(np.quantile(one, 1 - GATE_RATE)) for one in held))


def reference(trained: Trained, cache: CachedSlices, seen: Sequence[RealSlice]) -> Float32[np.ndarray, "m d"]:
    """The embeddings of known stacks for the gate: simulated series and real volumes that were trained on."""
    rng = np.random.default_rng(0)
    series = sorted(set(cache.series))
    kept = {series[index] for index in rng.permutation(len(series))[:REFERENCE]}
    chosen = [index for index, name in enumerate(cache.series) if name in kept]
    means = mean_by(embedded(trained, cache.images[chosen]), [cache.series[index] for index in chosen])
    if seen:
        images = np.stack([one.image for one in seen])
        means |= mean_by(embedded(trained, images), [one.volume for one in seen])
    return np.stack([unit(image) for image in means.values()])


def strange_reference(trained: Trained, strange: UInt8[np.ndarray, "n s s"]) -> Float32[np.ndarray, "m d"]:
    """The embeddings of images that are no series of a patient, for the gate."""
    chosen = np.random.default_rng(0).permutation(len(strange))[:REFERENCE]
    return np.stack([unit(image) for image in embedded(trained, strange[np.sort(chosen)]).astype(np.float64)])
