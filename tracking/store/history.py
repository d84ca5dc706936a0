"""Reads what happened to a calculation: its runs, the unusual events, and who made which result."""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

from tracking.errors import StoreError
from tracking.store.changes import one_digest
from tracking.store.fingerprints import Fingerprints
from tracking.store.pending import MAX_EVENTS, unpacked
from tracking.store.pickling import from_bytes
from tracking.store.records import EventRecord, ResultRecord, RunRecord
from tracking.store.schema import KIND, columns, number, version_of


@dataclass(frozen=True, slots=True)
class History:
    """What happened beside the results.

    Attributes:
        runs: the masters that worked on it, the first first.
        events: the oldest first.
        lacks_events: there were more than are kept, and the oldest were dropped.
        now: (when, JSON text) of what went on when the last master said so; None if none did.
    """

    runs: tuple[RunRecord, ...]
    events: tuple[EventRecord, ...]
    lacks_events: bool
    now: tuple[float, str] | None


def read_history(connection: sqlite3.Connection, path: Path) -> History:
    """Read it all.

    Raises:
        StoreError: an id cannot be read back.
    """
    query = "SELECT run, host, pid, state, started_at, ended_at, alive_at, code FROM runs ORDER BY run"
    runs = tuple(
        RunRecord(*(*row[:-1], Fingerprints.from_text(row[-1]).code)) for row in connection.execute(query)
    )
    if version_of(connection) < 2:
        return History(runs, (), lacks_events=False, now=None)
    now = connection.execute("SELECT at, state FROM now").fetchone()
    dropped = number(connection, "SELECT max(event) FROM events") > MAX_EVENTS
    return History(runs, _events(connection, path), dropped, now)


def results_of(connection: sqlite3.Connection, id: Hashable) -> tuple[ResultRecord, ...]:
    """Tell of each recorded result of this item, the oldest first."""
    is_new = version_of(connection) > 1
    query = (
        f"SELECT key, item - first_item, {'jobs.digests' if is_new else 'NULL'}, "  # noqa: S608
        f"jobs.run, host, nickname, given_at, seconds, recorded_at, jobs.items, "
        f"{'outdated.run, outdated.why' if is_new else 'NULL, NULL'} FROM items JOIN jobs USING (job) "
        f"{'LEFT JOIN outdated USING (item)' if is_new else ''} WHERE id = ? ORDER BY item"
    )
    shown, key = columns(id)
    return tuple(
        ResultRecord(*(*row[3:], one_digest(row[2], row[1])))
        for row in connection.execute(query, (shown,))
        # Equal ids need not have equal pickles.
        if row[0] == key or (row[0] and key and from_bytes(row[0], f"the id {shown}") == id)
    )


def _events(connection: sqlite3.Connection, path: Path) -> tuple[EventRecord, ...]:
    query = "SELECT run, at, kind, words, host, nickname, items, ids FROM events ORDER BY event"
    try:
        return tuple(EventRecord(*(*row[:-1], unpacked(row[-1]))) for row in connection.execute(query))
    except StoreError as exc:
        raise StoreError(f"{KIND} {path}: {exc}") from exc
