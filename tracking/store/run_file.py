"""The run file: every result of a calculation, recorded as it comes, in one SQLite file.

::

    record() --> rows in memory --> commit() --> one transaction --> the file --> told to the user
                     ^                  |
                     +--- kept if the disk is full, tried again later

Nothing is handed to SQLite before ``commit``, so a commit that fails loses nothing; and one that
succeeded without our hearing of it is not done twice: each row has a number given by us, and a
number that is there already is passed over.

On a local disk SQLite's write-ahead log makes a commit cheap; while nobody writes it the file is an
ordinary one without companions. On a network file system it uses the slower rollback journal, and the
writer leaves a sign of life in the file, because locks may not reach other machines there.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Hashable, Sequence, Set
from pathlib import Path
from typing import Any

from tracking.errors import StoreError
from tracking.store.contents import Contents
from tracking.store.fingerprints import Fingerprints
from tracking.store.lock import OwnerLock
from tracking.store.network import is_on_network
from tracking.store.opening import Opened, Start, close_database, open_database, take_lock
from tracking.store.records import ErrorRecord, HostSummary, JobRecord, RunSummary
from tracking.store.refusals import refusal
from tracking.store.run_reader import RunFileReader
from tracking.store.schema import KIND, columns, printable

__all__ = ["ErrorRecord", "HostSummary", "JobRecord", "RunFile", "RunFileReader", "RunSummary"]

HEARTBEAT_S = 10.0
LONGEST_RETRY_S = 30.0
MAX_PAYLOAD = 1_000_000_000 - 1000  # SQLite's limit for one row

_INSERT_JOB = "INSERT OR IGNORE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_ITEM = "INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?)"
_INSERT_ERROR = "INSERT OR IGNORE INTO errors VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DELETE_ERROR = "DELETE FROM errors WHERE error = ?"

Row = tuple[object, ...]


class RunFile:
    """The writer of a run file, made by ``RunFile.open``; there is one at a time. Used by one thread.

    Attributes:
        path: of the file.
        is_new: nothing was recorded in it before.
        code_changed: it holds results that were made with other code.
        data_changed: it holds results that were made with other values of the items.
        n_changed: how many results these are.
        problem: why the last commit did not succeed, None if it did.
    """

    def __init__(
        self, path: Path, lock: OwnerLock, opened: Opened, start: Start, clock: Callable[[], float]
    ) -> None:
        self.path = path
        self.is_new = opened.is_new
        self.code_changed = opened.changes.code
        self.data_changed = opened.changes.values
        self.n_changed = opened.changes.n_results
        self.problem: str | None = None
        self._lock = lock
        self._connection = opened.connection
        self._contents = Contents(opened.connection, path)
        self._clock = clock
        self._is_open = True
        self._run = opened.run
        self._finished = opened.finished
        self._error_numbers = opened.error_numbers
        self._next_job = opened.last_job + 1
        self._next_item = opened.last_item + 1
        self._next_error = opened.last_error + 1
        # What is not committed yet, as rows.
        self._jobs: list[Row] = []
        self._items: list[Row] = []
        self._errors: list[Row] = []
        self._outdated_errors: list[tuple[int]] = []
        self._beats = start.on_network
        self._beat_at = start.now + HEARTBEAT_S
        self._retry_at = float("-inf")
        self._retry_pause_s = 0.0

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        ids: Sequence[Hashable],
        *,
        recipe: bytes | None = None,
        code: str = "",
        data: str = "",
        trust: bool = False,
        clock: Callable[[], float] = time.time,
        on_network: Callable[[Path], bool] = is_on_network,
    ) -> RunFile:
        """Make a run file (readable by its owner only), or go on with one.

        Args:
            path: of the file; its directory must exist.
            ids: of all items of the calculation; their order does not matter.
            recipe: whatever is needed to make the calculation anew; replaces what is in the file.
            code: fingerprint of the code that makes the results, '' if unknown.
            data: fingerprint of the values of the items, '' if unknown.
            trust: accept a file that another user owns or may write.
            clock: gives seconds since 1970.
            on_network: says whether a path lies on a network file system.

        Raises:
            StoreError: the file cannot be used; says why and what to do. Nothing was changed.
            EncodeError: an id cannot be pickled.
        """
        real = Path(os.path.realpath(path))
        start = Start(ids, recipe, Fingerprints(code, data), trust, on_network(real), clock())
        lock = take_lock(real)
        try:
            return cls(real, lock, open_database(real, start), start, clock)
        except BaseException:
            lock.release()
            raise

    def results(self) -> dict[Hashable, Any]:
        """Give what the file holds: {id: result} of all committed items.

        Raises:
            StoreError: a result cannot be read back.
        """
        found: dict[Hashable, Any] = {}
        job, pairs = self._contents.results_after(-1)
        while pairs:
            found.update(pairs)
            job, pairs = self._contents.results_after(job)
        return found

    def errors(self) -> dict[Hashable, ErrorRecord]:
        """Give the committed errors of items that are not finished; of an earlier run, mostly."""
        return self._contents.errors()

    def finished_ids(self) -> Set[Hashable]:
        """Give the ids of all recorded items, committed or not."""
        return self._finished

    @property
    def has_uncommitted(self) -> bool:
        """Say whether ``commit`` has something to write."""
        return bool(self._jobs or self._errors or self._outdated_errors)

    def record(self, job: JobRecord) -> None:
        """Take down results, safe after the next ``commit``. Of an item recorded before nothing changes.

        Raises:
            StoreError: they are too large for a run file, or it is closed.
            EncodeError: an id cannot be pickled.
        """
        ids = job.ids
        self._check_recordable(job)
        number, first = self._next_job, self._next_item
        if self._finished.isdisjoint(ids):
            rows = [(place, number, *columns(id)) for place, id in enumerate(ids, first)]
        else:
            rows = [(p, number, *columns(id)) for p, id in enumerate(ids, first) if id not in self._finished]
        if not rows:
            return
        place_and_time = (job.host, job.nickname, job.given_at, job.seconds, self._clock())
        self._jobs.append((number, self._run, *place_and_time, first, len(rows), job.payload))
        self._items += rows
        self._next_job += 1
        self._next_item += len(ids)
        self._finished.update(ids)
        if self._error_numbers:
            self._drop_errors(ids)

    def record_error(
        self, id: Hashable, message: str, host: str, nickname: str, tries: int, error: bytes
    ) -> None:
        """Take down that an item failed; replaced by a later error or result of the same item.

        Args:
            error: the pickled error.
        """
        self._check_open()
        if id in self._finished:
            return
        self._drop_errors((id,))
        number, self._next_error = self._next_error, self._next_error + 1
        self._error_numbers[id] = number
        self._errors.append(
            (number, *columns(id), self._run, printable(message), host, nickname, tries, self._clock(), error)
        )

    def commit(self) -> bool:
        """Write down what was recorded; cheap when there is nothing.

        To be called every few seconds at least, for the sign of life on a network file system.

        Returns:
            True if all is safe. False if it could not be written: ``problem`` says why, everything is kept,
            and a later call tries again (not at once: calls too soon after a failure do nothing).
        """
        self._check_open()
        now = self._clock()
        if not self.has_uncommitted and not self._must_beat(now):
            return True
        if now < self._retry_at:
            return False
        return self._try_to_write(now)

    def close(self, state: str) -> bool:
        """Commit, set down how the calculation ended, and let go of the file. A second call does nothing.

        Args:
            state: 'finished', 'interrupted' or 'failed'.

        Returns:
            True if all is safe; False if something could not be written: ``problem`` says why.
        """
        if not self._is_open or not self._lock.is_held:  # a forked child has nothing to close
            return self.problem is None
        try:
            now = self._clock()
            return self._try_to_write(now, (state, now))
        finally:
            self._is_open = False
            close_database(self._connection)
            self._lock.release()

    def _try_to_write(self, now: float, end: tuple[str, float] | None = None) -> bool:
        try:
            self._write(now, end)
        except sqlite3.Error as exc:
            self.problem = str(refusal(KIND, self.path, exc))
            self._retry_pause_s = min(LONGEST_RETRY_S, 2 * self._retry_pause_s or 0.5)
            self._retry_at = now + self._retry_pause_s
            return False
        self.problem, self._retry_pause_s, self._retry_at = None, 0.0, float("-inf")
        return True

    def _write(self, now: float, end: tuple[str, float] | None) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT_JOB, self._jobs)
            connection.executemany(_INSERT_ITEM, self._items)
            connection.executemany(_INSERT_ERROR, self._errors)
            connection.executemany(_DELETE_ERROR, self._outdated_errors)
            if end:
                connection.execute("UPDATE runs SET state = ?, ended_at = ? WHERE run = ?", (*end, self._run))
            if self._must_beat(now):
                connection.execute("UPDATE runs SET alive_at = ? WHERE run = ?", (now, self._run))
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        self._beat_at = now + HEARTBEAT_S
        for rows in (self._jobs, self._items, self._errors, self._outdated_errors):
            rows.clear()

    def _must_beat(self, now: float) -> bool:
        return self._beats and now >= self._beat_at

    def _check_open(self) -> None:
        if not self._is_open or not self._lock.is_held:
            raise StoreError(f"{KIND} {self.path} is closed: nothing can be recorded in it any more")

    def _check_recordable(self, job: JobRecord) -> None:
        self._check_open()
        if len(job.payload) > MAX_PAYLOAD:
            names = ", ".join(map(repr, job.ids[:3])) + (", ..." if len(job.ids) > 3 else "")
            raise StoreError(
                f"the results of one job (items {names}) are {len(job.payload) / 1e9:.1f} GB pickled, more "
                f"than a run file takes at once (1 GB): make the chunks smaller, or return the name of a file"
            )

    def _drop_errors(self, ids: Sequence[Hashable]) -> None:
        for id in ids:
            number = self._error_numbers.pop(id, None)
            if number is not None:
                self._outdated_errors.append((number,))
