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
from collections.abc import Callable, Hashable, Iterator, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

from tracking.errors import StoreError
from tracking.store.by_item import ByItem, Recorded
from tracking.store.changes import KEEP, GiveDigests, Made
from tracking.store.contents import Contents
from tracking.store.fingerprints import Fingerprints
from tracking.store.job_rows import JobRows
from tracking.store.journal import close_database, flush
from tracking.store.lock import OwnerLock
from tracking.store.network import is_on_network
from tracking.store.opening import Opened, Start, open_database, take_lock
from tracking.store.pending import Pending, packed
from tracking.store.records import ErrorRecord, HostSummary, JobRecord, RunSummary, SingleJobs
from tracking.store.refusals import refusal, too_large, too_large_state
from tracking.store.run_reader import RunFileReader
from tracking.store.schema import KIND, columns, printable
from tracking.store.stored_results import StoredResults

__all__ = ["ErrorRecord", "HostSummary", "JobRecord", "RunFile", "RunFileReader", "RunSummary"]

HEARTBEAT_S = 10.0
LONGEST_RETRY_S = 30.0
MAX_PAYLOAD = 1_000_000_000 - 1000  # SQLite's limit for one row


class RunFile:
    """The writer of a run file, made by ``RunFile.open``; there is one at a time. Used by one thread.

    Attributes:
        path: of the file.
        is_new: nothing was recorded in it before.
        changes: how results that it held when it was opened were made with other code or values.
        later: compares the values for which there was no time then; None: there are none. Its own changes come to that.
        problem: why the last commit did not succeed, None if it did.
    """

    def __init__(
        self, path: Path, lock: OwnerLock, opened: Opened, start: Start, clock: Callable[[], float]
    ) -> None:
        self.path = path
        self.is_new = opened.is_new
        self.changes = opened.changes
        self.later = opened.later
        self.problem: str | None = None
        self._lock = lock
        self._connection = opened.connection
        self._contents = Contents(opened.connection, path)
        self._clock = clock
        self._is_open = True
        self._run = opened.run
        self._trust = start.trust
        self._error_numbers = opened.error_numbers
        self._next_error = opened.last_error + 1
        self._next_event = opened.last_event + 1
        self._checkpoint_numbers = opened.checkpoint_numbers
        self._by_item: ByItem | None = None
        self._n_items: int | None = None  # as this run has said
        self._pending = Pending()
        self._rows = JobRows(opened, self._pending, clock)
        self._must_flush = not start.on_network  # who made it may have been killed before that
        self._beats = start.on_network
        self._beat_at = start.now + HEARTBEAT_S
        self._retry_at = float("-inf")
        self._retry_pause_s = 0.0

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        ids: Sequence[Hashable] | None,
        *,
        recipe: bytes | None = None,
        code: str = "",
        digests: GiveDigests = lambda ids: None,
        data: Callable[[], str] = lambda: "",
        on_change: str = KEEP,
        trust: bool = False,
        clock: Callable[[], float] = time.time,
        on_network: Callable[[Path], bool] = is_on_network,
    ) -> RunFile:
        """Make a run file (readable by its owner only), or go on with one.

        Args:
            path: of the file; its directory must exist.
            ids: of all items of the calculation; their order does not matter. None: it is open-ended, items are
                added as it goes on; see ``recorded``, ``outdate`` and ``grow``.
            recipe: whatever is needed to make the calculation anew; replaces what is in the file.
            code: fingerprint of the code that makes the results, '' if unknown.
            digests: gives those of the values of some ids, one after the other; None if they are unknown.
            data: gives the fingerprint of the values of all items, '' if unknown; asked for only if the file was
                written before there were digests.
            on_change: what is done with results made with other code or other values: 'keep' (if there are very many
                values, the rest is left to ``later``), 'recompute' (they do not count any more, their items are as not
                finished), or 'refuse'.
            trust: accept a file that another user owns or may write.
            clock: gives seconds since 1970.
            on_network: says whether a path lies on a network file system.

        Raises:
            StoreError: the file cannot be used, or it holds results made otherwise and ``on_change`` is 'refuse'; says
                why and what to do. Nothing was changed.
            EncodeError: an id cannot be pickled.
        """
        real = Path(os.path.realpath(path))
        made = Made(Fingerprints(code), digests, data)
        start = Start(ids, recipe, made, on_change, trust, on_network(real), clock())
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
        last, job = -1, -2
        while last != job:
            job = last
            try:
                last, pairs = self._contents.results_after(job)
            except sqlite3.Error as exc:
                raise refusal(KIND, self.path, exc) from exc
            found.update(pairs)
        return found

    def errors(self) -> dict[Hashable, ErrorRecord]:
        """Give the committed errors of items that are not finished; of an earlier run, mostly."""
        return self._contents.errors()

    def finished_ids(self) -> Set[Hashable]:
        """Give the ids of all recorded items, committed or not; in a new set."""
        return self._rows.finished_ids()

    def finished_positions(self) -> Iterator[range]:
        """Give the positions, in ``ids`` as they were given to ``open``, of all recorded items; ascending.

        Cheap where many lie side by side; no result is read. Used by the writer's thread.
        """
        return self._rows.finished_positions()

    def stored_results(self) -> StoredResults:
        """Give a look at the committed results by the positions of their items, for any thread; it outlives us."""
        return StoredResults(self.path, self._rows.order, trust=self._trust)

    @property
    def is_open(self) -> bool:
        """Say whether something can be recorded in it."""
        return self._is_open and self._lock.is_held

    @property
    def has_uncommitted(self) -> bool:
        """Say whether ``commit`` has something to write."""
        return bool(self._pending)

    @property
    def is_due(self) -> bool:
        """Say whether ``commit`` would write something now: not for a while after a failure."""
        return bool(self._pending) and self._clock() >= self._retry_at

    def record(self, job: JobRecord) -> None:
        """Take down results, safe after the next ``commit``. Of an item recorded before nothing changes.

        Raises:
            StoreError: they are too large for a run file, or it is closed.
            EncodeError: an id cannot be pickled.
        """
        self._check_open()
        if len(job.payload) > MAX_PAYLOAD:
            raise too_large(job)
        self._rows.add(job)
        if self._error_numbers:
            self._drop_errors(job.ids)

    def record_singles(self, jobs: SingleJobs) -> None:
        """Take down many jobs of one item each, at a fraction of what ``record`` costs for each.

        Raises:
            StoreError: one is too large for a run file, or it is closed; none is taken down.
            EncodeError: an id cannot be pickled.
        """
        self._check_open()
        if max(map(len, jobs.payloads)) > MAX_PAYLOAD:
            raise too_large(max(jobs.one_by_one(), key=lambda job: len(job.payload)))
        if not self._rows.add_singles(jobs):
            for job in jobs.one_by_one():
                self._rows.add(job)
        if self._error_numbers:
            self._drop_errors(jobs.ids)

    def record_error(
        self, id: Hashable, message: str, host: str, nickname: str, tries: int, error: bytes
    ) -> None:
        """Take down that an item failed; replaced by a later error or result of the same item.

        Args:
            error: the pickled error.
        """
        self._check_open()
        if self._rows.finished_position(id) is not None:
            return
        self._drop_errors((id,))
        number, self._next_error = self._next_error, self._next_error + 1
        self._error_numbers[id] = number
        self._pending.errors.append(
            (number, *columns(id), self._run, printable(message), host, nickname, tries, self._clock(), error)
        )

    def recorded(self, id: Hashable) -> Recorded | None:
        """Give what the file held of one item when it was opened; None: nothing that counts.

        Raises:
            StoreError: the result cannot be read back.
        """
        self._check_open()
        position = self._rows.finished_position(id)
        return None if position is None else self._look_up().recorded(position, id)

    def outdate(self, id: Hashable, why: str) -> None:
        """Do not count the result of this item any more: it is made anew. Of one that ``recorded`` gives."""
        self._check_open()
        position = self._rows.finished_position(id)
        if position is not None and (item := self._look_up().forget(position)) is not None:
            self._rows.finished.discard(position)
            self._pending.outdated.append((item, self._run, why))

    def _look_up(self) -> ByItem:
        if self._by_item is None:
            self._by_item = ByItem(self._connection, self.path)
        return self._by_item

    def grow(self, n_items: int) -> None:
        """Take down that an open-ended calculation has so many items by now."""
        self._check_open()
        if n_items != self._n_items:
            self._pending.n_items = self._n_items = n_items

    def note(
        self, kind: str, words: str, *, host: str = "", nickname: str = "", ids: Sequence[Hashable] = ()
    ) -> None:
        """Take down something unusual that happened; the latest 100,000 are kept.

        Args:
            kind: in a word, such as 'lost'.
            words: what, in a sentence.
            host, nickname: to whom.
            ids: of the items that it is about; of the first thousand it can be told later.

        Raises:
            EncodeError: an id cannot be pickled.
        """
        self._check_open()
        number, self._next_event = self._next_event, self._next_event + 1
        who = printable(host), printable(nickname)
        row = (number, self._run, self._clock(), kind, *who, printable(words), len(ids), packed(ids))
        self._pending.add_event(row)

    def checkpoint(self, name: str, state: bytes) -> int:
        """Keep a state under this name; it takes the place of an older one, and is safe after the next ``commit``.

        All states are forgotten when the file is opened again and results of it are to be recomputed.

        What was recorded since the last commit is written in the same transaction: after a crash the file holds
        both, or neither.

        Returns:
            Its number: the first of this name is 1, in whichever run that was.

        Raises:
            StoreError: it is too large for a run file, or that is closed.
        """
        self._check_open()
        if len(state) > MAX_PAYLOAD:
            raise too_large_state(name, state)
        name = printable(name)
        number = self._checkpoint_numbers[name] = self._checkpoint_numbers.get(name, 0) + 1
        self._pending.checkpoints[name] = name, number, self._clock(), self._run, state
        return number

    def kept(self, name: str) -> bytes | None:
        """Give the newest state of this name, committed or not; None if there is none."""
        self._check_open()
        name = printable(name)
        if name in self._pending.checkpoints:
            return self._pending.checkpoints[name][-1]
        return self._contents.checkpoint(name)

    def note_now(self, state: str) -> None:
        """Take down what goes on now, as JSON; it takes the place of what was said before."""
        self._check_open()
        self._pending.now = (self._run, self._clock(), printable(state))

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
        if not self.is_open:  # a forked child has nothing to close
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
            is_alive = self._pending.now is not None or self._must_beat(now)
            self._pending.write(connection)
            if end:
                connection.execute("UPDATE runs SET state = ?, ended_at = ? WHERE run = ?", (*end, self._run))
            if is_alive:
                connection.execute("UPDATE runs SET alive_at = ? WHERE run = ?", (now, self._run))
            connection.execute("COMMIT")
            if is_alive:
                self._beat_at = now + HEARTBEAT_S  # results alone do not put it off
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        self._pending.clear()
        if self._must_flush:
            with suppress(sqlite3.Error):  # the results are in the log; the next commit tries again
                self._must_flush = not flush(connection)

    def _must_beat(self, now: float) -> bool:
        return self._beats and now >= self._beat_at

    def _check_open(self) -> None:
        if not self.is_open:
            raise StoreError(f"{KIND} {self.path} is closed: nothing can be recorded in it any more")

    def _drop_errors(self, ids: Sequence[Hashable]) -> None:
        for id in ids:
            number = self._error_numbers.pop(id, None)
            if number is not None:
                self._pending.outdated_errors.append((number,))
