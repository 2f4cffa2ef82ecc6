"""`mrclip serve`: the node, until SIGTERM or SIGINT."""

import json
import sys
from pathlib import Path

import click

from dicom_node import logs
from dicom_node.commands.options import config_option, log_level_option, settings_from
from dicom_node.errors import NodeError
from dicom_node.node import Node
from dicom_node.stopping import stop_event
from dicom_node.work.readers import READER_ERRORS

EXAMPLE = """\b
Example:
  mrclip serve --config node.yaml
  MRCLIP__SCP__PORT=0 mrclip serve      any free port; the ready line says which
"""


@click.command("serve", epilog=EXAMPLE)
@config_option
@log_level_option
def command(*, config: Path | None, log_level: str) -> None:
    """Run the node: receive, read, report, deliver.

    Prints one JSON line on standard error when it is ready, with the ports it got. Stops cleanly on SIGTERM and
    SIGINT; what is unfinished goes on at the next start.
    """
    settings = settings_from(config)
    logs.set_up(log_level)
    stop = stop_event()
    try:
        with Node(settings) as node:
            print(json.dumps({"event": "ready", "ports": node.ports}), file=sys.stderr, flush=True)  # noqa: T201
            stop.wait()
    except (NodeError, OSError, *READER_ERRORS) as error:
        raise click.ClickException(str(error)) from error
