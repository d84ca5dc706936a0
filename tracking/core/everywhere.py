"""The old rule for the end: every idle slave gets what was given out least often.

Nothing is followed before the first slave is idle; then the jobs that are out are kept in the order of how often
their items were given out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

from tracking.core.items import Items
from tracking.core.jobs import Job, JobState
from tracking.core.lifetimes import Lifetimes


class Everywhere:
    """Finds what an idle slave is to be given when nothing is left to start; O(log jobs) per copy.

    An item is on a slave once at most, since only slaves that hold nothing are given copies. What may kill its slave
    is not given out like that: it could end all of them at once. Nor is what may outlast its slave.

    Args:
        items: the items and their states.
        lifetimes: know what may outlast its slave.
    """

    def __init__(self, items: Items, lifetimes: Lifetimes) -> None:
        self._items = items
        self._lifetimes = lifetimes
        self._is_following = False
        # (how often given out, which may have become more; minus its number, since the newest is the last to be begun)
        self._heap: list[tuple[int, int, Job]] = []

    def start(self, jobs: Iterable[Job]) -> None:
        """Follow all jobs from now on; these are out."""
        if not self._is_following:
            self._is_following = True
            for job in jobs:
                self.add(job)

    def add(self, job: Job) -> None:
        """A job was given out."""
        if self._is_following and not job.is_alone:
            heappush(self._heap, (self._least(job.positions), -job.number, job))

    def least_given(self, most: int) -> tuple[Job, Sequence[int]] | None:
        """A job, and those of its items, at most so many, that were given out least often of all; None: no item is."""
        while self._heap:
            count, number, job = self._heap[0]
            is_out = job.state >= JobState.CANCELLED or self._lifetimes.is_long(job.positions)
            rest = () if is_out else self._items.unfinished(job.positions)
            least = self._least(rest)
            if not least:
                heappop(self._heap)
            elif least > count:
                heappop(self._heap)
                heappush(self._heap, (least, number, job))
            else:
                return job, tuple(p for p in rest if self._items.count(p) == least)[:most]
        return None

    def _least(self, positions: Sequence[int]) -> int:
        """How often that of these items was given out that was so least often; 0: none is active."""
        return min(filter(None, map(self._items.count, positions)), default=0)
