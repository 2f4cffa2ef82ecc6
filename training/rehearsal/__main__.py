"""`python -m training.rehearsal OUT`."""

from dataclasses import asdict
from pathlib import Path

import click

from training.logs import configure
from training.rehearsal.run import rehearse


@click.command(epilog="Example: python -m training.rehearsal /tmp/rehearsal")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", default=0, show_default=True)
def command(*, out: Path, seed: int) -> None:
    """Preprocess, train, test, export and read ellipse phantoms below OUT, and print the figures."""
    configure()
    figures = asdict(rehearse(out, seed=seed))
    for name, value in figures.items():
        click.echo(f"{name}: {value}")
    click.echo(f"wall time: {sum(figures['seconds'].values()):.0f} s")


command(prog_name="python -m training.rehearsal")
