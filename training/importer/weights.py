"""Weights of an open_clip checkpoint, in the names of our model and for grey slices in [0, 1]."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from training.errors import RefusedError
from training.train.saved import read_saved

# How CLIP standardises red, green and blue (Radford 2021).
CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)
_DISTRIBUTED: Final = "module."


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state of a checkpoint under open_clip's names, whether it was saved bare, wrapped, or by several processes.

    Only tensors and plain values are unpickled; RefusedError for anything else.
    """
    document = read_saved(path)
    state = document.get("state_dict", document) if isinstance(document, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise RefusedError(f"{path}: holds no state_dict")
    named = {str(name).removeprefix(_DISTRIBUTED): value for name, value in state.items()}
    # open_clip's CustomTextCLIP keeps the text tower in a module of its own
    return {name.removeprefix("text."): value for name, value in named.items() if not name.endswith("attn_mask")}


def convert(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same model in our names, taking one grey channel in [0, 1].

    A model for RGB sees (grey - mean_c) / std_c in channel c. Its patch embedding is linear and without padding, so
    the sum over the channels is one kernel on the grey image and a constant, which the positions of the patches take.
    """
    ours: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name == "logit_scale":
            ours["log_scale"] = value.reshape(()).float()
        elif name == "logit_bias":
            ours["bias"] = value.reshape(()).float()
        elif name.startswith("visual."):
            ours[f"image.{name.removeprefix('visual.')}"] = value.float()
        else:
            ours[f"metadata.transformer.{name}"] = value.float()
    kernel = ours["image.conv1.weight"]
    if kernel.shape[1] == 3:
        mean, std = (torch.tensor(values)[None, :, None, None] for values in (CLIP_MEAN, CLIP_STD))
        constant = -(kernel * mean / std).sum(dim=(1, 2, 3))
        positions = ours["image.positional_embedding"].clone()
        positions[1:] += constant  # the first is that of the class token, which is no patch
        ours["image.positional_embedding"] = positions
        ours["image.conv1.weight"] = (kernel / std).sum(dim=1, keepdim=True)
    return ours
