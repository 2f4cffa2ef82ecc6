"""TorchScript runs the towers of bundles exported with `.pt` files beside the graphs. Needs the `training` extra.

torch warns that torch.jit is deprecated. This is the one module of `inference` that calls it, and the one place where
exactly that warning is silenced; should a torch release drop torch.jit, BackendMissing says so and ONNX goes on.
"""

# torch.jit is only partly typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import io
import threading
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from inference.bundle import Bundle
from inference.encoder import BackendMissing, CudaError, Device
from inference.manifest import IMAGE_ENCODER_TORCHSCRIPT, METADATA_ENCODER_TORCHSCRIPT, BundleError

if TYPE_CHECKING:
    import torch


class TorchScriptTower:
    """One scripted module, called with the arrays in the order of `inputs`; loaded with the first call."""

    def __init__(self, bundle: Bundle, file: str, *, inputs: tuple[str, ...], device: Device) -> None:
        self._bundle, self._file, self._inputs = bundle, file, inputs
        self._device: Device = device
        self._lock = threading.Lock()
        self._module: torch.jit.ScriptModule | None = None

    def __call__(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> npt.NDArray[np.floating]:
        with self._lock:
            if self._module is None:
                self._module = _loaded(self._bundle.read(self._file), self._file, device=self._device)
            module = self._module
        import torch

        weight = next((parameter for parameter in module.parameters() if parameter.is_floating_point()), torch.zeros(0))
        try:
            arguments = [torch.from_numpy(inputs[name]).to(weight.device) for name in self._inputs]
            floats = [array.to(weight.dtype) if array.is_floating_point() else array for array in arguments]
            with torch.inference_mode():
                result: npt.NDArray[np.floating] = module(*floats).float().cpu().numpy()
        except RuntimeError as error:
            if weight.device.type == "cuda":  # out of memory, or lost
                raise CudaError(f"CUDA failed while it encoded: {type(error).__name__}") from error
            raise
        return result


def towers(bundle: Bundle, *, inputs: tuple[str, ...], device: Device) -> tuple[TorchScriptTower, TorchScriptTower]:
    """The image tower and the metadata tower, whose arguments are `inputs`.

    How many threads torch uses is a setting of the whole process (OMP_NUM_THREADS), so it is not set here.
    """
    return (
        TorchScriptTower(bundle, IMAGE_ENCODER_TORCHSCRIPT, inputs=("pixels",), device=device),
        TorchScriptTower(bundle, METADATA_ENCODER_TORCHSCRIPT, inputs=inputs, device=device),
    )


def _loaded(module: bytes, file: str, *, device: Device) -> "torch.jit.ScriptModule":
    try:
        from torch.jit import load

        place = _place(device)
    except ImportError as error:
        raise BackendMissing("TorchScript (torch.jit)", extra="training") from error
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        try:
            return load(io.BytesIO(module), map_location=place).eval()
        except RuntimeError as error:
            raise BundleError(file, expected="a TorchScript module that torch loads", found=str(error)) from error


def _place(device: Device) -> Literal["cpu", "cuda"]:
    import torch

    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise CudaError(f"CUDA was asked for, and torch {torch.__version__} finds no GPU that it can use")
    torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32, as with ONNX Runtime
    return "cuda"
