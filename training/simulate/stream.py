"""Batches of simulated slices without end: images as the reader prepares them, captions as the reader makes them.

Step k is the same whenever and wherever it is asked for with the same seed on the same kind of device.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from inference.captions import Caption
from inference.pixels import PixelError, PixelSpec, unit_images
from training.simulate.dicom.headers import caption_of
from training.simulate.people.anatomy import Anatomy
from training.simulate.people.bodies import REGIONS
from training.simulate.people.cast import Cast, CastSpec, training_labels
from training.simulate.physics.scan import Scan
from training.simulate.protocols.catalogue import draw_protocol, draw_scan
from training.simulate.scanner.imaging import Quality, images
from training.simulate.scanner.planning import draw_faults, person, plan

# The reader looks at the middle 80 % of a stack.
_DEPTH = 0.8
# Regions that have protocols of their own; a test object is put into the head coil.
_IMAGED_AS_THEMSELVES = frozenset({"head", *REGIONS})


class LabelRow(NamedTuple):
    """What the pixels of one slice show, by construction."""

    contrast: str | None  # of inference.labels; None where no label is true
    post_contrast: bool
    fat_suppressed: bool
    group: str  # spin-echo, gradient-echo, epi, derived
    region: str
    protocol: str
    series: int  # slices of one series have one number


class SimulatedBatch(NamedTuple):
    """The slices of one step, series after series."""

    images: Float32[Tensor, "n 1 s s"]  # in [0, 1], as `inference.pixels.unit_images` leaves them
    captions: list[Caption]
    rows: list[LabelRow]
    scans: list[Scan]


@dataclass(frozen=True, kw_only=True)
class StreamSpec:
    """What a batch holds."""

    size_px: int = 160
    series: int = 16  # in a batch
    slices: int = 4  # of a series
    head_share: float = 0.6
    object_share: float = 0.0  # test objects: images that no label is true of, contrast None
    labelled: bool = True  # leave out series that have no label (balanced, localizers)
    cast: CastSpec = field(default_factory=CastSpec)
    leave_out: Sequence[str] = ("head_17", "head_18", "head_19", "head_20")  # stems of label maps kept for tests
    oversampling: float = 1.25
    sub_slices: int = 4
    largest_matrix: float = 1.35  # of the acquired matrix, in units of size_px


class SimulatedBatches:
    """The stream for one seed."""

    def __init__(
        self,
        seed: int,
        spec: StreamSpec,
        *,
        labels: Path | None,
        device: torch.device | str = "cpu",
        drawn_only: bool = False,
    ) -> None:
        self.seed, self.spec, self.device = seed, spec, torch.device(device)
        paths = training_labels(labels, spec.leave_out)
        self._cast = Cast(seed=seed, labels=paths, spec=spec.cast, device=self.device, drawn_only=drawn_only)
        self._pixels = PixelSpec(size_px=spec.size_px)
        self._quality = Quality(
            oversampling=spec.oversampling,
            sub_slices=spec.sub_slices,
            largest_matrix=round(spec.largest_matrix * spec.size_px),
        )

    def steps(self, first: int = 0) -> Iterator[SimulatedBatch]:
        """The batches of step `first`, `first` + 1, ... without end."""
        step = first
        while True:
            yield self.batch(step)
            step += 1

    def batch(self, step: int) -> SimulatedBatch:
        """The batch of one step."""
        pictures: list[np.ndarray] = []
        captions: list[Caption] = []
        rows: list[LabelRow] = []
        scans: list[Scan] = []
        for number in range(self.spec.series):
            scan, slices = self._series(step, number)
            labels = scan.labels
            row = LabelRow(
                labels.contrast,
                labels.post_contrast,
                labels.fat_suppressed,
                labels.group,
                scan.region,
                scan.protocol,
                number,
            )
            pictures.append(slices)
            captions.extend([caption_of(scan)] * len(slices))
            rows.extend([row] * len(slices))
            scans.extend([scan] * len(slices))
        return SimulatedBatch(
            torch.from_numpy(np.concatenate(pictures))[:, None].to(self.device), captions, rows, scans
        )

    def _series(self, step: int, number: int) -> tuple[Scan, Float32[np.ndarray, "n s s"]]:
        """One series; drawn again in the rare case that its pixels would be refused (nothing but noise)."""
        for attempt in range(20):
            rng = np.random.default_rng([self.seed, 2, step, number, attempt])
            try:
                return self._attempt(step, rng)
            except PixelError:
                continue
        raise RuntimeError(f"seed {self.seed}, step {step}, series {number}: twenty draws gave no image")

    def _anatomy(self, step: int, rng: np.random.Generator) -> Anatomy:
        kind, spec = rng.random(), self.spec
        if kind < spec.object_share:
            return self._cast.test_object(int(rng.integers(spec.cast.objects)), step)
        if rng.random() < spec.head_share:
            return self._cast.head(int(rng.integers(spec.cast.heads)), step)
        return self._cast.body(int(rng.integers(spec.cast.bodies)), step)

    def _attempt(self, step: int, rng: np.random.Generator) -> tuple[Scan, Float32[np.ndarray, "n s s"]]:
        spec = self.spec
        anatomy = self._anatomy(step, rng)
        region = anatomy.region if anatomy.region in _IMAGED_AS_THEMSELVES else "head"
        protocol = draw_protocol(region, rng)
        while spec.labelled and protocol.contrast is None:
            protocol = draw_protocol(region, rng)
        scan = draw_scan(protocol, region, rng)
        if region != anatomy.region:
            scan = replace(scan, region=anatomy.region, labels=replace(scan.labels, contrast=None))
        offsets = np.sort(rng.uniform(-_DEPTH / 2, _DEPTH / 2, spec.slices))
        view = plan(anatomy, scan, offsets, rng)
        generator = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        volume = images(
            person(anatomy, scan.physics.field_t, rng), view, scan, draw_faults(scan, rng), self._quality, generator
        )
        spacing = (view.fov_mm[0] / volume.shape[1], view.fov_mm[1] / volume.shape[2])
        return scan, unit_images(list(volume.cpu().numpy()), self._pixels, pixel_spacing_mm=spacing)


def batches(
    seed: int,
    size_px: int,
    *,
    device: torch.device | str = "cpu",
    labels_dir: Path | None = None,
    spec: StreamSpec | None = None,
) -> Iterator[SimulatedBatch]:
    """Batches from step 0; `spec` says what is in them (its size is replaced by `size_px`)."""
    chosen = replace(spec or StreamSpec(), size_px=size_px)
    return SimulatedBatches(seed, chosen, labels=labels_dir, device=device).steps()
