"""What a GPU makes of training: images a second, model FLOP utilisation, and what limits it.

python benchmarks/gpu_training.py [OVERRIDE ...]     Hydra overrides on the recipe `paper`, such as data.batch_size=1024

Model FLOPs are those of one forward and one backward pass of both towers, counted by torch's own counter from the
operators that run; the logits of a batch are left out (under 1 %), and so is what a gradient cache computes twice.
Utilisation is these a second over the device's dense peak (Chowdhery 2022, appendix B). On a CPU there is no peak, and
figures say only that the script works.
"""

import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from inference.captions import Caption
from training.data.batches import Batch, Batches, CsvBatches
from training.data.rows import SliceRow
from training.models.build import build
from training.models.inputs import field_table
from training.recipe import Recipe, load_recipe
from training.train.loop import train

WARM, STEPS = 5, 30
# Dense BF16 with tensor cores, FLOP/s (NVIDIA data sheets); the longer names first.
PEAKS: Final = {"H100 PCIe": 756e12, "H100 NVL": 835e12, "H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12}
# In names of kernels: matrix products, convolutions and fused attention.
PRODUCTS: Final = ("gemm", "cutlass", "xmma", "wgmma", "nvjet", "flash", "fmha", "cudnn", "conv")
ENOUGH: Final = 0.9


@dataclass(frozen=True, kw_only=True)
class Device:
    """Where the time of some steps went on the device, as shares of the wall time."""

    busy: float
    products: float  # of the busy time, in matrix products


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured, in images a second and FLOPs an image (with its caption)."""

    flops_per_image: float
    ready_per_s: float  # the batch lies on the device already
    whole_per_s: float  # from PNG files
    pipeline_per_s: float  # the files alone, without a model
    device: Device | None

    def utilisation(self, rate_per_s: float, peak: float | None) -> float | None:
        """The share of the peak that this rate makes use of; None where no peak is known."""
        return None if peak is None else rate_per_s * self.flops_per_image / peak


def peak_flops(name: str) -> float | None:
    """Dense BF16 FLOP/s of a device by its name; None where it is not in the table."""
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def flops_per_image(recipe: Recipe, captions: Sequence[Caption]) -> float:
    """Of one forward and one backward pass of an image and its caption, counted on a CPU."""
    built = build(recipe.model, field_table(captions, recipe.model.metadata.fields, min_count=1))
    inputs = built.inputs.encode(captions[:2])
    # The mathematical kernel is made of matrix products, which the counter knows on every device.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        features = built.model(images(recipe, 2), inputs)
        (features.image.sum() + features.metadata.sum()).backward()
    return counter.get_total_flops() / 2


def images(recipe: Recipe, count: int) -> torch.Tensor:
    """Prepared images of the recipe's size."""
    tower = recipe.model.image
    return torch.rand(count, tower.channels, tower.size_px, tower.size_px, generator=torch.Generator().manual_seed(0))


class Ready:
    """The same batch for ever, on the device."""

    def __init__(self, recipe: Recipe, captions: Sequence[Caption], device: torch.device) -> None:
        count = recipe.data.batch_size
        self._captions = [captions[number % len(captions)] for number in range(count)]
        self._batch = Batch(images(recipe, count).to(device), self._captions, torch.arange(count))

    def captions(self) -> Sequence[Caption]:
        """What it shows."""
        return self._captions

    def steps(self, first: int = 0) -> Iterator[Batch]:
        """For ever."""
        while True:
            yield self._batch


class Timed:
    """A source that notes when each batch was asked for; the loop waits for the device in every step."""

    def __init__(self, source: Batches, *, batch: int, profiler: Any = None) -> None:
        self._source, self._batch, self._profiler = source, batch, profiler
        self.asked_s: list[float] = []

    def captions(self) -> Sequence[Caption]:
        """Those of the source."""
        return self._source.captions()

    def steps(self, first: int = 0) -> Iterator[Batch]:
        """Those of the source."""
        for number, batch in enumerate(self._source.steps(first)):
            if number == WARM and self._profiler is not None:
                self._profiler.start()
            self.asked_s.append(time.perf_counter())
            yield batch

    @property
    def wall_s(self) -> float:
        """Between the first batch after the warm-up and the last."""
        return self.asked_s[-1] - self.asked_s[WARM]

    @property
    def rate_per_s(self) -> float:
        """Images a second."""
        return self._batch * (len(self.asked_s) - 1 - WARM) / self.wall_s


def trained(recipe: Recipe, source: Batches, device: torch.device, profiler: Any = None) -> Timed:
    """A short run of the training loop on a source."""
    timed = Timed(source, batch=recipe.data.batch_size, profiler=profiler)
    with tempfile.TemporaryDirectory() as folder:
        train(recipe, timed, Path(folder), device=device)
    return timed


def on_device(recipe: Recipe, source: Batches, device: torch.device) -> Device | None:
    """Where the device's time goes; None on a CPU."""
    if device.type != "cuda":
        return None
    profiler = profile(activities=[ProfilerActivity.CUDA])
    timed = trained(recipe, source, device, profiler)
    profiler.stop()
    events = [event for event in profiler.key_averages() if not event.is_user_annotation]  # these span kernels
    spent = {event.key: event.self_device_time_total / 1e6 for event in events}
    busy_s = sum(spent.values())
    products_s = sum(seconds for name, seconds in spent.items() if is_product(name))
    profiled = len(timed.asked_s) - WARM  # steps; the wall time ends where the last of them begins
    return Device(busy=min(1.0, busy_s / profiled * (profiled - 1) / timed.wall_s), products=products_s / busy_s)


def is_product(kernel: str) -> bool:
    """Whether a kernel is a matrix product, by its name."""
    return any(part in kernel.lower() for part in PRODUCTS)


def from_files(recipe: Recipe, captions: Sequence[Caption], folder: Path, count: int) -> CsvBatches:
    """The input pipeline of the recipe on PNG files as `preprocess` writes them."""
    size, random = recipe.preprocess.size_px, np.random.default_rng(0)
    rows: list[SliceRow] = []
    for number in range(count):
        smooth = Image.fromarray(random.integers(0, 255, (20, 20), np.uint8)).resize((size, size))
        smooth.save(folder / f"{number}.png")
        caption = captions[number % len(captions)]
        rows.append(SliceRow(filepath=f"{number}.png", text="", label=number, volume="v", group="g", caption=caption))
    return CsvBatches(rows, folder, spec=recipe.data, pixels=recipe.pixels)


def measure(recipe: Recipe, device: torch.device) -> Figures:
    """All of it, with `optimiser.steps` steps a run."""
    captions = [Caption(plane="axial", Manufacturer="GE", EchoTime_ms=10.0 + n) for n in range(32)]
    ready = Ready(recipe, captions, device)
    batch, steps = recipe.data.batch_size, recipe.optimiser.steps
    with tempfile.TemporaryDirectory() as folder:
        files = from_files(recipe, captions, Path(folder), max(batch, 2048 if device.type == "cuda" else 0))
        alone = Timed(files, batch=batch)
        for _, _ in zip(range(steps), alone.steps(), strict=False):
            pass
        return Figures(
            flops_per_image=flops_per_image(recipe, captions),
            ready_per_s=trained(recipe, ready, device).rate_per_s,
            whole_per_s=trained(recipe, files, device).rate_per_s,
            pipeline_per_s=alone.rate_per_s,
            device=on_device(recipe, ready, device),
        )


def limit(figures: Figures) -> str:
    """What holds training back, in words."""
    if figures.whole_per_s < ENOUGH * figures.ready_per_s:
        return (
            f"the input pipeline, which alone makes {figures.pipeline_per_s:.0f} images/s where the model would take "
            f"{figures.ready_per_s:.0f}"
        )
    if figures.device is None:
        return "the processor"
    if figures.device.busy < ENOUGH:
        return f"the host, which keeps the device busy {figures.device.busy:.0%} of the time: take larger batches"
    if figures.device.products < 0.5:
        return f"memory traffic: {1 - figures.device.products:.0%} of the device's time is not in matrix products"
    return f"the matrix products themselves, {figures.device.products:.0%} of the device's time"


def section(recipe: Recipe, device: torch.device) -> str:
    """The section of the page."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    peak, figures = peak_flops(name), measure(recipe, device)
    head = (
        f"{name}: {recipe.model.image.name} at {recipe.model.image.size_px} px, batch {recipe.data.batch_size}, "
        f"{recipe.run.precision}, {recipe.data.workers} workers; "
        f"{figures.flops_per_image / 1e9:.1f} GFLOP an image, forward and backward.\n"
    )
    lines = [
        head,
        "| | images/s | model FLOP utilisation |",
        "|---|---|---|",
    ]
    for words, rate in (("batch on the device", figures.ready_per_s), ("from PNG files", figures.whole_per_s)):
        share = figures.utilisation(rate, peak)
        lines.append(f"| {words} | {rate:.0f} | {'no peak is known' if share is None else f'{share:.1%}'} |")
    lines.append(f"| input pipeline alone | {figures.pipeline_per_s:.0f} | |")
    if figures.device is not None:
        lines.append(
            f"\nKernels run {figures.device.busy:.0%} of the time, {figures.device.products:.0%} of it in products."
        )
    return "\n".join([*lines, f"\nWhat limits it: {limit(figures)}."])


def main(overrides: list[str]) -> None:
    """Print the section."""
    logging.disable(logging.INFO)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    quiet = ["run.trackers=[]", "run.log_every=1000000", f"optimiser.steps={STEPS}", "optimiser.warmup_steps=1"]
    print(section(load_recipe("paper", [*quiet, *overrides]), device))


if __name__ == "__main__":
    main(sys.argv[1:])
