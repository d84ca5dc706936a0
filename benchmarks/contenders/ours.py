"""This package, by its public names only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import work as tasks_of_workers
from benchmarks.contenders import Contender, Function
from tracking import CalculationError, SlavePool, TrackingJobMaster

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.work import Array, LookUp


class Ours(Contender):
    """Everything through a TrackingJobMaster over a kept pool; single calls through the pool."""

    has_time_limit = True
    has_record = True

    def start(self, slaves: int) -> None:
        self.slaves = slaves
        self._pool = SlavePool(["localhost"] * slaves)

    def stop(self) -> None:
        self._pool.shutdown()

    def prepare(self, values: Sequence[Any]) -> dict[int, Any]:
        return dict(enumerate(values))

    def _run(
        self, function: Function, work: dict[int, Any], chunk_size: int | str, **options: Any
    ) -> Iterable[Any]:
        given: dict[str, Any] = {"pool": self._pool, "verbose": 0} | options
        master = TrackingJobMaster(work, chunk_size=chunk_size, function=function, **given)
        return list(master.calculateResult().values())

    def singly(self, function: Function, work: dict[int, Any]) -> Iterable[Any]:
        return self._run(function, work, 1)

    def batched(self, function: Function, work: dict[int, Any]) -> Iterable[Any]:
        return self._run(function, work, "auto")

    def call(self, function: Function, value: Any) -> Any:
        return self._pool.submit(function, value).result()

    def shared(self, thing: Array, slaves: int, tasks: list[LookUp]) -> Iterable[float]:
        self.start(slaves)
        return self.singly(partial(tasks_of_workers.look_up, thing), self.prepare(tasks))

    def first(self, function: Function, value: Any) -> Any:
        """Through a master, by iteration: `run` would return only when its slaves are gone."""
        self.start(2)
        options: dict[str, Any] = {"pool": self._pool} | self._first_options()
        master = TrackingJobMaster({0: value}, function=function, **options)
        master.start()
        return next(iter(master))[1]

    def _first_options(self) -> dict[str, Any]:
        return {"verbose": 0}

    def watched(
        self, function: Function, work: dict[int, Any], folder: Path, *, in_chunks: bool
    ) -> Iterable[Any]:
        return self._run(function, work, "auto" if in_chunks else 1, verbose=1, run_file=folder / "run")

    def recorded(
        self, function: Function, work: dict[int, Any], items_per_job: int, record: Path | None
    ) -> None:
        self._run(function, work, items_per_job, run_file=record)

    def outcomes(
        self, function: Function, values: Sequence[Any], *, limit_s: float | None, record: Path | None
    ) -> Iterator[Any]:
        """With a master's own slaves, and its defaults but for what the case needs."""
        master = TrackingJobMaster(
            dict(enumerate(values)), hosts=2, function=function, item_timeout=limit_s, run_file=record
        )
        try:
            yield from master.calculateResult().values()
        except CalculationError as error:
            yield from error.result.values()
            yield from error.errors.values()
            raise
