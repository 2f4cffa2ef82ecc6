"""ONNX Runtime runs the towers, on CUDA or on the CPU."""

# ONNX Runtime ships no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import logging
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from inference.bundle import Bundle
from inference.encoder import BackendMissing, CudaError, Device
from inference.manifest import IMAGE_ENCODER, METADATA_ENCODER, BundleError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

log = logging.getLogger(__name__)

CUDA: Final = "CUDAExecutionProvider"
_CPU: Final = "CPUExecutionProvider"  # runs what CUDA lacks, too
_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    CUDA: {
        # fp32 means fp32: TF32 rounds what is multiplied to 10 bits. What is to be quick is exported in half precision.
        "use_tf32": "0",
        # Batches have any size, and the default tries every kernel anew for each.
        "cudnn_conv_algo_search": "HEURISTIC",
    },
    _CPU: {},
}
_FLOATS: Final = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_ERRORS_ONLY: Final = 3  # ONNX Runtime's log severity
# ONNX Runtime's errors have no common ancestor but Exception. For a graph that it cannot load, and on a device:
_GRAPH: Final = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
_RUN: Final = ("EPFail", "Fail", "RuntimeException")


class OnnxTower:
    """One graph; its session is made with the first call and then shared by all threads."""

    def __init__(self, bundle: Bundle, file: str, *, inputs: tuple[str, ...], device: Device, threads: int) -> None:
        self._bundle, self._file, self._inputs, self._threads = bundle, file, inputs, threads
        self._device: Device = device
        self._lock = threading.Lock()
        self._session: InferenceSession | None = None
        self._floats: dict[str, type[np.floating[Any]]] = {}

    def __call__(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> npt.NDArray[np.floating]:
        session = self._made()
        cast = {name: array.astype(self._floats.get(name, array.dtype), copy=False) for name, array in inputs.items()}
        try:
            return np.asarray(session.run(["embedding"], cast)[0])
        except _errors(_RUN) as error:  # out of memory, or the device is lost
            if CUDA not in session.get_providers():
                raise
            self._leave_cuda(session, error)
        return np.asarray(self._made().run(["embedding"], cast)[0])

    def _made(self) -> "InferenceSession":
        with self._lock:
            if self._session is None:
                session = open_session(
                    self._bundle.read(self._file), self._file, device=self._device, threads=self._threads
                )
                found = {entry.name: entry.type for entry in session.get_inputs()}
                if found.keys() != set(self._inputs):
                    raise BundleError(self._file, expected=f"inputs {self._inputs}", found=f"inputs {tuple(found)}")
                outputs = [entry.name for entry in session.get_outputs()]
                if outputs != ["embedding"]:
                    raise BundleError(self._file, expected="one output, embedding", found=f"outputs {outputs}")
                self._floats = {name: _FLOATS[kind] for name, kind in found.items() if kind in _FLOATS}
                self._session = session
            return self._session

    def _leave_cuda(self, failed: "InferenceSession", error: Exception) -> None:
        """Go on on the CPU where that may be."""
        kind = type(error).__name__  # its text may be long, and says nothing to who waits for a series
        if self._device == "cuda":
            raise CudaError(f"CUDA failed while it encoded: {kind}") from error
        with self._lock:
            if self._session is failed:
                log.warning("CUDA failed, the model goes on on the CPU", extra={"reason": kind})
                self._device, self._session = "cpu", None


def towers(bundle: Bundle, *, inputs: tuple[str, ...], device: Device, threads: int) -> tuple[OnnxTower, OnnxTower]:
    """The image tower and the metadata tower, whose inputs are `inputs`."""
    return (
        OnnxTower(bundle, IMAGE_ENCODER, inputs=("pixels",), device=device, threads=threads),
        OnnxTower(bundle, METADATA_ENCODER, inputs=inputs, device=device, threads=threads),
    )


def providers(available: Collection[str], device: Device) -> list[str]:
    """Which of ONNX Runtime's providers run a tower, the preferred first. CudaError if there is none for `device`."""
    if device == "cuda" and CUDA not in available:
        raise CudaError(
            f"CUDA was asked for, and this ONNX Runtime has only {', '.join(available)}: "
            "install mrclip with the extra gpu in place of the extra cpu, in an environment without onnxruntime"
        )
    return [CUDA, _CPU] if device != "cpu" and CUDA in available else [_CPU]


def open_session(graph: bytes, file: str, *, device: Device, threads: int) -> "InferenceSession":
    """A session for a graph, whose name is `file`. Raises BackendMissing, BundleError or CudaError."""
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendMissing("ONNX Runtime", extra="cpu") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    chosen = providers(onnxruntime.get_available_providers(), device)
    if CUDA in chosen:
        with redirect_stdout(sys.stderr):  # it prints what it misses
            onnxruntime.preload_dlls()  # CUDA and cuDNN as the extra `gpu` brings them
    try:
        session = onnxruntime.InferenceSession(
            graph, options, providers=[(name, dict(_OPTIONS[name])) for name in chosen],
            enable_fallback=False,  # it would change to the CPU without a word
        )  # fmt: skip
    except _errors(_GRAPH) as error:
        raise BundleError(file, expected="an ONNX graph that ONNX Runtime loads", found=str(error)) from error
    if CUDA in chosen:
        _say_where(session.get_providers(), device)
    return session


def _say_where(running: Collection[str], device: Device) -> None:
    """ONNX Runtime leaves CUDA out where it does not start, and says so on standard error only."""
    if CUDA in running:
        log.info("the model runs on CUDA")
        return
    problem = "CUDA does not start: what it misses stands above, on standard error (driver, CUDA or cuDNN)"
    if device == "cuda":
        raise CudaError(problem)
    log.warning("the model runs on the CPU", extra={"reason": problem})


def _errors(names: Sequence[str]) -> tuple[type[Exception], ...]:
    module: Any = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return tuple(getattr(module, name) for name in names)
