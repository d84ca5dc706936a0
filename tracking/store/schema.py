"""The form of a run file: tables, version, and how to open one.

Readable with any SQLite tool, also while the calculation runs; start with the view ``item_states``.

==========  =====================================================================================
meta        what holds for the whole calculation: number of items, the recipe
runs        one row per master that worked on it: host, process, state, and fingerprints of code and values
ids         the ids of all items in their order, many in a row; see ``id_blocks``. Of an open-ended calculation those of
            which something was recorded
jobs        one row per finished job: who, when, how long, the positions of its items in the list of ids, and the
            pickled list of their results
items       a view: one row per recorded result: its item's position and id, its job, and its place in all lists of
            results, one after the other: in its own job's list it is item - first_item
outdated    one row per item of that view that does not count any more, because it is to be computed anew
errors      one row per item that failed and has not been finished since
events      what happened beside that: lost slaves, jobs tried again, silent slaves; the latest 100,000
now         one row: what goes on at this moment, as JSON, at most a second old while the master lives
checkpoints one row per name: the newest state that was kept under it, its number and its time
==========  =====================================================================================

So an item of a large job costs its pickled result and its digest, and nothing beside. In ``meta`` ``open_ended`` is 1
if items are added as the calculation goes on; the number of items is then that of the last commit.
An id stands in the list as it is if it is an int or a str; of any other there stands the ``repr``, and the pickle
beside it; so it is with the columns ``id`` and ``key`` of errors. Rows of ids, jobs and outdated are only ever added,
never changed. ``jobs.digests`` holds 8 bytes for each place of the job's list: of the item's value that the result was
made with. ``jobs.positions``: see ``positions``.

Version 2 added ``digests``, ``outdated``, ``events`` and ``now``; version 3 ``checkpoints``. Version 4 put ``ids`` and
``positions`` in the place of a row for each item. Older files are read as they are, and become of the present version
within the transaction with which a writer begins its run (``upgrading``).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Hashable
from contextlib import suppress
from pathlib import Path

from tracking.errors import StoreError
from tracking.store.pickling import to_bytes
from tracking.store.refusals import refusal, refuse_foreign

APPLICATION_ID = 0x74726B6A  # 'trkj'
VERSION = 4
KIND = "run file"
BUSY_TIMEOUT_S = 5.0

# With WAL the file has companions that SQLite reads as a part of it.
COMPANIONS = ("-wal", "-shm", "-journal")

OUTDATED = "CREATE TABLE outdated (item INTEGER PRIMARY KEY, run INTEGER, why TEXT)"
EVENTS = """
CREATE TABLE events (event INTEGER PRIMARY KEY, run INTEGER, at REAL, kind TEXT, host TEXT, nickname TEXT,
                     words TEXT, items INTEGER, ids);
CREATE TABLE now (one INTEGER PRIMARY KEY, run INTEGER, at REAL, state TEXT)
"""
CHECKPOINTS = "CREATE TABLE checkpoints (name TEXT PRIMARY KEY, number INTEGER, at REAL, run INTEGER, payload BLOB)"
IDS = "CREATE TABLE ids (first INTEGER PRIMARY KEY, items INTEGER, ids, keys BLOB)"
JOBS = """
CREATE TABLE jobs (job INTEGER PRIMARY KEY, run INTEGER, host TEXT, nickname TEXT,
                   given_at REAL, seconds REAL, recorded_at REAL,
                   first_item INTEGER, items INTEGER, positions, digests BLOB, payload BLOB)
"""
VIEWS = """
CREATE VIEW items AS
    WITH RECURSIVE runs_of_items(job, place, stop) AS (
        SELECT job, 0, items FROM jobs WHERE typeof(positions) = 'integer'
        UNION ALL SELECT job, place + 1, stop FROM runs_of_items WHERE place + 1 < stop),
    recorded(item, position, job) AS (
        SELECT first_item + place, positions + place, job FROM runs_of_items JOIN jobs USING (job)
        UNION ALL SELECT first_item + key, value, job FROM jobs, json_each(positions)
            WHERE typeof(positions) = 'text' AND value IS NOT NULL)
    SELECT item, position, job,
        (SELECT CASE typeof(ids) WHEN 'integer' THEN ids + position - first
                ELSE json_extract(ids, '$[' || (position - first) || ']') END
         FROM ids WHERE first <= position ORDER BY first DESC LIMIT 1) AS id
    FROM recorded;
CREATE VIEW item_states AS
    SELECT id, 'finished' AS state, host, nickname, recorded_at AS since, '' AS message
        FROM items JOIN jobs USING (job) WHERE item NOT IN (SELECT item FROM outdated)
    UNION ALL SELECT id, 'failed', host, nickname, failed_at, message FROM errors
"""

TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE runs (run INTEGER PRIMARY KEY, host TEXT, pid INTEGER, state TEXT,
                   started_at REAL, ended_at REAL, alive_at REAL, code TEXT);
{IDS};
{JOBS};
CREATE TABLE errors (error INTEGER PRIMARY KEY, id, key BLOB, run INTEGER, message TEXT,
                     host TEXT, nickname TEXT, tries INTEGER, failed_at REAL, payload BLOB);
{OUTDATED};
{EVENTS};
{CHECKPOINTS};
{VIEWS};
PRAGMA user_version = {VERSION};
PRAGMA application_id = {APPLICATION_ID};
"""


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open the database in SQLite's mode 'ro' or 'rw'; it must exist. Transactions are begun by hand."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,  # opened by one thread and used by another, never by two at a time
    )


def check_files(path: Path, *, trust: bool) -> None:
    """Refuse what is missing, no file, or open to others; its companions too.

    Raises:
        StoreError: says which and why.
    """
    try:
        refuse_foreign(KIND, path, os.stat(path), trust=trust)
    except OSError as exc:
        raise exc if isinstance(exc, StoreError) else refusal(KIND, path, exc) from exc
    for ending in COMPANIONS:
        companion = path.with_name(path.name + ending)
        with suppress(FileNotFoundError):  # a writer makes and removes them at any moment
            refuse_foreign(KIND, companion, os.lstat(companion), trust=trust)


def is_blank(connection: sqlite3.Connection) -> bool:
    """Say whether the database has nothing in it: just made, or left so by a crash in its first moment."""
    is_marked = number(connection, "PRAGMA application_id") != 0
    return not is_marked and number(connection, "SELECT count(*) FROM sqlite_master") == 0


def check_kind(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database that is no run file, or of a version that we do not know.

    Raises:
        StoreError: says which.
    """
    if is_blank(connection):
        raise StoreError(f"{KIND} {path} holds nothing yet; it may be given to a calculation")
    if number(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise StoreError(f"{path} is no run file but another program's SQLite file; give another name")
    version = version_of(connection)
    if version > VERSION:
        raise StoreError(
            f"run file {path} was written by a newer version of this package "
            f"(format {version}, known up to {VERSION}); update the package or give another name"
        )


def version_of(connection: sqlite3.Connection) -> int:
    """Give the version of the file's form."""
    return number(connection, "PRAGMA user_version")


def execute_all(connection: sqlite3.Connection, statements: str) -> None:
    """Execute statements one by one, in the transaction that is open (``executescript`` would commit it)."""
    for statement in statements.split(";"):
        connection.execute(statement)


def number(connection: sqlite3.Connection, query: str) -> int:
    """Run a query that answers with one whole number (0 for NULL)."""
    row = connection.execute(query).fetchone()
    return int(row[0] or 0) if row else 0


def columns(id: Hashable) -> tuple[object, bytes | None]:
    """Give the columns (id, key) of an item's id."""
    # Exactly these types: a bool or an Enum that is an int must come back as what it was.
    if type(id) is int and -(2**63) <= id < 2**63:
        return id, None
    if type(id) is str and (id.isascii() or _is_text(id)):
        return id, None
    return printable(repr(id)), to_bytes(id, f"the id {id!r}")


def printable(text: str) -> str:
    """Replace half characters, as in undecodable file names, which cannot be stored as text."""
    return text.encode(errors="backslashreplace").decode()


def _is_text(id: str) -> bool:
    try:
        id.encode()
    except UnicodeEncodeError:
        return False
    return True
