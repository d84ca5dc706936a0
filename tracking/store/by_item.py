"""Finds what a run file holds of one item, without reading the results of the others."""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NamedTuple

from tracking.errors import StoreError
from tracking.store.changes import one_digest
from tracking.store.fingerprints import Fingerprints
from tracking.store.job_index import JobIndex
from tracking.store.pickling import from_bytes
from tracking.store.schema import KIND


class Recorded(NamedTuple):
    """The result of an item.

    Attributes:
        result: it.
        digest: of the value that it was made with, None if unknown.
        python: the version of Python of the run that made it, '' if unknown.
    """

    result: Any
    digest: bytes | None
    python: str


class ByItem:
    """Where the results of items are that count; made when they are first looked for.

    Args:
        connection: to the open file.
        path: its path, for error messages.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._index = JobIndex()
        self._index.refresh(connection)
        runs = connection.execute("SELECT run, code FROM runs")
        self._pythons = {run: Fingerprints.from_text(text).python for run, text in runs}

    def recorded(self, position: int, id: Hashable) -> Recorded | None:
        """The result of the item at this position, with this id; None if there is none.

        Raises:
            StoreError: it cannot be read back.
        """
        found = self._index.place(self._connection, position)
        if found is None:
            return None
        job, _, place = found
        query = "SELECT run, payload, digests FROM jobs WHERE job = ?"
        run, payload, digests = self._connection.execute(query, (job,)).fetchone()
        try:
            results = from_bytes(payload, f"the result of item {id!r}")
        except StoreError as exc:
            raise StoreError(f"{KIND} {self._path}: {exc}") from exc
        return Recorded(results[place], one_digest(digests, place), self._pythons.get(run, ""))

    def forget(self, position: int) -> int | None:
        """Its result does not count any more; the number of the item, None if there was none."""
        found = self._index.place(self._connection, position)
        if found is None:
            return None
        self._index.forget(position)
        return found[1]
