"""`mrclip-train`: every command in one table, imported only when it is called.

A command lives in the module that the table names, as a click command called `command`.
"""

import importlib
import sys
from typing import Final

import click

from training.errors import RefusedError, TrainingError
from training.logs import configure

COMMANDS: Final = {
    "simulate": ("training.simulate.command", "Simulate MR series whose header is true by construction."),
    "preprocess": ("training.preprocess.command", "Turn NIfTI or DICOM into slices, captions, labels and a split."),
    "train": ("training.train.command", "Train a model, or go on where a run stopped."),
    "test": ("training.evaluate.command", "Measure retrieval, probes and parameter errors on held-out slices."),
    "export": ("training.export.command", "Write a trained model as a bundle that a node reads."),
    "import": ("training.importer.command", "Make a bundle of an open_clip-style checkpoint."),
    "benchmark": ("training.benchmark.command", "Measure a bundle on series with known truth."),
}

_OURS: Final = frozenset({"inference", "training"})  # one of these that is missing is a fault, not an extra


class Lazy(click.Group):
    """A group that knows its commands by name and imports one only to run it or to show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        try:
            found = importlib.import_module(COMMANDS[cmd_name][0]).command
        except ModuleNotFoundError as error:
            missing = str(error.name).partition(".")[0]
            if missing in _OURS:
                raise
            raise RefusedError(f"{missing} is not installed; pip install 'mrclip[training]'") from None
        if not isinstance(found, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name][0]}.command is no click command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


@click.group(cls=Lazy, epilog="Example: mrclip-train train data/ runs/first --recipe tiny")
@click.version_option(package_name="mrclip")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")
def cli(*, quiet: bool) -> None:
    """Make, measure and export models that read MR contrast."""
    configure(quiet=quiet)


def main() -> None:
    """The console script: what is refused is one line on standard error and exit status 2."""
    try:
        cli(prog_name="mrclip-train")
    except TrainingError as error:
        sys.stderr.write(f"mrclip-train: {error}\n")
        sys.exit(2)
