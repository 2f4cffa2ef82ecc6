"""`mrclip check-config`: are the settings right, and what do they mean?"""

from pathlib import Path
from typing import Any

import click
import yaml

from dicom_node.addresses import shown_url
from dicom_node.commands.faults import fault
from dicom_node.commands.options import config_option, settings_from
from dicom_node.errors import SettingsError
from dicom_node.ledger.engine import open_engine
from dicom_node.settings import Settings
from dicom_node.tls import server_context
from dicom_node.tracing import tracing
from dicom_node.wiring import make_destination, open_store
from dicom_node.wiring_receive import make_peer
from dicom_node.work.readers import READER_ERRORS, bundle_source

EXAMPLE = """\b
Example:
  mrclip check-config --config /etc/mrclip/node.yaml
"""


@click.command("check-config", epilog=EXAMPLE)
@config_option
def command(*, config: Path | None) -> None:
    """Check the settings and print them as they are understood, secrets left out.

    Opens the bundle and the certificates that they name. Whether ports are free, the spool can be written and everybody
    answers is for `mrclip doctor`, and so is whether this machine has the device and backend that read.

    Exit status: 0 if nothing is wrong, 2 with the name of the key if something is.
    """
    settings = settings_from(config)
    try:
        _build(settings)
        bundle = bundle_source(settings.reader.bundle).current()
    except SettingsError as error:  # names its key
        raise click.UsageError(str(error)) from error
    except READER_ERRORS as error:
        raise click.UsageError(f"reader.bundle: {error}") from error
    except OSError as error:
        raise click.UsageError(f"reader.bundle: {fault(error)}") from error
    click.echo(yaml.safe_dump(_shown(settings), sort_keys=False), nl=False)
    reads_with = "rules alone" if bundle is None else f"{bundle.manifest.name} {bundle.manifest.version}"
    click.echo(f"# reads with {reads_with}")


def _build(settings: Settings) -> None:
    """What reads files or needs extras to be built, and connects to nobody. Raises SettingsError."""
    open_engine(settings.database_url).dispose()
    open_store(settings)
    tracing.set_up(settings.tracing)
    tracing.close()
    if settings.scp.tls is not None:
        server_context(settings.scp.tls)
    ours = settings.scp.ae_title
    for destination in settings.destinations:
        make_destination(destination, ours)
    for place, peer in enumerate(settings.commitment.peers):
        make_peer(peer, calling_ae_title=ours, section=f"commitment.peers.{place}")


def _shown(settings: Settings) -> dict[str, Any]:
    document = settings.model_dump(mode="json")
    urls = {
        ("ledger", "database_url"): settings.ledger.database_url,
        ("queue", "broker_url"): settings.queue.broker_url,
        ("spool", "url"): settings.spool.url,
    }
    for (section, key), url in urls.items():
        if url is not None:
            document[section][key] = shown_url(url)
    return document
