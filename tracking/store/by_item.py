"""Finds what a run file holds of one item, without reading the results of the others."""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable
from pathlib import Path
from typing import Any, NamedTuple

from tracking.errors import StoreError
from tracking.store.changes import one_digest
from tracking.store.fingerprints import Fingerprints
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
        rows = connection.execute(
            "SELECT id, key, item, job FROM items WHERE item NOT IN (SELECT item FROM outdated) ORDER BY item"
        )
        self._places = {
            id if key is None else from_bytes(key, f"the id {id}"): (item, job) for id, key, item, job in rows
        }
        runs = connection.execute("SELECT run, code FROM runs")
        self._pythons = {run: Fingerprints.from_text(text).python for run, text in runs}

    def recorded(self, id: Hashable) -> Recorded | None:
        """The result of this item, None if there is none.

        Raises:
            StoreError: it cannot be read back.
        """
        if id not in self._places:
            return None
        item, job = self._places[id]
        query = "SELECT run, first_item, payload, digests FROM jobs WHERE job = ?"
        run, first, payload, digests = self._connection.execute(query, (job,)).fetchone()
        try:
            results = from_bytes(payload, f"the result of item {id!r}")
        except StoreError as exc:
            raise StoreError(f"{KIND} {self._path}: {exc}") from exc
        return Recorded(results[item - first], one_digest(digests, item - first), self._pythons.get(run, ""))

    def forget(self, id: Hashable) -> int | None:
        """Its result does not count any more; the number of its row, None if there was none."""
        place = self._places.pop(id, None)
        return place[0] if place else None
