"""Result: what a call on a grid gives at once, and what it will have.

Source: ``Result`` of IMP.isd's grids, which had no way to carry an error.
"""

from __future__ import annotations

import concurrent.futures
import threading
from concurrent.futures import Future
from typing import Any

from tracking.grid.errors import TimeoutError

_TOLD_S = 10.0  # whoever brings an outcome has told of it within this time


class Result:
    """The result of a call.

    Args:
        proxy: on which it was called.
        future: of (value, seconds that it took there); None: who makes the call sets ``value``.
        what: the call in words, for the message of a timeout.

    Attributes:
        proxy: on which it was called.
        event: set when the value, or an error, is there.
        error: what the call has raised, or why it has no value; None: nothing, or not yet.
    """

    def __init__(self, proxy: Any, future: Future[Any] | None = None, what: str = "the call") -> None:
        future = Future() if future is None else future
        self.proxy = proxy
        self.event = threading.Event()
        self.error: BaseException | None = None
        self._future = future
        self._what = what
        future.add_done_callback(self._is_there)

    def _is_there(self, future: Future[Any]) -> None:
        self.error = future.exception()
        self.event.set()

    @property
    def value(self) -> Any:
        """The value, once it is there.

        Raises:
            AttributeError: it is not there yet, or never will be.
        """
        if not self._future.done() or self._future.exception() is not None:
            raise AttributeError(f"{self._what} has no value{' yet' if not self._future.done() else ''}: see get()")
        return self._future.result()[0]

    @value.setter
    def value(self, value: Any) -> None:
        self._future.set_result((value, 0.0))

    def get(self, timeout: float | None = None) -> Any:
        """The value; waits for it. May be called again.

        When it returns or raises what the call has, ``error`` and ``event`` are set, and a server that was released
        and has no other call is free.

        Args:
            timeout: seconds; None: as long as it takes. A server that dies, or is terminated, ends the waiting.

        Raises:
            TimeoutError: it is not there yet.
            Exception: what the call raised there, its ``__cause__`` with the traceback; SlaveLost: its server is gone.
        """
        try:
            return self._future.result(timeout)[0]
        except concurrent.futures.TimeoutError as error:
            if self._future.done() and self._future.exception() is error:
                raise  # it is what the call has raised
            raise TimeoutError(f"{self._what} has no result after {timeout:g} s; it may still come") from None
        finally:
            if self._future.done():
                self.event.wait(_TOLD_S)  # another thread may have set the outcome, and be about to tell of it

    def __repr__(self) -> str:
        state = "not there yet" if not self._future.done() else "failed" if self.error else "there"
        return f"<Result of {self._what}: {state}>"
