"""executorlib.SingleNodeExecutor."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import as_completed
from itertools import chain
from typing import TYPE_CHECKING, Any

from executorlib import SingleNodeExecutor

from benchmarks import work as tasks_of_workers
from benchmarks.contenders import Contender, Function

if TYPE_CHECKING:
    from benchmarks.work import Array, LookUp


class Executorlib(Contender):
    """With what it names for speed: kept workers (block allocation), no futures among arguments. Dead ones restart."""

    def start(self, slaves: int) -> None:
        self._make(slaves)

    def _make(self, slaves: int, **options: Any) -> None:
        self.slaves = slaves
        self._executor = SingleNodeExecutor(
            max_workers=slaves, block_allocation=True, disable_dependencies=True, hostname_localhost=True,
            restart_limit=2, **options,
        )  # fmt: skip

    def stop(self) -> None:
        self._executor.shutdown()

    def singly(self, function: Function, work: Any) -> Iterable[Any]:
        return self._results([self._executor.submit(function, value) for value in work])

    def batched(self, function: Function, work: Any) -> Iterable[Any]:
        futures = [self._executor.submit(tasks_of_workers.each, function, chunk) for chunk in self.chunks(work)]
        return chain.from_iterable(self._results(futures))

    def _results(self, futures: list[Any]) -> Iterable[Any]:
        return (future.result() for future in as_completed(futures))

    def call(self, function: Function, value: Any) -> Any:
        return self._executor.submit(function, value).result()

    def shared(self, thing: Array, slaves: int, tasks: list[LookUp]) -> Iterable[float]:
        """What the initializer gives is put in by the name of the argument."""
        self._make(slaves, init_function=lambda: {"thing": thing})
        return self._results([self._executor.submit(tasks_of_workers.look_up, task=task) for task in tasks])
