"""`mrclip bundles`: the registry of model bundles."""

from collections.abc import Callable
from pathlib import Path

import click

from dicom_node.commands.faults import in_one_line
from dicom_node.commands.terminal import clean
from inference.bundle import default_bundle, open_bundle
from inference.manifest import BundleError
from inference.registry import Registry, RegistryError

EXAMPLE = """\b
Example:
  mrclip bundles add ./my-bundle --registry /var/lib/mrclip/bundles
  mrclip bundles activate NAME --registry /var/lib/mrclip/bundles
"""

registry_option: Callable[..., Callable[..., None]] = click.option(
    "--registry",
    required=True,
    envvar="MRCLIP_REGISTRY",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of bundles; the setting reader.bundle names the same.  [env: MRCLIP_REGISTRY]",
)


@click.group("bundles", epilog=EXAMPLE)
def command() -> None:
    """List, add, activate and roll back model bundles.

    Nodes take up a change with the next series they read, without a restart.
    """


@command.command("list")
@registry_option
def show(*, registry: Path) -> None:
    """List the bundles; a star marks the active one."""
    with in_one_line(BundleError, RegistryError):
        for entry in Registry(registry).entries():
            click.echo(f"{'*' if entry.active else ' '} {entry.name}")


@command.command("add")
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@registry_option
def add(*, bundle: Path, registry: Path) -> None:
    """Copy a bundle in, after checking every digest, and print its name."""
    with in_one_line(BundleError, RegistryError):
        click.echo(Registry(registry).add(bundle))


@command.command("activate")
@click.argument("name")
@registry_option
def activate(*, name: str, registry: Path) -> None:
    """Make a bundle the active one."""
    with in_one_line(BundleError, RegistryError):
        Registry(registry).activate(name)
        click.echo(f"* {name}")


@command.command("rollback")
@registry_option
def roll_back(*, registry: Path) -> None:
    """Go back to the bundle that was active before."""
    with in_one_line(BundleError, RegistryError):
        click.echo(f"* {Registry(registry).roll_back()}")


@command.command("show")
@click.argument("bundle", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
def describe(*, bundle: Path | None) -> None:
    """Check a bundle (without an argument: the one in the package) and print its model card."""
    with in_one_line(BundleError, RegistryError):
        opened = default_bundle() if bundle is None else open_bundle(bundle)
    if opened is None:
        raise click.ClickException("the package was built without a bundle; the node reads by rules alone")
    click.echo(f"{opened.manifest.name} {opened.manifest.version} {opened.sha256}\n")
    click.echo(clean(opened.read("MODEL_CARD.md").decode(errors="replace"), keep="\n\t"))
