"""Server: one copy of a published object, on one host.

::

    coming --(its actor is up)--> up --(slave lost, given up, terminated)--> gone; calls fail with the reason
      calls made meanwhile wait here, and go out in their order

Everything is done under the grid's lock but what runs the user's code (encoding, futures).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any

from tracking.errors import EncodeError
from tracking.grid.errors import CallEnded
from tracking.grid.hosts import Host
from tracking.grid.proxy import ProxyCannotTravel
from tracking.grid.queues import Pipe
from tracking.grid.result import Result
from tracking.pool.open_calls import own_error

if TYPE_CHECKING:
    from tracking.grid.abstract import AbstractGrid
    from tracking.pool.actors import Actor, Actors
    from tracking.pool.open_calls import PreparedCall

_TIMES = 50


class Server:
    """What serves calls on one host.

    Args:
        proxy: stands for its object.
        service_id: what it serves.
        host: where.
        debug: whether the grid's ``dp`` tells of it.

    Attributes:
        jobs: how often it was acquired.
        acquired: whether it is, now.
        time: seconds that its last calls took, at most 50.
        grid: whose it is, from when it was added.

    Source: ``Server`` of IMP.isd's grids.
    """

    grid: AbstractGrid

    def __init__(self, proxy: Any, service_id: str, host: Host, debug: bool = False) -> None:
        self.proxy = proxy
        self.service_id = service_id
        self.host = host
        self.debug = debug
        self.jobs = 0
        self.acquired = False
        self.time = Pipe(_TIMES)
        proxy.__dict__["_server"] = self

    def ask(self, function: Callable[..., Any], what: str, /, *args: Any) -> Result:
        """Have this done with its object: ``function(object, *args)``, which returns (value, seconds)."""
        raise NotImplementedError(f"{type(self).__name__} does not say how its object is asked")

    def terminate(self) -> None:
        """End it."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it is ended")

    @property
    def is_idle(self) -> bool:
        """Whether all that it was asked has its answer."""
        return True

    @property
    def is_lost(self) -> bool:
        """Whether its object is no more."""
        return False

    def __str__(self) -> str:
        mean = self.time.mean()
        return (
            f"{type(self).__name__}(busy={self.acquired}, <time>={0.0 if mean is None else mean:.3f}, "
            f'jobs={self.jobs}, host="{self.host.name}", proxy="{self.proxy!r}")'
        )

    __repr__ = __str__


class SlaveServer(Server):
    """A server whose object lives on a slave.

    Args:
        lock: the grid's.
        actors: of the service; the others are those of ``Server``.
        nickname: of the slave whose place it has; "": any slave of its host.
    """

    def __init__(
        self,
        proxy: Any,
        service_id: str,
        host: Host,
        debug: bool,
        *,
        lock: RLock,
        actors: Actors,
        nickname: str = "",
    ) -> None:
        super().__init__(proxy, service_id, host, debug)
        self.nickname = nickname
        self.actor: Actor | None = None
        self.error: BaseException | None = None  # why it is gone
        self._lock = lock
        self._actors = actors
        self._waiting: list[PreparedCall] = []  # until its actor is up
        self._open: dict[int, PreparedCall] = {}  # that have no answer

    @property
    def is_idle(self) -> bool:
        return not self._open

    @property
    def is_lost(self) -> bool:
        return self.error is not None or (self.actor is not None and self.actor.is_lost)

    def ask(self, function: Callable[..., Any], what: str, /, *args: Any) -> Result:
        if self.error is not None:
            return self._failed(own_error(self.error), what)
        call = self._actors.prepare(function, *args)
        if _holds_proxy(call.future):
            return self._failed(
                EncodeError(
                    f"{what} on {self.host.name} is not possible: a proxy is among what would be sent, and a proxy "
                    "cannot travel: it belongs to this process; send what its methods or attributes give instead"
                ),
                what,
            )
        with self._lock:
            self._open[call.number] = call
            if self.error is not None:
                self._actors.give_up(call, self.error)
            elif self.actor is None:
                self._waiting.append(call)
            else:
                self.actor.take(call)
        call.future.add_done_callback(partial(self._is_answered, call.number))
        return Result(self.proxy, call.future, f"{what} on {self.host.name}")

    def _failed(self, error: BaseException, what: str) -> Result:
        future: Future[Any] = Future()
        future.set_exception(error)
        return Result(self.proxy, future, f"{what} on {self.host.name}")

    def _is_answered(self, number: int, future: Future[Any]) -> None:
        with self._lock:
            del self._open[number]
            if not future.cancelled() and future.exception() is None:
                self.grid.add_time(self.proxy, future.result()[1])
            self.grid._release_if_idle(self)

    def is_up(self, actor: Actor) -> None:
        """Its object is there: what was asked meanwhile is done now."""
        with self._lock:
            self.actor, self.nickname = actor, actor.nickname
            waiting, self._waiting = self._waiting, []
            for call in waiting:
                actor.take(call)

    def is_gone(self, error: BaseException) -> None:
        """It is no more: what it was asked, and will be asked, fails."""
        with self._lock:
            self.error = self.error or error
            waiting, self._waiting = self._waiting, []
            for call in waiting:
                self._actors.give_up(call, error)

    def terminate(self) -> None:
        """End it: what it was asked, and has no answer, fails with an error that says so; no other takes its place."""
        why = "the grid was terminated" if self.grid.ishalted() else f"server of {self.service_id} was terminated"
        ended = CallEnded(why, host=self.host.name, nickname=self.nickname)
        with self._lock:
            actor = self.actor
            self.is_gone(ended)
            for call in list(self._open.values()):  # else they would hear of a lost slave
                self._actors.give_up(call, self.error or ended)
        if actor is not None:
            actor.close(why)


def _holds_proxy(future: Future[Any]) -> bool:
    """Whether a call could not be encoded because there is a proxy in it."""
    error = future.exception() if future.done() and not future.cancelled() else None
    return isinstance(error, EncodeError) and isinstance(error.__cause__, ProxyCannotTravel)
