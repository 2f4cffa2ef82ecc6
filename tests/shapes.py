"""Checks the shapes in signatures at every call while tests run (jaxtyping's hook, named in pyproject.toml).

Only shapes: what else a signature says is pyright's to check, and tests must be able to pass what no type allows.
"""

import re
from collections.abc import Callable
from typing import Any

from beartype import beartype

_SHAPE = re.compile(r"\b(?:Bool|Float|Int|Num|Shaped|UInt)\d*\[")


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with the arguments and results checked whose annotation has a shape."""
    hints = {name: hint for name, hint in function.__annotations__.items() if _SHAPE.search(repr(hint))}
    if not hints:
        return function
    function.__annotations__ = hints
    return beartype(function)
