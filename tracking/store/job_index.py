"""Finds the job that holds the result of an item: four bytes an item, made when the first is looked for."""

from __future__ import annotations

import sqlite3
from array import array

from tracking.store.items import Items
from tracking.store.positions import unpacked


class JobIndex:
    """{position of an item: the job whose result of it counts}; of committed jobs.

    Example::

        index = JobIndex()
        index.refresh(connection)
        job, item, place = index.place(connection, 5)
    """

    def __init__(self) -> None:
        self._jobs = array("I")  # 0: none
        self._last = 0

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Look at the jobs that have come since."""
        for job in Items(connection).jobs(self._last + 1):
            _, positions = job.counting()
            missing = max(positions, default=0) + 1 - len(self._jobs)
            if missing > 0:
                self._jobs.frombytes(bytes(self._jobs.itemsize * (missing + len(self._jobs) // 8)))
            if isinstance(positions, range):
                self._jobs[positions.start : positions.stop] = array("I", [job.job]) * len(positions)
            else:
                for position in positions:
                    self._jobs[position] = job.job
            self._last = job.job

    def job(self, position: int) -> int | None:
        """The job that holds the result of the item at this position, None if there is none."""
        return (self._jobs[position] or None) if position < len(self._jobs) else None

    def place(self, connection: sqlite3.Connection, position: int) -> tuple[int, int, int] | None:
        """The same, with the number of the item and its place in the job's list of results: (job, item, place)."""
        job = self.job(position)
        if job is None:
            return None
        query = "SELECT first_item, positions, items FROM jobs WHERE job = ?"
        first, positions, items = connection.execute(query, (job,)).fetchone()
        place = unpacked(positions, items).index(position)
        return job, first + place, place

    def forget(self, position: int) -> None:
        """Its result does not count any more."""
        self._jobs[position] = 0
