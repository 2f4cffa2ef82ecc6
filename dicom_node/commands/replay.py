"""`mrclip replay`: another chance for what was refused, failed or not delivered."""

from collections.abc import Iterator
from pathlib import Path

import click

from dicom_node.commands.faults import in_one_line
from dicom_node.commands.options import config_option, settings_from
from dicom_node.commands.owner import refuse_root
from dicom_node.commands.terminal import clean
from dicom_node.ledger.engine import Transactions
from dicom_node.ledger.migrations import revisions
from dicom_node.ledger.records import SeriesSummary
from dicom_node.ledger.store import Ledger
from dicom_node.receive.quarantine import Quarantine
from dicom_node.settings import Settings
from dicom_node.wiring import open_ledger
from dicom_node.wiring_receive import make_intake, open_spool, reach_ledger, utc_now

EXAMPLE = """\b
Example:
  mrclip replay --config node.yaml --dry-run    what there is, and why
  mrclip replay --config node.yaml              everything again
"""


@click.command("replay", epilog=EXAMPLE)
@config_option
@click.option("--dry-run", is_flag=True, help="Only list what there is, with its reason; nothing is made.")
def command(*, config: Path | None, dry_run: bool) -> None:
    """Give quarantined files, failed series and dead deliveries another chance.

    May be called while the node runs, which then goes on with what became due.
    """
    settings = settings_from(config)
    with in_one_line():
        _expect_node(settings)
        if dry_run:
            _look(settings)
        else:
            refuse_root(settings)
            _replay(settings)


def _expect_node(settings: Settings) -> None:
    """An error where no node kept anything: these are hardly its settings."""
    folder = settings.spool.path.absolute() / "quarantine"
    if not folder.is_dir():
        raise click.ClickException(f"{folder} is not there, so no node used this spool; name its settings by --config")


def _replay(settings: Settings) -> None:
    ledger, engine = open_ledger(settings)
    taken, kept = make_intake(settings, ledger=ledger, spool=open_spool(settings)).replay()
    series = [summary.series_instance_uid for summary in _given_up(ledger)]
    for uid in series:
        ledger.request(uid, now=utc_now())
    revived = ledger.revive_deliveries(now=utc_now())
    answers = ledger.revive_commitments(now=utc_now())
    engine.dispose()
    click.echo(f"files: {taken} taken in, {kept} stay in quarantine")
    click.echo(f"due again: {len(series)} series, {revived} deliveries, {answers} answers of Storage Commitment")


def _look(settings: Settings) -> None:
    """List what there is; nothing is made, and no ledger is brought to another version."""
    ledger, engine = reach_ledger(settings)
    file = engine.url.database or ""
    if engine.dialect.name == "sqlite" and not Path(file).exists():
        raise click.ClickException(f"{file} is not there; the next start of the node makes its ledger again")
    with Transactions(engine).read() as session:
        current, newest, _ = revisions(session.connection())
    if current != newest:
        raise click.ClickException(
            f"the ledger's schema is {current}, not {newest}; the next start of the node mends it"
        )
    _list(Quarantine(settings.spool.path), ledger)
    engine.dispose()


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
