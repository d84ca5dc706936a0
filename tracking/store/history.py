"""Reads what happened to a calculation: its runs, the unusual events, and who made which result."""

from __future__ import annotations

import sqlite3
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

from tracking.errors import StoreError
from tracking.store.changes import one_digest
from tracking.store.contents import Contents
from tracking.store.fingerprints import Fingerprints
from tracking.store.pending import MAX_EVENTS, unpacked
from tracking.store.records import EventRecord, ResultRecord, RunRecord
from tracking.store.schema import KIND, number, version_of


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


def results_of(connection: sqlite3.Connection, path: Path, id: Hashable) -> tuple[ResultRecord, ...]:
    """Tell of each recorded result of this item, the oldest first.

    Raises:
        StoreError: an id cannot be read back.
    """
    return tuple(_result(connection, item, job) for item, job in Contents(connection, path).made(id))


def _result(connection: sqlite3.Connection, item: int, job: int) -> ResultRecord:
    is_new = version_of(connection) > 1
    query = (
        f"SELECT {'digests' if is_new else 'NULL'}, ? - first_item, "  # noqa: S608
        "run, host, nickname, given_at, seconds, recorded_at, items FROM jobs WHERE job = ?"
    )
    digests, place, *made = connection.execute(query, (item, job)).fetchone()
    outdated = "SELECT run, why FROM outdated WHERE item = ?"
    by, why = (is_new and connection.execute(outdated, (item,)).fetchone()) or (None, None)
    return ResultRecord(*(*made, by, why, one_digest(digests, place)))


def _events(connection: sqlite3.Connection, path: Path) -> tuple[EventRecord, ...]:
    query = "SELECT run, at, kind, words, host, nickname, items, ids FROM events ORDER BY event"
    try:
        return tuple(EventRecord(*(*row[:-1], unpacked(row[-1]))) for row in connection.execute(query))
    except StoreError as exc:
        raise StoreError(f"{KIND} {path}: {exc}") from exc
