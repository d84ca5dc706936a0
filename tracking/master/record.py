"""What a master keeps of its results: in memory for the user, in the run file for ever, in order for iterators."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from tracking.errors import EncodeError, ItemError, StoreError
from tracking.master.id_runs import IdRun

if TYPE_CHECKING:
    from tracking.master.writing import Writer
    from tracking.pool.client import SlaveInfo
    from tracking.store.run_file import RunFile

Batch = tuple[Sequence[Hashable], Sequence[Any]]
"""Ids, and their results in the same order."""

_COMMIT_INTERVAL_S = 0.005
_UNHEARD_INTERVAL_S = 0.1  # where nobody waits for results one by one; when the next ones come anyway ...
_LONGEST_UNHEARD_S = 0.2  # ... and at the latest
_MANY_JOBS = 64  # whose commit takes long enough to keep slaves waiting, were there many more
_NOW_INTERVAL_S = 1.0
_COMPARING_S = 0.05  # in each such interval

logger = logging.getLogger("tracking")


class Record:
    """Takes finished results: recorded first, told afterwards. Used by the master's thread.

    Args:
        run_file: where to record; None: nowhere.
        digests: gives those of the values of some ids, for the run file; None if they are unknown.
        is_only_place: the results are kept nowhere else, so none is told before it is in the file, and a file that
            lacks some at the end is an error.
        is_awaited: whether somebody waits for results one by one.
    """

    def __init__(
        self,
        run_file: RunFile | None,
        digests: Callable[[Sequence[Hashable]], bytes | None] = lambda ids: None,
        is_only_place: bool = False,
        is_awaited: Callable[[], bool] = lambda: True,
    ) -> None:
        self._run_file = run_file
        self._writer = None if run_file is None else _writer(run_file, digests)
        self._is_only_place = is_only_place
        self._is_awaited = is_awaited
        self._now_at = float("-inf")
        self._untold: list[Batch] = []
        self._committed_at = 0.0
        self._problem: str | None = None

    def add(
        self,
        ids: Sequence[Hashable],
        results: Sequence[Any],
        slave: SlaveInfo,
        seconds: float,
        positions: Sequence[int] | None = None,
    ) -> bool:
        """Note the results of one job, or of a part of it, in the order of these ids; both are kept as they are.

        Args:
            seconds: that it took.
            positions: where the ids stand among those of all items; to know that costs less than to look for it.

        Returns:
            Whether the run file takes them; what it does not take though it seemed so is in memory, too.
        """
        are_recorded = False
        if self._writer is not None and ids:
            ids = list(ids) if isinstance(ids, IdRun) else ids
            self._writer.add(ids, results, slave, seconds, positions)
            are_recorded = self._writer.write() if self._is_only_place else True
        self._untold.append((ids, results))
        return are_recorded

    def add_error(self, error: ItemError) -> None:
        """Note an item that failed for good."""
        if self._run_file is not None and self._writer is not None:
            self._writer.write()  # what has come before it
            self._run_file.record_error(
                error.id,
                str(error.args[0]),
                error.host,
                error.nickname,
                error.tries,
                pickle.dumps(error.remote_traceback),
            )

    def note(
        self, kind: str, words: str, *, host: str = "", nickname: str = "", ids: Sequence[Hashable] = ()
    ) -> None:
        """Note something unusual in the run file, for ``tracking why``; raises nothing, costs some microseconds.

        Args:
            kind: in a word, one of ``tracking.why.facts.KINDS``.
            words: what happened, in a sentence without a full stop, such as 'killed by SIGKILL while it ran a job'.
            host, nickname: of the slave that it happened to, '' if to none.
            ids: of the items that it is about.
        """
        if self._run_file is None:
            return
        try:
            self._run_file.note(kind, words, host=host, nickname=nickname, ids=ids)
        except (EncodeError, StoreError) as error:
            logger.debug("an event could not be noted in the run file: %s", error)

    def wants_now(self, now: float) -> bool:
        """Whether it is time to say what goes on, with ``note_now``: at most once a second, with a run file only.

        Args:
            now: seconds, any clock that only goes forward.
        """
        return self._run_file is not None and now >= self._now_at + _NOW_INTERVAL_S

    def until_now_s(self, now: float) -> float:
        """So long ``wants_now`` need not be asked."""
        return float("inf") if self._run_file is None else max(0.0, self._now_at + _NOW_INTERVAL_S - now)

    def note_now(self, state: str, now: float) -> None:
        """Note in the run file what goes on now, for ``tracking why`` and ``status`` in other processes.

        Args:
            state: as JSON, from ``tracking.why.facts.Now.to_json``.
            now: as for ``wants_now``.
        """
        self._now_at = now
        self._committed_at = self._committed_at or now  # at the start slaves come first
        if self._run_file is None:
            return
        try:
            self._run_file.note_now(state)
        except StoreError as error:
            logger.debug("what goes on could not be noted in the run file: %s", error)
        self._compare_values(_COMPARING_S)

    def _compare_values(self, seconds: float) -> None:
        """Compare more of the values for which there was no time at the start, and say at last what has changed."""
        if self._run_file is None or self._run_file.later is None:
            return
        if not self._run_file.later.look(seconds):
            self._tell_later_changes()

    def _tell_later_changes(self) -> None:
        if self._run_file is not None and self._run_file.later is not None:
            from tracking.master.fingerprint import warn_of

            warn_of(self._run_file.later.changes, self._run_file.path, "keep")
            self._run_file.later = None

    @property
    def problem(self) -> str:
        """Why the run file cannot be written, '' if it can."""
        return self._problem or ""

    @property
    def has_untold(self) -> bool:
        """Whether a commit has something to do; what could not be written waits for its next try."""
        can_tell = bool(self._untold) and not (self._is_only_place and self._problem)
        return can_tell or (self._run_file is not None and self._run_file.is_due)

    def is_due(self, now: float, *, is_dry: bool) -> bool:
        """Whether to commit now: a commit costs as much as all else that is done for a job, and several can share it.

        Args:
            is_dry: nothing more has come.
        """
        if not self.has_untold:
            return False
        passed_s = now - self._committed_at
        if self._is_in_hurry:
            return is_dry or passed_s >= _COMMIT_INTERVAL_S
        return passed_s >= (_COMMIT_INTERVAL_S if len(self._untold) >= _MANY_JOBS else _UNHEARD_INTERVAL_S)

    def patience_s(self, now: float) -> float:
        """So long one may wait for more to come before ``is_due`` is to be asked again."""
        if not self.has_untold:
            return float("inf")
        return 0.0 if self._is_in_hurry else max(0.0, self._committed_at + _LONGEST_UNHEARD_S - now)

    @property
    def _is_in_hurry(self) -> bool:
        return self._run_file is None or self._is_awaited()

    def commit(self, now: float) -> list[Batch]:
        """Record what was added, durably; then it may be told: the results, in the order they came."""
        self._committed_at = now
        if self._writer is not None:
            self._writer.write()
        if self._run_file is not None and self._run_file.has_uncommitted:
            self._run_file.commit()
            self._tell_problem(self._run_file.problem)
            if self._is_only_place and self._problem:
                return []
        untold, self._untold = self._untold, []
        return untold

    def _tell_problem(self, problem: str | None) -> None:
        if problem == self._problem:
            return
        self._problem = problem
        if problem:
            what = " and its results wait in memory" if self._is_only_place else " in memory"
            logger.error("the calculation goes on%s, but nothing is recorded: %s", what, problem)
        else:
            logger.warning("recording goes on: everything that had to wait is in the run file now")

    def close(self, state: str) -> None:
        """End the run file in this state: 'finished', 'interrupted' or 'failed'.

        Raises:
            StoreError: results that are kept nowhere else could not be recorded.
        """
        if self._run_file is None:
            return
        if state == "finished":
            self._compare_values(float("inf"))
        self._tell_later_changes()
        run_file, self._run_file = self._run_file, None
        if self._writer is not None:
            self._writer.write()
        if not run_file.close(state):
            if self._is_only_place and self._untold:
                n = sum(len(ids) for ids, _ in self._untold)
                raise StoreError(
                    f"the last {n} results could not be recorded, and are kept nowhere since keep_results is False: "
                    f"they are computed again when the calculation goes on: {run_file.problem}"
                )
            logger.error("the run file lacks what came last, which is in memory only: %s", run_file.problem)


def _writer(run_file: RunFile, digests: Callable[[Sequence[Hashable]], bytes | None]) -> Writer:
    from tracking.master.writing import Writer  # the store, with sqlite3, only where it is used

    return Writer(run_file, digests)
