"""Keeps the outcomes of all contexts that are recorded: they are in the file before anybody is told.

::

    user's thread                       the hub's thread
      add_task --> Work.unseen    -->     look_up: in the file? then it has ended, else it waits for a slave
                   Work.ended    <--      an outcome has come
                   Work._finished <--     keep: one commit for all that has come; only then it is told

A file is used by the hub's thread only, or, if there is none yet or any more, by whoever ends it.
"""

from __future__ import annotations

import threading

from tracking.errors import StoreError
from tracking.parallel.tasks import Work

BEAT_S = 10.0
"""So often files are to be seen to, for their signs of life."""


class Keeping:
    """The contexts that are recorded.

    Args:
        changed: under which their works are used.
    """

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._works: list[Work] = []

    @property
    def pause_s(self) -> float | None:
        """After so long files are to be seen to; None: there are none."""
        return BEAT_S if self._works else None

    def add(self, work: Work) -> None:
        """One more, from the thread that has made it."""
        with self._changed:
            self._works.append(work)

    def look_up(self) -> None:
        """See which new tasks have their results in the file."""
        for work in self._all():
            with self._changed:
                record, unseen = work.record, list(work.unseen) if work.n_iterating else []
            if not unseen or record is None:
                continue
            found = record.look(unseen)
            with self._changed:
                for task, recorded in zip(unseen, found, strict=True):
                    work.is_seen(task, recorded)
                self._changed.notify_all()

    def keep(self) -> None:
        """Record what has come, and let it be told; if it cannot be recorded who waits is told that, and it is kept."""
        for work in self._all():
            with self._changed:
                record, ended, n_tasks = work.record, list(work.ended), sum(work.progress)
            if ended and record is not None:
                self._tell(work, len(ended), record.keep(ended, n_tasks))

    def _tell(self, work: Work, n_ended: int, problem: str | None) -> None:
        with self._changed:
            if problem is None:
                for _ in range(n_ended):
                    work.is_safe(work.ended.popleft())
            elif work.fault is None:
                work.fault = StoreError(f"{problem}; what has ended is told when that is recorded: iterate again")
            self._changed.notify_all()

    def beat(self) -> None:
        """Nothing has come for ``pause_s``."""
        for work in self._all():
            if work.record is not None:
                work.record.beat()

    def forget(self, work: Work) -> None:
        """Nobody wants it any more: let go of its file. What has no outcome by now is not recorded."""
        with self._changed:
            record, progress = work.record, work.progress
            work.is_recorded_no_more()
        if record is not None:
            record.close(progress)
        with self._changed:
            if work in self._works:
                self._works.remove(work)
            self._changed.notify_all()

    def wait_until_forgotten(self, work: Work) -> None:
        """Return when its file is let go of."""
        with self._changed:
            self._changed.wait_for(lambda: work not in self._works)

    def close(self) -> None:
        """Let go of all files."""
        self.keep()
        for work in self._all():
            self.forget(work)

    def _all(self) -> list[Work]:
        with self._changed:
            return list(self._works)
