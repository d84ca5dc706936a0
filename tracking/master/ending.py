"""The end of a calculation, as seen by those who wait for it."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Protocol, TypeVar

logger = logging.getLogger("tracking")

T = TypeVar("T")


class EndCondition(threading.Condition):
    """A condition for one thing that happens once: who comes after it does not wait at all.

    With an ordinary condition, whoever begins to wait after the end waits for ever.

    Args:
        lock: on which it is.
        is_over: whether it has happened; asked with the lock held.
        give_up: called, with the lock held, when Ctrl-C ends a wait for it.
        has_begun: whether what is to end has begun.
    """

    def __init__(
        self,
        lock: threading.RLock,
        is_over: Callable[[], bool],
        give_up: Callable[[], object] = lambda: None,
        has_begun: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(lock)
        self._is_over = is_over
        self._give_up = give_up
        self._has_begun = has_begun

    def wait(self, timeout: float | None = None) -> bool:
        """As ``Condition.wait``; True at once when it is over. The lock must be held."""
        if self._is_over():
            return True
        if timeout is None and not self._has_begun():  # another thread may begin it, but most have forgotten to
            logger.warning("waiting for the end of a calculation that has not begun: start() begins it")
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

    def _tr_end_with_program(self) -> bool:
        """End it if it runs; whether the program would have waited for it."""


_running: weakref.WeakSet[Running] = weakref.WeakSet()
_INTERRUPTED = 130  # the exit status of a program that Ctrl-C has ended


def end_with_program(master: Running) -> None:
    """See to it that Ctrl-C, pressed while the interpreter waits for this master at its end, ends the slaves too."""
    _running.add(master)


def do_not_wait_for(thread: threading.Thread) -> None:
    """Let the interpreter end while this thread still runs, as if it were a daemon; where that can be had.

    For a thread that does not end though it was told to, and a user who has said twice that he will not wait.
    """
    locks, lock = getattr(threading, "_shutdown_locks", None), getattr(thread, "_tstate_lock", None)
    if isinstance(locks, set) and lock is not None:  # up to Python 3.12; later it takes another Ctrl-C
        locks.discard(lock)


def _end_all() -> None:
    """The program is at its end. It waits for its masters before it comes here, unless Ctrl-C has ended that."""
    was_interrupted = False
    try:
        for master in list(_running):
            with contextlib.suppress(Exception):
                was_interrupted |= master._tr_end_with_program()
    except KeyboardInterrupt:
        was_interrupted = True
    if was_interrupted:
        _exit_as_interrupted()


def _exit_as_interrupted() -> None:
    """Else the exit status were that of a program that has done all that it should."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(_INTERRUPTED)


atexit.register(_end_all)
