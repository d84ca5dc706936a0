"""Looks into a run file, also while a master writes it, and never disturbs that master."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from tracking.store.contents import Contents
from tracking.store.history import History, read_history, results_of
from tracking.store.lock import host_name, is_locked
from tracking.store.opening import SILENT_S
from tracking.store.records import ErrorRecord, ResultRecord, RunSummary
from tracking.store.refusals import refusal
from tracking.store.schema import KIND, check_files, check_kind, connect, number, printable


class RunFileReader:
    """A look into a run file. The file is open only for the moment of each look.

    Args:
        path: of the file.
        trust: accept a file that another user owns or may write.
        clock: gives seconds since 1970.

    Raises:
        StoreError: there is no such file, it is no run file, or it is not to be trusted.

    Example::

        with RunFileReader("screen.run") as run:
            print(run.summary().n_finished)
            best = max(run.results(), key=lambda pair: pair[1])
    """

    def __init__(
        self, path: str | os.PathLike[str], *, trust: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = Path(os.path.realpath(path))
        self._trust = trust
        self._clock = clock
        self._n_items = self._read_n_items()

    def __enter__(self) -> RunFileReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def summary(self) -> RunSummary:
        """Say how the calculation stands."""
        with self.look() as connection:
            contents = Contents(connection, self.path)
            owner, state = self._last_run(connection)
            return RunSummary(
                path=self.path,
                state=state,
                n_items=self._n_items,
                n_finished=contents.n_finished(),
                n_failed=number(connection, "SELECT count(*) FROM errors"),
                started_at=connection.execute("SELECT min(started_at) FROM runs").fetchone()[0],
                updated_at=_updated_at(connection),
                owner=owner,
                hosts=contents.hosts(),
                checkpoints=contents.checkpoints(),
            )

    def results(self) -> Iterator[tuple[Hashable, Any]]:
        """Give (id, result) of the finished items, in the order in which they were finished."""
        last, job = -1, -2
        while last != job:
            job = last
            with self.look() as connection:
                last, pairs = Contents(connection, self.path).results_after(job)
            yield from pairs

    def errors(self) -> dict[Hashable, ErrorRecord]:
        """Give the items that failed and were not finished since."""
        with self.look() as connection:
            return Contents(connection, self.path).errors()

    def checkpoint(self, name: str) -> bytes | None:
        """Give the newest state that is kept under this name, as it was given; None if there is none."""
        with self.look() as connection:
            return Contents(connection, self.path).checkpoint(printable(name))

    def history(self) -> History:
        """Read what happened, beside the results."""
        with self.look() as connection:
            return read_history(connection, self.path)

    def results_of(self, id: Hashable) -> tuple[ResultRecord, ...]:
        """Tell who made the results of this item, and when; the last one counts, unless it is outdated."""
        with self.look() as connection:
            return results_of(connection, self.path, id)

    def ids(self) -> Sequence[Hashable]:
        """Give the ids of all items of the calculation, in their order."""
        with self.look() as connection:
            return Contents(connection, self.path).all_ids()

    def recipe(self) -> bytes | None:
        """Give what is needed to make the calculation anew, None if it was not recorded."""
        with self.look() as connection:
            found: bytes | None = Contents(connection, self.path).meta("recipe")
            return found

    def _read_n_items(self) -> int:
        with self.look() as connection:
            return Contents(connection, self.path).n_items

    @contextmanager
    def look(self) -> Iterator[sqlite3.Connection]:
        """Open it, for a moment, to read it.

        Raises:
            StoreError: it cannot be read, or is not to be trusted.
        """
        check_files(self.path, trust=self._trust)
        try:
            connection = _connect(self.path)
            try:
                check_files(self.path, trust=self._trust)  # again: somebody may have been quick
                check_kind(connection, self.path)
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as exc:
            raise refusal(KIND, self.path, exc) from exc

    def _last_run(self, connection: sqlite3.Connection) -> tuple[str, str]:
        query = "SELECT host, pid, state, alive_at FROM runs ORDER BY run DESC LIMIT 1"
        host, pid, state, alive_at = connection.execute(query).fetchone()
        if state == "running" and not self._is_alive(host, alive_at):
            state = "interrupted"
        return f"{host}:{pid}", state

    def _is_alive(self, host: str, alive_at: float) -> bool:
        # Another machine's lock may not be seen from here, its sign of life is.
        return is_locked(self.path) or (host != host_name() and self._clock() - alive_at < SILENT_S)


def _connect(path: Path) -> sqlite3.Connection:
    connection = connect(path, "ro")
    try:
        number(connection, "PRAGMA application_id")
    except sqlite3.OperationalError as exc:
        connection.close()
        # The last writer was killed within a commit: its traces must be cleared away before anyone can read.
        if not exc.sqlite_errorname.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
            raise
        return connect(path, "rw")
    except BaseException:
        connection.close()
        raise
    return connection


def _updated_at(connection: sqlite3.Connection) -> float:
    runs = "SELECT max(max(ifnull(ended_at, 0), alive_at)) FROM runs"
    jobs = "SELECT ifnull(max(recorded_at), 0) FROM (SELECT recorded_at FROM jobs ORDER BY job DESC LIMIT 1)"
    return max(float(connection.execute(query).fetchone()[0]) for query in (runs, jobs))
