"""Wrong use, found before any slave starts: each check names the thing and says what is expected."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tracking.errors import InputError
from tracking.master.options import DEFAULT_NICENESS
from tracking.pool.arguments import checked_hosts
from tracking.pool.naming import names_for
from tracking.slave.job_slave import JobSlave

if TYPE_CHECKING:
    from tracking.core.policy import ChunkSize, Redistribute
    from tracking.fabrics.registry import Fabrics
    from tracking.pool import SlavePool


def check_was_made(master: object) -> None:
    """A subclass's ``__init__`` must have called ours."""
    if not hasattr(master, "_tr_options"):
        raise InputError(f"{type(master).__name__}.__init__ must call super().__init__(...) with the arguments")


def checked_data(data: object) -> Any:
    """The data dict itself."""
    if not isinstance(data, Mapping):
        hint = ""
        if isinstance(data, list | tuple):
            hint = "; for a list: dict(enumerate(data))"
        elif isinstance(data, Iterator):
            hint = "; for an iterator: IteratorMapping(data, length)"
        elif isinstance(data, Iterable):
            hint = "; for its elements: dict(enumerate(data))"
        raise InputError(f"data must be a dict {{id: value}}, not of type {type(data).__name__}{hint}")
    return data


def checked_result(result: object) -> Mapping[Any, Any]:
    """The results that are there already; None: there are none."""
    if result is None:
        return {}
    if not isinstance(result, Mapping):
        raise InputError(f"result must be a dict {{id: result}}, not of type {type(result).__name__}")
    return result


def checked_chunk_size(chunk_size: object) -> ChunkSize:
    if isinstance(chunk_size, str):
        if chunk_size == "auto":
            return "auto"
        raise InputError(f"chunk_size must be a whole number of items, at least 1, or 'auto'; not {chunk_size!r}")
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int):
        raise InputError(f"chunk_size must be a whole number or 'auto', not {chunk_size!r}")
    if chunk_size < 1:
        raise InputError(f"chunk_size must be at least 1, not {chunk_size}")
    return chunk_size


def checked_redistribute(redistribute: object) -> Redistribute:
    if redistribute == "always":
        return "always"
    if isinstance(redistribute, str):
        raise InputError(f"redistribute must be 1, 0 or 'always'; not {redistribute!r}")
    return bool(redistribute)


def checked_verbose(verbose: object) -> int:
    if not isinstance(verbose, int):
        raise InputError(f"verbose must be 0 (silent), 1 (progress) or 2 (debug), not {verbose!r}")
    return verbose


def check_pool(pool: object, hosts: Any, niceness: Any) -> None:
    """A pool brings its own slaves: hosts and niceness are settled with it."""
    if pool is None:
        return
    from tracking.pool import SlavePool

    if not isinstance(pool, SlavePool):
        raise InputError(f"pool must be a SlavePool, not of type {type(pool).__name__}")
    pool._crew.check_own_process()
    if pool._is_shut:
        raise InputError("the pool is shut down: make a new one")
    if hosts or (niceness and niceness is not DEFAULT_NICENESS):
        raise InputError("give either pool or hosts and niceness: a pool's slaves are started already")


def named_hosts(hosts: object, pool: SlavePool | None, fabrics: Fabrics) -> list[dict[str, str]]:
    """[{'host', 'nickname'}] of the slaves that there are to be, or that the pool has."""
    if pool is not None:
        return [{"host": slave.host, "nickname": slave.nickname} for slave in pool._crew.slaves()]
    return [{"host": host, "nickname": name} for host, name in names_for(checked_hosts(hosts, fabrics))]


def check_worker(function: object, slave_script: object) -> None:
    """Exactly one of function and slave_script says what is done with an item."""
    if function is not None and slave_script:
        raise InputError("give either function or slave_script, not both")
    if function is not None:
        if not callable(function):
            raise InputError(f"function must be callable, not of type {type(function).__name__}")
        return
    if not slave_script:
        raise InputError("nothing says what to do with an item: give function=... or slave_script=...")
    if isinstance(slave_script, type):
        if not issubclass(slave_script, JobSlave):
            raise InputError(f"slave_script {slave_script.__name__} is a class, but no JobSlave subclass")
        if slave_script.go is JobSlave.go:
            raise InputError(f"slave class {slave_script.__name__} does not define go(self, jobs)")
        return
    if not isinstance(slave_script, str | os.PathLike):
        hint = "; for a function: function=..." if callable(slave_script) else ""
        raise InputError(f"slave_script must be a path or a JobSlave subclass, not {slave_script!r}{hint}")
    from tracking.master.scripts import check_script  # it loads what reads Python

    check_script(os.fspath(slave_script))
