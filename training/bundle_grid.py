"""The label grid of the default bundle: the captions it was trained on, weighted by how common a contrast is."""

import json
from collections.abc import Mapping
from typing import Final

from inference import labels
from training.export.grid import GridSpec, label_grid
from training.simulated_cache import CachedSlices

GRID_ROWS: Final = 800
# How common a contrast is where clinical archives are read: an assumption, stated in the model card.
PRIOR: Final[Mapping[str, float]] = {
    labels.T1: 0.25, labels.T2: 0.22, labels.PROTON_DENSITY: 0.07, labels.FLUID_ATTENUATED: 0.10, labels.STIR: 0.04,
    labels.T2_STAR: 0.08, labels.DIFFUSION: 0.10, labels.PERFUSION: 0.02, labels.TOF: 0.02, labels.FLOW_ENCODED: 0.01,
    labels.SUSCEPTIBILITY: 0.03, labels.ADC: 0.03, labels.DERIVED_MAP: 0.02, labels.PHASE: 0.01,
}  # fmt: skip


def weighted_grid(cache: CachedSlices) -> bytes:
    """`label_grid.json` from the captions of the cache, its contrasts weighted by `PRIOR`."""
    document = json.loads(label_grid(cache.captions, GridSpec(rows=GRID_ROWS)))
    for row in document["rows"]:
        row["weight"] *= PRIOR[row["contrast"]]
    return (json.dumps(document, indent=1) + "\n").encode()
