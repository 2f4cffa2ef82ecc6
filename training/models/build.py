"""A model and its metadata input from a specification: the one place where towers are put together."""

from dataclasses import dataclass
from typing import cast

from torch import nn

from inference.captions import Template
from inference.fields import FIRST, FieldTable
from training.errors import RefusedError
from training.models.contrast import ContrastModel
from training.models.fields import FieldTower
from training.models.image import build_image_tower
from training.models.inputs import FieldInput, MetadataInput, TextInput
from training.models.spec import ModelSpec
from training.models.text import TextTower


@dataclass(frozen=True, kw_only=True)
class Built:
    """A model with what turns captions into its input."""

    model: ContrastModel
    inputs: MetadataInput
    table: FieldTable | None  # of a field encoder


def build(spec: ModelSpec, table: FieldTable | None = None) -> Built:
    """The model of `spec` with random weights; a field encoder needs the table of its fields."""
    image = build_image_tower(spec.image, spec.embed_dim)
    tower: nn.Module
    inputs: MetadataInput
    if spec.metadata.kind == "text":
        inputs = TextInput(cast("Template", spec.metadata.template), spec.metadata.context_length)
        tower, table = TextTower(spec.metadata, spec.embed_dim), None
    elif table is None:
        raise RefusedError("a field encoder needs the table of its fields")
    else:
        sizes = [FIRST + len(field.vocabulary) for field in table.categorical]
        inputs = FieldInput(table)
        tower = FieldTower(spec.metadata, spec.embed_dim, continuous=len(table.continuous), category_sizes=sizes)
    model = ContrastModel(image, tower, init_scale=spec.init_scale, init_bias=spec.init_bias)
    return Built(model=model, inputs=inputs, table=table)
