"""The towers as TorchScript, for nodes that run torch.

torch warns that torch.jit is deprecated. This is the one module of this package that calls it; exactly that warning is
silenced here. Should a torch release drop torch.jit, the export says so and ONNX goes on.
"""

import io
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from training.errors import RefusedError
from training.export.graphs import Graph


def to_torchscript(graph: Graph, example: Sequence[Tensor]) -> bytes:
    """The graph, traced with `example` and checked on a batch of another size; RefusedError without torch.jit."""
    try:
        from torch.jit import save, trace
    except ImportError as error:
        raise RefusedError(f"torch {torch.__version__} has no torch.jit; export without --torchscript") from error
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        # attention compares its own width with itself; the check below would see a wrong batch size
        warnings.filterwarnings("ignore", "Converting a tensor to a Python boolean")
        other = tuple(torch.cat([tensor, tensor[:1]]) for tensor in example)
        module = trace(graph, tuple(example), check_inputs=[other])
        save(module, content)
    return content.getvalue()
