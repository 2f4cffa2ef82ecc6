"""`mrclip-train test`."""

import logging
from pathlib import Path

import click

from inference.atomic import replace_file
from training.data.rows import read_rows
from training.errors import RefusedError
from training.evaluate.report import Options, Rows, measure, table
from training.evaluate.traces import page
from training.files import write_json
from training.train.checkpoint import load_trained
from training.train.distributed import local_device

log = logging.getLogger(__name__)

_TRACED = 100

EXAMPLE = """\b
Examples:
  mrclip-train test runs/first/last.pt data/
  mrclip-train test runs/first/last.pt data/ --distance --tracepreds --out results/
"""


@click.command("test", epilog=EXAMPLE)
@click.argument("checkpoint", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="[default: beside the checkpoint]")
@click.option("--part", default="test", show_default=True, help="The CSV of DATA that is measured on.")
@click.option("--distance", is_flag=True, help="Errors of TE, TR and TI of the retrieved caption.")
@click.option("--tracepreds", is_flag=True, help="A page of cases: query, retrieved, truth, rank.")
@click.option("--device", default="auto", show_default=True)
def command(  # noqa: PLR0913 - one argument an option
    *, checkpoint: Path, data: Path, out: Path | None, part: str, distance: bool, tracepreds: bool, device: str
) -> None:
    """Measure CHECKPOINT on DATA/test.csv: retrieval, probes (learnt on DATA/train.csv, if any), parameter errors."""
    where = local_device(device)
    trained = load_trained(checkpoint, where)
    measured, learnt = data / f"{part}.csv", data / "train.csv"
    test = Rows(rows=read_rows(measured), folder=data)
    if not test.rows:
        raise RefusedError(f"{measured}: holds no slice to measure on")
    train = Rows(rows=read_rows(learnt) if learnt.exists() else [], folder=data)
    options = Options(distance=distance, traces=_TRACED if tracepreds else 0)
    report, traces = measure(trained, test, train if train.rows else None, where, options)
    out = out or checkpoint.parent
    write_json(out / f"{part}.json", report.to_json())
    click.echo(table(report))
    if tracepreds:
        replace_file(out / "cases.html", page(traces).encode())
        log.info("cases: %s", out / "cases.html")
