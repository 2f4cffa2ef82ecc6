"""What is known of series by other means than their headers: tables beside the files.

`files.csv` (one row a file: SOPInstanceUID, series_id, label_class, object, sure) as the shared real series have it, or
`truth.csv` (one row a series: series, SeriesInstanceUID, contrast, post_contrast, fat_suppressed, region). A
`series.csv` beside `files.csv` may say how a series lies (series_id, orientation: TRA, SAG, COR).
"""

import csv
from collections.abc import Iterator, Mapping
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
    """The tables of a folder; RefusedError without any."""
    if (folder / "files.csv").is_file():
        planes = _planes(folder / "series.csv")
        by_instance = {row["SOPInstanceUID"]: _of_file(row, planes) for row in _rows(folder / "files.csv")}
        return Truths(by_instance=by_instance, by_series={})
    if (folder / "truth.csv").is_file():
        by_series = {row["SeriesInstanceUID"]: _of_series(row) for row in _rows(folder / "truth.csv")}
        return Truths(by_instance={}, by_series=by_series)
    raise RefusedError(f"{folder}: holds neither files.csv nor truth.csv")


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _planes(table: Path) -> dict[str, str]:
    """The plane of each series that lies in one."""
    if not table.is_file():
        return {}
    known = ((row["series_id"], _PLANES.get(row["orientation"].split("-")[0])) for row in _rows(table))
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
    contrast = row["contrast"]
    # a diffusion image without diffusion weighting is a T2 image
    weak = contrast == labels.DIFFUSION and row.get("protocol", "").endswith("b0")
    return Truth(
        series=row["series"],
        label="T1C" if contrast == labels.T1 and _flag(row["post_contrast"]) else contrast,
        accepted=(contrast, labels.T2) if weak else (contrast,),
        counted=True,
        body="head" if row["region"] == "head" else "body",
        thing=row["region"],
        post_contrast=_flag(row["post_contrast"]),
        fat_suppressed=_flag(row["fat_suppressed"]),
    )


def _flag(text: str) -> bool | None:
    return {"True": True, "False": False}.get(text)
