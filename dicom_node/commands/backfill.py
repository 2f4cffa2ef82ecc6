"""`mrclip backfill`: an archive through the node, without haste."""

import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
from pydantic import SecretStr

from dicom_node import logs
from dicom_node.addresses import is_http_url, shown_url
from dicom_node.backfill.archive import Archive
from dicom_node.backfill.dicomweb import DicomWeb
from dicom_node.backfill.dimse import DimseArchive
from dicom_node.backfill.pull import Backfill, Manners, Pulled
from dicom_node.commands.faults import in_one_line
from dicom_node.commands.options import ae_title, config_option, given_ae_title, log_level_option, settings_from
from dicom_node.commands.owner import refuse_root
from dicom_node.commands.progress import progress
from dicom_node.deliver.scu import Peer
from dicom_node.ledger.records import LATER
from dicom_node.settings import Settings
from dicom_node.stopping import stop_event
from dicom_node.wiring import open_ledger
from dicom_node.wiring_receive import make_intake, open_spool, utc_now

EXAMPLE = """\b
Examples:
  mrclip backfill --config node.yaml --from http://pacs:8042/dicom-web --since 2024-01-01
  mrclip backfill --config node.yaml --from dicom://PACS@192.0.2.10:104 --since 2024-01-01
"""
_DAY = click.DateTime(["%Y-%m-%d"])


@click.command("backfill", epilog=EXAMPLE)
@config_option
@click.option(
    "--from",
    "url",
    required=True,
    help="DICOMweb service, the part of its URL before /studies; or dicom://AE_TITLE@HOST:PORT for C-FIND and C-GET.",
)
@click.option("--since", type=_DAY, required=True, help="First study date.")
@click.option("--until", type=_DAY, help="Last study date.  [default: today]")
@click.option(
    "--calling",
    callback=given_ae_title,
    default="MRCLIP-BACKFILL",
    show_default=True,
    help="Our AE title, which the archive must know (dicom).",
)
@click.option(
    "--move-port",
    type=click.IntRange(0, 65535),
    help="Have the archive send to this port of ours (C-MOVE to --calling), where it has no C-GET.",
)
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
    *, config: Path | None, url: str, since: datetime, until: datetime | None, calling: str, move_port: int | None,
    username: str | None, password: str | None, per_minute: float, ahead: int, log_level: str,
) -> None:  # fmt: skip
    """Pull the MR series of an archive into the node, the newest day first.

    May be called while the node runs, which reads what comes after everything that is live. Interrupt it as you like:
    the same command goes on where it was. Exit status: 0 if everything is there, 1 if something is not.
    """
    first, last = _period(since, until)
    settings = settings_from(config)
    refuse_root(settings)
    limit = settings.scp.max_instance_bytes
    if is_http_url(url):
        archive = nullcontext(DicomWeb(url, username=username, password=password, max_instance_bytes=limit))
    else:
        archive = DimseArchive(_peer(url, calling), max_instance_bytes=limit, move_port=move_port)
    logs.set_up(log_level)
    stop = stop_event()
    with in_one_line(), archive as opened:
        manners = Manners(per_minute=per_minute, ahead=ahead)
        pulled = _run(settings, opened, manners, _days(first, last), stop)
    click.echo(
        f"{pulled.series} series pulled, {pulled.instances} instances; {pulled.known} series were there; "
        f"{pulled.refused} instances refused; {pulled.failed} failed{'; stopped' if stop.is_set() else ''}"
    )
    sys.exit(1 if pulled.failed or pulled.refused or stop.is_set() else 0)


def _peer(url: str, calling: str) -> Peer:
    """The archive that dicom://AE_TITLE@HOST:PORT names."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme != "dicom" or not parts.username or not parts.hostname or not port or parts.path:
        rule = "must be http://HOST:PORT/PATH or https://…, without user and password, or dicom://AE_TITLE@HOST:PORT"
        raise click.UsageError(f"--from {shown_url(SecretStr(url))}: {rule}")
    try:
        title = ae_title(unquote(parts.username))
    except click.BadParameter as error:
        raise click.UsageError(f"--from {shown_url(SecretStr(url))}: {error.message}") from None
    return Peer(ae_title=title, host=parts.hostname, port=port, calling_ae_title=calling)


def _period(since: datetime, until: datetime | None) -> tuple[date, date]:
    """The first and the last day; a usage error where there is none between them."""
    today = date.today()  # noqa: DTZ011 - study dates are of where the scanner is
    first, last = since.date(), today if until is None else until.date()
    if first > today:
        raise click.UsageError(f"--since {first} is in the future; today is {today}")
    if first > last:
        raise click.UsageError(f"--since {first} is after --until {last}")
    return first, last


def _run(settings: Settings, archive: Archive, manners: Manners, days: Iterator[date], stop: threading.Event) -> Pulled:
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
