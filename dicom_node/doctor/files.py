"""The files beside the spool without which nobody signs in, or the node does not start, once they are there.

The calibration lies there too; whoever looks at the bundle reads it.
"""

from collections.abc import Iterator
from pathlib import Path

from dicom_node.doctor import Check, broken, cannot_look, ok
from dicom_node.errors import SettingsError
from dicom_node.settings import Settings
from dicom_node.web.accounts import Accounts
from dicom_node.wiring import secret_file


def check_files(settings: Settings) -> Iterator[Check]:
    """Each of them that is there: whether this user can read it."""
    yield from _readable("web secret", secret_file(settings))
    yield from _accounts(settings.accounts_file)


def _readable(name: str, path: Path) -> Iterator[Check]:
    try:
        with path.open("rb"):
            yield ok(name, f"{path} can be read")
    except FileNotFoundError:
        return
    except OSError as error:
        yield cannot_look(name, path, error)


def _accounts(path: Path) -> Iterator[Check]:
    for check in _readable("accounts", path):
        if check.state != "ok":
            yield check
            return
        try:
            known = Accounts(path).content()
        except SettingsError as error:
            yield broken("accounts", str(error), f"Correct {path}, or write it anew with `mrclip users`.")
        else:
            yield ok("accounts", f"{len(known.users)} may sign in, and {len(known.tokens)} programs")
