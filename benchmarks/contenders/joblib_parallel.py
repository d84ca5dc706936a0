"""joblib.Parallel with its default backend, and joblib.Memory as its record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joblib import Memory, Parallel, delayed

from benchmarks import work as tasks_of_workers
from benchmarks.contenders import Contender, Function, NotOfferedError

if TYPE_CHECKING:
    from benchmarks.work import Array, LookUp


class Joblib(Contender):
    """Its worker processes outlive one `Parallel` by themselves."""

    has_time_limit = True

    def start(self, slaves: int) -> None:
        self.slaves = slaves

    def stop(self) -> None:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown()

    def _run(self, function: Function, work: Any, **options: Any) -> Iterable[Any]:
        results: Iterable[Any] = Parallel(n_jobs=self.slaves, **options)(delayed(function)(v) for v in work)
        return results

    def singly(self, function: Function, work: Any) -> Iterable[Any]:
        return self._run(function, work, batch_size=1, return_as="generator_unordered")

    def batched(self, function: Function, work: Any) -> Iterable[Any]:
        return self._run(function, work)

    def call(self, function: Function, value: Any) -> Any:
        return next(iter(self._run(function, [value])))

    def shared(self, thing: Array, slaves: int, tasks: list[LookUp]) -> Iterable[float]:
        """Arrays among the arguments are mapped by joblib itself."""
        jobs = (delayed(tasks_of_workers.look_up)(thing, task) for task in tasks)
        results: Iterable[float] = Parallel(n_jobs=slaves)(jobs)
        return results

    def recorded(self, function: Function, work: Any, items_per_job: int, record: Path | None) -> None:
        if items_per_job != 1:
            raise NotOfferedError("Memory records calls one by one")
        call = function if record is None else Memory(record, verbose=0).cache(function)
        for value in work:
            call(value)

    def outcomes(
        self, function: Function, values: Sequence[Any], *, limit_s: float | None, record: Path | None
    ) -> Iterator[Any]:
        yield from Parallel(n_jobs=2, batch_size=1, timeout=limit_s, return_as="generator_unordered")(
            delayed(function)(value) for value in values
        )
