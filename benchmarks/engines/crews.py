"""The contenders on an engine: a few workers each, used as its own documentation recommends."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.engines.work import Worker

Nap = Callable[[float], Worker]


class Crew(ABC):
    """So many workers on an engine; a fresh one for each trial."""

    leaves_workers = False  # they were there before
    engine = ""  # set by `make`
    slaves = 0

    def prepare(self) -> None:  # noqa: B027  (most need nothing)
        """What is there before a user begins: imports, a cluster that others have started."""

    @abstractmethod
    def start(self) -> None:
        """Begin. It need not wait for workers: the first result does."""

    @abstractmethod
    def answers(self, function: Nap, seconds: Sequence[float]) -> Iterable[Worker]:
        """Results, each as soon as it is there, of items that each are a job of their own."""

    @abstractmethod
    def close(self) -> None:
        """End the workers."""

    def tidy(self) -> None:  # noqa: B027
        """End what `prepare` began; not measured."""


class Bare(ABC):
    """One empty command through the engine: what the engine itself needs."""

    engine = ""
    slaves = 0

    @abstractmethod
    def run(self) -> None:
        """Return when it has done its work; raise if it could not."""


@dataclass(frozen=True)
class Entry:
    """How to make a contender.

    Attributes:
        where: module of this package, and class.
        arguments: of the class.
        needs: modules that must be installed.
    """

    where: str
    arguments: tuple[object, ...] = ()
    needs: tuple[str, ...] = ()


_OURS = Entry("ours.Ours")
_BARE = Entry("bare.Bare")
_JOBQUEUE = ("dask_jobqueue", "distributed")

CREWS: dict[str, dict[str, Entry]] = {  # engine -> contender; in the order of a round
    "ssh": {
        "ours": _OURS,
        "dask SSHCluster": Entry("dask_crews.Ssh", needs=("distributed", "asyncssh")),
        "raw ssh": _BARE,
    },
    "slurm": {
        "ours": _OURS,
        "dask-jobqueue": Entry("dask_crews.Slurm", needs=_JOBQUEUE),
        "dask-jobqueue, no nanny": Entry("dask_crews.Slurm", (False,), _JOBQUEUE),
        "raw sbatch": _BARE,
    },
    "gridengine": {
        "ours": _OURS,
        "dask-jobqueue": Entry("dask_crews.GridEngine", needs=_JOBQUEUE),
        "dask-jobqueue, no nanny": Entry("dask_crews.GridEngine", (False,), _JOBQUEUE),
        "raw qsub": _BARE,
    },
    "gridengine-pe": {"ours": _OURS, "raw qsub": _BARE},
    "mpi": {"ours": _OURS, "mpi4py.futures": Entry("executors.Mpi", needs=("mpi4py",)), "raw mpiexec": _BARE},
    "dask": {"ours": _OURS, "client.submit": Entry("dask_crews.Submit", needs=("distributed",))},
    "local": {
        "ours": _OURS,
        "concurrent.futures": Entry("executors.Local"),
        "dask LocalCluster": Entry("dask_crews.Local", needs=("distributed",)),
        "raw python": _BARE,
    },
}
ENGINES = tuple(CREWS)


def missing(engine: str, name: str) -> str:
    """Which module is not installed, of those that the contender needs; none: empty."""
    return next((module for module in CREWS[engine][name].needs if find_spec(module) is None), "")


def make(engine: str, name: str, slaves: int) -> Crew | Bare:
    """The contender, imported only now: nobody's imports weigh on another."""
    entry = CREWS[engine][name]
    module, _, class_name = entry.where.partition(".")
    crew: Crew | Bare = getattr(importlib.import_module(f"benchmarks.engines.{module}"), class_name)(*entry.arguments)
    crew.engine, crew.slaves = engine, slaves
    return crew
