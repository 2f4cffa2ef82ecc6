"""What is known of series by other means than their headers: tables beside the files.

`files.csv` (one row a file: SOPInstanceUID, series_id, label_class, object, sure) as the shared real series have it, or
`truth.csv` (one row a series: series or folder, SeriesInstanceUID, contrast, post_contrast, fat_suppressed, region; and
as `mrclip-train simulate` writes it, plane, protocol, and the corruption of a header that was made wrong). A
`series.csv` beside `files.csv` may say how a series lies (series_id, orientation: TRA, SAG, COR).
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inference import labels
from training.errors import RefusedError

# `label_class` -> the answers that are right. Where there are two, pixels show one and the sequence is the other.
ACCEPTED: Final[Mapping[str, tuple[str, ...]]] = {
    "T1": (labels.T1,), "T1C": (labels.T1,), "T2": (labels.T2,), "T2-EPI": (labels.T2, labels.DIFFUSION),
    "FLAIR": (labels.FLUID_ATTENUATED,), "PD": (labels.PROTON_DENSITY,), "T2S": (labels.T2_STAR,),
    "DWI": (labels.DIFFUSION,), "DWI+b0": (labels.DIFFUSION,), "ADC": (labels.ADC,), "PHASE": (labels.PHASE,),
    "MAP": (labels.DERIVED_MAP,),
    "ASL": (labels.PERFUSION,), "ASL-M0": (labels.PERFUSION,), "PERF": (labels.PERFUSION,),
    "GRE-MAG": (labels.T2_STAR, labels.T1, labels.PROTON_DENSITY),
}  # fmt: skip
COUNTED: Final = frozenset({"T1", "T1C", "T2", "T2-EPI", "FLAIR", "PD", "T2S", "DWI", "DWI+b0", "ADC", "PHASE"})
# Nothing a contrast may be read from.
NO_CONTRAST: Final = frozenset({"LOC", "OOD", "BROKEN"})
_OF_FILES: Final = ("SOPInstanceUID", "series_id", "label_class", "object", "sure")
_OF_PLANES: Final = ("series_id", "orientation")
_OF_SERIES: Final = ("SeriesInstanceUID", "contrast", "post_contrast", "fat_suppressed", "region")
_PLANES: Final = {"TRA": "axial", "SAG": "sagittal", "COR": "coronal"}
_NO_PERSON: Final = ("phantom", "noise", "simulation")


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What is known of an image."""

    series: str  # a name that people find it by
    label: str  # label class
    accepted: tuple[str, ...]  # of inference.labels
    counted: bool  # accuracy is judged on it
    body: str  # head, body, phantom, none
    thing: str = ""  # what was imaged, in the words of the table
    plane: str | None = None
    post_contrast: bool | None = None
    fat_suppressed: bool | None = None
    clean: bool = True  # nobody made its header wrong

    @property
    def readable(self) -> bool:
        """Whether it is of a person and holds a contrast; phantoms, noise and localizers are to be abstained from."""
        return self.body in ("head", "body") and self.label not in NO_CONTRAST


@dataclass(frozen=True, kw_only=True, slots=True)
class Truths:
    """Truth by SOP Instance UID, then by Series Instance UID."""

    by_instance: Mapping[str, Truth]
    by_series: Mapping[str, Truth]

    def of(self, sop_instance_uid: str, series_instance_uid: str) -> Truth | None:
        """What is known of an image; None where the tables do not name it."""
        return self.by_instance.get(sop_instance_uid) or self.by_series.get(series_instance_uid)


def read_truth(folder: Path) -> Truths:
    """The tables of a folder; RefusedError without any, or where one lacks what must be known."""
    if (folder / "files.csv").is_file():
        planes = _planes(folder / "series.csv")
        by_instance = {row["SOPInstanceUID"]: _of_file(row, planes) for row in _rows(folder / "files.csv", _OF_FILES)}
        return Truths(by_instance=by_instance, by_series={})
    if (folder / "truth.csv").is_file():
        by_series = {row["SeriesInstanceUID"]: _of_series(row) for row in _rows(folder / "truth.csv", _OF_SERIES)}
        return Truths(by_instance={}, by_series=by_series)
    raise RefusedError(f"{folder}: holds neither files.csv nor truth.csv")


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """All rows, each with these columns; RefusedError names what is missing."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            named = reader.fieldnames or ()
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RefusedError(f"{path}: cannot be read as CSV: {error}") from error
    for column in columns:
        if column not in named:
            raise RefusedError(f"{path}: column {column} is missing")
        short = next((line for line, row in enumerate(rows, start=2) if row[column] is None), None)
        if short is not None:
            raise RefusedError(f"{path}, line {short}: has no value for column {column}")
    if not rows:
        raise RefusedError(f"{path}: names no series")
    return rows


def _planes(table: Path) -> dict[str, str]:
    """The plane of each series that lies in one."""
    if not table.is_file():
        return {}
    known = ((row["series_id"], _PLANES.get(row["orientation"].split("-")[0])) for row in _rows(table, _OF_PLANES))
    return {series: plane for series, plane in known if plane is not None}


def _of_file(row: dict[str, str], planes: Mapping[str, str]) -> Truth:
    label, thing = row["label_class"], row["object"]
    body = "head" if "brain" in thing or "head" in thing else "body"
    if any(word in thing for word in _NO_PERSON):
        body = "phantom"
    return Truth(
        series=row["series_id"],
        label=label,
        accepted=ACCEPTED.get(label, ()),
        counted=label in COUNTED and row["sure"] == "yes" and body != "phantom",
        body=body,
        thing=thing,
        plane=planes.get(row["series_id"]),
        post_contrast=True if label == "T1C" else None,
    )


def _of_series(row: dict[str, str]) -> Truth:
    contrast, protocol = row["contrast"], row.get("protocol") or ""
    without = "LOC" if protocol == "localizer" else labels.UNKNOWN
    # a diffusion image without diffusion weighting is a T2 image
    weak = contrast == labels.DIFFUSION and protocol.endswith("b0")
    return Truth(
        series=row.get("series") or row.get("folder") or row["SeriesInstanceUID"],
        label="T1C" if contrast == labels.T1 and _flag(row["post_contrast"]) else contrast or without,
        accepted=(contrast, labels.T2) if weak else (contrast,) if contrast else (),
        counted=bool(contrast),
        body="head" if row["region"] == "head" else "body",
        thing=row["region"],
        plane=row.get("plane") or None,
        post_contrast=_flag(row["post_contrast"]),
        fat_suppressed=_flag(row["fat_suppressed"]),
        clean=not row.get("corruption"),
    )


def _flag(text: str) -> bool | None:
    return {"True": True, "yes": True, "False": False, "no": False}.get(text)
