"""From trained towers to a bundle: its alarms calibrated on series that were left out of training, and written."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32

from inference import manifest as names
from inference.bundle import Bundle, write_bundle
from inference.calibration import Provenance
from inference.calibration_fit import Image, Series, fit_populations
from inference.clean import read_clean
from inference.model import load_model
from inference.read import Reader
from training import simulated_cache
from training.bundle_card import about
from training.bundle_judges import (
    Judge,
    accuracy_table,
    gate_distance,
    judge,
    least_probability,
    series_folders,
    temperature,
)
from training.bundle_run import Run
from training.export.about import About
from training.export.card import card
from training.files import write_json
from training.recipe import Recipe
from training.simulated_cache import CachedSlices

log = logging.getLogger(__name__)

# Clean series; the others of the folder calibrate the alarms. Of 220 one right answer less once made the threshold 0.8
# instead of 0.6.
TEMPERED_ON: Final = 700
Images = list[Image]  # each under one or several headers


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the judges set together."""

    scale: float
    gate_distance: float
    about: About


def finish(run: Run, recipe: Recipe, out: Path, *, tempered_on: int = TEMPERED_ON) -> Bundle:
    """Write the bundle to `out`, and that of every fold to `out` of its folder.

    `tempered_on` of the clean series set temperature, threshold and gate together with the left-out real volumes; the
    others and the left-out volumes under other headers calibrate the alarms, both with the
    same weight in a field's p-value.
    """
    cache, objects = simulated_cache.read(run.cache), simulated_cache.read(run.objects)
    clean = series_folders(run.clean)
    folds = run.folds(recipe.model.image.size_px)
    judges = [judge(one, recipe, cache, objects, []) for one in folds]
    whole = judge(run, recipe, cache, objects, clean[:tempered_on])
    setting = _setting(run, recipe, [*judges, whole], cache)
    staged = [_staged(one, setting, one.run.folder / "out") for one in judges]
    real = [left_out_images(made, one.run, setting) for made, one in zip(staged, judges, strict=True)]
    for number, one in enumerate(judges):
        simulated = simulated_images(staged[number], clean[tempered_on:], setting)
        others = [image for other, found in enumerate(real) if other != number for image in found]
        _finished(staged[number], setting, one.run, one.run.folder / "out", [simulated, others])
    made = _staged(whole, setting, out)
    own = simulated_images(made, clean[tempered_on:], setting)
    return _finished(made, setting, run, out, [own, [image for found in real for image in found]])


def _setting(run: Run, recipe: Recipe, judges: Sequence[Judge], cache: CachedSlices) -> Setting:
    scale = temperature(judges)
    table = accuracy_table(judges, scale)
    distance = gate_distance(judges)
    log.info("left out: %s; gate: distance %.3f", table, distance)
    write_json(run.folder / "left-out.json", {"scale": scale, "gate_distance": distance, "accuracy": table})
    facts = about(
        real=run.slices(recipe.model.image.size_px)[0],
        labels=run.labels is not None,
        cache=cache,
        held_out=table,
        minimum_probability=least_probability(table),
        start=recipe.model.image.start,
    )
    return Setting(scale=scale, gate_distance=distance, about=facts)


def simulated_images(bundle: Bundle, clean: Sequence[Path], setting: Setting) -> Images:
    """What a bundle without calibration has against the headers of simulated series, each of an image of its own."""
    return [[series] for series in records(clean, Reader(model=load_model(bundle)), setting)]


def left_out_images(bundle: Bundle, fold: Run, setting: Setting) -> Images:
    """The same of the real volumes that a fold left out, each under all headers that were drawn for it."""
    headers = series_folders(fold.left_out_clean)
    volumes = sorted({folder.name for one in headers for folder in series_folders(one)})
    reader = Reader(model=load_model(bundle))
    return [records([one / volume for one in headers], reader, setting) for volume in volumes]


def records(clean: Sequence[Path], reader: Reader, setting: Setting) -> list[Series]:
    """Of each clean series its stacks, those beyond the gate left out: they give no evidence, here or later."""
    found = read_clean(clean, reader)
    log.info(
        "calibration: %d series, left out %d contradictory and %d unread",
        len(found.records), found.contradictory, found.unread,
    )  # fmt: skip
    return [
        [stack for stack in series if stack.gate_distance is None or stack.gate_distance <= setting.gate_distance]
        for series in found.records
    ]


def _staged(one: Judge, setting: Setting, folder: Path) -> Bundle:
    """The bundle without its calibration, beside the place of the finished one."""
    first = one.exported.bundle
    one.trained.built.model.log_scale.data.fill_(float(np.log(setting.scale)))
    place = folder.with_name(f"{folder.name}-uncalibrated")
    if one.run.shared is not None:  # a fold, made again; nothing else is ever overwritten
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    content = replace(
        first.manifest,
        created=setting.about.created,
        logit_scale=setting.scale,
        minimum_probability=setting.about.minimum_probability,
    )
    files = {
        **{file: first.read(file) for file in first.manifest.files},
        names.REFERENCE: npy(one.known),
        names.STRANGE: npy(one.strange),
        names.MODEL_CARD: card(one.trained, setting.about, one.exported.drift).encode(),
    }
    return write_bundle(place, content, files)


def _finished(staged: Bundle, setting: Setting, run: Run, folder: Path, clean: Sequence[Images]) -> Bundle:
    """The same bundle calibrated on `clean`: simulated series, and real ones where there are any."""
    kind = "mixed" if run.real else "simulated"
    provenance = Provenance(source="bundle", kind=kind, created=setting.about.created, bundle_sha256=None)
    calibration = fit_populations(clean, provenance, gate_distance=setting.gate_distance)
    files = {file: staged.read(file) for file in staged.manifest.files}
    return write_bundle(folder, staged.manifest, {**files, names.CALIBRATION: calibration.to_json()})


def npy(array: Float32[np.ndarray, "m d"]) -> bytes:
    """`reference.npy`, in half precision: a distance needs no more."""
    content = BytesIO()
    np.save(content, array.astype(np.float16), allow_pickle=False)
    return content.getvalue()
