"""pebble.ProcessPool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pebble import ProcessPool

from benchmarks import work as tasks_of_workers
from benchmarks.contenders import Contender, Function, going_on

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.work import Array, LookUp


class Pebble(Contender):
    """Its `map` gives results in order and goes on after one that failed."""

    has_time_limit = True

    def start(self, slaves: int) -> None:
        self.slaves = slaves
        self._pool = ProcessPool(max_workers=slaves)

    def stop(self) -> None:
        self._pool.close()
        self._pool.join()

    def _map(self, function: Function, work: Any, chunk_size: int) -> Iterable[Any]:
        results: Iterable[Any] = self._pool.map(function, work, chunksize=chunk_size).result()
        return results

    def singly(self, function: Function, work: Any) -> Iterable[Any]:
        return self._map(function, work, 1)

    def batched(self, function: Function, work: Any) -> Iterable[Any]:
        return self._map(function, work, self.chunk_size(work))

    def call(self, function: Function, value: Any) -> Any:
        return self._pool.schedule(function, args=(value,)).result()

    def shared(self, thing: Array, slaves: int, tasks: list[LookUp]) -> Iterable[float]:
        self._pool = ProcessPool(slaves, initializer=tasks_of_workers.keep, initargs=(thing,))
        return self.singly(tasks_of_workers.look_up_kept, tasks)

    def outcomes(
        self, function: Function, values: Sequence[Any], *, limit_s: float | None, record: Path | None
    ) -> Iterator[Any]:
        with ProcessPool(max_workers=2) as pool:
            yield from going_on(pool.map(function, values, timeout=limit_s).result())
