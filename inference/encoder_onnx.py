"""ONNX Runtime runs the towers: on CUDA where ONNX Runtime has that provider, else on the CPU."""

# ONNX Runtime ships no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import threading
from collections.abc import Collection, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from inference.bundle import Bundle
from inference.encoder import BackendMissing
from inference.manifest import IMAGE_ENCODER, METADATA_ENCODER, BundleError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

CUDA: Final = "CUDAExecutionProvider"
_PROVIDERS: Final = (CUDA, "CPUExecutionProvider")  # in order of preference, as far as available
_FLOATS: Final = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_ERRORS_ONLY: Final = 3  # ONNX Runtime's log severity


class OnnxTower:
    """One graph; its session is made with the first call and then shared by all threads."""

    def __init__(self, bundle: Bundle, file: str, *, inputs: tuple[str, ...], threads: int) -> None:
        self._bundle, self._file, self._inputs, self._threads = bundle, file, inputs, threads
        self._lock = threading.Lock()
        self._session: InferenceSession | None = None
        self._floats: dict[str, type[np.floating[Any]]] = {}

    def __call__(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> npt.NDArray[np.floating]:
        session = self._made()
        cast = {name: array.astype(self._floats.get(name, array.dtype), copy=False) for name, array in inputs.items()}
        return np.asarray(session.run(["embedding"], cast)[0])

    def _made(self) -> "InferenceSession":
        with self._lock:
            if self._session is None:
                session = _session(self._bundle.read(self._file), self._file, threads=self._threads)
                found = {entry.name: entry.type for entry in session.get_inputs()}
                if found.keys() != set(self._inputs):
                    raise BundleError(self._file, expected=f"inputs {self._inputs}", found=f"inputs {tuple(found)}")
                outputs = [entry.name for entry in session.get_outputs()]
                if outputs != ["embedding"]:
                    raise BundleError(self._file, expected="one output, embedding", found=f"outputs {outputs}")
                self._floats = {name: _FLOATS[kind] for name, kind in found.items() if kind in _FLOATS}
                self._session = session
            return self._session


def towers(bundle: Bundle, *, inputs: tuple[str, ...], threads: int) -> tuple[OnnxTower, OnnxTower]:
    """The image tower and the metadata tower, whose inputs are `inputs`."""
    return (
        OnnxTower(bundle, IMAGE_ENCODER, inputs=("pixels",), threads=threads),
        OnnxTower(bundle, METADATA_ENCODER, inputs=inputs, threads=threads),
    )


def providers(available: Collection[str]) -> list[str]:
    """Which of ONNX Runtime's providers run a tower, the preferred first; what CUDA lacks is left to the CPU."""
    return [provider for provider in _PROVIDERS if provider in available]


def _session(graph: bytes, file: str, *, threads: int) -> "InferenceSession":
    try:
        import onnxruntime

        errors: Any = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    except ImportError as error:
        raise BackendMissing("ONNX Runtime", extra="cpu") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    chosen = providers(onnxruntime.get_available_providers())
    try:
        return onnxruntime.InferenceSession(graph, options, providers=chosen)
    # What ONNX Runtime raises for a graph it cannot load; its exceptions have no common ancestor but Exception.
    except (
        errors.Fail,
        errors.InvalidArgument,
        errors.InvalidGraph,
        errors.InvalidProtobuf,
        errors.NotImplemented,
    ) as error:
        raise BundleError(file, expected="an ONNX graph that ONNX Runtime loads", found=str(error)) from error
