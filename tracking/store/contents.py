"""Reads what a run file holds, over a connection that somebody else opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tracking.errors import StoreError
from tracking.store.items import Items
from tracking.store.old_items import Numbered, OldItems
from tracking.store.pickling import from_bytes
from tracking.store.records import CheckpointRecord, ErrorRecord, HostSummary
from tracking.store.schema import KIND, version_of

BATCH_JOBS = 500
BATCH_BYTES = 32 << 20


class Contents:
    """What a run file holds.

    Args:
        connection: to the open file.
        path: its path, for error messages.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        version = version_of(connection)
        self._has_checkpoints = version > 2
        self._items = Items(connection) if version > 3 else OldItems(connection)

    def meta(self, key: str) -> Any:
        """Give one value that holds for the whole calculation, None if there is none."""
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    @property
    def n_items(self) -> int:
        """How many items there are.

        Raises:
            StoreError: that is not known.
        """
        found = self.meta("n_items")
        if isinstance(found, int) and found >= 0:
            return found
        raise StoreError(f"{KIND} {self._path} is damaged: the number of its items is {found!r}")

    @property
    def is_open_ended(self) -> bool:
        """Whether items are added as the calculation goes on."""
        return bool(self.meta("open_ended"))

    def all_ids(self) -> Sequence[Hashable]:
        """Give the ids of all items of the calculation, in their order; of an open-ended one those recorded so far.

        Raises:
            StoreError: an id cannot be read back.
        """
        with self._named():
            if self.is_open_ended:
                return list(dict.fromkeys([*self._items.finished_ids(), *self.error_numbers()]))
            return self._items.ids()[: self.n_items]

    def n_finished(self) -> int:
        """Count the finished items."""
        return self._items.n_finished()

    def made(self, id: Hashable) -> list[tuple[int, int]]:
        """Give (item, job) of each recorded result of this item, the oldest first."""
        with self._named():
            return self._items.made(id)

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
        with self._named():
            items = self._items.of_jobs(jobs[0][0], last)
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
            size += len(row[2] or b"")
            if size >= BATCH_BYTES:
                break
        rows.close()  # an unfinished statement would hold its lock on the file
        return jobs

    def _pairs(self, found: Numbered, first: int, payload: bytes) -> Iterator[tuple[Hashable, Any]]:
        items, ids = found
        results = self._load(payload, f"the result of item {', '.join(map(repr, ids[:5]))}")
        if not isinstance(results, list | tuple) or items[-1] - first >= len(results):
            raise StoreError(f"{KIND} {self._path} is damaged: the items {', '.join(map(repr, ids[:5]))} lack results")
        if len(items) == len(results):
            return zip(ids, results, strict=True)
        return ((id, results[item - first]) for item, id in zip(items, ids, strict=True))

    def _id(self, id: Hashable, key: bytes | None) -> Hashable:
        restored: Hashable = id if key is None else self._load(key, f"the id {id}")
        return restored

    def _load(self, data: bytes, what: str) -> Any:
        with self._named():
            return from_bytes(data, what)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What cannot be read back is told with the name of the file."""
        try:
            yield
        except StoreError as exc:
            raise StoreError(f"{KIND} {self._path}: {exc}") from exc
        except (TypeError, LookupError, OverflowError) as exc:  # of our own sums: a user's code may raise in the above
            raise StoreError(f"{KIND} {self._path} is damaged: {type(exc).__name__}: {exc}") from exc
