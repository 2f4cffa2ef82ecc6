"""`mrclip worker`: a Celery worker beside a node that has a broker."""

import logging
from pathlib import Path

import click

from dicom_node import logs
from dicom_node.commands.options import config_option, log_level_option, settings_from
from dicom_node.errors import NodeError
from dicom_node.wiring import make_worker_app
from dicom_node.work.readers import READER_ERRORS

log = logging.getLogger(__name__)

_QUEUES = "read,deliver"  # those of `celery_app.QUEUES`, which is not imported for --help
EXAMPLE = """\b
Examples:
  mrclip worker --config node.yaml                                                  reads and delivers
  mrclip worker --config node.yaml --queues read --pool threads --concurrency 8     one process for a GPU
"""


def _known(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """The queues, without blanks; on a queue that nobody fills a worker would look like one with nothing to do."""
    from dicom_node.work.celery_app import QUEUES

    chosen = [name.strip() for name in value.split(",")]
    unknown = [name for name in chosen if name not in QUEUES]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is no queue; must be {' or '.join(QUEUES)}, or both with a comma")
    return ",".join(chosen)


@click.command("worker", epilog=EXAMPLE)
@config_option
@click.option("--queues", default=_QUEUES, show_default=True, callback=_known, help="Queues to work on.")
@click.option("--pool", type=click.Choice(["prefork", "solo", "threads"]), default="prefork", show_default=True)
@click.option("--concurrency", type=click.IntRange(1), default=1, show_default=True, help="Series read at once.")
@log_level_option
def command(*, config: Path | None, queues: str, pool: str, concurrency: int, log_level: str) -> None:
    """Run a Celery worker beside a node that has a broker.

    It needs the node's settings, its ledger and its spool. Stops cleanly on SIGTERM, after what it is reading.
    """
    settings = settings_from(config)
    if settings.queue.broker_url is None:
        raise click.UsageError("queue.broker_url: null; a worker needs a broker, for example redis://localhost:6379/0")
    logs.set_up(log_level)
    try:
        app = make_worker_app(settings, settings.queue.broker_url.get_secret_value(), forks=pool == "prefork")
    except (NodeError, OSError, *READER_ERRORS) as error:
        raise click.ClickException(str(error)) from error
    from dicom_node.work.celery_logs import take_over

    take_over(log_level)
    log.info("worker begins", extra={"queues": queues, "pool": pool, "count": concurrency})
    app.worker_main(
        ["--quiet", "worker", f"--queues={queues}", f"--pool={pool}", f"--concurrency={concurrency}",
         "--without-gossip", "--without-mingle", f"--loglevel={log_level}"]
    )  # fmt: skip
