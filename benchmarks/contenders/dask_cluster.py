"""dask.distributed on a LocalCluster of processes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

from distributed import Client, LocalCluster, as_completed

from benchmarks import work as tasks_of_workers
from benchmarks.contenders import Contender, Function

if TYPE_CHECKING:
    from benchmarks.work import Array, LookUp


class Dask(Contender):
    """Futures, as it recommends for independent tasks; many small ones batched in a function of one's own."""

    part_of_items = 0.1

    def start(self, slaves: int) -> None:
        self.slaves = slaves
        self._cluster = LocalCluster(n_workers=slaves, threads_per_worker=1, processes=True, dashboard_address=None)
        self._client = Client(self._cluster)

    def stop(self) -> None:
        self._client.close()
        self._cluster.close()

    def singly(self, function: Function, work: Any) -> Iterable[Any]:
        return self._results(self._client.map(function, work, pure=False))

    def batched(self, function: Function, work: Any) -> Iterable[Any]:
        chunks = [tasks_of_workers.Chunk(values) for values in self.chunks(work)]
        futures = [self._client.submit(tasks_of_workers.each_of_chunk, function, chunk, pure=False) for chunk in chunks]
        return chain.from_iterable(chunk.values for chunk in self._results(futures))

    def _results(self, futures: list[Any]) -> Iterable[Any]:
        return (result for _, result in as_completed(futures, with_results=True))

    def call(self, function: Function, value: Any) -> Any:
        return self._client.submit(function, value, pure=False).result()

    def shared(self, thing: Array, slaves: int, tasks: list[LookUp]) -> Iterable[float]:
        """Scattered to all workers first."""
        self.start(slaves)
        there = self._client.scatter(thing, broadcast=True)
        futures = [self._client.submit(tasks_of_workers.look_up, there, task, pure=False) for task in tasks]
        return self._results(futures)
