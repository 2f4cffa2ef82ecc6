"""`mrclip users`: who may sign in to the pages, and tokens for programs."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click
from pydantic import ValidationError

from dicom_node.commands.faults import in_one_line
from dicom_node.commands.options import config_option, settings_from
from dicom_node.commands.owner import refuse_root
from dicom_node.settings import Settings
from dicom_node.web.accounts import ROLES, Accounts, AccountsFile, Role, TokenEntry, UserEntry, hash_password, new_token

EXAMPLE = """\b
Example:
  mrclip users add anna --role reviewer       asks for the password
  mrclip users token orthanc --role reviewer  prints a token, once
  mrclip users remove anna
"""

MIN_PASSWORD_LENGTH = 12

role_option = click.option("--role", type=click.Choice(ROLES), required=True, help="Each may do what those before may.")


@click.group("users", epilog=EXAMPLE)
def command() -> None:
    """List, add and remove who may sign in to the pages, and tokens for programs.

    A viewer sees everything, a reviewer also judges findings and has series read again, an admin also sees who has an
    account. A running node takes up changes at once. Call it as the user that runs the node, with its settings.
    """


@command.command("list")
@config_option
def show(*, config: Path | None) -> None:
    """List names and roles."""
    with _explained():
        content = _named(settings_from(config)).content()
    for name, user in sorted(content.users.items()):
        click.echo(f"{user.role:8} {name}{'' if user.password else ' (no password: proxy only)'}")
    for name, token in sorted(content.tokens.items()):
        click.echo(f"{token.role:8} {name} (token)")


@command.command("add")
@click.argument("name")
@role_option
@click.option(
    "--password-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Instead of asking."
)
@click.option("--no-password", is_flag=True, help="For web.sign_in: proxy.")
@config_option
def add(*, name: str, role: Role, password_file: Path | None, no_password: bool, config: Path | None) -> None:
    """Add a person, or give them another role and password."""
    with _explained():
        accounts = _accounts(config)
        password = None if no_password else _password(password_file)
        entry = UserEntry(role=role, password=None if password is None else hash_password(password))
        content = accounts.content()
        accounts.write(_checked(content, users={**content.users, name: entry}))
    click.echo(f"{role:8} {name}")


@command.command("token")
@click.argument("name")
@role_option
@config_option
def token(*, name: str, role: Role, config: Path | None) -> None:
    """Make a token for a program, in place of the one it has, and print it: it cannot be shown again."""
    text, digest = new_token()
    with _explained():
        accounts = _accounts(config)
        content = accounts.content()
        accounts.write(_checked(content, tokens={**content.tokens, name: TokenEntry(role=role, sha256=digest)}))
    click.echo(text)


@command.command("remove")
@click.argument("name")
@config_option
def remove(*, name: str, config: Path | None) -> None:
    """Remove a person and the token of this name; their sessions end."""
    with _explained():
        accounts = _accounts(config)
        content = accounts.content()
        if name not in content.users and name not in content.tokens:
            raise click.ClickException(f"{accounts.file} has no {name}")
        users = {one: entry for one, entry in content.users.items() if one != name}
        tokens = {one: entry for one, entry in content.tokens.items() if one != name}
        accounts.write(AccountsFile(users=users, tokens=tokens))


def _accounts(config: Path | None) -> Accounts:
    """The accounts that are about to be written."""
    settings = settings_from(config)
    refuse_root(settings)
    settings.accounts_file.parent.mkdir(parents=True, exist_ok=True)
    return _named(settings)


def _named(settings: Settings) -> Accounts:
    """The accounts, and a line that says where: without `--config` they are hardly the node's."""
    click.echo(f"accounts: {settings.accounts_file}", err=True)
    return Accounts(settings.accounts_file)


def _checked(content: AccountsFile, **changed: object) -> AccountsFile:
    return AccountsFile.model_validate({"users": content.users, "tokens": content.tokens, **changed})


def _password(file: Path | None) -> str:
    try:
        password = _asked() if file is None else file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise click.ClickException(f"--password-file {file} is not UTF-8") from None
    password = password.rstrip("\n")
    if len(password) < MIN_PASSWORD_LENGTH:
        raise click.ClickException(f"the password has {len(password)} characters; must have {MIN_PASSWORD_LENGTH}")
    return password


def _asked() -> str:
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


@contextmanager
def _explained() -> Generator[None]:
    try:
        with in_one_line():
            yield
    except ValidationError as error:
        first = error.errors()[0]
        raise click.ClickException(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
