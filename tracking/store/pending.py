"""What is to be written with the next commit, as rows that SQLite takes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Hashable, Sequence

from tracking.store.pickling import from_bytes, to_bytes
from tracking.store.schema import printable

MAX_EVENTS = 100_000
MAX_IDS = 1000  # of one event

_INSERT_JOB = "INSERT OR IGNORE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_IDS = "INSERT OR IGNORE INTO ids VALUES (?, ?, ?, ?)"
_INSERT_ERROR = "INSERT OR IGNORE INTO errors VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DELETE_ERROR = "DELETE FROM errors WHERE error = ?"
_INSERT_EVENT = "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DELETE_EVENTS = "DELETE FROM events WHERE event <= ?"
_INSERT_OUTDATED = "INSERT OR IGNORE INTO outdated VALUES (?, ?, ?)"
_SET_N_ITEMS = "UPDATE meta SET value = ? WHERE key = 'n_items'"
_SET_CHECKPOINT = "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?)"
_SET_NOW = "INSERT OR REPLACE INTO now VALUES (1, ?, ?, ?)"

Row = tuple[object, ...]


class Pending:
    """Rows that are not committed yet; each has a number given by us, so that writing it twice changes nothing."""

    def __init__(self) -> None:
        self.jobs: list[Row] = []
        self.ids: list[Row] = []  # that were not known when the calculation began
        self.errors: list[Row] = []
        self.outdated_errors: list[tuple[int]] = []
        self.outdated: list[tuple[int, int, str]] = []
        self.n_items: int | None = None  # of an open-ended calculation, if that has changed
        self.events: list[tuple[int, *Row]] = []
        self.checkpoints: dict[str, tuple[str, int, float, int, bytes]] = {}  # the newest of each name
        self.now: Row | None = None

    def __bool__(self) -> bool:
        rows = self.jobs or self.errors or self.outdated_errors or self.events or self.checkpoints
        return bool(rows or self.now or self.outdated or self.n_items is not None)

    def add_event(self, row: tuple[int, *Row]) -> None:
        """Note an event; while nothing can be written the oldest are dropped."""
        self.events.append(row)
        if len(self.events) > MAX_EVENTS:
            del self.events[: MAX_EVENTS // 10]

    def write(self, connection: sqlite3.Connection) -> None:
        """Put the rows into their tables; within a transaction of the caller's."""
        connection.executemany(_INSERT_JOB, self.jobs)
        if self.ids:
            connection.executemany(_INSERT_IDS, self.ids)
        if self.outdated:
            connection.executemany(_INSERT_OUTDATED, self.outdated)
        if self.n_items is not None:
            connection.execute(_SET_N_ITEMS, (self.n_items,))
        if self.errors:
            connection.executemany(_INSERT_ERROR, self.errors)
        if self.outdated_errors:
            connection.executemany(_DELETE_ERROR, self.outdated_errors)
        if self.events:
            connection.executemany(_INSERT_EVENT, self.events)
            connection.execute(_DELETE_EVENTS, (self.events[-1][0] - MAX_EVENTS,))
        if self.checkpoints:
            connection.executemany(_SET_CHECKPOINT, self.checkpoints.values())
        if self.now:
            connection.execute(_SET_NOW, self.now)

    def clear(self) -> None:
        """Forget what is safe now."""
        for rows in (self.jobs, self.ids, self.errors, self.outdated_errors, self.outdated, self.events):
            rows.clear()
        self.n_items = None
        self.checkpoints.clear()
        self.now = None


def packed(ids: Sequence[Hashable]) -> str | bytes | None:
    """Give the ids of an event as JSON if that keeps what they are, else pickled.

    Raises:
        EncodeError: an id cannot be pickled.
    """
    if not ids:
        return None
    first = list(ids[:MAX_IDS])
    if {int, str}.issuperset(map(type, first)):
        return printable(json.dumps(first))
    return to_bytes(first, "the ids of an event")


def unpacked(ids: str | bytes | None) -> tuple[Hashable, ...]:
    """Give back what was packed.

    Raises:
        StoreError: an id cannot be read back.
    """
    if ids is None:
        return ()
    return tuple(json.loads(ids) if isinstance(ids, str) else from_bytes(ids, "the ids of an event"))
