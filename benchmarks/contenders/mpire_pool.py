"""mpire.WorkerPool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mpire import WorkerPool

from benchmarks import work as tasks_of_workers
from benchmarks.contenders import Contender, Function

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.work import Array, LookUp


class Mpire(Contender):
    """Workers kept alive between calls, as its documentation recommends for repeated use."""

    has_time_limit = True

    def start(self, slaves: int) -> None:
        self.slaves = slaves
        self._pool = WorkerPool(n_jobs=slaves, keep_alive=True)

    def stop(self) -> None:
        self._pool.stop_and_join()

    def singly(self, function: Function, work: Any) -> Iterable[Any]:
        results: Iterable[Any] = self._pool.imap_unordered(function, work, chunk_size=1)
        return results

    def batched(self, function: Function, work: Any) -> Iterable[Any]:
        results: Iterable[Any] = self._pool.map_unordered(function, work)  # `map` after imap_unordered fails
        return results

    def call(self, function: Function, value: Any) -> Any:
        return self._pool.apply(function, (value,))

    def shared(self, thing: Array, slaves: int, tasks: list[LookUp]) -> Iterable[float]:
        self._pool = WorkerPool(n_jobs=slaves, shared_objects=thing)
        results: Iterable[float] = self._pool.imap_unordered(tasks_of_workers.look_up, tasks, chunk_size=1)
        return results

    def outcomes(
        self, function: Function, values: Sequence[Any], *, limit_s: float | None, record: Path | None
    ) -> Iterator[Any]:
        with WorkerPool(n_jobs=2) as pool:
            yield from pool.imap_unordered(function, values, chunk_size=1, task_timeout=limit_s)
