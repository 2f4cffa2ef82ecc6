"""A bundle made ready to read with: encoder, embedded grid, gate and calibration, built in one place."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from inference.bundle import Bundle
from inference.calibration import Calibration, CalibrationError, read_calibration
from inference.counterfactual import Counterfactuals
from inference.encoder import Backend, Device, Encoder, load_encoder
from inference.gate import Gate, NearestNeighbours
from inference.grid import Grid, embed_grid, grid_rows
from inference.manifest import CALIBRATION, LABEL_GRID, REFERENCE, STRANGE, BundleError
from inference.reading import ModelIdentity


@dataclass(frozen=True, kw_only=True)
class Model:
    """Everything that reading a stack needs from a bundle. Safe to share between threads."""

    bundle: Bundle
    encoder: Encoder
    grid: Grid
    counterfactuals: Counterfactuals
    calibration: Calibration | None  # the site's where it has one, else the bundle's
    gate: Gate | None
    gate_distance: float | None  # the bundle's: a site does not widen what the model knows

    @property
    def identity(self) -> ModelIdentity:
        """How a reading names this model."""
        content = self.bundle.manifest
        source = "none" if self.calibration is None else self.calibration.provenance.source
        return ModelIdentity(name=content.name, version=content.version, sha256=self.bundle.sha256, calibration=source)

    @property
    def digests(self) -> tuple[str, ...]:
        """What a reader digest must contain of the model: bundle, then calibration if there is one."""
        return (self.bundle.sha256,) + (() if self.calibration is None else (self.calibration.sha256,))


def load_model(
    bundle: Bundle,
    *,
    calibration: Calibration | None = None,
    backend: Backend = "onnx",
    device: Device = "auto",
    threads: int = 0,
    batch: int | None = None,
) -> Model:
    """Make a bundle ready; the captions of its grid are embedded here, so this imports the backend.

    `calibration` is a site's own and takes the place of the bundle's. Raises CalibrationError if it names another
    bundle, BundleError if a file of the bundle cannot be used, BackendMissing without the backend's library, CudaError
    where `device` is cuda and that cannot be used.
    """
    if calibration is not None and calibration.provenance.bundle_sha256 != bundle.sha256:
        raise CalibrationError(
            f"the calibration is for bundle {calibration.provenance.bundle_sha256}, not for {bundle.sha256}"
        )
    own = _own_calibration(bundle)
    encoder = load_encoder(bundle, backend=backend, device=device, threads=threads, batch=batch)
    grid = _grid(bundle, encoder)
    return Model(
        bundle=bundle,
        encoder=encoder,
        grid=grid,
        counterfactuals=Counterfactuals(encoder, grid),
        calibration=calibration or own,
        gate=_gate(bundle),
        gate_distance=None if own is None else own.gate_distance,
    )


def _own_calibration(bundle: Bundle) -> Calibration | None:
    if not bundle.has(CALIBRATION):
        return None
    try:
        return read_calibration(bundle.read(CALIBRATION))
    except CalibrationError as error:
        raise BundleError(CALIBRATION, expected="a calibration", found=str(error)) from error


def _grid(bundle: Bundle, encoder: Encoder) -> Grid:
    try:
        rows = grid_rows(bundle.read_json(LABEL_GRID))
    except BundleError:
        raise
    except ValueError as error:
        raise BundleError(LABEL_GRID, expected="a label grid", found=str(error)) from error
    return embed_grid(rows, encoder, logit_scale=bundle.manifest.logit_scale)


def _gate(bundle: Bundle) -> Gate | None:
    if not bundle.has(REFERENCE):
        return None
    try:
        return NearestNeighbours(
            reference=_embeddings(bundle, REFERENCE),
            strange=_embeddings(bundle, STRANGE) if bundle.has(STRANGE) else None,
        )
    except BundleError:
        raise
    except ValueError as error:
        raise BundleError(REFERENCE, expected="embeddings of stacks", found=str(error)) from error


def _embeddings(bundle: Bundle, file: str) -> Float32[np.ndarray, "m d"]:
    array = bundle.read_array(file)
    dim = bundle.manifest.embedding_dim
    if array.ndim != 2 or array.shape[1] != dim:
        raise BundleError(file, expected=f"shape (m, {dim})", found=str(array.shape))
    return array
