"""Integer labels from the fields of a caption: samples of one label are positives of each other.

The published labels join plane, scanner, sequence, field strength and flip angle with bins of echo, repetition and
inversion time. Theirs were parsed from the sentence with expressions that no longer matched it, so every protocol of
one plane got one label; ours are made from the fields, and the map from label to fields is kept.
"""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from inference.captions import Caption
from training.errors import RefusedError
from training.files import write_json


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelScheme:
    """Which fields make a label. `edges` are upper bounds of intervals (lower, upper], the first one from 0."""

    name: str
    fields: tuple[str, ...]
    edges: Mapping[str, tuple[float, ...]]
    overflow: bool  # a value beyond the last edge has a bin of its own; if not, it has none, like an absent one

    def key(self, caption: Caption) -> str:
        """The label as text: the same for two captions exactly if they carry the same label."""
        parts = [f"{field}={_plain(caption.get(field))}" for field in self.fields]
        parts += [f"{field}#{self.bin(field, caption)}" for field in self.edges]
        return "|".join(parts)

    def bin(self, field: str, caption: Caption) -> int | None:
        """The number of the interval that holds the value; None where it is absent, not positive, or beyond the last
        edge of a scheme without overflow."""
        value = caption.get(field)
        if not isinstance(value, float) or value <= 0:
            return None
        edges = self.edges[field]
        number = bisect_left(edges, value)
        return number if number < len(edges) or self.overflow else None


_PUBLISHED_FIELDS: Final = (
    "plane", "Manufacturer", "ManufacturerModelName", "MRAcquisitionType", "ScanningSequence", "SequenceVariant",
    "MagneticFieldStrength_t", "FlipAngle_deg",
)  # fmt: skip
_PUBLISHED_EDGES: Final = {
    "EchoTime_ms": tuple(10.0 * step for step in range(1, 21)),
    "RepetitionTime_ms": tuple(500.0 * step for step in range(1, 21)),
    "InversionTime_ms": (200.0, 500.0, 1200.0, 1800.0, 2100.0, 2600.0, 3000.0, 1e9),
}

# The published labels, as they were meant.
PAPER: Final = LabelScheme(name="paper", fields=_PUBLISHED_FIELDS, edges=_PUBLISHED_EDGES, overflow=False)

# Ours: with the axes that the published labels lack (agent, fat suppression, b-value, kind of image) and overflow bins;
# short times, in which all gradient echoes lie, have bins of their own.
EXTENDED: Final = LabelScheme(
    name="extended",
    fields=(*_PUBLISHED_FIELDS, "ImageKind", "contrast", "post_contrast", "fat_suppressed"),
    edges={
        **_PUBLISHED_EDGES,
        "EchoTime_ms": (2.5, 5.0, *_PUBLISHED_EDGES["EchoTime_ms"]),
        "RepetitionTime_ms": (10.0, 30.0, 100.0, 250.0, *_PUBLISHED_EDGES["RepetitionTime_ms"]),
        "b_value_s_mm2": (50.0, 250.0, 600.0, 900.0, 1200.0, 2000.0),
    },
    overflow=True,
)
SCHEMES: Final = {scheme.name: scheme for scheme in (PAPER, EXTENDED)}


def scheme(name: str) -> LabelScheme:
    """The scheme of that name."""
    if name not in SCHEMES:
        raise RefusedError(f"label scheme {name!r} is unknown; must be one of {', '.join(SCHEMES)}")
    return SCHEMES[name]


@lru_cache(maxsize=1 << 16)
def stable_id(key: str) -> int:
    """A label number that depends on the key alone, for sources that never see all their samples (63 bits)."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelMap:
    """Running numbers of all label keys, in the order of the sorted keys."""

    scheme: LabelScheme
    numbers: Mapping[str, int]

    def number(self, caption: Caption) -> int:
        """The label of a caption that was among those the map was made from."""
        return self.numbers[self.scheme.key(caption)]

    def write(self, path: Path) -> None:
        """Save scheme, bins and every label, so that the numbers mean something later."""
        write_json(path, {"scheme": asdict(self.scheme), "labels": dict(self.numbers)})


def label_map(captions: Iterable[Caption], scheme: LabelScheme) -> LabelMap:
    """The labels of `captions`."""
    keys = sorted({scheme.key(caption) for caption in captions})
    return LabelMap(scheme=scheme, numbers={key: number for number, key in enumerate(keys)})


def read_label_map(path: Path) -> LabelMap:
    """A label map as `LabelMap.write` saved it."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        stored = document["scheme"]
        edges = {field: tuple(values) for field, values in stored["edges"].items()}
        scheme = LabelScheme(**{**stored, "fields": tuple(stored["fields"]), "edges": edges})
        return LabelMap(scheme=scheme, numbers=document["labels"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RefusedError(f"{path}: is not a label map: {error}") from error


def _plain(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
