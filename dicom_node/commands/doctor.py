"""`mrclip doctor`: what is wrong with a node, and what to do about it."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import click

from dicom_node import logs
from dicom_node.commands.options import config_option, settings_from
from dicom_node.commands.terminal import clean
from dicom_node.doctor import Check
from dicom_node.doctor.examination import examine
from dicom_node.wiring import utc_now

EXAMPLE = """\b
Example:
  mrclip doctor --config /etc/mrclip/node.yaml
  mrclip doctor --config node.yaml --json | jq '.checks[] | select(.state != "ok")'
"""


@click.command("doctor", epilog=EXAMPLE)
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object, schema mrclip.doctor/1.")
def command(*, config: Path | None, as_json: bool) -> None:
    """Look at everything the node needs, and say what to do about each fault.

    Echoes every peer; looks at disk, ledger, bundle, broker, certificates and clock. Changes nothing, and may be called
    while the node runs, best as the user that runs it.

    Exit status: 0 if nothing is broken (warnings are not), 1 if something is, 2 if the settings are wrong.
    """
    settings = settings_from(config)
    logs.set_up("ERROR")
    checks = examine(settings, now=utc_now())
    whole = _print_json(checks) if as_json else _print_text(checks)
    sys.exit(0 if whole else 1)


def _print_json(checks: Iterable[Check]) -> bool:
    found = list(checks)
    whole = all(check.state != "broken" for check in found)
    document = {"schema": "mrclip.doctor/1", "ok": whole, "checks": [asdict(check) for check in found]}
    click.echo(json.dumps(document, indent=2))
    return whole


def _print_text(checks: Iterable[Check]) -> bool:
    whole = True
    for check in checks:
        whole = whole and check.state != "broken"
        click.echo(clean(f"{check.state:8} {check.name}: {check.message}"))
        if check.advice is not None:
            click.echo(clean(f"{'':8} -> {check.advice}"))
    return whole
