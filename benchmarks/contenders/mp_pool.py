"""multiprocessing.Pool."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks import work as tasks_of_workers
from benchmarks.contenders import Contender, Function, going_on

if TYPE_CHECKING:
    from pathlib import Path

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

    def outcomes(
        self, function: Function, values: Sequence[Any], *, limit_s: float | None, record: Path | None
    ) -> Iterator[Any]:
        with multiprocessing.Pool(2) as pool:
            yield from going_on(pool.imap_unordered(function, values))
