"""Errors that end a command: one line that names what is wrong, and no traceback."""

from collections.abc import Generator
from contextlib import contextmanager

import click

from dicom_node.commands.terminal import clean
from dicom_node.errors import NodeError


@contextmanager
def in_one_line(*kinds: type[Exception]) -> Generator[None]:
    """A block whose errors end the command with their text: ours, those of `kinds`, and what the system refuses."""
    try:
        yield
    except (NodeError, *kinds) as error:
        raise click.ClickException(str(error)) from error
    except BrokenPipeError:  # nobody reads on; click ends quietly
        raise
    except OSError as error:
        raise click.ClickException(fault(error)) from error


def fault(error: OSError) -> str:
    """The path, where there is one, and what the system says about it."""
    if error.strerror is None:
        return clean(str(error))
    return clean(error.strerror if error.filename is None else f"{error.filename}: {error.strerror}")
