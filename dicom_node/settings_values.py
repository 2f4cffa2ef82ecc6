"""Kinds of values in the settings. No number is infinite, or so large that a clock or a database could not take it."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

# Sockets, SQLite and PostgreSQL count milliseconds in 31 bits, which is 24 days.
_LONGEST_S: Final = 20 * 86400
_LONGEST_DAYS: Final = 36500
_LARGEST: Final = 1 << 50  # bytes


class Section(BaseModel):
    """A part of the settings: known keys only, and nobody changes them later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch(cls, value: object, info: ValidationInfo) -> object:
        # Where a number is asked for, true would be 1.
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("must not be true or false")
        return value


def _says_something(value: object) -> object:
    if value == "":  # would be the working directory
        raise ValueError("must not be empty")
    return value


# PS3.5 6.2: AE has at most 16 characters of the default repertoire, without backslash and control characters.
AeTitle = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$")
]
Hosts = dict[AeTitle, tuple[IPvAnyNetwork, ...]]  # by who calls from there
Port = Annotated[int, Field(ge=0, le=65535)]
PositiveSeconds = Annotated[float, Field(gt=0, le=_LONGEST_S, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=_LONGEST_S, allow_inf_nan=False)]
Days = Annotated[float, Field(gt=0, le=_LONGEST_DAYS, allow_inf_nan=False)]
PerMinute = Annotated[
    float, Field(ge=0.001, le=1_000_000, allow_inf_nan=False)
]  # on average, from all workers together
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Bytes = Annotated[int, Field(ge=0, le=_LARGEST)]
Place = Annotated[Path, BeforeValidator(_says_something)]  # a file or a folder
