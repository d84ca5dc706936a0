"""The results in a run file as they are asked for: none of them is kept in memory.

::

    master's thread:   RunFile.record, commit ----> the file
                                                       ^  a connection of its own, open for the moment of each look
    any thread:        StoredResults.at, among --------+
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tracking.errors import StoreError
from tracking.store.items import Items, JobItems
from tracking.store.job_index import JobIndex
from tracking.store.order import Order
from tracking.store.pickling import from_bytes
from tracking.store.positions import Positions
from tracking.store.run_reader import RunFileReader
from tracking.store.schema import KIND

_BATCH = 1000  # jobs, of which it is read at once what they hold

Pairs = Iterator[tuple[int, Any]]


class StoredResults:
    """Reads results by the positions of their items, beside the writer and after it; from any thread.

    Only what is committed is seen. Results that do not count any more (``on_change='recompute'``) are none.
    The memory that it takes does not depend on how large the results are: those of one job at a time, and, as soon as
    one is asked for by position, four bytes an item.

    Args:
        path: of the run file.
        order: of the ids as they were given, and in the file.
        trust: as it was given to ``RunFile.open``.
    """

    def __init__(self, path: Path, order: Order, *, trust: bool) -> None:
        self._reader = RunFileReader(path, trust=trust)
        self._order = order
        self._lock = threading.Lock()
        self._index = JobIndex()
        self._job: tuple[int, dict[int, Any]] = (0, {})  # the last that was read: (its number, {place: result})

    def at(self, position: int) -> Any:
        """The result of the item at this position.

        Raises:
            KeyError: there is none yet.
            StoreError: it cannot be read back.
        """
        wanted = self._order.in_file(position)
        with self._lock:
            number, results = self._job
            if number == 0 or self._index.job(wanted) != number:
                number, results = self._job = self._read(wanted)
            return results[wanted]

    def among(self, positions: range | None = None) -> Pairs:
        """Give (position, result) of those in this range (step 1) that are finished, None: of all.

        In the order in which they were finished.

        Raises:
            StoreError: a result cannot be read back.
        """
        jobs: list[JobItems] = []
        while True:
            with self._reader.look() as connection:
                begin = jobs[-1].job + 1 if jobs else 0
                jobs = list(islice(Items(connection).jobs(begin), _BATCH))
            if not jobs:
                return
            for job in jobs:
                yield from self._pairs(job, positions)

    def _read(self, wanted: int) -> tuple[int, dict[int, Any]]:
        """The job that holds the result at this position in the file, and all that it holds."""
        with self._reader.look() as connection:
            if self._index.job(wanted) is None:
                self._index.refresh(connection)
            number = self._index.job(wanted)
            if number is None:
                raise KeyError(wanted)
            (job,) = Items(connection).jobs(number, number)
            pairs = zip(job.positions, self._results(connection, job), strict=True)
            return number, {place: result for place, result in pairs if place is not None}

    def _pairs(self, job: JobItems, positions: range | None) -> Pairs:
        wanted = self._wanted(job.positions, positions)
        if not isinstance(wanted, range) and all(position is None for position in wanted):
            return
        with self._reader.look() as connection:
            results = self._results(connection, job)
        for position, result in zip(wanted, results, strict=True):
            if position is not None:
                yield position, result

    def _wanted(self, places: Positions, positions: range | None) -> Positions:
        """The positions, as they were given, of those at these places in the file; None: not wanted."""
        order = self._order
        if positions is None and order.is_same and isinstance(places, range) and order.as_given(places[-1]) is not None:
            return places
        given = [None if place is None else order.as_given(place) for place in places]
        return given if positions is None else [place if place in positions else None for place in given]

    def _results(self, connection: sqlite3.Connection, job: JobItems) -> Sequence[Any]:
        (payload,) = connection.execute("SELECT payload FROM jobs WHERE job = ?", (job.job,)).fetchone()
        try:
            results: Sequence[Any] = from_bytes(payload, f"the results of job {job.job}")
        except StoreError as exc:
            raise StoreError(f"{KIND} {self._reader.path}: {exc}") from exc
        if isinstance(results, list) and len(results) == len(job.positions):
            return results
        raise StoreError(f"{KIND} {self._reader.path} is damaged: job {job.job} has not as many results as items")
