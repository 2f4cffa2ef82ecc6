"""Options that several commands share, and how settings become objects on a command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from pydantic import TypeAdapter, ValidationError

from dicom_node.errors import SettingsError
from dicom_node.settings import Settings, load_settings
from dicom_node.settings_values import AeTitle

Function = TypeVar("Function", bound=Callable[..., Any])

_AE_TITLE: Final = TypeAdapter[str](AeTitle)


def ae_title(text: str) -> str:
    """An AE title without blanks around it, by the same rule as in the settings; BadParameter if it is none."""
    try:
        return _AE_TITLE.validate_python(text)
    except ValidationError:
        raise click.BadParameter(
            f"{text!r} is no AE title; must be 1 to 16 ASCII characters without backslash"
        ) from None


def given_ae_title(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """The callback of an option that takes an AE title."""
    return ae_title(value)


def config_option(function: Function) -> Function:
    """`--config FILE`; without it the defaults and the environment hold."""
    option = click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="MRCLIP_CONFIG",
        help="Settings (YAML).  [env: MRCLIP_CONFIG]",
    )
    return option(function)


def settings_from(config: Path | None) -> Settings:
    """The settings, or a usage error that names the key."""
    try:
        return load_settings(config)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


def log_level_option(function: Function) -> Function:
    """`--log-level LEVEL` of our own events."""
    levels = click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"])
    return click.option("--log-level", type=levels, default="INFO", show_default=True)(function)
