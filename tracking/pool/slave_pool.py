"""SlavePool: slaves that outlive a calculation, for masters and for submitted calls."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from tracking.errors import NoSlavesError
from tracking.fabrics.base import Fabric
from tracking.fabrics.registry import make_fabric
from tracking.pool import arguments
from tracking.pool.crew import MASTER_NUMBERS, Crew, Place, names_for
from tracking.slave.calling import call_chunk
from tracking.slave.loading import Context

if TYPE_CHECKING:
    from tracking.pool.calls import Calls

_LONGEST_SLEEP_S = 60.0


class SlavePool(Executor):
    """Slaves that are started once and work for any number of masters, and for calls, at once or in turn.

    Example:
        >>> from tracking import SlavePool, TrackingJobMaster
        >>> with SlavePool(["localhost"]) as pool:
        ...     future = pool.submit(pow, 2, 10)
        ...     master = TrackingJobMaster({1: 1, 2: 2}, function=float, pool=pool, verbose=0)
        ...     future.result(), master.calculateResult()
        (1024, {1: 1.0, 2: 2.0})

    Args:
        hosts: host names, one entry a slave; a number: so many on this machine; none: one per usable core.
        niceness: nice value of the slaves, or {host: nice value, 'default': n}.
        show_output: 0: what slaves print is not shown; 1: in a window per slave, or line by line.
        fabric: how slaves are started: a name, or a fabric.
        max_deaths: a call that was alone on a slave that died so often is given up; None: never.
        host_failures: so many deaths without a job done between them, and a host is left out; None: never.

    Raises:
        InputError: wrong use; nothing was started.
    """

    def __init__(
        self,
        hosts: Any = (),
        niceness: int | Mapping[str, int] = 0,
        *,
        show_output: int = 0,
        fabric: str | Fabric | None = None,
        max_deaths: int | None = 2,
        host_failures: int | None = 10,
    ) -> None:
        names = names_for(arguments.checked_hosts(hosts))
        nice = arguments.checked_niceness(niceness)
        self._max_deaths = arguments.checked_number(
            "max_deaths", max_deaths, 1, is_optional=True, is_whole=True
        )
        self._fabric = make_fabric(fabric or "local")
        self._crew = Crew(host_failures=host_failures)
        self._calls: Calls | None = None  # made with the first submit, under the crew's lock
        self._is_shut = False  # under the crew's lock
        for host, nickname in names:
            self._crew.start_slave(
                Place(nickname, host, nice.get(host, nice.get("default", 0)), show_output, self._fabric)
            )
        self._thread = threading.Thread(target=_drive, args=(self._crew,), name="tracking-pool", daemon=True)
        self._thread.start()
        _open_pools.add(self)

    @property
    def slaves(self) -> dict[int, dict[str, str]]:
        """{tid: {'host', 'nickname'}} of the slaves there are now."""
        return {slave.tid: {"host": slave.host, "nickname": slave.nickname} for slave in self._crew.slaves()}

    @property
    def pids(self) -> dict[str, int]:
        """{nickname: process id} of the slaves that are up."""
        return self._crew.pids()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call ``fn(*args, **kwargs)`` on a slave; its future, at once. A call whose slave dies is made again.

        Raises:
            EncodeError: the call cannot be sent; names the part.
            RuntimeError: the pool is shut down.
            NoSlavesError: no slave is left.
        """
        with self._crew.lock:
            if self._is_shut:
                raise RuntimeError("cannot submit a call to a pool that is shut down")
            if self._calls is None:
                from tracking.pool.calls import Calls  # a pool that serves masters only does not need it

                context = Context(next(MASTER_NUMBERS), list(sys.path), os.getcwd())
                self._calls = Calls(self._crew, context, self._max_deaths)
                self._crew.attach(self._calls)
            calls = self._calls
        return calls.submit(fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """``fn`` of the elements, in their order; ``chunksize`` of them travel together."""
        arguments.checked_number("chunksize", chunksize, 1, is_whole=True)
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout)
        chunks = super().map(
            call_chunk, _repeat(fn), _chunks(zip(*iterables, strict=False), chunksize), timeout=timeout
        )
        return chain.from_iterable(chunks)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the slaves: after the calls submitted so far, or at once with ``cancel_futures``."""
        with self._crew.lock:
            self._is_shut = True
            calls = self._calls
            pending = list(calls.pending()) if calls is not None else []
        if not wait and not cancel_futures and pending:
            threading.Thread(target=self.shutdown, name="tracking-pool-shutdown", daemon=True).start()
            return
        if not cancel_futures:
            for future in pending:
                with contextlib.suppress(BaseException):
                    future.exception()
        self._crew.stop_driving()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._crew.close()
        if calls is not None:
            calls.cancel_all()
        _open_pools.discard(self)


def _drive(crew: Crew) -> None:
    """The pool's thread: turns the crew's loop while no master does."""
    while not crew.is_closing:
        if crew.needs_driver.wait(_LONGEST_SLEEP_S):
            helped_s = crew.helped_s
            if helped_s > 0:
                time.sleep(helped_s)
            else:
                crew.turn(_LONGEST_SLEEP_S)


def _chunks(rows: Iterable[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    rows = iter(rows)
    while chunk := list(islice(rows, size)):
        yield chunk


def _repeat(fn: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    while True:
        yield fn


_open_pools: weakref.WeakSet[SlavePool] = weakref.WeakSet()


def _shut_all() -> None:
    for pool in list(_open_pools):
        with contextlib.suppress(NoSlavesError, OSError):
            pool.shutdown(cancel_futures=True)


atexit.register(_shut_all)
