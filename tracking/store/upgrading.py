"""Makes run files of older versions such of the present one, within a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from tracking.store.id_blocks import rows_of
from tracking.store.old_items import OldItems
from tracking.store.places import Places
from tracking.store.positions import Positions, packed
from tracking.store.schema import CHECKPOINTS, EVENTS, IDS, JOBS, OUTDATED, VERSION, VIEWS, execute_all, version_of


def upgrade(connection: sqlite3.Connection) -> None:
    """Make the file one of the present version.

    Raises:
        StoreError: an id cannot be read back.
    """
    while (version := version_of(connection)) < VERSION:
        _STEPS[version](connection)
        connection.execute(f"PRAGMA user_version = {version + 1}")


def _to_2(connection: sqlite3.Connection) -> None:
    execute_all(connection, f"ALTER TABLE jobs ADD COLUMN digests BLOB; {OUTDATED}; {EVENTS}")


def _to_3(connection: sqlite3.Connection) -> None:
    execute_all(connection, CHECKPOINTS)


def _to_4(connection: sqlite3.Connection) -> None:
    """Ids and positions come in the place of a row for each item."""
    old = OldItems(connection)
    places = Places(old.ids())
    positions = list(_positions(old, places))
    execute_all(connection, f"DROP VIEW item_states; ALTER TABLE jobs RENAME TO old_jobs; {IDS}; {JOBS}")
    ids = places.at(range(len(places)))
    connection.executemany("INSERT INTO ids VALUES (?, ?, ?, ?)", rows_of(ids))
    connection.executemany(
        "INSERT INTO jobs SELECT job, run, host, nickname, given_at, seconds, recorded_at, first_item, items, ?, "
        "digests, payload FROM old_jobs WHERE job = ?",
        positions,
    )
    execute_all(connection, "DROP TABLE old_jobs; DROP TABLE items; DELETE FROM meta WHERE key = 'ids'")
    execute_all(connection, VIEWS)


def _positions(old: OldItems, places: Places) -> Iterator[tuple[int | str, int]]:
    """The column ``positions`` of each job, and its number."""
    for job, items in old.rows_by_job():
        yield packed(_spread(items, old.first_item(job), places)), job


def _spread(items: Sequence[tuple[int, Any]], first: int, places: Places) -> Positions:
    """A position for each place in the job's list of results."""
    positions = places.positions([id for _, id in items])
    if items[-1][0] - first == len(items) - 1:  # all of them count
        return positions
    spread: list[int | None] = [None] * (items[-1][0] - first + 1)
    for (item, _), position in zip(items, positions, strict=True):
        spread[item - first] = position
    return spread


_STEPS = {1: _to_2, 2: _to_3, 3: _to_4}
"""{version: what makes a file of this version one of the next}"""
