"""ray's remote functions on this machine alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or it tells its makers
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns at each start

import ray

from benchmarks import work as tasks_of_workers
from benchmarks.contenders import Contender, Function

if TYPE_CHECKING:
    from benchmarks.work import Array, LookUp


class Ray(Contender):
    """A task an item, and one a chunk for batches; large objects by `ray.put`. A task whose worker dies runs again."""

    part_of_items = 0.25

    def start(self, slaves: int) -> None:
        self.slaves = slaves
        self._remotes: dict[Function, Any] = {}
        ray.init(
            address="local", num_cpus=slaves, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
            _temp_dir=tempfile.gettempdir(),
        )  # fmt: skip

    def stop(self) -> None:
        ray.shutdown()

    def _remote(self, function: Function) -> Any:
        """The remote function, made once, as a module would that defines it."""
        if function not in self._remotes:
            self._remotes[function] = ray.remote(function)
        return self._remotes[function]

    def singly(self, function: Function, work: Any) -> Iterable[Any]:
        remote = self._remote(function)
        results: Iterable[Any] = ray.get([remote.remote(value) for value in work])
        return results

    def batched(self, function: Function, work: Any) -> Iterable[Any]:
        remote = self._remote(tasks_of_workers.each)
        return chain.from_iterable(ray.get([remote.remote(function, chunk) for chunk in self.chunks(work)]))

    def call(self, function: Function, value: Any) -> Any:
        return ray.get(self._remote(function).remote(value))

    def shared(self, thing: Array, slaves: int, tasks: list[LookUp]) -> Iterable[float]:
        self.start(slaves)
        there, remote = ray.put(thing), self._remote(tasks_of_workers.look_up)
        results: Iterable[float] = ray.get([remote.remote(there, task) for task in tasks])
        return results
