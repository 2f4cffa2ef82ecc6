"""Simulated slices on disk: drawn once, by several processes, so that training does not wait for the simulator.

    python -m training.simulated_cache OUT --seed 1 --labels LABELS --minutes 20

One `.npz` a step of the stream: `images` uint8 (n, s, s) and `rows` (n JSON texts: caption, labels, region, protocol,
series). A cache of held-out anatomy is made with `--held-out`: then the heads are those kept from training.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import UInt8

from inference.atomic import replace_file
from inference.captions import Caption, from_mapping
from training.simulate.people.cast import CastSpec
from training.simulate.people.head import label_files
from training.simulate.stream import SimulatedBatch, SimulatedBatches, StreamSpec

HELD_OUT: Final = tuple(StreamSpec().leave_out)
# An anatomy costs as much as a hundred series of one that is there: about twenty series of each, then another one.
_CAST: Final = CastSpec(heads=12, bodies=12, objects=12, lifetime_steps=36)
# What the encoder learns from.
CACHED: Final = StreamSpec(size_px=128, slices=3, head_share=0.5, oversampling=1.25, sub_slices=5, cast=_CAST)
# What it learns to keep away from everything else: test objects, which no label is true of.
OBJECTS: Final = replace(CACHED, object_share=1.0, labelled=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class CachedSlices:
    """Simulated slices: images in [0, 255] and, for each, what its header claims and its pixels show."""

    images: UInt8[np.ndarray, "n s s"]
    captions: list[Caption]
    regions: list[str]
    protocols: list[str]
    series: list[str]  # slices of one series share it


def write(batch: SimulatedBatch, path: Path) -> None:
    """One step of the stream as a file, whole or not at all."""
    texts = []
    for caption, row in zip(batch.captions, batch.rows, strict=True):
        shown = replace(
            caption, contrast=row.contrast, post_contrast=row.post_contrast, fat_suppressed=row.fat_suppressed
        )
        said = {name: value for name, value in asdict(shown).items() if value is not None}
        texts.append(json.dumps([said, row.region, row.protocol, f"{path.stem}/{row.series}"]))
    images = (batch.images[:, 0].cpu().numpy() * 255).round().astype(np.uint8)
    staged = path.with_suffix(".staged.npz")
    np.savez_compressed(staged, images=images, rows=np.array(texts))
    replace_file(path, staged.read_bytes())
    staged.unlink()


def read(folder: Path) -> CachedSlices:
    """All steps of a folder."""
    images: list[np.ndarray] = []
    rows: list[tuple[dict[str, object], str, str, str]] = []
    for path in sorted(folder.glob("step-*.npz")):
        if ".staged" in path.name:
            continue
        with np.load(path, allow_pickle=False) as content:
            images.append(content["images"])
            rows.extend(json.loads(str(text)) for text in content["rows"])
    if not rows:
        raise FileNotFoundError(f"{folder} holds no step-*.npz; `python -m training.simulated_cache` writes them")
    return CachedSlices(
        images=np.concatenate(images),
        captions=[from_mapping(caption) for caption, *_ in rows],
        regions=[region for _, region, *_ in rows],
        protocols=[protocol for _, _, protocol, _ in rows],
        series=[series for *_, series in rows],
    )


def fill(folder: Path, stream: SimulatedBatches, *, minutes: float, steps: int) -> Iterator[Path]:
    """Write step after step until `minutes` have passed or `steps` are there; those that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * minutes
    for step in range(steps):
        path = folder / f"step-{stream.seed:06d}-{step:06d}.npz"
        if not path.exists():
            write(stream.batch(step), path)
        yield path
        if time.monotonic() > until:
            return


def stream_of(seed: int, labels: Path | None, spec: StreamSpec, *, held_out: bool) -> SimulatedBatches:
    """The stream of a cache; `held_out` takes the heads that training leaves out, and no others."""
    if held_out and labels is not None:
        kept = [path.name.split(".")[0] for path in label_files(labels)]
        spec = replace(spec, leave_out=tuple(stem for stem in kept if stem not in HELD_OUT))
    return SimulatedBatches(seed, spec, labels=labels)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fill a cache."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--labels", type=Path, help="folder of head label maps; MNI152 without")
    parser.add_argument("--seed", type=int, default=1, help="another one for every process")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--steps", type=int, default=100000)
    parser.add_argument("--objects", action="store_true", help="test objects instead of people")
    parser.add_argument("--held-out", action="store_true", help="anatomy that training never sees")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    spec = OBJECTS if options.objects else CACHED
    stream = stream_of(options.seed, options.labels, spec, held_out=options.held_out)
    for _ in fill(options.out, stream, minutes=options.minutes, steps=options.steps):
        pass


if __name__ == "__main__":
    main()
