"""What the workers of every contender run; importable by name.

Light, as its import is part of row G: no dataclasses, pathlib or numpy of its own.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

T = TypeVar("T")
U = TypeVar("U")


def same(value: T) -> T:
    """Do nothing: what is measured is everything around it."""
    return value


def each(function: Callable[[T], U], values: Sequence[T]) -> list[U]:
    """A chunk, for those that know nothing of chunks."""
    return [function(value) for value in values]


class Chunk:
    """Values in one piece, for those that would look at each element of a list: dask takes 35 us for one."""

    __slots__ = ("values",)

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values


def each_of_chunk(function: Callable[[Any], Any], chunk: Chunk) -> Chunk:
    """`each`, from and to one piece."""
    return Chunk(each(function, chunk.values))


def nap(seconds: float) -> int:
    """Sleep and say which process did."""
    time.sleep(seconds)
    return os.getpid()


def burn(cpu_seconds: float) -> float:
    """Use so much processor time (not wall time, so that a busy machine shows)."""
    end = time.thread_time() + cpu_seconds
    while time.thread_time() < end:
        pass
    return cpu_seconds


def fresh_copy(array: Array) -> Array:
    """A new array of the same content, so that nobody can send back a mere reference to the input."""
    return array.copy()


class LookUp:
    """One look into a shared object (a class of its own, as some peers unpack tuples into arguments)."""

    __slots__ = ("index", "pause_s")

    def __init__(self, index: int, pause_s: float) -> None:
        self.index = index
        self.pause_s = pause_s


def look_up(thing: Array, task: LookUp) -> float:
    """One element of a large shared object."""
    time.sleep(task.pause_s)
    return float(thing[task.index])


_kept: list[Array] = []  # the shared object of pools that hand it over when a worker starts


def keep(thing: Array) -> None:
    """Initializer of a worker: keep the shared object for `look_up_kept`."""
    _kept[:] = [thing]


def look_up_kept(task: LookUp) -> float:
    """`look_up` in the object that the initializer kept."""
    return look_up(_kept[0], task)


class Errand:
    """One item of a calculation with a special worker or item; `folder` is shared by all workers."""

    __slots__ = ("folder", "number", "seconds")

    def __init__(self, number: int, seconds: float, folder: str) -> None:
        self.number = number
        self.seconds = seconds
        self.folder = folder


def slow_in_one_worker(errand: Errand) -> int:
    """Sleep; 50 times longer in the worker that came first."""
    factor = 50 if _came_first(os.path.join(errand.folder, "slow")) else 1
    time.sleep(errand.seconds * factor)
    return errand.number


def dies_once(errand: Errand) -> int:
    """Sleep; where the folder holds the number of this item, take it out and be killed half-way."""
    with open(os.path.join(errand.folder, "runs"), "ab") as runs:
        runs.write(b".")
    time.sleep(errand.seconds / 2)
    if errand.number % 100 == 0 and _take(os.path.join(errand.folder, f"kill-{errand.number}")):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(errand.seconds / 2)
    return errand.number


def _came_first(marker: str) -> bool:
    try:
        with open(marker, "x") as mine:
            mine.write(str(os.getpid()))
    except FileExistsError:
        with open(marker) as first:
            return first.read() == str(os.getpid())
    return True


def _take(marker: str) -> bool:
    try:
        os.unlink(marker)
    except FileNotFoundError:
        return False
    return True
