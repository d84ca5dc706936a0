"""Ours with what costs something: a run file, the progress display, a function that only dill can send."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.contenders import Function, NotOfferedError
from benchmarks.contenders.ours import Ours


class _Variant(Ours):
    """What differs is in `options`, or in the function."""

    def options(self) -> dict[str, Any]:
        """More options of each master."""
        return {}

    def _run(self, function: Function, work: dict[int, Any], chunk_size: int | str, **options: Any) -> Iterable[Any]:
        return super()._run(function, work, chunk_size, **(self.options() | options))

    def _first_options(self) -> dict[str, Any]:
        return super()._first_options() | self.options()

    def watched(
        self, function: Function, work: dict[int, Any], folder: Path, *, in_chunks: bool
    ) -> Iterable[Any]:
        """With its own difference only: plain ours has both."""
        return self.batched(function, work) if in_chunks else self.singly(function, work)

    def call(self, function: Function, value: Any) -> Any:
        raise NotOfferedError("a single call has none")


class WithRunFile(_Variant):
    """Each calculation is recorded in a file of its own."""

    def __init__(self) -> None:
        self._folder, self._numbers = Path(tempfile.mkdtemp()), count()

    def options(self) -> dict[str, Any]:
        return {"run_file": self._folder / f"run-{next(self._numbers)}"}

    def recorded(self, function: Function, work: Any, items_per_job: int, record: Path | None) -> None:
        raise NotOfferedError("ours has it in this row")


class WithProgress(_Variant):
    """The display of progress is on, at the terminal that each measurement has."""

    def options(self) -> dict[str, Any]:
        return {"verbose": 1}


class WithDill(_Variant):
    """Each function is one that neither pickle nor cloudpickle can send."""

    def __init__(self) -> None:
        self._made: dict[Function, Function] = {}

    def _run(self, function: Function, work: dict[int, Any], chunk_size: int | str, **options: Any) -> Iterable[Any]:
        return super()._run(only_for_dill(function), work, chunk_size, **options)

    def first(self, function: Function, value: Any) -> Any:
        return super().first(only_for_dill(function), value)

    def call(self, function: Function, value: Any) -> Any:
        """Always with the same function, as a user's would be."""
        if function not in self._made:
            self._made[function] = only_for_dill(function)
        return Ours.call(self, self._made[function], value)


def only_for_dill(function: Function) -> Function:
    """The same function, with a lock in it; a call costs one Python call more."""

    def locked(value: Any, lock: Any = threading.Lock()) -> Any:  # noqa: B008 - what makes it one for dill
        return function(value)

    return locked
