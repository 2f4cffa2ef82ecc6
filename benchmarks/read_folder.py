"""A folder of 24-slice series, warm: series a second, and where the time goes."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import atto_bundle
import sample
from inference.bundle import open_bundle
from inference.model import load_model
from inference.pixels import prepare, read_slices
from inference.read import Reader, read_paths
from inference.sources import Instance, find, load
from inference.stacks import choose, split

SERIES, SLICES, RUNS = 40, 24, 3


def main() -> None:
    """Print the section."""
    with TemporaryDirectory() as scratch:
        reader = Reader(model=load_model(open_bundle(atto_bundle.write(Path(scratch) / "bundle")), threads=1))
        study = sample.write(Path(scratch) / "study", count=SERIES, slices=SLICES)
        read_paths([study / "000"], reader)  # warm
        rates = []
        for _ in range(RUNS):
            begun = time.perf_counter()
            reading = read_paths([study], reader)
            rates.append(SERIES / (time.perf_counter() - begun))
        assert all(stack.status == "read" for series in reading.series for stack in series.stacks)
        parse, pixels, encode = parts(study / "000", reader)
    print(f"{SERIES} series of {SLICES} slices, 256 x 256, 16 encoded each by ConvNeXt-atto at 224 px (random).")
    print(f"\n**{np.median(rates):.1f} series/s** ({min(rates):.1f} to {max(rates):.1f}, n={RUNS}); the goal is 5.\n")
    print("| part of one series, alone on one thread | ms |\n|---|---|")
    print(f"| headers of {SLICES} files | {1000 * parse:.0f} |\n| decode and prepare 16 slices | {1000 * pixels:.0f} |")
    print(f"| encode 16 slices | {1000 * encode:.0f} |")


def parts(folder: Path, reader: Reader) -> tuple[float, float, float]:
    """Seconds to parse, to decode and prepare, and to encode one series: the best of five."""
    model = reader.model
    assert model is not None
    times: list[tuple[float, float, float]] = []
    for _ in range(5):
        t0 = time.perf_counter()
        instances = [one for one in map(load, find([folder])) if isinstance(one, Instance)]
        t1 = time.perf_counter()
        (stack,) = split([header for one in instances for header in one.headers])
        chosen = choose(stack, model.bundle.manifest.slices)
        slices = read_slices(chosen, {one.sop_instance_uid: one for one in instances})
        images = prepare(slices, model.bundle.manifest.image)
        t2 = time.perf_counter()
        model.encoder.encode_images(images)
        times.append((t1 - t0, t2 - t1, time.perf_counter() - t2))
    parse, pixels, encode = (min(column) for column in zip(*times, strict=True))
    return parse, pixels, encode


if __name__ == "__main__":
    main()
