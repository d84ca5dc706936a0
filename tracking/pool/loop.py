"""One loop over many descriptors, and over time.

::

    any thread                               one thread at a time (see ``driving``)
      watch, forget, at --lock--+
      wake -> pipe --+          v
                     +--> turn(): select without the lock, then each handler with it, then the timers that are due

``turn`` never waits but in select. Handlers and timers run under the lock, which belongs to whoever uses the loop.
Stop order: nobody is in ``turn`` any more -> ``close``.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import resource
import select
import selectors
from collections.abc import Callable
from threading import RLock
from typing import Protocol

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE

_LONGEST_WAIT_S = 86400.0  # the system takes no timeout of months, nor an endless one

Handler = Callable[[int], None]
"""Called with what the descriptor is ready for: READ, WRITE or both."""


class HasDescriptor(Protocol):
    """Something with a descriptor to be watched."""

    def fileno(self) -> int: ...


class Loop:
    """Waits until something is ready or due.

    Args:
        lock: held while handlers and timers run, and while what is watched changes.
        clock: seconds, monotonic.
    """

    def __init__(self, lock: RLock, clock: Callable[[], float]) -> None:
        _allow_many_descriptors()
        self.clock = clock
        self._lock = lock
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakes = os.pipe()
        for end in (self._waker, self._wakes):
            os.set_blocking(end, False)
        self._rests = select.poll()
        self._rests.register(self._waker, select.POLLIN)
        self._handlers: dict[int, Handler] = {}  # of each descriptor: what is called for it now
        self._timers: list[tuple[float, int, Callable[[], None]]] = []  # a heap
        self._count = itertools.count()
        self._is_closed = False
        self.watch(self._waker, READ, self._drain_waker)

    # ---- what is waited for

    def watch(self, what: int | HasDescriptor, mask: int, handler: Handler) -> None:
        """Call the handler whenever this can be read or written; instead of the one that was called before."""
        with self._lock:
            try:
                key = self._selector.register(what, mask, handler)
            except KeyError:
                key = self._selector.modify(what, mask, handler)
            self._handlers[key.fd] = handler

    def forget(self, what: int | HasDescriptor) -> None:
        """Watch this no more. Always before it is closed: its number may soon mean something else."""
        with self._lock, contextlib.suppress(KeyError, ValueError):
            self._handlers.pop(self._selector.unregister(what).fd, None)

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Have something done, so many seconds from now."""
        self.at(self.clock() + delay_s, action)

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Have something done at this time of the clock."""
        with self._lock:
            timer = (when, next(self._count), action)
            heapq.heappush(self._timers, timer)
            if self._timers[0] is timer:
                self.wake()  # whoever waits must not wait longer than that

    def wake(self) -> None:
        """Make a ``turn`` that waits return, or else the next one; from any thread."""
        with self._lock:
            if not self._is_closed:
                with contextlib.suppress(BlockingIOError):
                    os.write(self._wakes, b"w")

    def _drain_waker(self, mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._waker, 4096)

    # ---- waiting

    def rest(self, rest_s: float) -> None:
        """Let what is ready lie for so long, so that one ``turn`` acts on it all; less if woken, or a timer is due."""
        timeout_s = self._until_timer(rest_s) or 0.0
        if timeout_s > 0.0 and not self._is_closed:
            self._rests.poll(timeout_s * 1000)

    def turn(self, timeout_s: float | None) -> None:
        """Wait for something to happen, at most so long, and act on it."""
        if self._is_closed:
            return
        for key, mask in self._selector.select(self._until_timer(timeout_s)):
            with self._lock:
                # An earlier handler of this turn may have closed what this one is called for.
                handler = self._handlers.get(key.fd)
                if handler is not None and handler is key.data:
                    handler(mask)
        if self._timers:
            with self._lock:
                self._run_timers()

    def _until_timer(self, timeout_s: float | None) -> float | None:
        if not self._timers:
            return timeout_s
        with self._lock:
            if not self._timers:
                return timeout_s
            left_s = min(max(0.0, self._timers[0][0] - self.clock()), _LONGEST_WAIT_S)
            return left_s if timeout_s is None else min(left_s, timeout_s)

    def _run_timers(self) -> None:
        now = self.clock()
        due = []
        while self._timers and self._timers[0][0] <= now:
            due.append(heapq.heappop(self._timers)[2])
        for action in due:
            action()

    def close(self) -> None:
        """Leave nothing open; what was watched is not touched. ``turn`` and ``wake`` do nothing from now on."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._timers.clear()
                self._selector.close()
                os.close(self._waker)
                os.close(self._wakes)


def _allow_many_descriptors() -> None:
    """Each slave needs three: go from the soft limit, often 1024, to what the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
