"""`mrclip send`: files, folders and zip archives to a DICOM peer."""

import ssl
import sys
from pathlib import Path

import click

from dicom_node.commands.options import given_ae_title
from dicom_node.commands.progress import progress
from dicom_node.commands.terminal import clean
from dicom_node.deliver.scu import Peer
from dicom_node.errors import SettingsError
from dicom_node.send import send
from dicom_node.settings import PeerTls
from dicom_node.tls import client_context

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

EXAMPLE = """\b
Example:
  mrclip send study/ --host 127.0.0.1 --port 11112 --called MRCLIP
"""


@click.command("send", epilog=EXAMPLE)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=11112, show_default=True)
@click.option("--called", callback=given_ae_title, default="MRCLIP", show_default=True, help="AE title of the peer.")
@click.option("--calling", callback=given_ae_title, default="MRCLIP-SEND", show_default=True, help="Our AE title.")
@click.option("--tls", is_flag=True, help="Send over TLS; the peer's certificate must be of its host.")
@click.option("--tls-ca", type=_FILE, help="Who signs the peer's certificate (PEM); else whom the system trusts.")
@click.option("--tls-certificate", type=_FILE, help="Our certificate (PEM), where the peer wants one.")
@click.option("--tls-key", type=_FILE, help="Its key (PEM).")
def command(
    *, paths: tuple[Path, ...], host: str, port: int, called: str, calling: str, tls: bool, **files: Path | None
) -> None:
    """Send files, folders, DICOMDIR or zip to a DICOM peer by C-STORE.

    Exit status: 0 if everything arrived, 1 if something did not (each named with its reason), 3 if there was nothing.
    """
    if not tls and any(files.values()):  # who names certificates does not mean clear text
        raise click.UsageError("--tls-ca, --tls-certificate and --tls-key need --tls")
    context = _context(files) if tls else None
    peer = Peer(ae_title=called, host=host, port=port, calling_ae_title=calling, tls=context)
    with progress() as advance:
        result = send(paths, peer, advance=lambda count: advance("files", count))
    for failure in result.failures:
        click.echo(clean(f"{failure.label}: {failure.reason}"), err=True)
    left_out = f", {result.left_out} files are not DICOM" if result.left_out else ""
    click.echo(f"{result.sent} sent, {len(result.failures)} failed{left_out}")
    if result.failures:
        sys.exit(1)
    sys.exit(0 if result.sent else 3)


def _context(files: dict[str, Path | None]) -> ssl.SSLContext:
    ca, certificate, key = (files[name] for name in ("tls_ca", "tls_certificate", "tls_key"))
    if (certificate is None) != (key is None):
        raise click.UsageError("--tls-certificate and --tls-key go together")
    try:
        return client_context(PeerTls(ca=ca, certificate=certificate, key=key), section="--tls")
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
