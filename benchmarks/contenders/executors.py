"""concurrent.futures.ProcessPoolExecutor, and loky, which has the same interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

from benchmarks import work as tasks_of_workers
from benchmarks.contenders import Contender, Function

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.work import Array, LookUp


class ConcurrentFutures(Contender):
    """One future an item; `map` with a chunk size for batches."""

    def _make(self, slaves: int, **options: Any) -> Executor:
        return ProcessPoolExecutor(slaves, **options)

    def start(self, slaves: int) -> None:
        self.slaves = slaves
        self._executor = self._make(slaves)

    def stop(self) -> None:
        self._executor.shutdown()

    def singly(self, function: Function, work: Any) -> Iterable[Any]:
        futures = [self._executor.submit(function, value) for value in work]
        return (future.result() for future in as_completed(futures))

    def batched(self, function: Function, work: Any) -> Iterable[Any]:
        return self._executor.map(function, work, chunksize=self.chunk_size(work))

    def call(self, function: Function, value: Any) -> Any:
        return self._executor.submit(function, value).result()

    def shared(self, thing: Array, slaves: int, tasks: list[LookUp]) -> Iterable[float]:
        self._executor = self._make(slaves, initializer=tasks_of_workers.keep, initargs=(thing,))
        return self.singly(tasks_of_workers.look_up_kept, tasks)

    def outcomes(
        self, function: Function, values: Sequence[Any], *, limit_s: float | None, record: Path | None
    ) -> Iterator[Any]:
        with self._make(2) as executor:
            yield from _outcomes(executor, function, values)


class Loky(ConcurrentFutures):
    """loky's reusable executor."""

    def _make(self, slaves: int, **options: Any) -> Executor:
        from loky import get_reusable_executor

        executor: Executor = get_reusable_executor(max_workers=slaves, **options)
        return executor

    def outcomes(
        self, function: Function, values: Sequence[Any], *, limit_s: float | None, record: Path | None
    ) -> Iterator[Any]:
        yield from _outcomes(self._make(2), function, values)  # it is shared by all: nobody ends it


def _outcomes(executor: Executor, function: Function, values: Sequence[Any]) -> Iterator[Any]:
    futures, trouble = [], None
    for value in values:
        try:
            futures.append(executor.submit(function, value))
        except Exception as error:  # it has broken meanwhile; what is done is done
            trouble = error
            break
    for future in as_completed(futures):
        yield future.exception() or future.result()
    if trouble is not None:
        raise trouble
