"""`python -m training.comparison OUT`."""

from pathlib import Path

import click

from training.comparison.run import Budget, compare
from training.comparison.table import table
from training.logs import configure


@click.command(epilog="Example: python -m training.comparison /tmp/comparison")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--steps", default=Budget().steps, show_default=True)
@click.option("--seeds", default=3, show_default=True)
def command(*, out: Path, steps: int, seeds: int) -> None:
    """Train every loss and tower below OUT and print the table of docs/loss-comparison.md."""
    configure()
    outcomes = compare(out, Budget(steps=steps, seeds=range(seeds)))
    text = table(outcomes)
    (out / "table.md").write_text(text, encoding="utf-8")
    click.echo(text)


command(prog_name="python -m training.comparison")
