"""What runs on the side of a server: the object is made there, and called. Slaves import nothing else of the grid."""

from __future__ import annotations

import os
import sys
from time import perf_counter
from typing import Any

from tracking.wire import codec, mainmodule

ROOT_VARIABLE = "TRACKING_GRID_ROOT"
"""In the environment of slaves on other hosts: the folder into which files are copied there."""

OLD_ROOT_VARIABLE = "ISD_ROOT"
"""The same, for programs that look for it under its old name."""

METHOD = "method"
VALUE = "value"


class Maker:
    """Makes the object of a server, as it was when it was published.

    Args:
        instance: the encoded object; it is only read when modules that were copied are found.
        root: where these are on the master's machine.
    """

    def __init__(self, instance: codec.Payload, root: str) -> None:
        self._instance = instance
        self._root = root

    def __call__(self) -> Any:
        """The object, fresh."""
        root = os.environ.get(ROOT_VARIABLE) or self._root
        if root:
            os.environ[OLD_ROOT_VARIABLE] = root
            if root not in sys.path:
                sys.path.insert(0, root)
        made: Any = mainmodule.decode_function(self._instance)
        return made


def call_method(made: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, float]:
    """What a method returns, and how many seconds it took."""
    since = perf_counter()
    value = getattr(made, name)(*args, **kwargs)
    return value, perf_counter() - since


def look_at(made: Any, name: str) -> tuple[tuple[str, Any], float]:
    """(whether it is a method or a value, the value), and seconds."""
    since = perf_counter()
    value = getattr(made, name)
    found = (METHOD, None) if callable(value) else (VALUE, value)
    return found, perf_counter() - since


def set_value(made: Any, name: str, value: Any) -> tuple[None, float]:
    """Set an attribute."""
    since = perf_counter()
    setattr(made, name, value)
    return None, perf_counter() - since
