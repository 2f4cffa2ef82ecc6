"""Callbacks of options that say where to write: refused before the work, not after it."""

import os
from pathlib import Path

import click


def new_file(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    """A file to write: its folder must be there and take it."""
    if value is not None and not _takes(value.parent):
        raise click.BadParameter(f"{value.parent} is no folder that can be written to")
    return value


def new_folder(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    """A folder to write to, which is made where it is not there: what is there of its path must take it."""
    if value is not None:
        expect_folder(value)
    return value


def expect_folder(folder: Path) -> None:
    """BadParameter where a folder cannot be written to, or be made."""
    whole = folder.absolute()
    there = next(one for one in (whole, *whole.parents) if os.path.lexists(one))
    if not _takes(there):
        raise click.BadParameter(f"{there} is no folder that can be written to")


def _takes(folder: Path) -> bool:
    return os.access(f"{folder}/.", os.W_OK | os.X_OK)  # the dot: False for a file
