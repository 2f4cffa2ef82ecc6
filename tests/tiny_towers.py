"""The two towers of the tiny bundle as ONNX graphs: one measures tissues, the other computes what they should be."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from inference.fields import CategoricalField, ContinuousField, FieldTable
from tiny_phantoms import (
    ADC,
    DENSITY,
    DENSITY_FAT_SUPPRESSED,
    PROTOCOLS,
    SIZE_PX,
    T1_ENHANCED_MS,
    T1_MS,
    T2_MS,
    TISSUES,
    cells,
)

TABLE = FieldTable(
    continuous=tuple(
        ContinuousField(name=name, transform="linear", low=0.0, high=high)
        for name, high in (
            ("EchoTime_ms", 300.0),
            ("RepetitionTime_ms", 12000.0),
            ("InversionTime_ms", 4000.0),
            ("b_value_s_mm2", 2000.0),
        )
    ),
    categorical=(
        CategoricalField(name="contrast", vocabulary=tuple(PROTOCOLS)),
        CategoricalField(name="post_contrast", vocabulary=("NO", "YES")),
        CategoricalField(name="fat_suppressed", vocabulary=("NO", "YES")),
    ),
)


class _Graph:
    """An ONNX graph written as calls: each call adds a node and gives the name of its output."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def __call__(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: npt.ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def unit(self, vector: str, output: str | None = None) -> str:
        """The vector with its mean taken off, at length 1: the same for any brightness and window."""
        mean = self("ReduceMean", vector, axes=[1], keepdims=1)
        centred = self("Sub", vector, mean)
        length = self("ReduceL2", centred, axes=[1], keepdims=1)
        return self("Div", centred, self("Add", length, self.constant(1e-6)), output=output)

    def to_bytes(self, inputs: dict[str, tuple[int, list[str | int]]], dim: int) -> bytes:
        graph = helper.make_graph(
            self._nodes,
            "tower",
            [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", dim])],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def image_tower() -> bytes:
    """`pixels` to the mean of each tissue's cell and of the air around, centred, at length 1."""
    weights = np.zeros((SIZE_PX, SIZE_PX, len(TISSUES) + 1))
    for index, (rows, columns) in enumerate(cells(SIZE_PX, inset=0.2)):
        weights[rows, columns, index] = 1
    weights[: SIZE_PX // 16, :, -1] = 1
    weights /= weights.sum(axis=(0, 1))
    g = _Graph()
    flat = g("Reshape", "pixels", g.constant([0, SIZE_PX * SIZE_PX], np.int64))
    g.unit(g("MatMul", flat, g.constant(weights.reshape(SIZE_PX * SIZE_PX, -1))), output="embedding")
    return g.to_bytes({"pixels": (TensorProto.FLOAT, ["n", 1, SIZE_PX, SIZE_PX])}, len(TISSUES) + 1)


def metadata_tower() -> bytes:
    """The signal equation of the header's parameters, and half as much of that of its contrast's usual ones."""
    g = _Graph()
    highs = np.array([field.high for field in TABLE.continuous])
    middles = [[(low + high) / 2 for low, high in ranges] for ranges in PROTOCOLS.values()]
    usual_table = np.array([[30.0, 2000.0, 0.0, 0.0], [30.0, 2000.0, 0.0, 0.0], *middles])  # absent, other, contrasts
    codes = [g("Gather", "categorical", g.constant(column, np.int64), axis=1) for column in range(3)]
    usual = g("Gather", g.constant(usual_table), codes[0], axis=0)
    given = g("Where", "continuous_mask", g("Mul", "continuous", g.constant(highs)), usual)
    # A header that gives TE or TR and no TI or b says that there was none.
    timed = g("Unsqueeze", g("Gather", "continuous_mask", g.constant(0, np.int64), axis=1), g.constant([1], np.int64))
    optional = g.constant([[False, False, True, True]], np.bool_)
    none = g("And", g("And", timed, optional), g("Not", "continuous_mask"))
    given = g("Where", none, g.constant(0.0), given)
    t1 = g("Gather", g.constant([T1_MS, T1_MS, T1_MS, T1_ENHANCED_MS]), codes[1], axis=0)
    density = g("Gather", g.constant([DENSITY, DENSITY, DENSITY, DENSITY_FAT_SUPPRESSED]), codes[2], axis=0)
    shown = g.unit(_signal_nodes(g, given, t1, density))
    typical = g.unit(_signal_nodes(g, usual, t1, density))
    known = g("Cast", g("Greater", codes[0], g.constant(1, np.int64)), to=TensorProto.FLOAT)
    share = g("Mul", g("Unsqueeze", known, g.constant([1], np.int64)), g.constant(0.5))
    g.unit(g("Add", shown, g("Mul", share, typical)), output="embedding")
    inputs: dict[str, tuple[int, list[str | int]]] = {
        "continuous": (TensorProto.FLOAT, ["n", len(TABLE.continuous)]),
        "continuous_mask": (TensorProto.BOOL, ["n", len(TABLE.continuous)]),
        "categorical": (TensorProto.INT64, ["n", len(TABLE.categorical)]),
    }
    return g.to_bytes(inputs, len(TISSUES) + 1)


def _signal_nodes(g: _Graph, parameters: str, t1: str, density: str) -> str:
    """`signals` as nodes, with a seventh column of zeros for air."""
    te, tr, ti, b = (g("Gather", parameters, g.constant([column], np.int64), axis=1) for column in range(4))
    decayed = g("Exp", g("Neg", g("Div", tr, t1)))
    inverted = g("Exp", g("Neg", g("Div", ti, t1)))
    one = g.constant(1.0)
    saturation = g("Sub", one, decayed)
    inversion = g("Abs", g("Sub", g("Add", one, decayed), g("Mul", g.constant(2.0), inverted)))
    has_inversion = g("Greater", ti, g.constant(0.0))
    recovery = g("Where", has_inversion, inversion, saturation)
    weight = g("Where", has_inversion, g.constant(DENSITY), density)
    signal = g("Mul", g("Mul", weight, recovery), g("Exp", g("Neg", g("Div", te, g.constant(T2_MS)))))
    signal = g("Mul", signal, g("Exp", g("Neg", g("Mul", b, g.constant(ADC / 1000)))))
    # Bright to 1, as the image tower sees a windowed image, then air.
    bright = g("ReduceMax", signal, axes=[1], keepdims=1)
    scaled = g("Div", signal, bright)
    return g("Pad", scaled, g.constant([0, 0, 0, 1], np.int64), g.constant(0.0))
