"""The command line `mrclip`. A command's module is imported only when it is called, so `mrclip read` stays quick."""

import importlib
import sys
from typing import Any, Final

import click

from inference import __version__

# name -> one line for `mrclip --help`; the module is dicom_node.commands.<name with underscores>
COMMANDS: Final = {
    "read": "Read MR series from files, folders, DICOMDIR or zip.",
    "serve": "Run the node: receive, read, report, deliver.",
    "worker": "Run a Celery worker beside a node that has a broker.",
    "beat": "Have due work done by Celery workers, without a node of its own.",
    "backfill": "Pull the series of an archive through the node, without haste.",
    "send": "Send files, folders, DICOMDIR or zip to a DICOM peer by C-STORE.",
    "demo": "Run the whole node once on a study, here and now.",
    "replay": "Give quarantined files, failed series and dead deliveries another chance.",
    "bundles": "List, add, activate and roll back model bundles.",
    "calibrate": "Calibrate the alarms on clean series of this site.",
    "users": "List, add and remove who may sign in to the pages, and tokens for programs.",
    "doctor": "Say what is wrong with the node and what to do about it.",
    "check-config": "Check the settings and print them as they are understood.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command `cmd_name`, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"dicom_node.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing what it names."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mrclip")
def group() -> None:
    """Read the contrast of MR series from their pixels and flag headers that contradict them.

    For quality control of metadata and for research; not a medical device.
    """


def main(arguments: list[str] | None = None) -> Any:
    """Entry point of the console script."""
    return group.main(args=arguments, prog_name="mrclip")


if __name__ == "__main__":
    sys.exit(main())
