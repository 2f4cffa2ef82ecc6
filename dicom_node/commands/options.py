"""Options that several commands share, and how settings become objects on a command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dicom_node.errors import SettingsError
from dicom_node.settings import Settings, load_settings

Function = TypeVar("Function", bound=Callable[..., Any])


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
