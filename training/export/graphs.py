"""The two towers as graphs whose output is the normalised embedding, and those graphs as ONNX."""

import io
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from inference.captions import Caption
from training.models.build import Built
from training.models.contrast import unit
from training.models.spec import ImageTowerSpec

OUTPUT: Final = "embedding"
_SAMPLE: Final = 2  # rows of the example inputs that graphs are traced with; the axis is dynamic


class ImageGraph(nn.Module):
    """`image_encoder`: prepared pixels to the embedding."""

    names = ("pixels",)

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pixels: Float[Tensor, "n c s s"]) -> Float[Tensor, "n d"]:
        return unit(self.tower(pixels))


class TextGraph(nn.Module):
    """`metadata_encoder` of kind `text`."""

    names = ("tokens",)

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, tokens: Tensor) -> Float[Tensor, "n d"]:
        return unit(self.tower(tokens))


class FieldGraph(nn.Module):
    """`metadata_encoder` of kind `fields`."""

    names = ("continuous", "continuous_mask", "categorical")

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, continuous: Tensor, continuous_mask: Tensor, categorical: Tensor) -> Float[Tensor, "n d"]:
        return unit(self.tower(continuous, continuous_mask, categorical))


Graph = ImageGraph | TextGraph | FieldGraph


def image_graph(built: Built) -> ImageGraph:
    """The image tower, in evaluation mode."""
    return ImageGraph(built.model.image).eval()


def metadata_graph(built: Built) -> TextGraph | FieldGraph:
    """The metadata tower, in evaluation mode."""
    tower = built.model.metadata
    graph = TextGraph(tower) if built.table is None else FieldGraph(tower)
    return graph.eval()


def image_example(spec: ImageTowerSpec) -> tuple[Tensor, ...]:
    """Inputs to trace the image tower with."""
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(_SAMPLE, spec.channels, spec.size_px, spec.size_px, generator=generator),)


def metadata_example(built: Built) -> tuple[Tensor, ...]:
    """Inputs to trace the metadata tower with."""
    return built.inputs.encode([Caption(contrast="T1", EchoTime_ms=10.0), Caption()][:_SAMPLE])


def to_onnx(graph: Graph, example: Sequence[Tensor]) -> bytes:
    """The graph as ONNX, of the exporter's current opset, with a dynamic batch and nothing of this machine in it."""
    content = io.BytesIO()
    program = torch.onnx.export(
        graph,
        tuple(example),
        input_names=list(graph.names),
        output_names=["result"],
        dynamic_shapes=tuple({0: torch.export.Dim.DYNAMIC} for _ in example),
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program; it needs torch >= 2.6 and onnxscript")
    model = program.model_proto
    _strip(model)
    # the exporter calls the output of a lookup "embedding" too, and would give two values one name
    _rename(model, OUTPUT, "lookup")
    _rename(model, "result", OUTPUT)
    onnx.checker.check_model(model)
    content.write(model.SerializeToString(deterministic=True))
    return content.getvalue()


def run_onnx(graph: bytes, inputs: Mapping[str, npt.NDArray[np.generic]]) -> Float32[np.ndarray, "n d"]:
    """Run a graph on the CPU, as the parity and drift checks do."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([OUTPUT], dict(inputs))[0], np.float32)


def _rename(model: onnx.ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in (*model.graph.value_info, *model.graph.output):
        if value.name == old:
            value.name = new


def _strip(model: onnx.ModelProto) -> None:
    """Take out the source line of every node, which names paths of this machine."""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
    for function in model.functions:
        for node in function.node:
            del node.metadata_props[:]
    del model.metadata_props[:], model.graph.metadata_props[:]
