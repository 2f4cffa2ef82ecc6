"""`mrclip check-config`: are the settings right, and what do they mean?"""

from pathlib import Path
from typing import Any

import click
import yaml

from dicom_node.addresses import shown_url
from dicom_node.commands.options import config_option, settings_from
from dicom_node.settings import Settings
from dicom_node.work.readers import READER_ERRORS, bundle_source

EXAMPLE = """\b
Example:
  mrclip check-config --config /etc/mrclip/node.yaml
"""


@click.command("check-config", epilog=EXAMPLE)
@config_option
def command(*, config: Path | None) -> None:
    """Check the settings and print them as they are understood, secrets left out.

    Exit status: 0 if a node would start with them, 2 with the name of the key if not.
    """
    settings = settings_from(config)
    try:
        bundle = bundle_source(settings.reader.bundle).current()
    except READER_ERRORS as error:
        raise click.UsageError(f"reader.bundle: {error}") from error
    click.echo(yaml.safe_dump(_shown(settings), sort_keys=False), nl=False)
    reads_with = "rules alone" if bundle is None else f"{bundle.manifest.name} {bundle.manifest.version}"
    click.echo(f"# reads with {reads_with}")


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
