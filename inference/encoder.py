"""Two towers behind one protocol: images and captions become unit vectors that can be compared.

The towers are run by a backend (`encoder_onnx`, `encoder_torchscript`); everything else is the same for all of them and
lies here. Sessions are made with the first call, so that importing and wiring stay cheap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from inference.bundle import Bundle
from inference.captions import TEMPLATE_FIELDS, Caption, Template, text
from inference.fields import FieldTable, field_table
from inference.manifest import FIELD_TABLE, TOKENIZER, BundleError
from inference.tokens import Tokenizer

Backend = Literal["onnx", "torchscript"]
Device = Literal["auto", "cpu", "cuda"]  # auto: CUDA where it works, else the CPU

# Enough to keep two cores busy, little enough that a study of a thousand slices does not need a gigabyte.
_IMAGES_AT_ONCE: Final = 32
_CAPTIONS_AT_ONCE: Final = 256


class BackendMissing(RuntimeError):  # noqa: N818 - it is a state of the installation, not a fault in the code
    """The library that runs the towers is not installed."""

    def __init__(self, library: str, *, extra: str) -> None:
        super().__init__(f"{library} is not installed; install mrclip with the extra {extra}, e.g. mrclip[{extra}]")


class CudaError(RuntimeError):
    """CUDA was asked for by name and does not run the towers. It is the machine's fault, not the series'."""


class Encoder(Protocol):
    """What a model must be able to do; embeddings are float32 and of length 1."""

    @property
    def dim(self) -> int:
        """The length of an embedding."""
        ...

    @property
    def caption_fields(self) -> frozenset[str]:
        """The caption fields that make a difference to `encode_captions`."""
        ...

    def encode_images(self, pixels: Float32[np.ndarray, "n c s s"]) -> Float32[np.ndarray, "n d"]:
        """Embed images that `inference.pixels` prepared for this bundle."""
        ...

    def encode_captions(self, captions: Sequence[Caption]) -> Float32[np.ndarray, "n d"]:
        """Embed captions."""
        ...


class Tower(Protocol):
    """One exported graph: named arrays in, the embedding out. Safe to call from several threads."""

    def __call__(self, inputs: Mapping[str, npt.NDArray[np.generic]]) -> npt.NDArray[np.floating]: ...


class CaptionInputs(Protocol):
    """How captions become the inputs of a metadata tower."""

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs, in the order of a TorchScript module's arguments."""
        ...

    @property
    def fields(self) -> frozenset[str]:
        """The caption fields that reach the inputs."""
        ...

    def arrays(self, captions: Sequence[Caption]) -> Mapping[str, npt.NDArray[np.generic]]:
        """The inputs by name, one row a caption."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldInputs:
    """Captions for a tower of kind `fields`."""

    table: FieldTable

    @property
    def names(self) -> tuple[str, ...]:
        return ("continuous", "continuous_mask", "categorical")

    @property
    def fields(self) -> frozenset[str]:
        return self.table.names

    def arrays(self, captions: Sequence[Caption]) -> Mapping[str, npt.NDArray[np.generic]]:
        encoded = self.table.encode(captions)
        return {
            "continuous": encoded.continuous,
            "continuous_mask": encoded.continuous_mask,
            "categorical": encoded.categorical,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class TextInputs:
    """Captions for a tower of kind `text`."""

    tokenizer: Tokenizer
    template: Template

    @property
    def names(self) -> tuple[str, ...]:
        return ("tokens",)

    @property
    def fields(self) -> frozenset[str]:
        return TEMPLATE_FIELDS[self.template]

    def arrays(self, captions: Sequence[Caption]) -> Mapping[str, npt.NDArray[np.generic]]:
        return {"tokens": self.tokenizer.encode([text(caption, self.template) for caption in captions])}


class TowerEncoder:
    """An `Encoder` made of two towers and the way captions enter one of them."""

    def __init__(
        self, *, image: Tower, metadata: Tower, captions: CaptionInputs, dim: int, images_at_once: int = _IMAGES_AT_ONCE
    ) -> None:
        self._image, self._metadata, self._captions, self._dim = image, metadata, captions, dim
        self._images_at_once = images_at_once

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def caption_fields(self) -> frozenset[str]:
        return self._captions.fields

    def encode_images(self, pixels: Float32[np.ndarray, "n c s s"]) -> Float32[np.ndarray, "n d"]:
        parts = [
            self._image({"pixels": np.ascontiguousarray(pixels[start : start + self._images_at_once])})
            for start in range(0, len(pixels), self._images_at_once)
        ]
        return self._unit(parts)

    def encode_captions(self, captions: Sequence[Caption]) -> Float32[np.ndarray, "n d"]:
        parts = [
            self._metadata(self._captions.arrays(captions[start : start + _CAPTIONS_AT_ONCE]))
            for start in range(0, len(captions), _CAPTIONS_AT_ONCE)
        ]
        return self._unit(parts)

    def _unit(self, parts: Sequence[npt.NDArray[np.floating]]) -> Float32[np.ndarray, "n d"]:
        """Join and normalise again: half precision and quantised towers miss length 1 by a little."""
        if not parts:
            return np.zeros((0, self._dim), np.float32)
        joined = np.concatenate(parts).astype(np.float32)
        if joined.ndim != 2 or joined.shape[1] != self._dim:
            raise BundleError("embedding", expected=f"shape (n, {self._dim})", found=str(joined.shape))
        lengths = np.linalg.norm(joined, axis=1, keepdims=True)
        if not np.all(np.isfinite(lengths)) or np.any(lengths == 0):
            raise BundleError("embedding", expected="finite vectors that are not zero", found="others")
        return joined / lengths


def caption_inputs(bundle: Bundle) -> CaptionInputs:
    """How this bundle's metadata tower takes captions in; BundleError if its table or tokenizer cannot be used."""
    metadata = bundle.manifest.metadata
    file = FIELD_TABLE if metadata.kind == "fields" else TOKENIZER
    try:
        if metadata.template is None or metadata.context_length is None:
            return FieldInputs(table=field_table(bundle.read_json(FIELD_TABLE)))
        tokenizer = Tokenizer(bundle.read(TOKENIZER), context_length=metadata.context_length)
        return TextInputs(tokenizer=tokenizer, template=metadata.template)
    except BundleError:
        raise
    except ValueError as error:
        raise BundleError(file, expected="a usable table or tokenizer", found=str(error)) from error


def load_encoder(
    bundle: Bundle,
    *,
    backend: Backend = "onnx",
    device: Device = "auto",
    threads: int = 0,
    batch: int | None = None,
) -> Encoder:
    """The bundle's towers, run by `backend`; ONNX Runtime uses `threads` threads (0: as many as there are cores).

    With `batch` images that several threads ask for are encoded together, so many at most. Nothing heavy is imported
    before the first image or caption. Then BackendMissing says that the backend is not installed, BundleError that a
    tower is missing or does not fit, CudaError that `device` is cuda and cannot be used.
    """
    captions = caption_inputs(bundle)
    image, metadata = _towers(bundle, captions.names, backend=backend, device=device, threads=threads)
    dim = bundle.manifest.embedding_dim
    if batch is None:
        return TowerEncoder(image=image, metadata=metadata, captions=captions, dim=dim)
    from inference.batching import BatchingEncoder

    encoder = TowerEncoder(image=image, metadata=metadata, captions=captions, dim=dim, images_at_once=batch)
    return BatchingEncoder(encoder, most_images=batch)


def _towers(
    bundle: Bundle, inputs: tuple[str, ...], *, backend: Backend, device: Device, threads: int
) -> tuple[Tower, Tower]:
    if backend == "torchscript":
        from inference import encoder_torchscript

        return encoder_torchscript.towers(bundle, inputs=inputs, device=device)
    from inference import encoder_onnx

    return encoder_onnx.towers(bundle, inputs=inputs, device=device, threads=threads)
