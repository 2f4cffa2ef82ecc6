"""What `mrclip read` shows and writes beside its JSON: a table, reports, a page, embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dicom_node.commands.faults import fault
from dicom_node.commands.terminal import clean
from inference.identifiers import SeriesInstanceUid
from inference.read import Reader, SeriesResult
from inference.reading import Reading, SeriesReading, StackReading
from inference.sources import Instance


@dataclass(kw_only=True)
class Sinks:
    """Collects what the files asked for need while series are read, and writes them."""

    reader: Reader
    sr_folder: Path | None
    html_file: Path | None
    npz_file: Path | None
    _pictures: dict[tuple[SeriesInstanceUid, int], Sequence[npt.NDArray[np.uint8]]] = field(
        default_factory=dict[tuple[SeriesInstanceUid, int], Sequence[npt.NDArray[np.uint8]]]
    )
    _embeddings: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict[str, npt.NDArray[np.float32]])

    def observe(self, instances: Sequence[Instance], result: SeriesResult) -> None:
        """Take what is needed of one series that was just read."""
        uid = result.reading.series_instance_uid
        for stack in result.stacks:
            if self.html_file is not None:
                self._pictures[uid, stack.index] = stack.pictures()
            if self.npz_file is not None and stack.embeddings is not None:
                self._embeddings[f"{uid}/{stack.index}"] = stack.embeddings
        if self.sr_folder is not None:
            self._write_report(self.sr_folder, instances, result)

    def close(self, reading: Reading) -> None:
        """Write the files that hold all series."""
        if self.html_file is not None:
            from dicom_node.report.html import page

            # The name of a refused file need not be UTF-8.
            self.html_file.write_text(page(reading, self._pictures), encoding="utf-8", errors="backslashreplace")
        if self.npz_file is not None:
            with self.npz_file.open("wb") as file:
                np.savez(file, **self._embeddings)  # pyright: ignore[reportArgumentType] - one array a stack, by name

    def _write_report(self, folder: Path, instances: Sequence[Instance], result: SeriesResult) -> None:
        from dicom_node.report.make import make_report, no_report_reason

        if no_report_reason(result.reading, instances, "answered") is not None:
            return
        try:
            now = datetime.now().astimezone()  # in the zone of this machine
            report = make_report(result.reading, instances, self.reader, created_at=now, predecessor=None)
        except OSError as error:  # a file is gone, or is another one: reports on other series are none the worse
            click.echo(f"no report on series {result.reading.series_instance_uid}: {fault(error)}", err=True)
            return
        folder.mkdir(parents=True, exist_ok=True)
        report.save_as(folder / f"{report.SOPInstanceUID}.dcm", enforce_file_format=True)


def print_table(reading: Reading) -> None:
    """One row a stack, then what was refused, on standard output."""
    console = Console(width=None if Console().is_terminal else 160)
    model = reading.model
    console.print(f"model {model.name} {model.version}" if model else "no model: rules alone", highlight=False)
    table = Table("series", "stack", "status", "contrast", "header says", "p", "findings")
    for series in reading.series:
        for stack in series.stacks:
            table.add_row(*_row(series, stack), style="bold red" if stack.inconsistency.flagged else None)
    console.print(table)
    for refused in reading.refused:
        said = f"refused {refused.path}: {refused.code}: {refused.message}"
        console.print(clean(said), highlight=False, markup=False)


def _row(series: SeriesReading, stack: StackReading) -> tuple[str | Text, ...]:
    contrast = stack.contrast
    shown = "" if contrast is None else f"{contrast.label} {contrast.probability:.2f}"
    status = stack.status if stack.reason is None else f"{stack.status}: {stack.reason.code}"
    p_value = stack.inconsistency.p_value
    return (
        f"…{series.series_instance_uid[-16:]}",
        f"{stack.index} {stack.plane or ''} x{stack.slices}",
        status,
        shown,
        stack.claimed_contrast or "",
        "" if p_value is None else f"{p_value:.3f}",
        # A Text, as descriptions that findings quote may look like markup.
        Text("\n".join(clean(f"{finding.severity}: {finding.message}") for finding in stack.findings)),
    )
