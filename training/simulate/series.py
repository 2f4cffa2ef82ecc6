"""One simulated series: the pixels and everything that is true about them."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.simulate.physics.scan import Scan
from training.simulate.scanner.imaging import Quality, images
from training.simulate.scanner.planning import draw_faults, person, plan, stack_offsets
from training.simulate.scanner.render import Person, View

_FINE = Quality(oversampling=1.5, sub_slices=6)


@dataclass(frozen=True, kw_only=True)
class SimulatedSeries:
    """A series before it is written."""

    scan: Scan
    view: View
    volume: Tensor  # float32 (slices, rows, columns), units as `imaging.images` gives them
    seed: int


def simulate(subject: Person, scan: Scan, *, seed: int, slices: int) -> SimulatedSeries:
    """One series of a person; the same arguments give the same pixels on the same kind of device."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator(subject.anatomy.codes.device).manual_seed(seed)
    view = plan(subject.anatomy, scan, stack_offsets(subject.anatomy, scan, slices), rng)
    volume = images(subject, view, scan, draw_faults(scan, rng), _FINE, generator)
    return SimulatedSeries(scan=scan, view=view, volume=volume, seed=seed)


__all__ = ["SimulatedSeries", "person", "simulate"]
