"""Where towers run: CUDA where it works, the CPU only where that may be; and whoever asked for CUDA is told why not."""

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import EPFail

import tiny_bundle
from inference import encoder_torchscript
from inference.bundle import Bundle
from inference.captions import Caption
from inference.encoder import CudaError, Device, load_encoder
from inference.encoder_onnx import CUDA, providers

CPU = "CPUExecutionProvider"
REAL = onnxruntime.InferenceSession


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle.write(tmp_path_factory.mktemp("bundle") / "tiny", calibrated=False)


@pytest.fixture(scope="module")
def pixels(bundle: Bundle) -> Any:
    size = bundle.manifest.image.size_px
    return np.random.default_rng(0).normal(size=(3, 1, size, size)).astype(np.float32)


@dataclass
class Gpu:
    """An ONNX Runtime built for CUDA on a machine whose GPU works, does not start, or fails while it works."""

    starts: bool = True
    runs: bool = True
    asked: list[Any] = field(default_factory=list[Any])  # providers of each session
    threw: int = 0

    def session(self, graph: bytes, options: Any, *, providers: Sequence[Any], enable_fallback: bool) -> Any:
        """A session on the CPU that says it is where it was asked to be."""
        assert not enable_fallback  # ONNX Runtime's own goes to the CPU with a line on standard output
        self.asked.append(list(providers))
        return _Session(self, REAL(graph, options, providers=[CPU]), [name for name, _ in providers])


class _Session:
    def __init__(self, gpu: Gpu, real: Any, names: list[str]) -> None:
        self._gpu, self._real = gpu, real
        self._names = names if gpu.starts else [CPU]
        self.get_inputs, self.get_outputs = real.get_inputs, real.get_outputs

    def get_providers(self) -> list[str]:
        return self._names

    def run(self, outputs: list[str], inputs: dict[str, Any]) -> Any:
        if CUDA in self._names and not self._gpu.runs:
            self._gpu.threw += 1
            raise EPFail("CUDA failure 2: out of memory")
        return self._real.run(outputs, inputs)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    """One that works; a test may break it."""
    gpu = Gpu()
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["TensorrtExecutionProvider", CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: sys.stdout.write("Failed to load libcublas\n"))
    monkeypatch.setattr(onnxruntime, "InferenceSession", gpu.session)
    return gpu


@pytest.mark.parametrize(
    ("available", "device", "chosen"),
    [
        ([CPU], "auto", [CPU]),
        (["TensorrtExecutionProvider", CUDA, CPU], "auto", [CUDA, CPU]),
        (["TensorrtExecutionProvider", CUDA, CPU], "cuda", [CUDA, CPU]),
        (["TensorrtExecutionProvider", CUDA, CPU], "cpu", [CPU]),
        (["AzureExecutionProvider", CPU], "auto", [CPU]),
    ],
)
def test_cuda_goes_before_the_cpu_and_nothing_else_is_used(
    available: list[str], device: Device, chosen: list[str]
) -> None:
    assert providers(available, device) == chosen


def test_an_onnx_runtime_without_cuda_says_what_to_install(bundle: Bundle, pixels: Any) -> None:
    encoder = load_encoder(bundle, device="cuda", threads=1)  # the one of the extra `cpu`, as it is
    with pytest.raises(CudaError, match=r"has only .*CPUExecutionProvider.*extra gpu in place of the extra cpu"):
        encoder.encode_images(pixels)


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_cuda_is_asked_for_exact_products_and_kernels_for_any_batch(
    device: Device, bundle: Bundle, pixels: Any, gpu: Gpu, capsys: pytest.CaptureFixture[str]
) -> None:
    found = load_encoder(bundle, device=device, threads=1).encode_images(pixels)
    assert gpu.asked == [[(CUDA, {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}), (CPU, {})]]
    np.testing.assert_array_equal(found, load_encoder(bundle, device="cpu", threads=1).encode_images(pixels))
    assert gpu.asked[1:] == [[(CPU, {})]]
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "Failed to load libcublas\n")  # standard output is for readings


def test_where_cuda_does_not_start_the_cpu_reads_and_the_log_says_so(
    bundle: Bundle, pixels: Any, gpu: Gpu, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.starts = False
    encoder = load_encoder(bundle, threads=1)
    assert len(encoder.encode_images(pixels)) == 3
    (said,) = caplog.records
    assert (said.levelno, said.getMessage()) == (logging.WARNING, "the model runs on the CPU")
    assert "CUDA does not start" in str(said.__dict__["reason"])


def test_where_cuda_was_asked_for_and_does_not_start_nothing_is_read(bundle: Bundle, pixels: Any, gpu: Gpu) -> None:
    gpu.starts = False
    encoder = load_encoder(bundle, device="cuda", threads=1)
    with pytest.raises(CudaError, match="CUDA does not start: what it misses stands above"):
        encoder.encode_images(pixels)


def test_a_gpu_that_fails_later_gives_way_to_the_cpu_once(
    bundle: Bundle, pixels: Any, gpu: Gpu, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = load_encoder(bundle, threads=1)
    before = encoder.encode_images(pixels)
    gpu.runs = False
    for _ in range(2):
        np.testing.assert_array_equal(encoder.encode_images(pixels), before)
    assert gpu.threw == 1
    assert [said.getMessage() for said in caplog.records] == ["CUDA failed, the model goes on on the CPU"]


def test_a_gpu_that_fails_later_and_was_asked_for_is_an_error_of_the_machine(
    bundle: Bundle, pixels: Any, gpu: Gpu
) -> None:
    encoder = load_encoder(bundle, device="cuda", threads=1)
    encoder.encode_images(pixels)
    gpu.runs = False
    with pytest.raises(CudaError, match=r"CUDA failed while it encoded: EPFail$"):
        encoder.encode_images(pixels)
    gpu.runs = True  # it may come back
    assert len(encoder.encode_captions([Caption()])) == 1
    assert len(encoder.encode_images(pixels)) == 3


def test_an_error_on_the_cpu_is_no_matter_of_cuda(bundle: Bundle, pixels: Any) -> None:
    with pytest.raises(Exception, match="Got invalid dimensions"):
        load_encoder(bundle, threads=1).encode_images(pixels[..., 1:, 1:])


def test_torchscript_runs_where_torch_finds_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [encoder_torchscript._place(device) for device in ("auto", "cpu")] == ["cpu", "cpu"]
    with pytest.raises(CudaError, match=r"CUDA was asked for, and torch .* finds no GPU"):
        encoder_torchscript._place("cuda")
    assert torch.backends.cudnn.allow_tf32
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [encoder_torchscript._place(device) for device in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
    assert not torch.backends.cudnn.allow_tf32
