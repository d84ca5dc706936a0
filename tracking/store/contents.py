"""Reads what a run file holds, over a connection that somebody else opened."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Hashable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from tracking.errors import StoreError
from tracking.store.changes import Comparison, Made
from tracking.store.fingerprints import Fingerprints
from tracking.store.pickling import from_bytes, to_bytes
from tracking.store.records import CheckpointRecord, ErrorRecord, HostSummary
from tracking.store.schema import KIND, number, version_of

BATCH_JOBS = 500
BATCH_BYTES = 32 << 20
_LAST_ITEM = 2**63 - 1


def packed_ids(ids: Sequence[Hashable]) -> bytes:
    """Pack the ids of all items for ``meta``."""
    return zlib.compress(to_bytes(list(ids), "the list of all ids"), 1)


class Contents:
    """What a run file holds.

    Args:
        connection: to the open file.
        path: its path, for error messages.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._has_checkpoints = version_of(connection) > 2
        # Of the rows of items those that count; files of version 1 have no others.
        self._counting = "item NOT IN (SELECT item FROM outdated)" if version_of(connection) > 1 else "true"

    def meta(self, key: str) -> Any:
        """Give one value that holds for the whole calculation, None if there is none."""
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    @property
    def is_open_ended(self) -> bool:
        """Whether items are added as the calculation goes on."""
        return bool(self.meta("open_ended"))

    def all_ids(self) -> list[Hashable]:
        """Give the ids of all items of the calculation, in their order; of an open-ended one those recorded so far."""
        if self.is_open_ended:
            finished = (id for _, _, ids in self._items_by_job() for id in ids)
            return list(dict.fromkeys([*finished, *self.error_numbers()]))
        ids: list[Hashable] = self._load(zlib.decompress(self.meta("ids")), "the list of all ids")
        return ids

    def n_finished(self) -> int:
        """Count the finished items."""
        return number(self._connection, f"SELECT count(*) FROM items WHERE {self._counting}")  # noqa: S608

    def finished_ids(self) -> set[Hashable]:
        """Give the ids of the finished items."""
        return {id for _, _, ids in self._items_by_job() for id in ids}

    def errors(self) -> dict[Hashable, ErrorRecord]:
        """Give the items that failed and were not finished since, in the order of the data."""
        query = (
            "SELECT id, key, message, host, nickname, tries, failed_at, payload "
            "FROM errors ORDER BY error"
        )
        rows = ((self._id(id, key), *rest) for id, key, *rest in self._connection.execute(query))
        found = {row[0]: ErrorRecord(*row) for row in rows}
        return {id: found[id] for id in self.all_ids() if id in found} if len(found) > 1 else found

    def error_numbers(self) -> dict[Hashable, int]:
        """Give {id: number of its row} of those items."""
        rows = self._connection.execute("SELECT id, key, error FROM errors")
        return {self._id(id, key): number for id, key, number in rows}

    def compare(self, made: Made) -> tuple[set[Hashable], Comparison]:
        """Compare all results with what they would be made with now; the ids of the finished items beside it."""
        runs = self._connection.execute("SELECT run, code FROM runs").fetchall()
        comparison = Comparison(made, {run: Fingerprints.from_text(text) for run, text in runs})
        rows = self._connection.execute("SELECT job, run, digests, first_item FROM jobs")
        jobs = {job: (run, digests, first) for job, run, digests, first in rows}
        finished: set[Hashable] = set()
        for job, items, ids in self._items_by_job():
            finished.update(ids)
            comparison.look_at(*jobs[job], items, ids)
        return finished, comparison

    def _items_by_job(self) -> Iterator[tuple[int, list[int], list[Hashable]]]:
        """The finished items: (job, numbers, ids), one job after the other."""
        query = f"SELECT job, item, id, key FROM items WHERE {self._counting} ORDER BY item"  # noqa: S608
        for job, rows in groupby(self._connection.execute(query), itemgetter(0)):
            items, ids = [], []
            for _, item, id, key in rows:
                items.append(item)
                ids.append(id if key is None else self._id(id, key))
            yield job, items, ids

    def hosts(self) -> tuple[HostSummary, ...]:
        """Sum up what each slave did, in the order of their first answers."""
        query = (
            "SELECT nickname, host, count(*), sum(items), sum(seconds) FROM jobs "
            "GROUP BY nickname, host ORDER BY min(job)"
        )
        return tuple(HostSummary(*row) for row in self._connection.execute(query))

    def checkpoints(self) -> tuple[CheckpointRecord, ...]:
        """Tell of the states that are kept beside the results, by name; files of older versions have none."""
        if not self._has_checkpoints:
            return ()
        query = "SELECT name, number, at, run, length(payload) FROM checkpoints ORDER BY name"
        return tuple(CheckpointRecord(*row) for row in self._connection.execute(query))

    def checkpoint(self, name: str) -> bytes | None:
        """Give the newest state of this name, None if there is none."""
        if not self._has_checkpoints:
            return None
        row = self._connection.execute("SELECT payload FROM checkpoints WHERE name = ?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    def results_after(self, job: int) -> tuple[int, list[tuple[Hashable, Any]]]:
        """Read the results of the next few jobs.

        Args:
            job: the last job that was read before, -1 to begin.

        Returns:
            The last job read now, the given one if there are no more; and (id, result) of all read now. There may be
            none among these jobs, and more among later ones.

        Raises:
            StoreError: a result cannot be read back; names the items.
        """
        jobs = self._jobs_after(job)
        if not jobs:
            return job, []
        last = jobs[-1][0]
        items = self._items(jobs[0][1], self._first_item_after(last))
        return last, [
            pair
            for number, first, payload in jobs
            if number in items  # else none of its results counts any more
            for pair in self._pairs(items[number], first, payload)
        ]

    def _jobs_after(self, job: int) -> list[tuple[int, int, bytes]]:
        jobs, size = [], 0
        rows = self._connection.execute(
            "SELECT job, first_item, payload FROM jobs WHERE job > ? ORDER BY job LIMIT ?", (job, BATCH_JOBS)
        )
        for row in rows:
            jobs.append(row)
            size += len(row[2])
            if size >= BATCH_BYTES:
                break
        rows.close()  # an unfinished statement would hold its lock on the file
        return jobs

    def _first_item_after(self, job: int) -> int:
        query = "SELECT first_item FROM jobs WHERE job > ? ORDER BY job LIMIT 1"
        row = self._connection.execute(query, (job,)).fetchone()
        return int(row[0]) if row else _LAST_ITEM

    def _items(self, begin: int, end: int) -> dict[int, list[tuple[int, Hashable]]]:
        query = (
            f"SELECT item, job, id, key FROM items WHERE item >= ? AND item < ? AND {self._counting} "  # noqa: S608
            "ORDER BY item"
        )
        jobs: dict[int, list[tuple[int, Hashable]]] = {}
        for item, job, id, key in self._connection.execute(query, (begin, end)):
            jobs.setdefault(job, []).append((item, self._id(id, key)))
        return jobs

    def _pairs(
        self, items: list[tuple[int, Hashable]], first: int, payload: bytes
    ) -> Iterator[tuple[Hashable, Any]]:
        names = ", ".join(repr(id) for _, id in items[:5])
        results = self._load(payload, f"the result of item {names}")
        return ((id, results[item - first]) for item, id in items)

    def _id(self, id: Hashable, key: bytes | None) -> Hashable:
        restored: Hashable = id if key is None else self._load(key, f"the id {id}")
        return restored

    def _load(self, data: bytes, what: str) -> Any:
        try:
            return from_bytes(data, what)
        except StoreError as exc:
            raise StoreError(f"{KIND} {self._path}: {exc}") from exc
