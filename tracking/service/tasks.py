"""What slaves do for a mapper. Light: they load this."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

Task = Callable[[Any], Any]


class Prepared:
    """Makes, once per slave, the function that values are given to.

    Args:
        function: of a value; with a setup, of what that gave and a value.
        setup: called first, once per slave.
    """

    def __init__(self, function: Callable[..., Any], setup: Callable[[], Any] | None) -> None:
        self._function = function
        self._setup = setup

    def __call__(self) -> Task:
        return self._function if self._setup is None else partial(self._function, self._setup())


def apply(task: Task, values: list[Any]) -> tuple[float, list[Any]]:
    """Seconds that it took, and the results."""
    since = perf_counter()
    results = [task(value) for value in values]
    return perf_counter() - since, results
