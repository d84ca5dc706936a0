"""Queues of a grid: free servers, the last run times, and one that is sorted.

Source: ``Pipe`` and ``SortedQueue`` of IMP.isd's grids.
"""

from __future__ import annotations

import bisect
import copy
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from tracking.grid.errors import TimeoutError

T = TypeVar("T")


class FreeServers(Generic[T]):
    """Who is free, first in, first out. Whoever waits is woken when there is nothing to wait for any more.

    Args:
        what: is waited for, for the message of a timeout.
    """

    def __init__(self, what: str = "server") -> None:
        self._what = what
        self._there: deque[T] = deque()
        self._waiting: deque[object] = deque()  # a mark of each who waits, in their order
        self._changed = threading.Condition()
        self._why_closed: Exception | None = None

    def put(self, one: T) -> None:
        """It is free; whoever has waited longest gets it."""
        with self._changed:
            if one not in self._there:
                self._there.append(one)
                self._changed.notify_all()

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """The one that is free for longest; waits for it, behind those who wait already.

        Raises:
            TimeoutError: none was free in time.
            Exception: a copy of what ``close`` was given.
        """
        mark = object()
        with self._changed:
            self._waiting.append(mark)
            try:
                self._changed.wait_for(lambda: self._has_turn(mark) or self._why_closed, timeout if block else 0)
                self.check_open()
                if not self._has_turn(mark):
                    raise TimeoutError(f"no {self._what} was free within {timeout or 0:g} s")
                return self._there.popleft()
            finally:
                self._waiting.remove(mark)
                self._changed.notify_all()  # others have come nearer

    def _has_turn(self, mark: object) -> bool:
        return self._waiting.index(mark) < len(self._there)

    def remove(self, one: T) -> None:
        """It is not free any more, or was not."""
        with self._changed:
            if one in self._there:
                self._there.remove(one)

    def close(self, why: Exception) -> None:
        """Nobody will be free any more: who waits, or comes later, gets this error; the first one that was given."""
        with self._changed:
            self._why_closed = self._why_closed or why
            self._changed.notify_all()

    def check_open(self) -> None:
        """Raise a copy of what ``close`` was given, if it was: each raising of one error adds to its traceback."""
        if self._why_closed is not None:
            raise copy.copy(self._why_closed) from self._why_closed.__cause__

    def reopen(self) -> None:
        """There is hope again."""
        with self._changed:
            self._why_closed = None

    def qsize(self) -> int:
        """How many are free."""
        return len(self._there)

    def empty(self) -> bool:
        """Whether none is free."""
        return not self._there


class Pipe:
    """Keeps the last so many values.

    >>> pipe = Pipe(2)
    >>> for value in (1.0, 2.0, 4.0):
    ...     pipe.put(value)
    >>> list(pipe), pipe.mean()
    ([2.0, 4.0], 3.0)
    """

    def __init__(self, length: int, items: Iterable[float] = ()) -> None:
        self._items: deque[float] = deque(items, maxlen=length)

    def put(self, value: float) -> None:
        """Add a value; the oldest goes where there are too many."""
        self._items.append(value)

    append = put

    def mean(self) -> float | None:
        """Of those that there are; None: there are none."""
        return sum(self._items) / len(self._items) if self._items else None

    def __iter__(self) -> Iterator[float]:
        return iter(tuple(self._items))

    def __len__(self) -> int:
        return len(self._items)


class SortedQueue:
    """The smallest comes first; for any thread.

    Args:
        key: what items are sorted by; None: they themselves.
    """

    def __init__(self, key: Callable[[Any], Any] | None = None) -> None:
        self._key = key or (lambda item: item)
        self._items: list[Any] = []
        self._changed = threading.Condition()

    def put(self, item: Any) -> None:
        """Add one; behind others that are as small."""
        with self._changed:
            bisect.insort_right(self._items, item, key=self._key)
            self._changed.notify()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The smallest; waits for one.

        Raises:
            TimeoutError: there was none in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items, timeout if block else 0):
                raise TimeoutError(f"nothing was in the queue within {timeout or 0:g} s")
            return self._items.pop(0)

    def qsize(self) -> int:
        """How many there are."""
        return len(self._items)

    def empty(self) -> bool:
        """Whether there is none."""
        return not self._items
