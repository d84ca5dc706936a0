"""multiprocessing.Pool."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from benchmarks import work as tasks_of_workers
from benchmarks.contenders import Contender, Function

if TYPE_CHECKING:
    from benchmarks.work import Array, LookUp


class MpPool(Contender):
    """As it comes: by fork on Linux up to Python 3.13."""

    def start(self, slaves: int) -> None:
        self.slaves = slaves
        self._pool = multiprocessing.Pool(slaves)

    def stop(self) -> None:
        self._pool.close()
        self._pool.join()

    def singly(self, function: Function, work: Any) -> Iterable[Any]:
        return self._pool.imap_unordered(function, work, chunksize=1)

    def batched(self, function: Function, work: Any) -> Iterable[Any]:
        return self._pool.map(function, work)

    def call(self, function: Function, value: Any) -> Any:
        return self._pool.apply(function, (value,))

    def shared(self, thing: Array, slaves: int, tasks: list[LookUp]) -> Iterable[float]:
        self._pool = multiprocessing.Pool(slaves, initializer=tasks_of_workers.keep, initargs=(thing,))
        return self.singly(tasks_of_workers.look_up_kept, tasks)
