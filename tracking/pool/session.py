"""Calls that share a setup: what it gives is made once per slave and session, and handed to each call.

::

    submit --> Calls with a code of their own --> slave: no value yet? value = setup()
                                                         function(value, *args, **kwargs)
    shutdown, or session forgotten --> when all calls have an outcome: slaves forget the value; the pool lives on
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tracking.pool.executor import CrewExecutor
from tracking.slave.calling import call_chunk, call_chunk_with

if TYPE_CHECKING:
    from tracking.pool.calls import Calls
    from tracking.pool.crew import Crew
    from tracking.pool.slave_pool import SlavePool


class Session(CrewExecutor):
    """Calls on the slaves of a pool, with the value of a setup function; made by ``SlavePool.session``.

    Args:
        pool: whose slaves; it is kept as long as there is the session.
        crew: its slaves.
        calls: what makes the calls.
        has_setup: the calls get a value.
    """

    def __init__(self, pool: SlavePool, crew: Crew, calls: Calls, *, has_setup: bool) -> None:
        self._pool = pool
        self._crew = crew
        self._calls = calls
        self._call_chunk = call_chunk_with if has_setup else call_chunk
        weakref.finalize(self, _forget, crew, calls).atexit = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call ``fn(value, *args, **kwargs)`` on a slave, ``value`` being what the setup gave there; its future.

        Without a setup ``fn(*args, **kwargs)`` is called. A setup that raises has failed the call with what it
        raised, and is tried again with the next one there; the slave lives on. Otherwise as ``SlavePool.submit``.

        Raises:
            RuntimeError: the session, or its pool, is shut down.
            NoSlavesError: no slave is left.
            InputError: the pool was made in another process.
        """
        self._crew.check_own_process()
        self._pool.check_is_open("submit a call")
        return self._calls.submit(fn, args, kwargs)

    def check_is_open(self, action: str) -> None:
        """Raise a RuntimeError that says so if the pool is shut down."""
        self._pool.check_is_open(action)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; when those that there are have an outcome, the slaves forget the session.

        Args:
            wait: return after that.
            cancel_futures: calls that no slave was given yet are cancelled.
        """
        self._crew.check_own_process()
        self._calls.end_when_idle()
        pending = self._calls.pending()
        if cancel_futures:
            self._calls.cancel_waiting()
        if wait:
            for future in pending:
                with contextlib.suppress(CancelledError):
                    future.exception()

    def end_now(self, why: str = "its session was ended") -> None:
        """Take no more calls, and take back those without an outcome: their futures fail; from any thread, at once.

        What no slave was given yet is given to none; slaves that work on the others are replaced by new ones.

        Args:
            why: what the ``Interrupted`` says with which the futures fail.
        """
        self._crew.check_own_process()
        self._calls.end_now(why)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Shut down; if the block was interrupted (Ctrl-C, SystemExit), without waiting. In a forked child: nothing."""
        if not self._crew.is_own:
            return
        is_interrupted = exc_type is not None and not issubclass(exc_type, Exception)
        self.shutdown(wait=not is_interrupted, cancel_futures=is_interrupted)


def _forget(crew: Crew, calls: Calls) -> None:
    """Nobody has the session any more. The lock may be held by whoever was interrupted by this: so not now."""
    if crew.is_own:
        crew.driving.later(calls.end_when_idle)
        crew.driving.hurry_later()
