"""Smaller image towers: half precision and 8 bits, with how far they move the embeddings."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import onnx
from jaxtyping import Float32
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from training.errors import RefusedError
from training.export.graphs import run_onnx

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: Final[tuple[Precision, ...]] = ("fp32", "fp16", "int8")
_CALIBRATED_ON: Final = 64  # images
_AT_ONCE: Final = 16
# What holds nearly all weights and all the work; norms have one value a channel and lose by 8 bits.
_QUANTISED: Final = ("Conv", "Gemm", "MatMul")

Images = Float32[np.ndarray, "n c s s"]


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How the embeddings of a variant differ from those of the fp32 graph, on the same images."""

    images: int
    mean_cosine: float
    lowest_cosine: float
    size_bytes: int


def image_variant(graph: bytes, precision: Precision, images: Images) -> bytes:
    """The image tower at `precision`; `images`, prepared, calibrate the 8-bit scales. RefusedError without images."""
    if precision == "fp32":
        return graph
    if precision == "fp16":
        half = convert_float_to_float16(onnx.load_from_string(graph), keep_io_types=True)
        return half.SerializeToString(deterministic=True)
    if not len(images):
        raise RefusedError("an 8-bit tower needs images to set its scales by; give some, or export fp32 or fp16")
    return _quantised(graph, images[:_CALIBRATED_ON])


def drift(graph: bytes, variant: bytes, images: Images) -> Drift:
    """Compare two image towers on prepared images."""
    expected, found = (_embed(one, images) for one in (graph, variant))
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    cosines = (expected * found).sum(axis=1) / lengths
    return Drift(
        images=len(images),
        mean_cosine=float(cosines.mean()),
        lowest_cosine=float(cosines.min()),
        size_bytes=len(variant),
    )


def _embed(graph: bytes, images: Images) -> npt.NDArray[np.float32]:
    parts = [run_onnx(graph, {"pixels": images[at : at + _AT_ONCE]}) for at in range(0, len(images), _AT_ONCE)]
    return np.concatenate(parts)


class _Reader(CalibrationDataReader):
    def __init__(self, images: Images) -> None:
        self._left: Iterator[npt.NDArray[np.float32]] = iter(np.split(images, range(1, len(images))))

    def get_next(self) -> Any:
        image = next(self._left, None)
        return None if image is None else {"pixels": image}


def _quantised(graph: bytes, images: Images) -> bytes:
    """Weights per channel and activations in 8 bits, as pairs of quantise and dequantise around each operator."""
    with tempfile.TemporaryDirectory() as folder:  # ONNX Runtime's quantiser works on files
        source, ready, result = (Path(folder) / name for name in ("source.onnx", "ready.onnx", "result.onnx"))
        source.write_bytes(graph)
        quant_pre_process(source, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            result,
            _Reader(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTISED),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return result.read_bytes()
