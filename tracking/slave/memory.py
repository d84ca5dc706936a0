"""How much this process may hold: an item that needs more fails, and a slave that has kept too much is replaced.

On Linux the system refuses what is above the limit (RLIMIT_DATA: what belongs to this process alone; mapped files,
memory shared with others and programs that it starts are not counted in), so an item that asks for more gets a
MemoryError.
On other systems only the second half holds: a slave that is found to hold too much after a job is replaced.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn

_LOOK_INTERVAL_S = 0.1
_FULL = 0.75  # of the limit
_LEAST_ROOM_BYTES = 32 << 20  # for the stacks of our threads, and then some


class Memory:
    """What a process holds, against its limit. Main thread only.

    Args:
        held: the bytes that it holds by itself.
        now: the clock, in seconds.
    """

    def __init__(self, held: Callable[[], int], now: Callable[[], float] = time.monotonic) -> None:
        self._held = held
        self._now = now
        self._limit: int | None = None
        self._at_first = 0  # bytes held before the first job
        self._look_at = 0.0
        self._did_items = False
        self._was_told = False

    @property
    def limit(self) -> int | None:
        """Bytes."""
        return self._limit

    def limit_to(self, limit: int) -> None:
        """Watch this limit."""
        self._limit = limit
        self._at_first = self._held()

    def is_set_up(self) -> None:
        """What is held now is needed for the work, and no leak."""
        if self._limit is not None:
            self._at_first = self._held()

    def full_bytes(self) -> int:
        """After a job: the bytes held if this is too much, once; else 0."""
        self._did_items = True
        if self._limit is None or self._was_told or self._now() < self._look_at:
            return 0
        self._look_at = self._now() + _LOOK_INTERVAL_S
        held = self._held()
        if held > self._full_from():
            gc.collect()
            held = self._held()
        self._was_told = held > self._full_from()
        return held if self._was_told else 0

    def _full_from(self) -> float:
        """Bytes; a slave whose work needs much from the first is not replaced again and again."""
        assert self._limit is not None
        return max(_FULL * self._limit, (self._limit + self._at_first) / 2)

    def was_spent_before(self, *, is_first: bool) -> bool:
        """After a MemoryError: whether much of the limit is taken by what earlier items have left.

        ``is_first``: no item came before in this job.
        """
        if self._limit is None or (is_first and not self._did_items):
            return False
        gc.collect()
        return self._held() - self._at_first > (1 - _FULL) * self._limit

    def leave(self) -> NoReturn:
        """End the slave, for no fault of the item that it is at: that gets its chance on another."""
        raise Spent(
            f"replaced: earlier items had left {in_words(self._held())} behind, of its memory limit of "
            f"{in_words(self._limit or 0)}"
        )


class Spent(BaseException):
    """What this slave may hold is taken by what earlier items have left."""


def held_bytes() -> int:
    """Resident memory that this process does not share; where that is not known, the most that it ever had."""
    if sys.platform == "linux":
        _, resident, shared, *_ = _pages()
        return (resident - shared) * _page_bytes()
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _pages() -> list[int]:
    with open("/proc/self/statm") as file:
        return [int(word) for word in file.read().split()]


def _page_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE")


OWN = Memory(held_bytes)
"""Of this process."""


def limit_own(limit: int) -> None:
    """Hold this process to so many bytes from now on.

    Raises:
        MemoryError: that is not enough for a slave with nothing to do.
    """
    import traceback  # noqa: F401  (when memory is short it is too late to load it)

    OWN.limit_to(limit)
    needed = (_pages()[5] * _page_bytes() if sys.platform == "linux" else held_bytes()) + _LEAST_ROOM_BYTES
    if limit < needed:
        raise MemoryError(
            f"the memory limit of {in_words(limit)} is too low: a slave with nothing to do needs {in_words(needed)}"
        )
    if sys.platform == "linux":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        allowed = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))


def in_words(count: int) -> str:
    """Bytes as people say it.

    >>> in_words(2_000_000_000), in_words(512 << 20), in_words(10)
    ('2.0 GB', '537 MB', '10 bytes')
    """
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count} bytes"
