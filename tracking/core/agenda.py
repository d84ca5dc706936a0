"""Slaves in the order of a number: who is due first."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

_MANY_OLD = 64


class Agenda:
    """One entry per slave, the smallest key first; O(log slaves) per change.

    >>> agenda = Agenda()
    >>> agenda.put(7, 3.0), agenda.put(8, 2.0), agenda.put(8, 4.0)
    (None, None, None)
    >>> agenda.first()
    (3.0, 7)
    """

    def __init__(self) -> None:
        self.keys: dict[int, float] = {}  # read only for others
        self._heap: list[tuple[float, int]] = []  # with entries of old, which differ from keys

    def put(self, slave: int, key: float) -> None:
        """Enter the slave, or move it."""
        if self.keys.get(slave) == key:
            return
        self.keys[slave] = key
        heappush(self._heap, (key, slave))
        if len(self._heap) > _MANY_OLD + 2 * len(self.keys):
            self._heap = [(key, slave) for slave, key in self.keys.items()]
            heapify(self._heap)

    def drop(self, slave: int) -> None:
        """Take the slave out, if it is in."""
        self.keys.pop(slave, None)

    def first(self) -> tuple[float, int] | None:
        """The smallest key and its slave, None if there is nobody."""
        heap = self._heap
        while heap:
            key, slave = heap[0]
            if self.keys.get(slave) == key:
                return heap[0]
            heappop(heap)
        return None
