"""`mrclip read`: files in, readings out, without a node."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Literal

import click

from dicom_node.commands.faults import in_one_line
from dicom_node.commands.outputs import new_file, new_folder

EXAMPLE = """\b
Examples:
  mrclip read study/                        a table
  mrclip read study.zip --json > out.json   schema mrclip.reading/1
  mrclip read study/ --html page.html --sr reports/
"""

FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
CALIBRATION = click.Path(exists=True, dir_okay=False, path_type=Path)
RATE = click.FloatRange(0, 1, min_open=True, max_open=True)
BACKEND = click.Choice(["onnx", "torchscript"])


@click.command("read", epilog=EXAMPLE)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (schema mrclip.reading/1), nothing else.")
@click.option("--sr", "sr_folder", type=FOLDER, callback=new_folder, help="Write reports here.")
@click.option("--html", "html_file", type=FILE, callback=new_file, help="Write one page with pictures.")
@click.option(
    "--embeddings", "npz_file", type=FILE, callback=new_file, help="Write embeddings (npz), one array a stack."
)
@click.option("--bundle", help="Bundle folder; 'none' for rules alone.  [default: the bundle in the package]")
@click.option("--calibration", type=CALIBRATION, help="A site's calibration of that bundle.")
@click.option("--alarm-rate", type=RATE, default=0.01, show_default=True, help="Share of clean series that may alarm.")
@click.option("--backend", type=BACKEND, default="onnx", show_default=True, help="What runs the bundle.")
@click.option("--threads", type=click.IntRange(1), help="Series read at once.  [default: one a core]")
def command(
    *,
    paths: tuple[Path, ...],
    as_json: bool,
    sr_folder: Path | None,
    html_file: Path | None,
    npz_file: Path | None,
    bundle: str | None,
    calibration: Path | None,
    alarm_rate: float,
    backend: Literal["onnx", "torchscript"],
    threads: int | None,
) -> None:
    """Read MR series from files, folders, DICOMDIR or zip.

    Exit status: 0 when every series got an entry, 2 for bad usage, 3 when nothing could be read as a series.
    """
    from dicom_node.commands.progress import progress
    from dicom_node.commands.read_output import Sinks, print_table
    from dicom_node.work.readers import READER_ERRORS, Readers
    from inference.model import load_model
    from inference.read import read_paths

    try:
        load = partial(load_model, backend=backend)
        readers = Readers(bundle=bundle, calibration=calibration, alarm_rate=alarm_rate, load=load, strict=True)
        reader = readers.current()
    except READER_ERRORS as error:
        raise click.UsageError(str(error)) from error
    sinks = Sinks(reader=reader, sr_folder=sr_folder, html_file=html_file, npz_file=npz_file)
    with in_one_line():
        with progress() as advance:
            reading = read_paths(paths, reader, observe=sinks.observe, advance=advance, threads=threads)
        sinks.close(reading)
    if as_json:
        json.dump(reading.to_json(), sys.stdout, allow_nan=False)
        sys.stdout.write("\n")
    else:
        print_table(reading)
    sys.exit(0 if reading.series else 3)
