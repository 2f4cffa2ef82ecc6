"""What a GPU makes of reading: slices and series a second, and how far its answers are those of the CPU.

python benchmarks/gpu_worker.py            needs a GPU, and onnxruntime-gpu in place of onnxruntime
python benchmarks/gpu_worker.py --try      tries the script on a CPU, with few images; its figures mean nothing
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

import atto_bundle
import sample
from inference.bundle import open_bundle
from inference.encoder_onnx import CUDA
from inference.manifest import IMAGE_ENCODER
from inference.model import load_model
from inference.read import Reader, read_paths
from machine import describe
from training.export.variants import image_variant

CPU = "CPUExecutionProvider"
SLICES = 24


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    batches: tuple[int, ...]
    seconds: float  # for each figure
    compared: int  # images
    series: int
    threads: int


FULL = Size(batches=(16, 64, 256, 1024), seconds=5, compared=256, series=400, threads=8)
TRIAL = Size(batches=(2, 4), seconds=0.2, compared=4, series=3, threads=2)
Array = npt.NDArray[np.float32]


def main(size: Size, provider: str) -> None:
    """Print the section."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        bundle = open_bundle(atto_bundle.write(folder / "bundle"))
        graph = bundle.read(IMAGE_ENCODER)
        pixels = np.random.default_rng(0).normal(size=(max(size.batches), 1, 224, 224)).astype(np.float32)
        half = image_variant(graph, "fp16", pixels[: size.compared])
        print(f"ConvNeXt-atto at 224 px (random weights), ONNX Runtime {onnxruntime.__version__}, {provider}.")
        print(f"{describe()}; {gpu()}\n")
        print("| | batch | slices/s, pixels on the device | slices/s, from the processor's memory |")
        print("|---|---|---|---|")
        for kind, content in (("fp32", graph), ("fp16", half)):
            session = made(content, provider)
            for batch in size.batches:
                roof = rate(bound(session, pixels[:batch], provider), batch, size.seconds)
                whole = rate(lambda: session.run(None, {"pixels": pixels[:batch]}), batch, size.seconds)  # noqa: B023
                print(f"| {kind} | {batch} | {roof:.0f} | {whole:.0f} |")
        agreement(graph, half, pixels[: size.compared], provider)
        study = sample.write(folder / "study", count=size.series, slices=SLICES)
        worker(bundle.folder, study, size)


def agreement(graph: bytes, half: bytes, pixels: Array, provider: str) -> None:
    """Print how far embeddings are from those of fp32 on the CPU, image by image."""
    (expected,) = made(graph, CPU).run(None, {"pixels": pixels})
    print(f"\nAgainst fp32 on the CPU, {len(pixels)} images:\n")
    print("| | largest difference of a coordinate | lowest cosine |\n|---|---|---|")
    for kind, content in (("fp32", graph), ("fp16", half)):
        (found,) = made(content, provider).run(None, {"pixels": pixels})
        found = found.astype(np.float32) / np.linalg.norm(found.astype(np.float32), axis=1, keepdims=True)
        largest, cosine = np.abs(found - expected).max(), (found * expected).sum(axis=1).min()
        print(f"| {kind} | {largest:.2e} | {cosine:.6f} |")


def worker(bundle: Path, study: Path, size: Size) -> None:
    """Print the series that one process reads in a second, with and without batches."""
    print(f"\n{size.series} series of {SLICES} slices of 256 x 256, 16 encoded each, read in one process:\n")
    print("| threads | `reader.batch` | series/s |\n|---|---|---|")
    for threads, batch in ((1, None), (size.threads, None), (size.threads, max(size.batches) // 4)):
        reader = Reader(model=load_model(open_bundle(bundle), batch=batch))
        read_paths([study / "000"], reader)
        begun = time.perf_counter()
        read_paths([study], reader, threads=threads)
        series = size.series / (time.perf_counter() - begun)
        print(f"| {threads} | {'null' if batch is None else batch} | {series:.1f} |")


def made(graph: bytes, provider: str) -> Any:
    """A session on one provider and, for what that lacks, the CPU."""
    return onnxruntime.InferenceSession(graph, providers=list(dict.fromkeys((provider, CPU))))


def bound(session: Any, pixels: Array, provider: str) -> Callable[[], object]:
    """A run whose input and output stay on the device: what the encoder can reach at most."""
    device = "cuda" if provider == CUDA else "cpu"
    binding = session.io_binding()
    kind = session.get_inputs()[0].type
    binding.bind_ortvalue_input(
        "pixels",
        onnxruntime.OrtValue.ortvalue_from_numpy(pixels.astype(np.float16 if "16" in kind else np.float32), device, 0),
    )
    binding.bind_output("embedding", device)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run


def rate(run: Callable[[], object], images: int, seconds: float) -> float:
    """Images a second: the median of as many runs as fit, after some to warm up."""
    for _ in range(3):
        run()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not taken:
        begun = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begun)
    return images / statistics.median(taken)


def gpu() -> str:
    """Its name, where torch can tell."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"


def run(arguments: Sequence[str]) -> None:
    """Measure, or say why not."""
    if arguments == ["--try"]:
        main(TRIAL, CPU)
    elif CUDA not in onnxruntime.get_available_providers():
        sys.exit(f"no GPU: ONNX Runtime has {', '.join(onnxruntime.get_available_providers())}; "
                 "this needs an NVIDIA GPU and onnxruntime-gpu in place of onnxruntime")  # fmt: skip
    elif CUDA not in made_on_cuda():
        sys.exit("no GPU: ONNX Runtime has the CUDA provider and it does not start (driver, CUDA 12, cuDNN 9)")
    else:
        main(FULL, CUDA)


def made_on_cuda() -> list[str]:
    """The providers that a session on CUDA really has."""
    with TemporaryDirectory() as name:
        bundle = open_bundle(atto_bundle.write(Path(name) / "bundle"))
        providers: list[str] = made(bundle.read(IMAGE_ENCODER), CUDA).get_providers()
        return providers


if __name__ == "__main__":
    run(sys.argv[1:])
