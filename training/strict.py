"""Settings of a recipe refuse unknown keys, values of another type, and numbers that cannot be."""

from typing import Annotated, Final

from pydantic import ConfigDict, Field

STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]  # also a probability
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
Percentile = Annotated[float, Field(ge=0, le=100)]
NotNegative = Annotated[float, Field(ge=0)]
AboveZero = Annotated[float, Field(gt=0)]
