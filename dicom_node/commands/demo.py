"""`mrclip demo`: the whole node once, on one machine, with the study that comes with the package."""

import sys
from pathlib import Path

import click

from dicom_node import logs
from dicom_node.commands.outputs import new_folder
from dicom_node.demo import DemoFailedError, run

EXAMPLE = """\b
Examples:
  mrclip demo                      the study in the package
  mrclip demo --study /my/dicom    your own
"""


@click.command("demo", epilog=EXAMPLE)
@click.option(
    "--study", type=click.Path(exists=True, path_type=Path), help="Your own DICOM.  [default: in the package]"
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    callback=new_folder,
    default=Path("demo-output"),
    show_default=True,
    help="Folder for everything that is made.",
)
def command(*, study: Path | None, output: Path) -> None:
    """Run the whole node once on a study, here and now.

    Starts a node and a destination on free ports, sends the study over C-STORE, waits for the reports, prints the
    readings and where everything lies.
    """
    logs.set_up("ERROR")
    try:
        run(study, output, say=click.echo)
    except DemoFailedError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
