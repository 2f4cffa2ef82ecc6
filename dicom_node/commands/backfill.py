"""`mrclip backfill`: an archive through the node, without haste."""

import signal
import sys
import threading
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import click

from dicom_node import logs
from dicom_node.backfill.dicomweb import DicomWeb
from dicom_node.backfill.pull import Backfill, Manners, Pulled
from dicom_node.commands.options import config_option, log_level_option, settings_from
from dicom_node.commands.progress import progress
from dicom_node.errors import NodeError
from dicom_node.ledger.records import LATER
from dicom_node.settings import Settings
from dicom_node.wiring import make_intake, open_ledger, open_spool, utc_now

EXAMPLE = """\b
Example:
  mrclip backfill --config node.yaml --from http://pacs:8042/dicom-web --since 2024-01-01
"""
_DAY = click.DateTime(["%Y-%m-%d"])


@click.command("backfill", epilog=EXAMPLE)
@config_option
@click.option("--from", "url", required=True, help="DICOMweb service, the part of its URL before /studies.")
@click.option("--since", type=_DAY, required=True, help="First study date.")
@click.option("--until", type=_DAY, help="Last study date.  [default: today]")
@click.option("--username", help="For HTTP Basic authentication.")
@click.option("--password", envvar="MRCLIP_ARCHIVE_PASSWORD", help="[env: MRCLIP_ARCHIVE_PASSWORD, the better place]")
@click.option(
    "--per-minute", type=click.FloatRange(0, min_open=True), default=30, show_default=True, help="Series at most."
)
@click.option(
    "--ahead", type=click.IntRange(1), default=100, show_default=True, help="Series that may wait to be read."
)
@log_level_option
def command(
    *, config: Path | None, url: str, since: datetime, until: datetime | None, username: str | None,
    password: str | None, per_minute: float, ahead: int, log_level: str,
) -> None:  # fmt: skip
    """Pull the MR series of an archive into the node, the newest day first.

    May be called while the node runs, which reads what comes after everything that is live. Interrupt it as you like:
    the same command goes on where it was. Exit status: 0 if everything is there, 1 if something is not.
    """
    if not url.startswith(("http://", "https://")):
        raise click.UsageError(f"--from {url}: must begin with http:// or https://")
    settings = settings_from(config)
    logs.set_up(log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    archive = DicomWeb(url, username=username, password=password, max_instance_bytes=settings.scp.max_instance_bytes)
    last = date.today() if until is None else until.date()  # noqa: DTZ011 - study dates are of where the scanner is
    try:
        pulled = _run(settings, archive, Manners(per_minute=per_minute, ahead=ahead), _days(since.date(), last), stop)
    except NodeError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{pulled.series} series pulled, {pulled.instances} instances; {pulled.known} series were there; "
        f"{pulled.refused} instances refused; {pulled.failed} failed{'; stopped' if stop.is_set() else ''}"
    )
    sys.exit(1 if pulled.failed or pulled.refused or stop.is_set() else 0)


def _run(
    settings: Settings, archive: DicomWeb, manners: Manners, days: Iterator[date], stop: threading.Event
) -> Pulled:
    ledger, engine = open_ledger(settings)
    try:
        spool = open_spool(settings)
        intake = make_intake(settings, ledger=ledger, spool=spool, priority=LATER)
        work = Backfill(archive, intake=intake, ledger=ledger, spool=spool, manners=manners, stop=stop)
        with progress() as advance:
            return work.run(days, clock=utc_now, advance=advance)
    finally:
        engine.dispose()


def _days(first: date, last: date) -> Iterator[date]:
    while last >= first:
        yield last
        last -= timedelta(days=1)
