"""`mrclip-train preprocess`."""

import os
from pathlib import Path

import click

from training.preprocess.run import BROKEN, preprocess

EXAMPLE = """\b
Examples:
  mrclip-train preprocess bids/ data/
  mrclip-train preprocess dicom/ data/ --workers 8 preprocess.size_px=192
  mrclip-train preprocess bids/ data/ --recipe paper
"""


@click.command("preprocess", epilog=EXAMPLE)
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.argument("overrides", nargs=-1)
@click.option("--recipe", default="default", show_default=True, help="A recipe of the package, or a YAML file.")
@click.option("--workers", type=click.IntRange(1), default=lambda: len(os.sched_getaffinity(0)), help="Processes.")
def command(*, source: Path, out: Path, overrides: tuple[str, ...], recipe: str, workers: int) -> None:
    """Turn the NIfTI files (with sidecars) and DICOM series below SOURCE into slices and CSV files in OUT.

    A volume that cannot be used is listed in broken.csv with its reason. Called again, it goes on where it stopped.
    OVERRIDES are Hydra's, such as preprocess.slices=16.
    """
    from training.recipe import load_recipe

    loaded = load_recipe(recipe, overrides)
    summary = preprocess(source, out, loaded.preprocess, seed=loaded.seed, workers=workers)
    parts = ", ".join(
        f"{part} {count} slices of {summary.patients[part]} patients" for part, count in summary.slices.items()
    )
    click.echo(f"{summary.volumes} volumes: {parts}; {summary.labels} labels")
    if summary.labels_of_one_volume:
        click.echo(f"{summary.labels_of_one_volume} labels occur in one volume only")
    if summary.broken:
        click.echo(f"{summary.broken} volumes left out: {out / BROKEN}")
