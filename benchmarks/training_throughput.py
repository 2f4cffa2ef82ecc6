"""Training rate of our loop against open_clip's own, with the same towers, batch and precision in the same run.

The rounds of both take turns, so that a busy machine slows both. Both loops get ready-made images; ours gets captions
and tokenizes them in the loop, open_clip's gets tokens. Ours also keeps an average of the weights.
"""

import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from open_clip_train.scheduler import cosine_lr
from open_clip_train.train import train_one_epoch
from PIL import Image

import gpu_training
from inference.captions import Caption, text
from training.data.batches import Batch, CsvBatches
from training.data.rows import SliceRow
from training.recipe import Recipe, load_recipe
from training.train.loop import train

BATCH, STEPS, ROUNDS, SIZE_PX, CONTEXT = 32, 8, 5, 96, 98
VISION = {"width": 192, "layers": 6, "head_width": 64, "patch_size": 16}
CAPTIONS = [
    Caption(plane="axial", Manufacturer="GE", EchoTime_ms=10.0 + n, RepetitionTime_ms=500.0) for n in range(BATCH)
]
IMAGES = torch.rand(BATCH, 3, SIZE_PX, SIZE_PX, generator=torch.Generator().manual_seed(0))


class Stamps:
    """CPU seconds at which a loop asked for its batches; one thread works, so a busy machine does not count."""

    def __init__(self) -> None:
        self.cpu_s: list[float] = []

    def note(self) -> None:
        self.cpu_s.append(time.process_time())

    def rate(self) -> float:
        """Images a CPU second between the second batch and the last; the first warms up."""
        return BATCH * (len(self.cpu_s) - 2) / (self.cpu_s[-1] - self.cpu_s[1])


class Ready(Stamps):
    """The same batch for ever, for our loop."""

    def captions(self) -> Sequence[Caption]:
        return CAPTIONS

    def steps(self, first: int = 0) -> Iterator[Batch]:
        while True:
            self.note()
            yield Batch(IMAGES, CAPTIONS, torch.arange(BATCH))


def recipe() -> Recipe:
    return load_recipe(
        "paper",
        [
            f"+model.image.overrides={VISION}".replace("'", "").replace(" ", ""),
            f"model.image.size_px={SIZE_PX}", "model.embed_dim=128", "model.metadata.width=128",
            "model.metadata.heads=2", "model.metadata.layers=4", "loss=clip", f"data.batch_size={BATCH}",
            f"optimiser.steps={STEPS}", "optimiser.warmup_steps=1", "run.precision=fp32", "run.device=cpu",
            "run.trackers=[]", "run.log_every=1000",
        ],
    )  # fmt: skip


def ours() -> float:
    """Images a CPU second of a short run of our loop."""
    source = Ready()
    with tempfile.TemporaryDirectory() as folder:
        train(recipe(), source, Path(folder), device=torch.device("cpu"))
    return source.rate()


def open_clips() -> Callable[[], float]:
    """Images a CPU second of a short epoch of open_clip's loop."""
    vision = CLIPVisionCfg(image_size=SIZE_PX, **VISION)
    model = CLIP(128, vision, CLIPTextCfg(context_length=CONTEXT, width=128, heads=2, layers=4), output_dict=True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    tokens = open_clip.SimpleTokenizer()([text(caption, "paper") for caption in CAPTIONS], context_length=CONTEXT)

    class Loader(Stamps):
        num_batches, num_samples = STEPS, BATCH * STEPS

        def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
            for _ in range(STEPS):
                self.note()
                yield IMAGES, tokens

    options = SimpleNamespace(
        device="cpu", precision="fp32", distill=False, accum_freq=1, skip_scheduler=False, grad_clip_norm=1.0,
        horovod=False, rank=0, local_rank=0, log_local=False, log_every_n_steps=10**9, batch_size=BATCH, world_size=1,
        wandb=False,
    )  # fmt: skip
    schedule = cosine_lr(optimiser, 1e-4, 1, 10**6)

    def run() -> float:
        loader = Loader()
        data = {"train": SimpleNamespace(dataloader=loader, set_epoch=lambda _: None)}
        train_one_epoch(model, data, open_clip.ClipLoss(), 0, optimiser, None, schedule, None, options)
        return loader.rate()

    return run


def input_pipeline() -> float:
    """Images a CPU second of reading, changing and standardising PNG slices of 160 px, without a model."""
    with tempfile.TemporaryDirectory() as folder:
        rows: list[SliceRow] = []
        random = np.random.default_rng(0)
        for number in range(256):
            smooth = Image.fromarray(random.integers(0, 255, (20, 20), np.uint8)).resize((160, 160))
            smooth.save(Path(folder) / f"{number}.png")
            rows.append(
                SliceRow(filepath=f"{number}.png", text="", label=0, volume="v", group="g", caption=CAPTIONS[0])
            )
        settings = load_recipe("default", ["data.batch_size=64"])
        steps = CsvBatches(rows, Path(folder), spec=settings.data, pixels=settings.pixels).steps()
        next(steps)
        since = time.process_time()
        for _ in range(8):
            next(steps)
        return 8 * 64 / (time.process_time() - since)


def main() -> None:
    """Print the section."""
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    theirs = open_clips()
    pairs = [(ours(), theirs()) for _ in range(ROUNDS)]
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratios = sorted(one / two for one, two in pairs)
    print(
        f"ViT of 6 layers, width 192, {SIZE_PX} px, and a text transformer of 4 layers; batch {BATCH}, fp32, one "
        f"thread, {ROUNDS} rounds in turns; CPU time, because other work shares the machine.\n\n"
        "| loop | images/CPU s (median) |\n|---|---|\n"
        f"| mrclip `training.train.loop` | {mine:.1f} |\n| open_clip `train_one_epoch` | {other:.1f} |\n\n"
        f"Ratio, round by round: median {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}).\n\n"
        "Input pipeline alone (160 px PNG, all of the default recipe's augmentation): "
        f"{input_pipeline():.0f} images/CPU s; with `data.workers` every worker makes whole batches."
    )
    if torch.cuda.is_available():
        print("\nOn the GPU (`benchmarks/gpu_training.py`):\n")
        gpu_training.main([])


if __name__ == "__main__":
    main()
