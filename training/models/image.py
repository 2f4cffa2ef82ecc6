"""Image towers of timm and open_clip with any number of input channels."""

from typing import Any, cast

import open_clip
import timm
import torch
from jaxtyping import Float
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from training.errors import RefusedError
from training.models.pretrained import load_imagenet
from training.models.spec import ImageTowerSpec


class TimmTower(nn.Module):
    """A timm network and a linear projection; parameters are named as in open_clip's timm adapter."""

    def __init__(self, spec: ImageTowerSpec, embed_dim: int) -> None:
        super().__init__()
        options: dict[str, Any] = {"in_chans": spec.channels, "num_classes": 0, **spec.overrides}
        if spec.drop_path:
            options["drop_path_rate"] = spec.drop_path
        self.trunk = timm.create_model(spec.name, pretrained=False, **options)
        self.head = nn.Sequential()
        # a MobileNet widens its features after pooling; most networks do not
        width = getattr(self.trunk, "head_hidden_size", None) or self.trunk.num_features
        self.head.add_module("proj", nn.Linear(cast("int", width), embed_dim, bias=False))

        if spec.start == "imagenet":
            load_imagenet(self.trunk, spec.name)
        if spec.frozen_blocks:
            _freeze(self.trunk, spec)

    def forward(self, pixels: Float[Tensor, "n c s s"]) -> Float[Tensor, "n d"]:
        return self.head(self.trunk(pixels))


def _freeze(trunk: nn.Module, spec: ImageTowerSpec) -> None:
    """Keep the weights of the stem and the first blocks, which cost most at high resolution; norms go on measuring."""
    blocks = getattr(trunk, "blocks", None)
    if not isinstance(blocks, nn.Sequential) or not hasattr(trunk, "conv_stem"):
        raise RefusedError(f"model.image.frozen_blocks is {spec.frozen_blocks}; {spec.name} has no stem and blocks")
    for part in (trunk.conv_stem, trunk.bn1, *blocks[: spec.frozen_blocks]):
        part.requires_grad_(False)


def build_image_tower(spec: ImageTowerSpec, embed_dim: int) -> nn.Module:
    """A tower from (n, channels, size, size) to (n, embed_dim), not normalised."""
    if spec.library == "timm":
        if not timm.is_model(spec.name):
            raise RefusedError(f"model.image.name is {spec.name!r}; timm {timm.__version__} has no model of that name")
        return TimmTower(spec, embed_dim)
    if spec.start != "random":
        raise RefusedError(f"model.image.start is {spec.start!r}; towers of open_clip start at random")
    return _open_clip_tower(spec, embed_dim)


def _open_clip_tower(spec: ImageTowerSpec, embed_dim: int) -> nn.Module:
    config = open_clip.get_model_config(spec.name)
    if config is None or "vision_cfg" not in config:
        raise RefusedError(
            f"model.image.name is {spec.name!r}; open_clip {open_clip.__version__} has no such configuration"
        )
    settings = {**config["vision_cfg"], "image_size": spec.size_px, "timm_model_pretrained": False, **spec.overrides}
    tower = _build_vision_tower(embed_dim, CLIPVisionCfg(**settings), quick_gelu=config.get("quick_gelu", False))
    if spec.channels != 3:
        _replace_stem(tower, spec)
    return tower


def _replace_stem(tower: nn.Module, spec: ImageTowerSpec) -> None:
    """Give a Vision Transformer of open_clip, which is built for RGB, a patch embedding for `spec.channels`."""
    if not isinstance(tower, VisionTransformer):
        raise RefusedError(
            f"model.image.channels is {spec.channels}; open_clip's {spec.name} takes 3, take it from timm"
        )
    stem = tower.conv1
    patch = (stem.kernel_size[0], stem.kernel_size[1])
    tower.conv1 = nn.Conv2d(spec.channels, stem.out_channels, patch, patch, bias=False)
    # three equal channels through the old stem are one channel through the sum of its weights
    with torch.no_grad():
        tower.conv1.weight.copy_(stem.weight.sum(dim=1, keepdim=True))
