"""From two trained towers to a bundle: grid, temperature, gate, calibration, measured on what training never saw."""

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8

from inference import labels
from inference import manifest as names
from inference.bundle import Bundle
from inference.calibration import Calibration, Provenance, StackRecord, fit
from inference.clean import read_clean
from inference.encoder import load_encoder
from inference.gate import NearestNeighbours, unit
from inference.grid import Grid, embed_grid, grid_rows, mean_embedding
from inference.model import load_model
from inference.pixels import PixelError, prepare, read_slices, standardise
from inference.read import Reader
from inference.sources import Instance, find, load
from inference.stacks import choose, split
from training.bundle_data import RealSlice, resized
from training.export.about import About
from training.export.bundle import export
from training.export.grid import GridSpec, label_grid
from training.simulated_cache import CachedSlices
from training.train.checkpoint import Trained

log = logging.getLogger(__name__)

GRID_ROWS: Final = 800
SCALES: Final = tuple(float(scale) for scale in np.geomspace(2.0, 60.0, 40))
REFERENCE_SIMULATED: Final = 1500  # series whose embeddings the gate measures distance from
RIGHT_ENOUGH: Final = 0.9  # of the answers that are given, of real and of simulated held-out series
_THRESHOLDS: Final = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
GATE_RATE: Final = 0.05  # of clean simulated series that the gate may turn away as too far from known ones
# How common a contrast is where clinical archives are read: an assumption, stated in the model card.
PRIOR: Final[Mapping[str, float]] = {
    labels.T1: 0.25, labels.T2: 0.22, labels.PROTON_DENSITY: 0.07, labels.FLUID_ATTENUATED: 0.10, labels.STIR: 0.04,
    labels.T2_STAR: 0.08, labels.DIFFUSION: 0.10, labels.PERFUSION: 0.02, labels.TOF: 0.02, labels.FLOW_ENCODED: 0.01,
    labels.SUSCEPTIBILITY: 0.03, labels.ADC: 0.03, labels.DERIVED_MAP: 0.02, labels.PHASE: 0.01,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Held:
    """Series that training never saw, by their mean embedding, with what they show."""

    images: Float64[np.ndarray, "n d"]
    shown: list[str]
    real: list[bool]


def weighted_grid(cache: CachedSlices) -> bytes:
    """`label_grid.json` from the captions of the cache, its contrasts weighted by `PRIOR`."""
    document = json.loads(label_grid(cache.captions, GridSpec(rows=GRID_ROWS)))
    for row in document["rows"]:
        row["weight"] *= PRIOR[row["contrast"]]
    return (json.dumps(document, indent=1) + "\n").encode()


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


def clean_embeddings(bundle: Bundle, folders: Sequence[Path]) -> Iterator[tuple[str, Float64[np.ndarray, " d"]]]:
    """Series Instance UID and mean embedding of the first stack of each series; those without an image are left out."""
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
        yield str(instances[0].series_instance_uid), mean_embedding(encoder.encode_images(pixels))


def temperature(grid: Grid, held: Held) -> float:
    """The logit scale at which held-out contrasts are most probable, simulated and real series weighing the same."""
    real = np.array(held.real)
    losses = []
    for scale in SCALES:
        found = -np.log(np.maximum(_probability_of_truth(replace(grid, logit_scale=scale), held), 1e-6))
        parts = [found[which].mean() for which in (real, ~real) if which.any()]
        losses.append(float(np.mean(parts)))
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
    return found[np.arange(len(found)), [contrasts.index(one) for one in held.shown]]


def accuracy_table(grid: Grid, held: Held) -> dict[str, Any]:
    """Accuracy and abstention of held-out series at several thresholds of the probability."""
    contrasts, found = posteriors(grid, held.images)
    best = found.max(axis=1)
    right = np.array([contrasts[int(index)] for index in found.argmax(axis=1)]) == np.array(held.shown)
    table: dict[str, Any] = {}
    for name, which in (("real", np.array(held.real)), ("simulated", ~np.array(held.real))):
        table[name] = {
            f"{least:.2f}": {
                "series": int(which.sum()),
                "answered": int((which & (best >= least)).sum()),
                "right": int((which & (best >= least) & right).sum()),
            }
            for least in _THRESHOLDS
        }
    return table


def least_probability(table: Mapping[str, Mapping[str, Mapping[str, int]]]) -> float:
    """The lowest threshold at which enough of the answers are right, of real and of simulated series alike; the highest
    where none is enough."""
    for least in _THRESHOLDS:
        rows = [row[f"{least:.2f}"] for row in table.values() if row[f"{least:.2f}"]["answered"]]
        if rows and all(row["right"] / row["answered"] >= RIGHT_ENOUGH for row in rows):
            return least
    return _THRESHOLDS[-1]


def reference(trained: Trained, cache: CachedSlices, seen: Sequence[RealSlice]) -> Float32[np.ndarray, "m d"]:
    """The embeddings of known stacks for the gate: simulated series and real volumes that were trained on."""
    rng = np.random.default_rng(0)
    series = sorted(set(cache.series))
    kept = {series[index] for index in rng.permutation(len(series))[:REFERENCE_SIMULATED]}
    chosen = [index for index, name in enumerate(cache.series) if name in kept]
    means = mean_by(embedded(trained, cache.images[chosen]), [cache.series[index] for index in chosen])
    if seen:
        images = np.stack([one.image for one in seen])
        means |= mean_by(embedded(trained, images), [one.volume for one in seen])
    return np.stack([unit(image) for image in means.values()])


def strange_reference(trained: Trained, strange: UInt8[np.ndarray, "n s s"]) -> Float32[np.ndarray, "m d"]:
    """The embeddings of images that are no series of a patient, for the gate."""
    chosen = np.random.default_rng(0).permutation(len(strange))[:REFERENCE_SIMULATED]
    return np.stack([unit(image) for image in embedded(trained, strange[np.sort(chosen)]).astype(np.float64)])


def npy(array: Float32[np.ndarray, "m d"]) -> bytes:
    """`reference.npy`, in half precision: a distance needs no more."""
    content = BytesIO()
    np.save(content, array.astype(np.float16), allow_pickle=False)
    return content.getvalue()


def calibrated(bundle: Bundle, clean: Sequence[Path], *, gate_distance: float | None, created: str) -> Calibration:
    """A calibration on the clean series in `clean`, with the gate where it was set on held-out series."""
    reader = Reader(model=load_model(bundle))
    found = read_clean(clean, reader)
    log.info(
        "calibration: %d series, left out %d contradictory and %d unread",
        len(found.records), found.contradictory, found.unread,
    )  # fmt: skip
    provenance = Provenance(source="bundle", kind="simulated", created=created, bundle_sha256=None)
    records = [[inside for stack in series if (inside := _inside(stack, gate_distance))] for series in found.records]
    return replace(fit(records, provenance), gate_distance=gate_distance)


def _inside(record: StackRecord, gate_distance: float | None) -> StackRecord | None:
    """A stack that the gate lets through; one beyond it gives no evidence, neither here nor later."""
    beyond = gate_distance is not None and record.gate_distance is not None and record.gate_distance > gate_distance
    return None if beyond else record


def gate_distance(known: Float32[np.ndarray, "m d"], held: Held) -> float:
    """Beyond what a share `GATE_RATE` of held-out simulated series has, and beyond what any held-out real one has."""
    gate = NearestNeighbours(reference=known)
    distances = np.array([gate.distance(image) for image in held.images])
    real = np.array(held.real)
    simulated = float(np.quantile(distances[~real], 1 - GATE_RATE)) if (~real).any() else 0.0
    return max([simulated, *distances[real].tolist()])


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """What a bundle is finished from besides its towers."""

    cache: CachedSlices
    known: Float32[np.ndarray, "m d"]  # for the gate (`reference`)
    strange: Float32[np.ndarray, "s d"]  # for the gate (`strange_reference`)
    held: Held
    clean: Sequence[Path]  # folders of clean series to calibrate on


def finish(trained: Trained, folder: Path, *, about: About, given: Ingredients) -> Bundle:
    """Write the bundle to `folder`: once without its calibration beside the run, then with it."""
    captions, images = given.cache.captions, standardised(trained, given.cache.images[:64])
    files = {names.LABEL_GRID: weighted_grid(given.cache), names.REFERENCE: npy(given.known)}
    files[names.STRANGE] = npy(given.strange)
    distance = gate_distance(given.known, given.held)
    log.info("gate: distance %.3f", distance)
    staged = folder.with_name(f"{folder.name}-uncalibrated")
    first = export(trained, staged, replace(about, files=files), captions=captions, images=images)
    calibration = calibrated(first.bundle, given.clean, gate_distance=distance, created=about.created)
    files[names.CALIBRATION] = calibration.to_json()
    made = export(trained, folder, replace(about, files=files), captions=captions, images=images)
    log.info("torch against ONNX Runtime: largest difference %.2g", made.parity)
    return made.bundle


def grid_of(trained: Trained, bundle: Bundle) -> Grid:
    """The grid of a written bundle, embedded."""
    rows = grid_rows(bundle.read_json(names.LABEL_GRID))
    return embed_grid(rows, load_encoder(bundle), logit_scale=trained.built.model.scale.item())
