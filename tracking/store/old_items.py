"""Items in run files of versions 1 to 3: there each finished one has a row, and the ids of all lie in ``meta``."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Hashable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

from tracking.store.pickling import from_bytes
from tracking.store.schema import columns, number, version_of

_LAST_ITEM = 2**63 - 1

Numbered: TypeAlias = tuple[Sequence[int], Sequence[Hashable]]
"""Numbers of items, and their ids."""


class OldItems:
    """The same as ``Items`` in a file of the present version.

    Args:
        connection: to the open file.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # Of the rows of items those that count; files of version 1 have no others.
        self._counting = "item NOT IN (SELECT item FROM outdated)" if version_of(connection) > 1 else "true"

    def n_finished(self) -> int:
        """Count the finished items."""
        return number(self._connection, f"SELECT count(*) FROM items WHERE {self._counting}")  # noqa: S608

    def ids(self) -> list[Hashable]:
        """Give the ids of all items, in their order; of an open-ended calculation those recorded."""
        if self._connection.execute("SELECT value FROM meta WHERE key = 'open_ended'").fetchone():
            return [id for _, items in self.rows_by_job() for _, id in items]
        (packed,) = self._connection.execute("SELECT value FROM meta WHERE key = 'ids'").fetchone()
        ids: list[Hashable] = from_bytes(zlib.decompress(packed), "the list of all ids")
        return ids

    def finished_ids(self) -> Iterator[Hashable]:
        """Give the ids of the finished items."""
        return (id for _, items in self.rows_by_job(self._counting) for _, id in items)

    def of_jobs(self, begin: int, end: int) -> dict[int, Numbered]:
        """Give {job: its results that count} for the jobs from ``begin`` up to ``end``, inclusive."""
        query = (
            f"SELECT item, job, id, key FROM items WHERE item >= ? AND item < ? AND {self._counting} "  # noqa: S608
            "ORDER BY item"
        )
        jobs: dict[int, tuple[list[int], list[Hashable]]] = {}
        for item, job, id, key in self._connection.execute(query, (self.first_item(begin), self.first_item(end + 1))):
            items, ids = jobs.setdefault(job, ([], []))
            items.append(item)
            ids.append(_id(id, key))
        return dict(jobs)

    def made(self, id: Hashable) -> list[tuple[int, int]]:
        """Give (item, job) of each recorded result of this item, the oldest first."""
        shown, key = columns(id)
        rows = self._connection.execute("SELECT item, job, key FROM items WHERE id = ? ORDER BY item", (shown,))
        # Equal ids need not have equal pickles.
        return [(row[0], row[1]) for row in rows if row[2] == key or (row[2] and key and _id(shown, row[2]) == id)]

    def rows_by_job(self, where: str = "true") -> Iterator[tuple[int, list[tuple[int, Any]]]]:
        """Give (job, [(item, id)]), one job after the other."""
        query = f"SELECT job, item, id, key FROM items WHERE {where} ORDER BY item"  # noqa: S608
        for job, rows in groupby(self._connection.execute(query), itemgetter(0)):
            yield job, [(item, _id(id, key)) for _, item, id, key in rows]

    def first_item(self, job: int) -> int:
        """Give the number of the first item of this job, or of the next there is."""
        query = "SELECT first_item FROM jobs WHERE job >= ? ORDER BY job LIMIT 1"
        row = self._connection.execute(query, (job,)).fetchone()
        return int(row[0]) if row else _LAST_ITEM


def _id(id: Any, key: bytes | None) -> Any:
    return id if key is None else from_bytes(key, f"the id {id}")
