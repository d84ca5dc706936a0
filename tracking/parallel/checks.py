"""What a program has given is looked at where it gives it: what cannot be is said there, not by a slave."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

_OPTIONS = ("startup", "run_file")


def check_callable(what: str, value: object) -> None:
    """Refuse what cannot be called.

    Args:
        what: how it is called ("a task").

    Raises:
        TypeError: it cannot be.
    """
    if not callable(value):
        raise TypeError(
            f"{what} must be callable; {reprlib.repr(value)} is not: pass the function itself, not what it returns"
        )


def check_arguments_have_a_setup(args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments of a setup where there is no setup.

    Raises:
        TypeError: there are some; says what may be meant.
    """
    for name in kwargs:
        meant = difflib.get_close_matches(name, _OPTIONS, 1)
        hint = f"; is {meant[0]!r} meant?" if meant else ": it would be an argument of the setup, and there is none"
        raise TypeError(f"get_context() has no option {name!r}{hint}")
    if args:
        raise TypeError(f"{reprlib.repr(args[0])} would be an argument of the setup, and there is none")


def check_slave(slave: object) -> None:
    """Refuse what is neither a slave nor an array of slaves.

    Raises:
        TypeError: says what it is.
    """
    if isinstance(slave, type):
        raise TypeError(f"you passed the class: {slave.__name__}() is meant")
    if not hasattr(slave, "_start"):
        raise TypeError(f"{slave!r} is no slave and no array of slaves: it has no method _start")
