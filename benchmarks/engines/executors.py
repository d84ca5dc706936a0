"""Executors: of the standard library, and of mpi4py."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from typing import Any

from benchmarks.engines.crews import Crew, Nap
from benchmarks.engines.work import Worker


class _Of(Crew):
    """Any executor."""

    def executor(self) -> Executor:
        raise NotImplementedError

    def start(self) -> None:
        self._executor = self.executor()

    def answers(self, function: Nap, seconds: Sequence[float]) -> Iterable[Worker]:
        futures = [self._executor.submit(function, one) for one in seconds]
        return (future.result() for future in as_completed(futures))

    def close(self) -> None:
        self._executor.shutdown()


class Local(_Of):
    """concurrent.futures."""

    def executor(self) -> Executor:
        return ProcessPoolExecutor(self.slaves)


class Mpi(_Of):
    """mpi4py.futures, its workers spawned."""

    def prepare(self) -> None:
        if mpiexec := os.environ.get("TRACKING_MPIEXEC"):  # MPI looks for it when it spawns
            os.environ["PATH"] = f"{os.path.dirname(mpiexec)}:{os.environ['PATH']}"
        from mpi4py.futures import MPIPoolExecutor

        self._kind: Any = MPIPoolExecutor

    def executor(self) -> Executor:
        made: Executor = self._kind(self.slaves)
        return made
