"""Makes a run file, or opens one to go on with it, with all the checks that this needs."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tracking.errors import StoreError
from tracking.store.changes import RECOMPUTE, REFUSE, Changes, Comparison, Made, Results, refusal_of_changes
from tracking.store.contents import Contents
from tracking.store.fingerprints import Fingerprints
from tracking.store.finished import Finished
from tracking.store.id_blocks import rows_of
from tracking.store.items import Items
from tracking.store.journal import begin_unflushed, set_journal
from tracking.store.later import LaterComparison
from tracking.store.lock import LockHeldError, OwnerLock, host_name
from tracking.store.order import Order, order_of
from tracking.store.places import Places
from tracking.store.recorded_jobs import recorded_jobs
from tracking.store.refusals import refusal
from tracking.store.schema import (
    COMPANIONS,
    KIND,
    TABLES,
    check_files,
    check_kind,
    connect,
    execute_all,
    is_blank,
    number,
)
from tracking.store.upgrading import upgrade

SILENT_S = 60.0  # a writer on another machine that gave no sign of life for so long is gone
AT_ONCE_S = 3.0  # so long values are compared at most before a run begins, if their changes are only told


@dataclass(frozen=True, slots=True)
class Start:
    """What a run begins with.

    Attributes:
        ids: of all items; None: they are added as the calculation goes on.
        recipe: how to make the calculation anew, None if unknown.
        made: what its results are made with.
        on_change: what is done with results that were made otherwise: 'keep', 'recompute' or 'refuse'.
        trust: accept a file of another user.
        on_network: other machines may write the file.
        now: seconds since 1970.
    """

    ids: Sequence[Hashable] | None
    recipe: bytes | None
    made: Made
    on_change: str
    trust: bool
    on_network: bool
    now: float


@dataclass(frozen=True, slots=True)
class Opened:
    """An open run file and what its writer has to know of it.

    Attributes:
        run: the number of this run.
        is_new: nothing was in the file.
        changes: how the results that it held were made otherwise.
        later: compares what has not been compared yet; None: nothing is left.
        places: of ids in the file's list of them.
        order: in which they were given, against that of the file.
        finished: the positions of items whose results it holds; of those to be recomputed it holds none.
        error_numbers: {id: number} of the rows in ``errors``.
        last_job, last_item, last_error, last_event: the highest numbers given so far.
        checkpoint_numbers: {name: number} of the states that it holds.
    """

    connection: sqlite3.Connection
    run: int
    is_new: bool
    changes: Changes
    later: LaterComparison | None
    places: Places
    order: Order
    finished: Finished
    error_numbers: dict[Hashable, int]
    last_job: int
    last_item: int
    last_error: int
    last_event: int
    checkpoint_numbers: dict[str, int]


def take_lock(path: Path) -> OwnerLock:
    """Become the only writer of this file.

    Raises:
        StoreError: somebody else is, or the directory cannot be written.
    """
    lock = OwnerLock(path)
    try:
        lock.acquire()
    except LockHeldError as exc:
        raise _taken(path, exc.host, exc.pid, "let it end, stop it, or give another name") from None
    except OSError as exc:
        raise refusal(KIND, path, exc) from exc
    return lock


def open_database(path: Path, start: Start) -> Opened:
    """Make or continue the file; the lock must be held.

    Raises:
        StoreError: it cannot be used; nothing was changed and nothing is left behind.
    """
    was_made = _make(path, start.trust)
    try:
        with _explained(path):
            return _begin(path, start, was_made=was_made)
    except BaseException:
        if was_made:
            _remove(path)
        raise


def _make(path: Path, trust: bool) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        check_files(path, trust=trust)
        return False
    except OSError as exc:
        raise refusal(KIND, path, exc) from exc
    return True


def _remove(path: Path) -> None:
    for ending in ("", *COMPANIONS):
        with suppress(OSError):
            os.unlink(f"{path}{ending}")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise refusal(KIND, path, exc) from exc
    except StoreError as exc:
        if str(path) in str(exc):
            raise
        raise StoreError(f"{KIND} {path}: {exc}") from exc


def _begin(path: Path, start: Start, *, was_made: bool) -> Opened:
    connection = connect(path, "rw")
    try:
        if was_made and not start.on_network:
            begin_unflushed(connection)
        connection.execute("BEGIN IMMEDIATE")
        check_files(path, trust=start.trust)  # again: somebody may have been quick, and nothing is unpickled yet
        is_new = is_blank(connection)
        if is_new and not was_made:
            os.chmod(path, 0o600)  # it may have been open to others, and its companions would be as it is
        opened = _new(connection, path, start) if is_new else _old(connection, path, start)
        connection.execute("COMMIT")
        set_journal(connection, on_network=start.on_network)
        return opened
    except BaseException:
        connection.close()
        raise


def _new(connection: sqlite3.Connection, path: Path, start: Start) -> Opened:
    """Fill a file, and tell what there is to know of it without a look at all tables: a run begins that much sooner."""
    _fill(connection, start)
    places, order = _ids(connection, path, start)
    return Opened(
        connection=connection,
        run=_add_run(connection, start),
        is_new=True,
        changes=Changes(),
        later=None,
        places=places,
        order=order,
        finished=Finished(len(places)),
        error_numbers={},
        last_job=0,
        last_item=0,
        last_error=0,
        last_event=0,
        checkpoint_numbers={},
    )


def _old(connection: sqlite3.Connection, path: Path, start: Start) -> Opened:
    _check(connection, path, start)
    places, order = _ids(connection, path, start)
    connection.execute("UPDATE runs SET state = 'interrupted' WHERE state = 'running'")
    run = _add_run(connection, start)
    finished, changes, left = _compare(connection, path, start, run, places)
    last_job = number(connection, "SELECT max(job) FROM jobs")
    return Opened(
        connection=connection,
        run=run,
        is_new=False,
        changes=changes,
        places=places,
        order=order,
        finished=finished,
        error_numbers=Contents(connection, path).error_numbers(),
        later=None if left is None else LaterComparison(connection, start.made, places, left, last_job),
        last_job=last_job,
        last_item=Items(connection).last(),
        last_error=number(connection, "SELECT max(error) FROM errors"),
        last_event=number(connection, "SELECT max(event) FROM events"),
        checkpoint_numbers={record.name: record.number for record in Contents(connection, path).checkpoints()},
    )


def _ids(connection: sqlite3.Connection, path: Path, start: Start) -> tuple[Places, Order]:
    """The file's ids, and the order in which they were given.

    Raises:
        StoreError: others were given.
    """
    items = Items(connection)
    if start.ids is None:
        return Places((), items.ids()), Order(0)
    given, n = start.ids, Contents(connection, path).n_items
    if n == len(given) and items.begin_with(given):
        return Places(items.as_range(n) or given, items.ids(n)), Order(n)
    recorded = items.ids()[:n]
    try:
        return Places(recorded, items.ids(n)), order_of(given, recorded)
    except LookupError:
        _refuse_ids(set(recorded), set(given), path)
        raise


def _compare(
    connection: sqlite3.Connection, path: Path, start: Start, run: int, places: Places
) -> tuple[Finished, Changes, int | None]:
    """The finished items and the changes, with what ``on_change`` says about these done; and what is left."""
    is_only_told = start.on_change not in (REFUSE, RECOMPUTE)
    finished, changes, left = _compared(connection, start.made, places, is_only_told=is_only_told)
    if changes.n and start.on_change == REFUSE:
        raise refusal_of_changes(f"{KIND} {path}", changes)
    if changes.n and start.on_change == RECOMPUTE:
        rows = ((item, run, why) for item, why in changes.items)
        connection.executemany("INSERT INTO outdated VALUES (?, ?, ?)", rows)
        connection.execute("DELETE FROM checkpoints")  # they may sum up what does not count any more
        for part in changes.parts:
            for position in part.positions:
                finished.discard(position)
    return finished, changes, left


def _compared(
    connection: sqlite3.Connection, made: Made, places: Places, *, is_only_told: bool
) -> tuple[Finished, Changes, int | None]:
    """The finished items, how their results differ from those that would be made now, and what is left to compare.

    The last: from which job on; None: nothing is left.
    """
    runs = connection.execute("SELECT run, code FROM runs").fetchall()
    comparison = Comparison(made, {run: Fingerprints.from_text(text) for run, text in runs})
    outdated = Items(connection).outdated()
    finished = Finished(len(places))
    end, left = time.monotonic() + AT_ONCE_S, None
    for jobs in recorded_jobs(connection):
        items, found = jobs.items.without(outdated).counting()
        results = Results(items, found, places.at(found))
        finished.add(found)
        if left is None and is_only_told and time.monotonic() >= end:
            left = jobs.items.job
        if left is None or jobs.digests is None:
            comparison.look_at(jobs.run, jobs.digests, jobs.items.first, results)
        else:
            comparison.look_at_code(jobs.run, results)
    return finished, comparison.changes, left


def _fill(connection: sqlite3.Connection, start: Start) -> None:
    execute_all(connection, TABLES)
    ids = start.ids or ()
    values = {"n_items": len(ids), "recipe": start.recipe}
    if start.ids is None:
        values["open_ended"] = 1
    connection.executemany("INSERT INTO meta VALUES (?, ?)", values.items())
    connection.executemany("INSERT INTO ids VALUES (?, ?, ?, ?)", rows_of(ids))


def _check(connection: sqlite3.Connection, path: Path, start: Start) -> None:
    check_kind(connection, path)
    _check_last_run(connection, path, start)
    if Contents(connection, path).is_open_ended != (start.ids is None):
        raise StoreError(
            f"{KIND} {path} belongs to another kind of calculation: the items of one of the two are all known when it "
            f"begins, those of the other are added as it goes on; give another name"
        )
    upgrade(connection)
    if start.recipe is not None:
        connection.execute("UPDATE meta SET value = ?1 WHERE key = 'recipe' AND value IS NOT ?1", (start.recipe,))


def _check_last_run(connection: sqlite3.Connection, path: Path, start: Start) -> None:
    if not start.on_network:
        return  # the lock has said all
    query = "SELECT host, pid, alive_at FROM runs WHERE state = 'running' AND host <> ?"
    row = connection.execute(query, (host_name(),)).fetchone()
    silence_s = start.now - row[2] if row else SILENT_S
    if silence_s < SILENT_S:
        ago_s = max(0.0, silence_s)
        advice = f"it gave a sign of life {ago_s:.0f} s ago; if it is gone, try again in a minute"
        raise _taken(path, row[0], row[1], advice)


def _taken(path: Path, host: str, pid: int, advice: str) -> StoreError:
    return StoreError(f"{KIND} {path} is being written by process {pid} on host {host}: {advice}")


def _refuse_ids(recorded: set[Hashable], given: set[Hashable], path: Path) -> None:
    lonely = next((type(id) for id in given - recorded if type(id).__eq__ is object.__eq__), None)
    if lonely is not None and lonely in map(type, recorded - given):
        raise StoreError(
            f"{KIND} {path} cannot find ids of class {lonely.__qualname__} again, since each equals only itself: "
            f"give it __eq__ and __hash__, or take other ids"
        )
    parts = [
        f"{_some(recorded - given)} of it not in the data" if recorded - given else "",
        f"{_some(given - recorded)} of the data not in it" if given - recorded else "",
    ]
    raise StoreError(
        f"{KIND} {path} belongs to other data: {', '.join(part for part in parts if part)}; "
        f"give the data that it was begun with, or another name"
    )


def _some(ids: set[Hashable], shown: int = 3) -> str:
    names = ", ".join(sorted(map(repr, ids))[:shown]) + (", ..." if len(ids) > shown else "")
    return f"{len(ids)} item{'s' if len(ids) != 1 else ''} ({names})"


def _add_run(connection: sqlite3.Connection, start: Start) -> int:
    added = connection.execute(
        "INSERT INTO runs (host, pid, state, started_at, alive_at, code) VALUES (?, ?, 'running', ?, ?, ?)",
        (host_name(), os.getpid(), start.now, start.now, start.made.code.to_text()),
    )
    return int(added.lastrowid or 0)
