"""What a person decides about a bundle."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from inference.manifest import is_name
from training.errors import RefusedError
from training.export.variants import Precision


@dataclass(frozen=True, kw_only=True)
class About:
    """What a bundle says about itself, and what goes into it."""

    name: str
    version: str
    created: str  # UTC, ISO 8601
    licence: str
    training_data: str  # one sentence
    notes: str = ""  # Markdown for the model card: what it was measured on, where it fails
    slices: int = 16  # of a stack are encoded
    minimum_probability: float = 0.0
    precision: Precision = "fp32"
    torchscript: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)  # more files, e.g. calibration.json and reference.npy

    def __post_init__(self) -> None:
        for what, text in (("name", self.name), ("version", self.version)):
            if not is_name(text):
                raise RefusedError(
                    f"{what} is {text!r}; a bundle's has lower case letters, digits, '_', '.' and '-', at most 40, and "
                    "begins with a letter or a digit"
                )
