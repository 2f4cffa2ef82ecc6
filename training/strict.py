"""Settings of a recipe refuse unknown keys and values of another type."""

from typing import Final

from pydantic import ConfigDict

STRICT: Final = ConfigDict(extra="forbid")
