"""`mrclip send`: files and folders to a DICOM peer."""

import sys
from pathlib import Path

import click

from dicom_node.commands.progress import progress
from dicom_node.deliver.scu import Peer
from dicom_node.send import send

EXAMPLE = """\b
Example:
  mrclip send study/ --host 127.0.0.1 --port 11112 --called MRCLIP
"""


@click.command("send", epilog=EXAMPLE)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=11112, show_default=True)
@click.option("--called", default="MRCLIP", show_default=True, help="AE title of the peer.")
@click.option("--calling", default="MRCLIP-SEND", show_default=True, help="Our AE title.")
def command(*, paths: tuple[Path, ...], host: str, port: int, called: str, calling: str) -> None:
    """Send files to a DICOM peer by C-STORE.

    Exit status: 0 if everything arrived, 1 if something did not (each named with its reason), 3 if there was nothing.
    """
    peer = Peer(ae_title=called, host=host, port=port, calling_ae_title=calling)
    with progress() as advance:
        result = send(paths, peer, advance=lambda count: advance("files", count))
    for failure in result.failures:
        click.echo(f"{failure.path}: {failure.reason}", err=True)
    left_out = f", {result.left_out} files are not DICOM" if result.left_out else ""
    click.echo(f"{result.sent} sent, {len(result.failures)} failed{left_out}")
    if result.failures:
        sys.exit(1)
    sys.exit(0 if result.sent else 3)
