"""An open_clip-style checkpoint to a bundle."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import yaml
from jaxtyping import Float32

from inference.captions import Caption, from_mapping
from inference.pixels import PixelSpec, prepare
from training.data.spec import PixelRecipe
from training.export.about import About
from training.export.bundle import Exported, export
from training.importer.architecture import architecture
from training.importer.weights import convert, read_weights
from training.models.build import build
from training.recipe import RECIPES, load_recipe
from training.rehearsal.phantoms import head, slices
from training.rehearsal.protocols import PROTOCOLS
from training.train.checkpoint import Trained, load_weights

_PLANES: Final = ("axial", "sagittal", "coronal")


def load_foreign(path: Path, *, quick_gelu: bool = False) -> Trained:
    """The model of a checkpoint that open_clip wrote; RefusedError names what does not fit."""
    weights = read_weights(path)
    found = architecture(weights, path, quick_gelu=quick_gelu)
    recipe = replace(load_recipe("paper"), model=found.spec())
    # the standardisation is folded into the weights
    data = replace(recipe.data, pixels=PixelRecipe(low_percentile=0, high_percentile=100, mean=0, std=1))
    recipe = replace(recipe, data=data)
    built = build(recipe.model)
    load_weights(built, convert(weights), path)
    built.model.eval().requires_grad_(False)
    return Trained(built=built, recipe=recipe, step=0)


def import_checkpoint(
    path: Path, out: Path, about: About, *, captions: Sequence[Caption] | None = None, quick_gelu: bool = False
) -> Exported:
    """Write the bundle of a checkpoint; its label grid holds `captions`, or typical protocols of the brain for None."""
    trained = load_foreign(path, quick_gelu=quick_gelu)
    images = phantom_images(trained.recipe.pixels)
    known = typical_captions() if captions is None else captions
    return export(trained, out, about, captions=known, images=images)


def typical_captions() -> list[Caption]:
    """Protocols of the brain in the three planes."""
    protocols = yaml.safe_load((RECIPES / "grid" / "protocols.yaml").read_text(encoding="utf-8"))
    return [
        from_mapping({**protocol, "plane": plane, "ImageKind": "magnitude"})
        for protocol in protocols
        for plane in _PLANES
    ]


def phantom_images(pixels: PixelSpec) -> Float32[np.ndarray, "n c s s"]:
    """Prepared slices of phantoms, for checks where there are no others."""
    random = np.random.default_rng(0)
    anatomy = head(random)
    stacks = [
        slices(anatomy, protocol.draw(random), "axial", count=4, size_px=128, random=random) for protocol in PROTOCOLS
    ]
    return np.concatenate([prepare(list(stack), pixels) for stack in stacks])
