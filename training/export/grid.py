"""The label grid of a bundle from the captions a model was trained on."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from inference.captions import FIELDS, Caption
from inference.labels import CONTRASTS
from training.data.labels import EXTENDED
from training.errors import RefusedError

# What a row says: what shapes the image. A model trained with fields left out knows captions as bare as these.
_SAID: Final = (
    "contrast", "post_contrast", "fat_suppressed", "ImageKind", "ScanningSequence", "EchoTime_ms", "RepetitionTime_ms",
    "InversionTime_ms", "FlipAngle_deg", "b_value_s_mm2",
)  # fmt: skip
_WORDS: Final = ("contrast", "post_contrast", "fat_suppressed", "ImageKind", "ScanningSequence")
_BINNED: Final = ("EchoTime_ms", "RepetitionTime_ms", "InversionTime_ms", "b_value_s_mm2")


@dataclass(frozen=True, kw_only=True)
class GridSpec:
    """How a grid is made."""

    rows: int = 400  # at most, the commonest of every contrast
    complete: bool = False  # True: rows keep every field but the description, for models trained without drop-out


def label_grid(captions: Iterable[Caption], spec: GridSpec = GridSpec()) -> bytes:
    """`label_grid.json`: one row for every protocol among `captions`, its commonest caption standing for it.

    Every contrast has the same prior weight, shared by its rows as often as each occurs. RefusedError if no caption
    names a contrast.
    """
    protocols: dict[tuple[object, ...], Counter[Caption]] = defaultdict(Counter)
    for caption in captions:
        if caption.contrast in CONTRASTS:
            protocols[_protocol(caption)][_bare(caption, spec)] += 1
    if not protocols:
        raise RefusedError("no caption names a contrast, so there is nothing to compare an image with")
    by_contrast: dict[str, list[tuple[int, Caption]]] = defaultdict(list)
    for members in protocols.values():
        commonest = min(members, key=lambda one: (-members[one], repr(one)))
        by_contrast[str(commonest.contrast)].append((members.total(), commonest))
    rows = [
        row
        for contrast in CONTRASTS
        if contrast in by_contrast
        for row in _rows(by_contrast[contrast], max(1, spec.rows // len(by_contrast)))
    ]
    return (json.dumps({"rows": rows}, indent=1) + "\n").encode()


def _protocol(caption: Caption) -> tuple[object, ...]:
    return (*(caption.get(field) for field in _WORDS), *(EXTENDED.bin(field, caption) for field in _BINNED))


def _bare(caption: Caption, spec: GridSpec) -> Caption:
    if spec.complete:
        return replace(caption, SeriesDescription=None)
    return Caption(**{field: caption.get(field) for field in _SAID})  # pyright: ignore[reportArgumentType]


def _rows(found: Sequence[tuple[int, Caption]], most: int) -> list[dict[str, Any]]:
    kept = sorted(found, key=lambda entry: (-entry[0], repr(entry[1])))[:most]
    total = sum(count for count, _ in kept)
    return [
        {
            "contrast": caption.contrast,
            "post_contrast": caption.post_contrast,
            "fat_suppressed": caption.fat_suppressed,
            "weight": count / total,
            "caption": {field: value for field in FIELDS if (value := caption.get(field)) is not None},
        }
        for count, caption in kept
    ]
