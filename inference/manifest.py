"""`manifest.json` of a model bundle: what it must say, read strictly and written canonically (mrclip.bundle/1)."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any, Final, Literal, TypeVar, cast

from inference.captions import Template
from inference.pixels_prepare import PixelSpec

SCHEMA: Final = "mrclip.bundle/1"

# The files of a bundle.
MANIFEST: Final = "manifest.json"
CALIBRATION: Final = "calibration.json"
FIELD_TABLE: Final = "fields.json"
IMAGE_ENCODER: Final = "image_encoder.onnx"
IMAGE_ENCODER_TORCHSCRIPT: Final = "image_encoder.pt"
LABEL_GRID: Final = "label_grid.json"
METADATA_ENCODER: Final = "metadata_encoder.onnx"
METADATA_ENCODER_TORCHSCRIPT: Final = "metadata_encoder.pt"
MODEL_CARD: Final = "MODEL_CARD.md"
REFERENCE: Final = "reference.npy"
STRANGE: Final = "strange.npy"
TOKENIZER: Final = "tokenizer.json"

MetadataKind = Literal["text", "fields"]
_T = TypeVar("_T")

# One path component that means the same on every file system, is not hidden and leads nowhere else.
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class BundleError(ValueError):
    """A bundle, or a file of one, is not what it must be."""

    def __init__(self, file: str, *, expected: str, found: str) -> None:
        self.file, self.expected, self.found = file, expected, found
        super().__init__(f"{file}: expected {expected}, found {found}")


@dataclass(frozen=True, kw_only=True, slots=True)
class MetadataSection:
    """How captions enter the metadata tower."""

    kind: MetadataKind
    template: Template | None = None  # text only
    context_length: int | None = None  # text only, in tokens

    def __post_init__(self) -> None:
        _require(self.kind in ("text", "fields"), "metadata.kind", "text or fields", self.kind)
        if self.kind == "text":
            _require(self.template in ("paper", "extended"), "metadata.template", "paper or extended", self.template)
            _require(
                _is_count(self.context_length), "metadata.context_length", "a count of tokens", self.context_length
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What a bundle says about itself; `files` maps every other file to its SHA-256."""

    name: str  # lower case letters, digits, "_", "." and "-": it becomes part of a folder's name
    version: str
    created: str  # UTC, ISO 8601
    image: PixelSpec
    metadata: MetadataSection
    embedding_dim: int
    logit_scale: float  # multiplies the cosine of two embeddings: 1 / temperature
    licence: str
    training_data: str  # one sentence; the model card says the rest
    slices: int = 16  # how many of a stack are encoded
    minimum_probability: float = 0.0  # a less likely contrast is not answered: low-confidence
    files: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        for name, value in (("name", self.name), ("version", self.version)):
            _require(is_name(value), name, f"the form {_NAME.pattern}", value)
        _require(_is_count(self.embedding_dim), "embedding_dim", "a positive number", self.embedding_dim)
        _require(_is_count(self.slices), "slices", "a positive number", self.slices)
        scale = self.logit_scale
        _require(math.isfinite(scale) and scale > 0, "logit_scale", "a positive number", scale)
        least = self.minimum_probability
        _require(0 <= least < 1, "minimum_probability", "a number in [0, 1)", least)
        for file, digest in self.files.items():
            _require(is_file_name(file), "files", "names without separators", file)
            _require(_SHA256.fullmatch(digest) is not None, f"files.{file}", "64 hexadecimal digits", digest)

    @property
    def required_files(self) -> frozenset[str]:
        """The files without which a bundle of this kind cannot be used."""
        metadata_input = FIELD_TABLE if self.metadata.kind == "fields" else TOKENIZER
        return frozenset({IMAGE_ENCODER, METADATA_ENCODER, LABEL_GRID, MODEL_CARD, metadata_input})

    def to_json(self) -> bytes:
        """The bytes of `manifest.json`: the same manifest gives the same bytes, so its digest names the bundle."""
        document = {"schema": SCHEMA, **asdict(self)}
        return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def is_name(text: str) -> bool:
    """True for what a bundle may have as its name or version."""
    return _NAME.fullmatch(text) is not None


def is_file_name(name: str) -> bool:
    """True for a name that may stand in `files`: one plain path component, and not the manifest itself."""
    return _FILE_NAME.fullmatch(name) is not None and name != MANIFEST


def manifest(document: bytes) -> Manifest:
    """`manifest.json` parsed; BundleError names the key that is missing, unknown or wrong."""
    try:
        content = json.loads(document)
    except ValueError as error:
        raise BundleError(MANIFEST, expected="JSON", found=str(error)) from error
    if not isinstance(content, dict):
        raise BundleError(MANIFEST, expected="a JSON object", found=type(content).__name__)
    values = cast("dict[str, Any]", content)
    schema = values.pop("schema", None)
    _require(schema == SCHEMA, "schema", SCHEMA, schema)
    values["image"] = _built(PixelSpec, values.get("image"), "image")
    values["metadata"] = _built(MetadataSection, values.get("metadata"), "metadata")
    return _built(Manifest, values, "the manifest")


def _built(cls: type[_T], values: object, where: str) -> _T:
    """`cls` from a JSON object with exactly its keys, those with a default left out or not."""
    if not isinstance(values, dict):
        raise BundleError(MANIFEST, expected=f"{where} to be a JSON object", found=repr(values))
    given = cast("dict[str, Any]", values)
    known = {entry.name: entry for entry in fields(cast("Any", cls))}
    unknown = sorted(given.keys() - known.keys())
    _require(not unknown, where, f"only {', '.join(sorted(known))}", ", ".join(unknown))
    missing = sorted(name for name, entry in known.items() if name not in given and not _may_be_left_out(cls, entry))
    _require(not missing, where, ", ".join(missing), "no such key")
    try:
        return cls(**given)
    except BundleError:
        raise
    except (TypeError, ValueError) as error:
        raise BundleError(MANIFEST, expected=f"{where} to hold values of its types", found=str(error)) from error


def _may_be_left_out(cls: type[Any], entry: Field[Any]) -> bool:
    """Defaults count, but not those of `PixelSpec`: how pixels are prepared must not depend on the code's version."""
    has_default = entry.default is not MISSING or entry.default_factory is not MISSING
    return has_default and cls is not PixelSpec


def _require(met: bool, key: str, expected: str, found: object) -> None:
    if not met:
        raise BundleError(MANIFEST, expected=f"{key}: {expected}", found=repr(found))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
