"""The end of a calculation, as seen by those who wait for it."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
import weakref
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class EndCondition(threading.Condition):
    """A condition for one thing that happens once: who comes after it does not wait at all.

    With an ordinary condition, whoever begins to wait after the end waits for ever.

    Args:
        lock: on which it is.
        is_over: whether it has happened; asked with the lock held.
        give_up: called, with the lock held, when Ctrl-C ends a wait for it.
    """

    def __init__(
        self, lock: threading.RLock, is_over: Callable[[], bool], give_up: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__(lock)
        self._is_over = is_over
        self._give_up = give_up

    def wait(self, timeout: float | None = None) -> bool:
        """As ``Condition.wait``; True at once when it is over. The lock must be held."""
        if self._is_over():
            return True
        try:
            return super().wait(timeout)
        except KeyboardInterrupt:
            self._give_up()
            raise

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """As ``Condition.wait_for``; but when it is over, nobody waits for what will not come any more."""
        end = None if timeout is None else time.monotonic() + timeout
        while not (value := predicate()) and not self._is_over():
            left_s = None if end is None else end - time.monotonic()
            if left_s is not None and left_s <= 0:
                break
            self.wait(left_s)
        return value

    def notifyAll(self) -> None:
        """The old name of ``notify_all``, without a warning."""
        self.notify_all()


class Running(Protocol):
    """A master that may still run when the program ends."""

    def exit(self) -> None: ...


_running: weakref.WeakSet[Running] = weakref.WeakSet()


def end_with_program(master: Running) -> None:
    """See to it that Ctrl-C, pressed while the interpreter waits for this master at its end, ends the slaves too."""
    _running.add(master)


def _end_all() -> None:
    for master in list(_running):
        with contextlib.suppress(Exception):
            master.exit()


atexit.register(_end_all)
