"""The contenders, ours, a bare loop and the peers, behind one interface: so each row is written once."""

from __future__ import annotations

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.work import Array, LookUp

Function = Callable[[Any], Any]  # any function of one value: each row brings its own


class NotOfferedError(Exception):
    """This contender has no such feature; its cell shows a dash."""


class Contender(ABC):
    """A pool of worker processes, used in the way its own documentation recommends.

    `work` is always what `prepare` returned, so that nobody's time includes the making of the input.
    """

    name = ""  # as in NAMES; set by `make`
    slaves = 0
    part_of_items = 1.0  # of the tiny items that the others get, where a rate is measured: for those of half a minute
    has_time_limit = False  # whether an item can be given one
    has_record = False  # whether a killed calculation can be resumed

    @abstractmethod
    def start(self, slaves: int) -> None:
        """Make a pool of so many worker processes."""

    @abstractmethod
    def stop(self) -> None:
        """End the pool and wait for its processes."""

    def prepare(self, values: Sequence[Any]) -> Any:
        """The values in the container that this contender takes."""
        return list(values)

    @abstractmethod
    def singly(self, function: Function, work: Any) -> Iterable[Any]:
        """Results in any order, each item sent as a job of its own."""

    @abstractmethod
    def batched(self, function: Function, work: Any) -> Iterable[Any]:
        """All results, in chunks of the contender's own choice; without one, in four chunks a worker."""

    @abstractmethod
    def call(self, function: Function, value: Any) -> Any:
        """One item there and back."""

    @abstractmethod
    def shared(self, thing: Array, slaves: int, tasks: list[LookUp]) -> Iterable[float]:
        """Start, and run `look_up` for all tasks in one large object that is handed over once."""

    def first(self, function: Function, value: Any) -> Any:
        """Start, and give the first result."""
        self.start(2)
        return self.call(function, value)

    def watched(self, function: Function, work: Any, folder: Path, *, in_chunks: bool) -> Iterable[Any]:
        """Like `batched` or `singly`, with a record and a progress display where the contender has them."""
        return self.batched(function, work) if in_chunks else self.singly(function, work)

    def recorded(self, function: Function, work: Any, items_per_job: int, record: Path | None) -> None:
        """Run all, recording each result under `record`; None: the same without a record."""
        raise NotOfferedError("keeps no record")

    def outcomes(
        self, function: Function, values: Sequence[Any], *, limit_s: float | None, record: Path | None
    ) -> Iterator[Any]:
        """Start two workers, do all, and end them: for each item its result, or the exception in its place.

        What ends the whole call is raised. `limit_s`: seconds that one item may take, where there is such a limit.
        """
        raise NotOfferedError("is not asked what it does about faults")

    def chunk_size(self, work: Sequence[Any]) -> int:
        """Four chunks a worker: mp.Pool's rule, for those that have none."""
        return math.ceil(len(work) / (4 * self.slaves))

    def chunks(self, work: Sequence[Any]) -> list[Sequence[Any]]:
        """The work cut by `chunk_size`, for those that know nothing of chunks."""
        size = self.chunk_size(work)
        return [work[begin : begin + size] for begin in range(0, len(work), size)]


def going_on(answers: Iterable[Any]) -> Iterator[Any]:
    """All that an iterator gives that goes on after an error: results, and exceptions in the place of others."""
    iterator = iter(answers)
    while True:
        try:
            yield next(iterator)
        except StopIteration:
            return
        except Exception as error:
            yield error


_CLASSES = {  # name -> (package that must be there, module, class); in the order of a round
    "ours": ("tracking", "ours", "Ours"),
    "ours+file": ("tracking", "variants", "WithRunFile"),
    "ours+progress": ("tracking", "variants", "WithProgress"),
    "ours+dill": ("tracking", "variants", "WithDill"),
    "raw": ("multiprocessing", "raw", "Raw"),
    "mp.Pool": ("multiprocessing", "mp_pool", "MpPool"),
    "cf": ("concurrent.futures", "executors", "ConcurrentFutures"),
    "loky": ("loky", "executors", "Loky"),
    "joblib": ("joblib", "joblib_parallel", "Joblib"),
    "mpire": ("mpire", "mpire_pool", "Mpire"),
    "pebble": ("pebble", "pebble_pool", "Pebble"),
    "dask": ("distributed", "dask_cluster", "Dask"),
    "ray": ("ray", "ray_tasks", "Ray"),
    "executorlib": ("executorlib", "executorlib_node", "Executorlib"),
}
NAMES = tuple(_CLASSES)
VARIANTS = tuple(name for name in NAMES if name.startswith("ours+"))
SURVIVORS = ("dask", "ray", "executorlib")  # those that go on when a worker dies
PEERS = tuple(name for name in NAMES if name not in ("ours", *VARIANTS, "raw"))


def package(name: str) -> str:
    """The package that must be there for a contender."""
    return _CLASSES[name][0]


def is_installed(name: str) -> bool:
    """Whether the contender's package is there (nothing of it is imported)."""
    from importlib.util import find_spec  # here, as the imports of this module are part of row G

    return find_spec(package(name)) is not None


def make(name: str) -> Contender:
    """The contender, imported only now: nobody's imports weigh on another."""
    _, module, class_name = _CLASSES[name]
    contender: Contender = getattr(importlib.import_module(f"{__name__}.{module}"), class_name)()
    contender.name = name
    return contender
