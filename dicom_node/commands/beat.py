"""`mrclip beat`: what has due work done where no node runs beside the workers, or several do."""

import json
import sys
from pathlib import Path

import click

from dicom_node import logs
from dicom_node.commands.options import config_option, log_level_option, settings_from
from dicom_node.errors import NodeError
from dicom_node.stopping import stop_event
from dicom_node.wiring import make_beat
from dicom_node.work.readers import READER_ERRORS

EXAMPLE = """\b
Example:
  mrclip beat --config node.yaml
"""


@click.command("beat", epilog=EXAMPLE)
@config_option
@log_level_option
def command(*, config: Path | None, log_level: str) -> None:
    """Have due work done by Celery workers, without a node of its own.

    Every `mrclip serve` does this too; of all that share a ledger one does it at a time, and another one goes on where
    that is lost. So several may run. Stops cleanly on SIGTERM and SIGINT.
    """
    settings = settings_from(config)
    if settings.queue.broker_url is None:
        raise click.UsageError("queue.broker_url: null; without a broker `mrclip serve` does everything itself")
    logs.set_up(log_level)
    stop = stop_event()
    try:
        with make_beat(settings, settings.queue.broker_url.get_secret_value()):
            print(json.dumps({"event": "ready"}), file=sys.stderr, flush=True)  # noqa: T201
            stop.wait()
    except (NodeError, OSError, *READER_ERRORS) as error:
        raise click.ClickException(str(error)) from error
