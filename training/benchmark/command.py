"""The command."""

from pathlib import Path
from typing import Any

import click

from inference.atomic import replace_file
from inference.bundle import default_bundle, open_bundle
from inference.manifest import BundleError
from inference.model import load_model
from inference.read import Reader
from training.benchmark.corruptions import corrupted_scores
from training.benchmark.figures import figures
from training.benchmark.header_only import compare
from training.benchmark.observe import observe
from training.benchmark.plots import write_plots
from training.benchmark.report import markdown
from training.benchmark.truth import read_truth
from training.errors import RefusedError
from training.files import make_folder, write_json


def _rate(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    """A share of alarms; click's own range lets NaN through."""
    if not 0 < value < 1:
        raise click.BadParameter(f"{value:g} is not between 0 and 1")
    return value


@click.command("benchmark", epilog="Example: mrclip-train benchmark data/real-mr --out benchmark/")
@click.argument("data", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--bundle", type=click.Path(exists=True, path_type=Path), help="[default: the bundle in the package]")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("benchmark"), show_default=True)
@click.option("--alarm-rate", type=float, callback=_rate, default=0.01, show_default=True)
@click.option(
    "--corrupt", type=click.IntRange(0), default=0, show_default=True,
    help="Series of each folder whose headers are corrupted.",
)  # fmt: skip
@click.option("--dcm-classifier", "peer", type=click.Path(exists=True, path_type=Path), help="Python that has it.")
def command(
    *, data: tuple[Path, ...], bundle: Path | None, out: Path, alarm_rate: float, corrupt: int, peer: Path | None
) -> None:
    """Measure a bundle on folders with files.csv or truth.csv; writes benchmark.json, benchmark.md and plots."""
    try:
        opened = open_bundle(bundle) if bundle else default_bundle()
    except BundleError as error:
        raise RefusedError(str(error)) from error
    if opened is None:
        raise RefusedError("the package has no default bundle; name one with --bundle")
    make_folder(out)
    reader = Reader(model=load_model(opened), alarm_rate=alarm_rate)
    results: dict[str, Any] = {}
    for folder in data:
        observed = observe(folder, read_truth(folder), reader)
        if not observed.stacks:
            raise RefusedError(f"{folder}: holds no series that its table names")
        results[folder.name] = figures(observed, alarm_rate)
        if corrupt:
            results[folder.name]["corruptions"] = corrupted_scores(
                observed.members, {one.truth.series: one.truth.label for one in observed.alarms}, reader, count=corrupt
            )
        if peer:
            holding = sorted({Path(member.source.path).parent for one in observed.members.values() for member in one})
            results[folder.name]["peer"] = compare(peer, holding, observed.stacks)
    manifest = opened.manifest
    document = {"bundle": f"{manifest.name} {manifest.version}", "sha256": opened.sha256, "data": results}
    write_json(out / "benchmark.json", document)
    replace_file(out / "benchmark.md", markdown(document).encode())
    for name, found in results.items():
        write_plots(found, out, name=name)
    click.echo(markdown(document))
