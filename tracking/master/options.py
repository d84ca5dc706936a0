"""Keyword arguments of masters that the old ones did not have, checked and kept together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tracking.errors import InputError
from tracking.pool.arguments import checked_choice, checked_memory_limit, checked_number

if TYPE_CHECKING:
    from tracking.core.policy import ChunkSize, Policy, Redistribute
    from tracking.fabrics.base import Fabric
    from tracking.pool import SlavePool
    from tracking.pool.crew import Crew
    from tracking.pool.naming import Nicknames

DEFAULT_NICENESS = MappingProxyType({"default": 20})
"""Of a master to whom no niceness was given; told from one that was given by its identity."""

_OF_THIS_PROGRAM = frozenset({"pool", "run_file"})
OF_SLAVES = frozenset({
    "fabric", "host_failures", "silence_timeout", "heartbeat", "memory_limit", "threads", "affinity", "max_jobs",
})  # fmt: skip
"""What is settled with the slaves: by a master that starts its own, or by the pool that it borrows them from."""


class _Given(NamedTuple):
    function: Callable[[Any], Any] | None = None
    run_file: str | os.PathLike[str] | None = None
    item_timeout: float | None = None
    retries: int = 0
    max_deaths: int | None = 2
    host_failures: int | None = 10
    silence_timeout: float = 30
    heartbeat: float = 1
    memory_limit: int | str | None = None
    threads: int | Mapping[str, int | None] | None = None
    affinity: Any = None
    max_jobs: int | None = None
    on_change: str = "keep"
    on_error: str = "raise"
    trust: bool = False
    keep_results: bool = True
    pool: SlavePool | None = None
    fabric: str | Fabric | None = None


class Options(_Given):
    """What each means is said where they are given: ``JobMaster``.

    Raises:
        InputError: one of them cannot be; names it.
    """

    __slots__ = ()

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Made of what was given, if all of it can be."""
        self = super().__new__(cls, *args, **kwargs)
        self._check()
        return self

    def _check(self) -> None:
        checked_number("item_timeout", self.item_timeout, 0.001, is_optional=True)
        checked_number("retries", self.retries, 0, is_whole=True)
        checked_number("max_deaths", self.max_deaths, 1, is_optional=True, is_whole=True)
        checked_number("host_failures", self.host_failures, 1, is_optional=True, is_whole=True)
        checked_number("silence_timeout", self.silence_timeout, 0)
        checked_number("heartbeat", self.heartbeat, 0.01)
        checked_memory_limit(self.memory_limit)
        checked_number("max_jobs", self.max_jobs, 1, is_optional=True, is_whole=True)
        checked_choice("on_change", self.on_change, ("keep", "recompute", "refuse"))
        checked_choice("on_error", self.on_error, ("raise", "collect"))
        if not self.keep_results and self.run_file is None:
            raise InputError("keep_results=False needs run_file=...: results that are not kept in memory stay there")
        self._leave_slaves_to_pool()

    def _leave_slaves_to_pool(self) -> None:
        for name in self._fields if self.pool is not None else ():
            if name in OF_SLAVES and getattr(self, name) != self._field_defaults[name]:
                raise InputError(f"give {name} to the pool, not to a master that works with it")

    def lasting(self) -> dict[str, Any]:
        """{name: value} of those that mean something in another program, too."""
        return {name: value for name, value in self._asdict().items() if name not in _OF_THIS_PROGRAM}

    def crew(self, nicknames: Nicknames) -> Crew:
        """The slaves to work with: those of the pool, or none yet."""
        if self.pool is not None:
            return self.pool._crew
        from tracking.pool.crew import Crew  # the engine, only where it is started

        return Crew(
            host_failures=self.host_failures,
            heartbeat_s=self.heartbeat,
            silence_timeout_s=self.silence_timeout,
            memory_limit=checked_memory_limit(self.memory_limit),
            max_jobs=self.max_jobs,
            nicknames=nicknames,
        )

    def policy(self, chunk_size: ChunkSize, *, redistribute: Redistribute) -> Policy:
        """How the scheduler is to decide."""
        from tracking.core.policy import Policy

        return Policy(
            chunk_size=chunk_size,
            redistribute=redistribute,
            retries=self.retries,
            max_deaths=self.max_deaths,
            item_timeout_s=self.item_timeout,
            items_report=self.function is not None,
        )
