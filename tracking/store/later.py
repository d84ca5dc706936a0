"""Compares the values of finished items with those of this run while it goes on, where that takes long.

Only where changes are told and nothing else (``on_change='keep'``): a calculation of very many items need not wait.
"""

from __future__ import annotations

import sqlite3
import time

from tracking.store.changes import Changes, Comparison, Made, Results
from tracking.store.items import Items
from tracking.store.places import Places
from tracking.store.recorded_jobs import recorded_jobs


class LaterComparison:
    """What is left to compare. Used by the writer's thread.

    Args:
        connection: to the open file.
        made: what the results of this run are made with.
        places: of the ids.
        first, last: the numbers of the jobs to look at.
    """

    def __init__(self, connection: sqlite3.Connection, made: Made, places: Places, first: int, last: int) -> None:
        self._connection = connection
        self._comparison = Comparison(made, {})  # the code of all runs was compared before
        self._places = places
        self._outdated = Items(connection).outdated()
        self._next, self._last = first, last

    @property
    def changes(self) -> Changes:
        """What was found so far."""
        return self._comparison.changes

    def look(self, seconds: float) -> bool:
        """Compare more for about so long, at least one job; whether anything is left."""
        end = time.monotonic() + seconds
        try:
            for jobs in recorded_jobs(self._connection, self._next, self._last):
                if jobs.digests is not None:
                    items, found = jobs.items.without(self._outdated).counting()
                    results = Results(items, found, self._places.at(found))
                    self._comparison.look_at(jobs.run, jobs.digests, jobs.items.first, results)
                self._next = jobs.last + 1
                if time.monotonic() >= end:
                    return self._next <= self._last
        except sqlite3.Error:  # who reads or writes results is told of it
            pass
        self._next = self._last + 1
        return False
