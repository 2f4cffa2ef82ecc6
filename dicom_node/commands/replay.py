"""`mrclip replay`: another chance for what was refused, failed or not delivered."""

from collections.abc import Iterator
from pathlib import Path

import click

from dicom_node.commands.options import config_option, settings_from
from dicom_node.commands.terminal import clean
from dicom_node.errors import NodeError
from dicom_node.ledger.records import SeriesSummary
from dicom_node.ledger.store import Ledger
from dicom_node.receive.quarantine import Quarantine
from dicom_node.wiring import open_ledger
from dicom_node.wiring_receive import make_intake, open_spool, utc_now

EXAMPLE = """\b
Example:
  mrclip replay --config node.yaml --dry-run    what there is, and why
  mrclip replay --config node.yaml              everything again
"""


@click.command("replay", epilog=EXAMPLE)
@config_option
@click.option("--dry-run", is_flag=True, help="Only list what there is, with its reason.")
def command(*, config: Path | None, dry_run: bool) -> None:
    """Give quarantined files, failed series and dead deliveries another chance.

    May be called while the node runs, which then goes on with what became due.
    """
    settings = settings_from(config)
    try:
        ledger, engine = open_ledger(settings)
        spool = open_spool(settings)
        if dry_run:
            _list(Quarantine(spool.root), ledger)
            return
        taken, kept = make_intake(settings, ledger=ledger, spool=spool).replay()
        series = [summary.series_instance_uid for summary in _given_up(ledger)]
        for uid in series:
            ledger.request(uid, now=utc_now())
        revived = ledger.revive_deliveries(now=utc_now())
        answers = ledger.revive_commitments(now=utc_now())
        engine.dispose()
    except NodeError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"files: {taken} taken in, {kept} stay in quarantine")
    click.echo(f"due again: {len(series)} series, {revived} deliveries, {answers} answers of Storage Commitment")


def _list(quarantine: Quarantine, ledger: Ledger) -> None:
    for entry in quarantine.entries():
        click.echo(clean(f"file {entry.path.name}: {entry.status:04X} {entry.reason}"))
    for summary in _given_up(ledger):
        click.echo(clean(f"series {summary.series_instance_uid}: {summary.attempts} attempts, {summary.reason}"))
    dead = ledger.counts().deliveries["dead"]
    click.echo(f"deliveries given up: {dead}")
    click.echo(f"answers of Storage Commitment given up: {ledger.commitments_by_state()['dead']}")


def _given_up(ledger: Ledger) -> Iterator[SeriesSummary]:
    after: int | None = None
    while page := ledger.page(state="quarantined", after=after):
        yield from page
        after = page[-1].key
