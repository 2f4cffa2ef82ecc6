"""The CSV that preprocessing writes and training reads: one row a slice.

`filepath` and `text` are the columns of the published format, so open_clip's own CSV reader takes the file too. The
caption's fields follow as columns of their own (empty: absent), because labels are never read out of a sentence.
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inference.atomic import replace_file
from inference.captions import FIELDS, NUMERIC_FIELDS, YES_NO_FIELDS, Caption, Value, from_mapping
from training.errors import RefusedError

COLUMNS: Final = ("filepath", "text", "label", "volume", "group", *FIELDS)
_YES_NO: Final = {"true": True, "false": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceRow:
    """One slice as an image file and what its header says."""

    filepath: str  # relative to the folder of the CSV
    text: str
    label: int
    volume: str  # slices of one volume share it
    group: str  # one patient (or volunteer, or phantom); no group is on two sides of a split
    caption: Caption


def write_rows(path: Path, rows: Iterable[SliceRow]) -> None:
    """Write `rows` as CSV; the file appears whole or not at all."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(COLUMNS)
    for row in rows:
        fields = [_to_text(row.caption.get(field)) for field in FIELDS]
        writer.writerow([row.filepath, row.text, row.label, row.volume, row.group, *fields])
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, table.getvalue().encode())


def read_rows(path: Path) -> list[SliceRow]:
    """The rows of a CSV; RefusedError names the file, line and column that cannot be used."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise RefusedError(f"{path}: column {missing[0]} is missing; `mrclip-train preprocess` writes it")
            return [_row(path, line, values) for line, values in enumerate(reader, start=2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RefusedError(f"{path}: cannot be read as CSV: {error}") from error


def volumes(rows: Sequence[SliceRow]) -> dict[str, list[int]]:
    """The row numbers of every volume, in the order of the rows."""
    found: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        found.setdefault(row.volume, []).append(number)
    return found


def _row(path: Path, line: int, values: dict[str, str]) -> SliceRow:
    try:
        return SliceRow(
            filepath=values["filepath"],
            text=values["text"],
            label=int(values["label"]),
            volume=values["volume"],
            group=values["group"],
            caption=from_mapping({field: _from_text(field, values[field]) for field in FIELDS}),
        )
    except (TypeError, ValueError) as error:  # TypeError: a line with too few columns
        raise RefusedError(f"{path}, line {line}: {error}") from error


def _to_text(value: Value | None) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _from_text(field: str, text: str) -> Value | None:
    if text == "":
        return None
    if field in YES_NO_FIELDS:
        if text not in _YES_NO:
            raise ValueError(f"{field} is {text!r}; must be true, false or empty")
        return _YES_NO[text]
    if field not in NUMERIC_FIELDS:
        return text
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{field} is {text!r}; must be finite")
    return number
