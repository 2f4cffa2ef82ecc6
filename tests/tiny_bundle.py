"""A model bundle small enough for tests, whose two towers are the signal equation of MR itself.

The image tower measures six tissues and air in a phantom; the metadata tower computes what they should be from the
header's TE, TR, TI, b-value, agent and fat suppression. So a phantom made with one protocol fits captions of that
protocol and no other, and a test can make images that contradict their header at will. Needs numpy and onnx, no torch.

    bundle = tiny_bundle.write(tmp_path / "tiny")                    # with calibration and gate, about a second
    image = tiny_bundle.phantom(tiny_bundle.protocol("T2"), seed=1)  # uint16, as pixel data of a DICOM image
"""

import io
import itertools
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from pydicom import Dataset

import dicom_factory
from inference.bundle import Bundle, write_bundle
from inference.calibration import Provenance, fit
from inference.captions import FIELDS, Caption
from inference.claims import Claim
from inference.consistency import judge
from inference.fields import CategoricalField, ContinuousField, FieldTable
from inference.gate import NearestNeighbours, unit
from inference.grid import mean_embedding
from inference.header import FrameHeader
from inference.identifiers import SeriesInstanceUid, SopInstanceUid, StudyInstanceUid
from inference.labels import UNKNOWN
from inference.manifest import Manifest, MetadataSection
from inference.model import Model, load_model
from inference.pixels import PixelSpec
from inference.stacks import Stack

SIZE_PX = 48
LOGIT_SCALE = 40.0

# Six tissues: T1 and T2 in ms at 1.5 T, proton density, ADC in 1e-3 mm2/s (rounded textbook values).
TISSUES = ("white matter", "grey matter", "fluid", "fat", "muscle", "lesion")
T1_MS = np.array([780.0, 1100.0, 4000.0, 260.0, 900.0, 1000.0])
T1_ENHANCED_MS = np.array([780.0, 1100.0, 4000.0, 260.0, 900.0, 300.0])  # an agent shortens T1 of the lesion
T2_MS = np.array([75.0, 95.0, 2000.0, 70.0, 40.0, 120.0])
DENSITY = np.array([0.7, 0.82, 1.0, 0.9, 0.75, 0.85])
DENSITY_FAT_SUPPRESSED = np.array([0.7, 0.82, 1.0, 0.09, 0.75, 0.85])
ADC = np.array([0.8, 0.9, 3.0, 0.05, 1.4, 0.6])

# TE, TR, TI (ms), b (s/mm2) of each contrast: the lowest and the highest a protocol has. TI 0: no inversion.
PROTOCOLS: dict[str, tuple[tuple[float, float], ...]] = {
    "T1": ((8, 20), (400, 700), (0, 0), (0, 0)),
    "T2": ((80, 120), (3000, 6000), (0, 0), (0, 0)),
    "PROTON_DENSITY": ((10, 30), (2500, 4000), (0, 0), (0, 0)),
    "FLUID_ATTENUATED": ((90, 140), (8000, 10000), (2200, 2600), (0, 0)),
    "STIR": ((30, 60), (3000, 5000), (140, 180), (0, 0)),
    "DIFFUSION": ((60, 90), (5000, 9000), (0, 0), (800, 1200)),
}
WORDS = {
    "": "head",
    "T1": "t1 tse",
    "T2": "t2 tse",
    "PROTON_DENSITY": "pd tse",
    "FLUID_ATTENUATED": "t2 flair",
    "STIR": "stir",
    "DIFFUSION": "dwi",
}
SEQUENCES = {"FLUID_ATTENUATED": "SE_IR", "STIR": "SE_IR", "DIFFUSION": "EP_SE"}

TABLE = FieldTable(
    continuous=tuple(
        ContinuousField(name=name, transform="linear", low=0.0, high=high)
        for name, high in (
            ("EchoTime_ms", 300.0),
            ("RepetitionTime_ms", 12000.0),
            ("InversionTime_ms", 4000.0),
            ("b_value_s_mm2", 2000.0),
        )
    ),
    categorical=(
        CategoricalField(name="contrast", vocabulary=tuple(PROTOCOLS)),
        CategoricalField(name="post_contrast", vocabulary=("NO", "YES")),
        CategoricalField(name="fat_suppressed", vocabulary=("NO", "YES")),
    ),
)


def protocol(contrast: str, /, *, seed: int | None = None, **fields: Any) -> Caption:
    """A protocol of that contrast: the middle of its ranges, or drawn from them by `seed`; `fields` replace."""
    rng = None if seed is None else np.random.default_rng(seed)
    te, tr, ti, b = (
        (low + high) / 2 if rng is None else float(rng.uniform(low, high)) for low, high in PROTOCOLS[contrast]
    )
    caption = Caption(
        contrast=contrast,
        ScanningSequence=SEQUENCES.get(contrast, "SE"),
        EchoTime_ms=round(te, 1),
        RepetitionTime_ms=round(tr),
        InversionTime_ms=round(ti) or None,
        b_value_s_mm2=round(b) or None,
        post_contrast=False,
        fat_suppressed=contrast == "STIR",
    )
    return replace(caption, **fields)


def signals(caption: Caption) -> npt.NDArray[np.float64]:
    """The six tissues' signal: spin or inversion recovery (Bernstein 2004, section 14.2), decay, diffusion."""
    te, tr = caption.EchoTime_ms or 0.0, caption.RepetitionTime_ms or 0.0
    ti, b = caption.InversionTime_ms, caption.b_value_s_mm2 or 0.0
    t1 = T1_ENHANCED_MS if caption.post_contrast else T1_MS
    recovery = 1 - np.exp(-tr / t1) if ti is None else np.abs(1 - 2 * np.exp(-ti / t1) + np.exp(-tr / t1))
    density = DENSITY_FAT_SUPPRESSED if caption.fat_suppressed and ti is None else DENSITY
    return density * recovery * np.exp(-te / T2_MS) * np.exp(-b * ADC / 1000)


def phantom(caption: Caption, *, seed: int = 0, size_px: int = 128, snr: float = 40.0) -> npt.NDArray[np.uint16]:
    """A slice of two rows of three tissues in air, 0 to about 1000, with Gaussian noise (its magnitude taken)."""
    levels = signals(caption)
    image = np.zeros((size_px, size_px))
    for level, (rows, columns) in zip(levels, _cells(size_px, inset=0.0), strict=True):
        image[rows, columns] = level / levels.max()
    image += np.random.default_rng(seed).normal(0, 1 / snr, image.shape)
    return np.rint(np.abs(image) * 1000).astype(np.uint16)


def strange(*, seed: int = 0, size_px: int = 128) -> npt.NDArray[np.uint16]:
    """An image that is no protocol's: tissues at levels that no signal equation gives."""
    levels = (0.1, 1.0, 0.1, 0.1, 1.0, 0.1)
    image = np.zeros((size_px, size_px))
    for level, (rows, columns) in zip(levels, _cells(size_px, inset=0.0), strict=True):
        image[rows, columns] = level
    image += np.random.default_rng(seed).normal(0, 0.02, image.shape)
    return np.rint(np.abs(image) * 1000).astype(np.uint16)


def prepared(images: Sequence[npt.NDArray[np.uint16]]) -> npt.NDArray[np.float32]:
    """Images of `SIZE_PX` as the image tower takes them, without going through files."""
    return (np.stack(images)[:, None] / 1000).astype(np.float32)


def _cells(size_px: int, *, inset: float) -> list[tuple[slice, slice]]:
    """Rows and columns of the six tissues, row by row; `inset` leaves out that share of a cell on every side."""
    top, left, height, width = 0.14, 0.08, 0.36, 0.28  # of the image
    cells: list[tuple[slice, slice]] = []
    for row, column in itertools.product(range(2), range(3)):
        y, x = top + row * height, left + column * width
        cells.append(
            (
                slice(round((y + inset * height) * size_px), round((y + (1 - inset) * height) * size_px)),
                slice(round((x + inset * width) * size_px), round((x + (1 - inset) * width) * size_px)),
            )
        )
    return cells


class _Graph:
    """An ONNX graph written as calls: each call adds a node and gives the name of its output."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def __call__(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: npt.ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def unit(self, vector: str, output: str | None = None) -> str:
        """The vector with its mean taken off, at length 1: the same for any brightness and window."""
        mean = self("ReduceMean", vector, axes=[1], keepdims=1)
        centred = self("Sub", vector, mean)
        length = self("ReduceL2", centred, axes=[1], keepdims=1)
        return self("Div", centred, self("Add", length, self.constant(1e-6)), output=output)

    def to_bytes(self, inputs: dict[str, tuple[int, list[str | int]]], dim: int) -> bytes:
        graph = helper.make_graph(
            self._nodes,
            "tower",
            [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", dim])],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def image_tower() -> bytes:
    """`pixels` to the mean of each tissue's cell and of the air around, centred, at length 1."""
    weights = np.zeros((SIZE_PX, SIZE_PX, len(TISSUES) + 1))
    for index, (rows, columns) in enumerate(_cells(SIZE_PX, inset=0.2)):
        weights[rows, columns, index] = 1
    weights[: SIZE_PX // 16, :, -1] = 1
    weights /= weights.sum(axis=(0, 1))
    g = _Graph()
    flat = g("Reshape", "pixels", g.constant([0, SIZE_PX * SIZE_PX], np.int64))
    g.unit(g("MatMul", flat, g.constant(weights.reshape(SIZE_PX * SIZE_PX, -1))), output="embedding")
    return g.to_bytes({"pixels": (TensorProto.FLOAT, ["n", 1, SIZE_PX, SIZE_PX])}, len(TISSUES) + 1)


def metadata_tower() -> bytes:
    """The signal equation of the header's parameters, and half as much of that of its contrast's usual ones."""
    g = _Graph()
    highs = np.array([field.high for field in TABLE.continuous])
    middles = [[(low + high) / 2 for low, high in ranges] for ranges in PROTOCOLS.values()]
    usual_table = np.array([[30.0, 2000.0, 0.0, 0.0], [30.0, 2000.0, 0.0, 0.0], *middles])  # absent, other, contrasts
    codes = [g("Gather", "categorical", g.constant(column, np.int64), axis=1) for column in range(3)]
    usual = g("Gather", g.constant(usual_table), codes[0], axis=0)
    given = g("Where", "continuous_mask", g("Mul", "continuous", g.constant(highs)), usual)
    # A header that gives TE or TR and no TI or b says that there was none.
    timed = g("Unsqueeze", g("Gather", "continuous_mask", g.constant(0, np.int64), axis=1), g.constant([1], np.int64))
    optional = g.constant([[False, False, True, True]], np.bool_)
    none = g("And", g("And", timed, optional), g("Not", "continuous_mask"))
    given = g("Where", none, g.constant(0.0), given)
    t1 = g("Gather", g.constant([T1_MS, T1_MS, T1_MS, T1_ENHANCED_MS]), codes[1], axis=0)
    density = g("Gather", g.constant([DENSITY, DENSITY, DENSITY, DENSITY_FAT_SUPPRESSED]), codes[2], axis=0)
    shown = g.unit(_signal_nodes(g, given, t1, density))
    typical = g.unit(_signal_nodes(g, usual, t1, density))
    known = g("Cast", g("Greater", codes[0], g.constant(1, np.int64)), to=TensorProto.FLOAT)
    share = g("Mul", g("Unsqueeze", known, g.constant([1], np.int64)), g.constant(0.5))
    g.unit(g("Add", shown, g("Mul", share, typical)), output="embedding")
    inputs: dict[str, tuple[int, list[str | int]]] = {
        "continuous": (TensorProto.FLOAT, ["n", len(TABLE.continuous)]),
        "continuous_mask": (TensorProto.BOOL, ["n", len(TABLE.continuous)]),
        "categorical": (TensorProto.INT64, ["n", len(TABLE.categorical)]),
    }
    return g.to_bytes(inputs, len(TISSUES) + 1)


def _signal_nodes(g: _Graph, parameters: str, t1: str, density: str) -> str:
    """`signals` as nodes, with a seventh column of zeros for air."""
    te, tr, ti, b = (g("Gather", parameters, g.constant([column], np.int64), axis=1) for column in range(4))
    decayed = g("Exp", g("Neg", g("Div", tr, t1)))
    inverted = g("Exp", g("Neg", g("Div", ti, t1)))
    one = g.constant(1.0)
    saturation = g("Sub", one, decayed)
    inversion = g("Abs", g("Sub", g("Add", one, decayed), g("Mul", g.constant(2.0), inverted)))
    has_inversion = g("Greater", ti, g.constant(0.0))
    recovery = g("Where", has_inversion, inversion, saturation)
    weight = g("Where", has_inversion, g.constant(DENSITY), density)
    signal = g("Mul", g("Mul", weight, recovery), g("Exp", g("Neg", g("Div", te, g.constant(T2_MS)))))
    signal = g("Mul", signal, g("Exp", g("Neg", g("Mul", b, g.constant(ADC / 1000)))))
    # Bright to 1, as the image tower sees a windowed image, then air.
    bright = g("ReduceMax", signal, axes=[1], keepdims=1)
    scaled = g("Div", signal, bright)
    return g("Pad", scaled, g.constant([0, 0, 0, 1], np.int64), g.constant(0.0))


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


def dicom(header: Caption, *, image: Caption | None = None, slices: int = 6, seed: int = 0) -> list[Dataset]:
    """A classic MR series with that header; its pixels are of the protocol `image`, the header's own by default."""
    attributes: dict[str, Any] = {
        "SeriesDescription": header.SeriesDescription or WORDS[header.contrast or ""],
        "ScanningSequence": (header.ScanningSequence or "").split("_"),
        "SequenceName": None,
        "EchoTime": header.EchoTime_ms,
        "RepetitionTime": header.RepetitionTime_ms,
        "InversionTime": header.InversionTime_ms,
        "DiffusionBValue": header.b_value_s_mm2,
        "ScanOptions": "FS" if header.fat_suppressed else "",
        "ContrastBolusAgent": "Gadobutrol" if header.post_contrast else None,
    }
    present = {keyword: value for keyword, value in attributes.items() if value is not None}
    pixels = [phantom(image or header, seed=seed * slices + index) for index in range(slices)]
    return dicom_factory.series(slices, seed=("tiny", seed), pixels=lambda index: pixels[index], **present)


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


def clean_series(count: int, *, first_seed: int) -> list[Caption]:
    """Protocols of all contrasts in turn; some T1 with agent, some T2 with fat suppressed."""
    made: list[Caption] = []
    for index, contrast in enumerate(itertools.islice(itertools.cycle(PROTOCOLS), count)):
        odd = (index // len(PROTOCOLS)) % 2 == 1
        caption = protocol(contrast, seed=first_seed + index, post_contrast=contrast == "T1" and odd)
        made.append(replace(caption, fat_suppressed=True) if contrast == "T2" and odd else caption)
    return made


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
