"""`python -m training.comparison OUT`."""

from pathlib import Path

import click

from inference.atomic import replace_file
from training.comparison.run import Budget, compare
from training.comparison.table import put_into, table
from training.logs import configure


@click.command(epilog="Example: python -m training.comparison /tmp/comparison --page docs/loss-comparison.md")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--steps", default=Budget().steps, show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--page", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A page to put it into.")
def command(*, out: Path, steps: int, seeds: int, page: Path | None) -> None:
    """Train every loss and tower below OUT, as far as that is not done, and print the table."""
    configure()
    outcomes = compare(out, Budget(steps=steps, seeds=range(seeds)))
    text = table(outcomes)
    if page is not None:
        replace_file(page, put_into(page.read_text(encoding="utf-8"), text).encode())
    click.echo(text)


command(prog_name="python -m training.comparison")
