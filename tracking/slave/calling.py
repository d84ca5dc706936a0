"""What slaves do with calls submitted to a pool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def call(what: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]) -> Any:
    """Make one call: (function, arguments, keyword arguments)."""
    function, args, kwargs = what
    return function(*args, **kwargs)


def call_chunk(function: Callable[..., Any], rows: list[tuple[Any, ...]]) -> list[Any]:
    """Make a call for each row of arguments."""
    return [function(*row) for row in rows]
