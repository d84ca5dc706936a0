"""What a slave does with a context's setup and with a task: all of this package that it loads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class SetUp:
    """The setup of a context: called once on each slave, it gives what each task there gets as its arguments.

    Args:
        startup: of the user, without arguments; None: tasks get none.
    """

    def __init__(self, startup: Callable[[], Any] | None) -> None:
        self._startup = startup

    def __call__(self) -> tuple[Any, ...]:
        return () if self._startup is None else as_arguments(self._startup())


def as_arguments(value: object) -> tuple[Any, ...]:
    """What a setup has given, as the arguments of tasks: anything iterable expands, None is none, else it is the one.

    >>> as_arguments((1, 2)), as_arguments("ab"), as_arguments(None), as_arguments(7)
    ((1, 2), ('a', 'b'), (), (7,))
    """
    if value is None:
        return ()
    try:
        values = iter(value)  # type: ignore[call-overload]  # that is the question
    except TypeError:
        return (value,)
    return tuple(values)


def run(arguments: tuple[Any, ...], task: Callable[..., Any]) -> Any:
    """Run a task."""
    return task(*arguments)


class Chunk:
    """Several values that travel together.

    Args:
        function: called with what the setup gave, and a value behind that.
        values: the results come in their order.
    """

    def __init__(self, function: Callable[..., Any], values: list[Any]) -> None:
        self._function = function
        self._values = values

    def __call__(self, *arguments: Any) -> list[Any]:
        return [self._function(*arguments, value) for value in self._values]
