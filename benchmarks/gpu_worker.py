"""What a GPU makes of reading: slices and series a second, and how far its answers are those of the CPU.

make bench-gpu                             installs what it needs into .venv-gpu, and measures
python benchmarks/gpu_worker.py            where that is installed; ends with 1 where the answers are too far apart
python benchmarks/gpu_worker.py --try      tries the script on a CPU, with few images; its figures mean nothing

Each backend that finds the GPU is measured: ONNX Runtime (`onnxruntime-gpu`), TorchScript (torch).
"""

import io
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch.utils.flop_counter import FlopCounterMode

import atto_bundle
import sample
from gpu_training import peak_flops
from inference.bundle import Bundle, open_bundle
from inference.encoder import Backend, CudaError, Device, load_encoder
from inference.encoder_onnx import CUDA, open_session
from inference.manifest import IMAGE_ENCODER, IMAGE_ENCODER_TORCHSCRIPT
from inference.model import load_model
from inference.read import Reader, read_paths
from machine import describe
from training.export.variants import image_variant

SLICES: Final = 24
# What docs/workers.md promises of a coordinate in fp32, and of the cosine in fp16.
LARGEST_DIFFERENCE: Final = 1e-3
LOWEST_COSINE: Final = 0.999


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


@dataclass(frozen=True, kw_only=True)
class Tower:
    """An image tower on a device, by one backend in one precision."""

    name: str
    encode: Callable[[Array], Array]  # from the processor's memory and back
    resident: Callable[[Array], Callable[[], object]]  # pixels -> a run whose input and output stay on the device


def main(size: Size, device: Device) -> bool:
    """Print the section; whether the answers agree."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        bundle = open_bundle(atto_bundle.write(folder / "bundle", torchscript=True))
        pixels = np.random.default_rng(0).normal(size=(max(size.batches), 1, 224, 224)).astype(np.float32)
        found = [*onnx_towers(bundle, device, pixels[: size.compared]), *torch_towers(bundle, device)]
        print(f"ConvNeXt-atto at 224 px (random weights); {describe()}; {gpu()}.")
        print(f"ONNX Runtime {onnxruntime.__version__}, torch {torch.__version__}. {roof(bundle)}\n")
        print("| | batch | slices/s, pixels on the device | slices/s, from the processor's memory |")
        print("|---|---|---|---|")
        for tower in found:
            for batch in size.batches:
                there = rate(tower.resident(pixels[:batch]), batch, size.seconds)
                whole = rate(partial(tower.encode, pixels[:batch]), batch, size.seconds)
                print(f"| {tower.name} | {batch} | {there:.0f} | {whole:.0f} |")
        agreed = agreement(bundle, found, pixels[: size.compared])
        study = sample.write(folder / "study", count=size.series, slices=SLICES)
        for backend in ("onnx", "torchscript"):
            if any(tower.name.startswith(backend) for tower in found):
                worker(bundle, study, size, backend, device)
        return agreed


def onnx_towers(bundle: Bundle, device: Device, images: Array) -> list[Tower]:
    """The tower as ONNX Runtime runs it, where that has the device."""
    graph = bundle.read(IMAGE_ENCODER)
    try:
        return [
            _onnx(f"onnx {precision}", open_session(content, IMAGE_ENCODER, device=device, threads=0), device)
            for precision, content in (("fp32", graph), ("fp16", image_variant(graph, "fp16", images)))
        ]
    except CudaError as error:
        print(f"onnx is left out: {error}", file=sys.stderr)
        return []


def _onnx(name: str, session: Any, device: Device) -> Tower:
    def resident(pixels: Array) -> Callable[[], object]:
        binding, place = session.io_binding(), "cuda" if device == "cuda" else "cpu"
        binding.bind_ortvalue_input("pixels", onnxruntime.OrtValue.ortvalue_from_numpy(pixels, place, 0))
        binding.bind_output("embedding", place)

        def run() -> None:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        return run

    return Tower(name=name, encode=lambda pixels: session.run(None, {"pixels": pixels})[0], resident=resident)


def torch_towers(bundle: Bundle, device: Device) -> list[Tower]:
    """The tower as TorchScript runs it, where torch has the device."""
    if device == "cuda" and not torch.cuda.is_available():
        print(f"torchscript is left out: torch {torch.__version__} finds no GPU", file=sys.stderr)
        return []
    torch.backends.cudnn.allow_tf32 = False  # as the worker has it
    half = [torch.float16] if device == "cuda" else []  # slow on a processor
    return [_torch(bundle, device, dtype) for dtype in (torch.float32, *half)]


def _torch(bundle: Bundle, device: Device, dtype: torch.dtype) -> Tower:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        module = torch.jit.load(io.BytesIO(bundle.read(IMAGE_ENCODER_TORCHSCRIPT)), map_location=device)
    module = module.eval().to(dtype)

    def moved(pixels: Array) -> torch.Tensor:
        return torch.from_numpy(pixels).to(device).to(dtype)

    @torch.inference_mode()
    def encode(pixels: Array) -> Array:
        return module(moved(pixels)).float().cpu().numpy()

    def resident(pixels: Array) -> Callable[[], object]:
        there = moved(pixels)

        @torch.inference_mode()
        def run() -> None:
            module(there)
            if device == "cuda":
                torch.cuda.synchronize()

        return run

    return Tower(name=f"torchscript {'fp16' if dtype == torch.float16 else 'fp32'}", encode=encode, resident=resident)


def agreement(bundle: Bundle, towers: Sequence[Tower], pixels: Array) -> bool:
    """Print how far embeddings are from those of fp32 on the CPU, image by image; whether that is near enough."""
    expected = load_encoder(bundle, device="cpu").encode_images(pixels)
    print(f"\nAgainst ONNX in fp32 on the CPU, {len(pixels)} images:\n")
    print("| | largest difference of a coordinate | lowest cosine | as promised |\n|---|---|---|---|")
    agreed = True
    for tower in towers:
        found = tower.encode(pixels).astype(np.float32)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        largest, cosine = np.abs(found - expected).max(), (found * expected).sum(axis=1).min()
        near = bool(largest <= LARGEST_DIFFERENCE if "fp32" in tower.name else cosine >= LOWEST_COSINE)
        print(f"| {tower.name} | {largest:.2e} | {cosine:.6f} | {'yes' if near else '**no**'} |")
        agreed &= near
    return agreed


def worker(bundle: Bundle, study: Path, size: Size, backend: Backend, device: Device) -> None:
    """Print the series that one process reads in a second, with and without batches."""
    print(f"\n{size.series} series of {SLICES} slices of 256 x 256, 16 encoded each, read in one process, {backend}:\n")
    print("| threads | `reader.batch` | series/s |\n|---|---|---|")
    for threads, batch in ((1, None), (size.threads, None), (size.threads, max(size.batches) // 4)):
        reader = Reader(model=load_model(bundle, backend=backend, device=device, batch=batch))
        read_paths([study / "000"], reader)
        begun = time.perf_counter()
        read_paths([study], reader, threads=threads)
        series = size.series / (time.perf_counter() - begun)
        print(f"| {threads} | {'null' if batch is None else batch} | {series:.1f} |")


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


def roof(bundle: Bundle) -> str:
    """What a slice costs in arithmetic, and how many that leaves a second at the device's dense peak."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.jit.load(io.BytesIO(bundle.read(IMAGE_ENCODER_TORCHSCRIPT)))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module(torch.zeros(2, 1, 224, 224))
    flops, peak = counter.get_total_flops() / 2, peak_flops(gpu())
    most = "no peak is known" if peak is None else f"at most {peak / flops:.0f} slices/s in half precision"
    return f"{flops / 1e9:.2f} GFLOP a slice; {most}."


def gpu() -> str:
    """Its name, where torch can tell."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"


def run(arguments: Sequence[str]) -> None:
    """Measure, or say why not."""
    if arguments == ["--try"]:
        agreed = main(TRIAL, "cpu")
    elif CUDA not in onnxruntime.get_available_providers() and not torch.cuda.is_available():
        sys.exit("no GPU: torch finds none, and this ONNX Runtime has no CUDA (make bench-gpu installs one that has)")
    else:
        agreed = main(FULL, "cuda")
    sys.exit(0 if agreed else "the answers are further from those of the CPU than docs/workers.md promises")


if __name__ == "__main__":
    run(sys.argv[1:])
