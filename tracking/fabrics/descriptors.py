"""Descriptors that change, behind one that can be watched."""

from __future__ import annotations

import contextlib
import selectors
from collections.abc import Callable, Iterable

_SURE_FOR_S = 0.2


class Descriptors:
    """Readable when one of them is.

    Who closes a descriptor and opens another may get the same number, and the system does not watch the new one:
    so they are all watched anew when something has happened to them, and every now and then.

    Args:
        clock: seconds, monotonic.

    Raises:
        OSError: there are too many open files.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._watched: set[int] = set()
        self._sure_until = clock()

    def fileno(self) -> int:
        """Readable when one of them is."""
        return self._selector.fileno()

    def update(self, descriptors: Iterable[int], *, are_same: bool) -> None:
        """These are to be watched from now on. ``are_same``: nothing has happened that could have changed them."""
        now = set(descriptors)
        is_sure = are_same and self._clock() < self._sure_until
        if is_sure and now == self._watched:
            return
        for descriptor in self._watched:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(descriptor)
        for descriptor in now:
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._watched = now
        self._sure_until = self._clock() + _SURE_FOR_S

    def close(self) -> None:
        """Watch nothing any more."""
        self._selector.close()
