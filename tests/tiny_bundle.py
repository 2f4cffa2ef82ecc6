"""A model bundle small enough for tests, whose two towers are the signal equation of MR itself.

The image tower measures six tissues and air in a phantom; the metadata tower computes what they should be from the
header's TE, TR, TI, b-value, agent and fat suppression. So a phantom made with one protocol fits captions of that
protocol and no other, and a test can make images that contradict their header at will. Needs numpy and onnx, no torch.

    bundle = tiny_bundle.write(tmp_path / "tiny")                    # with calibration and gate, seconds
    image = tiny_bundle.phantom(tiny_bundle.protocol("T2"), seed=1)  # see tiny_phantoms for images and series
"""

import io
import itertools
import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.bundle import Bundle, write_bundle
from inference.calibration import Provenance
from inference.calibration_fit import fit
from inference.captions import FIELDS, Caption
from inference.claims import Claim
from inference.consistency import judge
from inference.gate import NearestNeighbours, unit
from inference.grid import mean_embedding
from inference.header import FrameHeader
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from inference.labels import UNKNOWN
from inference.manifest import Manifest, MetadataSection
from inference.model import Model, load_model
from inference.pixels import PixelSpec
from inference.stacks import Stack
from tiny_phantoms import PROTOCOLS, SIZE_PX, TISSUES, clean_series, dicom, phantom, prepared, protocol, strange
from tiny_towers import TABLE, image_tower, metadata_tower

__all__ = [
    "PROTOCOLS", "SIZE_PX", "blank", "claim", "clean_series", "dicom", "embed", "grid", "phantom", "prepared",
    "protocol", "stack", "strange", "write",
]  # fmt: skip

LOGIT_SCALE = 40.0


def grid() -> list[dict[str, Any]]:
    """Three echo times by two of the others for each contrast; agent and fat suppression where they are used."""
    rows: list[dict[str, Any]] = []
    for contrast, ranges in PROTOCOLS.items():
        agents = (False, True) if contrast == "T1" else (False,)
        suppressions = (True,) if contrast == "STIR" else (False, True) if contrast in ("T1", "T2") else (False,)
        middles = [[low + share * (high - low) for share in (0.0, 0.5, 1.0)] for low, high in ranges]
        for index, agent, fat in itertools.product(range(3), agents, suppressions):
            te, tr, ti, b = (values[index] for values in middles)
            caption = protocol(
                contrast,
                EchoTime_ms=te,
                RepetitionTime_ms=tr,
                InversionTime_ms=ti or None,
                b_value_s_mm2=b or None,
                post_contrast=agent,
                fat_suppressed=fat,
            )
            fields = {name: caption.get(name) for name in FIELDS if caption.get(name) is not None}
            rows.append(
                {
                    "contrast": contrast,
                    "post_contrast": agent,
                    "fat_suppressed": fat,
                    "weight": 1.0 / (len(agents) * len(suppressions)),
                    "caption": fields,
                }
            )
    return rows


def blank(folder: Path, *, name: str = "toy", version: str = "1.0") -> Bundle:
    """A bundle whose files are whole and hold nothing: for tests of folders and digests."""
    files = ("image_encoder.onnx", "metadata_encoder.onnx", "fields.json", "label_grid.json", "MODEL_CARD.md")
    return write_bundle(folder, _manifest(name=name, version=version), {file: file.encode() for file in files})


def write(folder: Path, *, name: str = "tiny", version: str = "1.0", calibrated: bool = True) -> Bundle:
    """A bundle to read with; the calibrated one knows 1,200 clean series with one stack each and has a gate."""
    files = {**_files(), **(_calibration_files() if calibrated else {})}
    return write_bundle(folder, _manifest(name=name, version=version), files)


def stack(caption: Caption, **header: Any) -> Stack:
    """A stack of one frame whose header says what the caption does; `header` replaces fields of the FrameHeader."""
    values: dict[str, Any] = {
        "study_instance_uid": StudyInstanceUid("1.2.3"),
        "series_instance_uid": SeriesInstanceUid("1.2.3.4"),
        "sop_instance_uid": SopInstanceUid("1.2.3.4.5"),
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.4",
        "modality": "MR",
        "series_description": caption.SeriesDescription or f"{caption.contrast} axial",
        "scanning_sequence": tuple((caption.ScanningSequence or "").split("_")),
        "echo_time_ms": caption.EchoTime_ms,
        "repetition_time_ms": caption.RepetitionTime_ms,
        "inversion_time_ms": caption.InversionTime_ms,
        "b_value_s_mm2": caption.b_value_s_mm2,
        **header,
    }
    return Stack(
        index=0, kind="magnitude", selector={}, frames=(FrameHeader(**values),), slices=1, plane=None, oblique_deg=None
    )


def claim(caption: Caption) -> Claim:
    """What a header that says this caption claims."""
    return Claim(
        label=caption.contrast or UNKNOWN,
        post_contrast=caption.post_contrast,
        fat_suppressed=caption.fat_suppressed,
        basis=("SeriesDescription",),
    )


def embed(model: Model, caption: Caption, *, seed: int) -> npt.NDArray[np.float32]:
    """Three slices of a phantom of that protocol, embedded."""
    return model.encoder.encode_images(
        prepared([phantom(caption, seed=3 * seed + index, size_px=SIZE_PX) for index in range(3)])
    )


def _manifest(*, name: str, version: str) -> Manifest:
    return Manifest(
        name=name,
        version=version,
        created="2026-01-02T03:04:05Z",
        image=PixelSpec(size_px=SIZE_PX, channels=1, low_percentile=0.5, high_percentile=99.5, mean=0.0, std=1.0),
        metadata=MetadataSection(kind="fields"),
        embedding_dim=len(TISSUES) + 1,
        logit_scale=LOGIT_SCALE,
        licence="Apache-2.0",
        training_data="none: the towers are the signal equation",
        minimum_probability=0.3,
    )


@cache
def _files() -> dict[str, bytes]:
    return {
        "image_encoder.onnx": image_tower(),
        "metadata_encoder.onnx": metadata_tower(),
        "fields.json": TABLE.to_json().encode(),
        "label_grid.json": json.dumps({"rows": grid()}).encode(),
        "MODEL_CARD.md": b"# Tiny\n\nThe signal equation as a model, for tests.\n",
    }


@cache
def _calibration_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as scratch:
        model = load_model(write(Path(scratch) / "tiny", calibrated=False), threads=1)
        known = [embed(model, caption, seed=seed) for seed, caption in enumerate(clean_series(240, first_seed=0))]
        reference = np.stack([unit(mean_embedding(embeddings)) for embeddings in known])
        model = replace(model, gate=NearestNeighbours(reference=reference))
        records = [
            [judge(embed(model, c, seed=s), model=model, stack=stack(c), claim=claim(c), alarm_rate=0.01).record]
            for s, c in enumerate(clean_series(1200, first_seed=10_000), start=10_000)
        ]
    provenance = Provenance(source="bundle", kind="simulated", created="2026-01-02T03:04:05Z", bundle_sha256=None)
    array = io.BytesIO()
    np.save(array, reference)
    return {
        "calibration.json": fit(records, provenance, gate_rate=0.01).to_json(),
        "reference.npy": array.getvalue(),
    }
