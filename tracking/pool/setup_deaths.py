"""Slaves that end, one after the other, while they are made ready: when is that no bad luck any more?"""

from __future__ import annotations

from collections import Counter

from tracking.core.places import was
from tracking.pool.client import MOST_LOSSES_IN_SETUP, JobKey, SlaveInfo
from tracking.pool.crew import Crew

_MOST_DEATHS = 3


class SetupDeaths:
    """Counts those in a row. Used under the crew's lock, or by one thread.

    Args:
        crew: the slaves.
        what: they did, in words: "they were made ready for calls".
    """

    def __init__(self, crew: Crew, what: str) -> None:
        self._crew = crew
        self._what = what
        self._in_a_row = Counter[bool]()  # True: lost with their hosts
        self._newest = 0  # tid, of the slaves that there were when the last death was counted

    def one_is_ready(self) -> None:
        """It was bad luck, if anything."""
        self._in_a_row.clear()

    def too_many(self, slave: SlaveInfo, how: str, last_lines: str = "", *, is_innocent: bool = False) -> str:
        """One more: why no other is to be tried; "": it is not that bad.

        That slaves which were there together end together, maybe with their starter, counts once.

        Args:
            slave: which one.
            how: it ended.
            last_lines: that it has printed.
            is_innocent: what ended is its host, its line or its time in a queue.
        """
        if slave.tid <= self._newest:
            return ""
        self._newest = max([slave.tid, *(other.tid for other in self._crew.slaves())])
        self._in_a_row[is_innocent] += 1
        if self._in_a_row[is_innocent] < (MOST_LOSSES_IN_SETUP if is_innocent else _MOST_DEATHS):
            return ""
        lines = f" Its last lines:\n{last_lines.strip()}" if last_lines.strip() else ""
        count = self._in_a_row.total()
        return f"{count} slaves in a row ended while {self._what}; the last, {slave.nickname}, {was(how)}.{lines}"


def died_of(calculation: int, jobs: tuple[JobKey, ...]) -> bool:
    """Whether a lost slave that was to be made ready for this calculation was doing that, not the work of others.

    Args:
        calculation: for which it was not ready yet.
        jobs: that had no answer, as clients are told.
    """
    return not jobs or jobs[0][0] == calculation
