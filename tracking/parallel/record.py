"""What a context keeps in its run file: the results of its tasks, so that a program that is started again has them.

A task is known by its name, or by the how-manieth it is of those that have none. Its result counts as long as what is
called is the same, code and values; if that has changed it is run again, as all are if the setup has changed.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from tracking.errors import EncodeError, StoreError
from tracking.master.call_digest import CallDigests
from tracking.master.fingerprint import warn_of_changes
from tracking.parallel.errors import RemoteError
from tracking.parallel.tasks import Progress, Task
from tracking.store.changes import CODE, RECOMPUTE
from tracking.store.fingerprints import Fingerprints
from tracking.store.pickling import to_bytes
from tracking.store.run_file import JobRecord, RunFile

logger = logging.getLogger("tracking")

_SHOWN = 3


class Record:
    """The run file of one context. Used by one thread at a time.

    Args:
        path: of the file.
        startup: of the context.

    Raises:
        StoreError: it cannot be used; says why.
    """

    def __init__(self, path: str | os.PathLike[str], startup: Callable[..., Any] | None) -> None:
        self._path = os.fspath(path)
        self._digests = CallDigests()
        self._named: Counter[str] = Counter()
        self._n_unnamed = 0
        code = "no setup" if startup is None else self._digests.digest(startup).hex()
        self._file = RunFile.open(path, None, code=code, on_change=RECOMPUTE)
        warn_of_changes(self._file, path, RECOMPUTE)

    def key(self, name: str | None) -> Hashable:
        """By what the next task of this name is known: 'a', ('a', 2), ...; those without one are 0, 1, ..."""
        if name is None:
            self._n_unnamed += 1
            return self._n_unnamed - 1
        self._named[name] += 1
        return name if self._named[name] == 1 else (name, self._named[name])

    def look(self, tasks: Iterable[Task]) -> list[tuple[Any] | None]:
        """(result,) of each of these that is recorded, and has not changed since; None of the others."""
        changed: list[Hashable] = []
        found = [self._look_for(task, changed) for task in tasks]
        if changed:
            names = ", ".join(map(repr, changed[:_SHOWN])) + (", ..." if len(changed) > _SHOWN else "")
            logger.warning(
                "run file %s: %d recorded task%s changed since (%s): %s run again.",
                self._path,
                len(changed),
                " has" if len(changed) == 1 else "s have",
                names,
                "it is" if len(changed) == 1 else "they are",
            )
        return found

    def _look_for(self, task: Task, changed: list[Hashable]) -> tuple[Any] | None:
        try:
            recorded = self._file.recorded(task._key)
        except StoreError as error:
            logger.warning("%s; task %s is run again", error, task.name)
            self._file.outdate(task._key, "cannot be read")
            return None
        if recorded is None:
            return None
        is_comparable = recorded.digest is not None and recorded.python == Fingerprints("").python
        if is_comparable and recorded.digest != self._digests.digest(task._function):
            changed.append(task._key)
            self._file.outdate(task._key, CODE)
            return None
        return (recorded.result,)

    def is_sent(self, task: Task) -> None:
        """Note what is sent: the object may be changed afterwards."""
        task._digest = self._digests.digest(task._function)

    def keep(self, tasks: Iterable[Task], n_tasks: int) -> str | None:
        """Record the outcomes of these; None if they are safe, else why they are not.

        Args:
            n_tasks: so many has the context.
        """
        for task in tasks:
            try:
                self._note(task)
            except (EncodeError, StoreError) as error:
                logger.error("task %s has ended, but that is not recorded: %s", task.name, error)
        self._file.grow(n_tasks)
        return None if self._file.commit() else self._file.problem

    def _note(self, task: Task) -> None:
        nickname = "" if task.slave is None else repr(task.slave)
        if task.error is not None:
            cause = task.error.exc if isinstance(task.error, RemoteError) else task.error
            words = f"{type(cause).__name__}: {cause}"
            error = to_bytes(words, "the error")
            self._file.record_error(task._key, words, task.host, nickname, task.deaths + 1, error)
            return
        payload = to_bytes([task.result], f"the result of task {task.name}")
        took = task.seconds or 0.0
        digest = task._digest or None
        self._file.record(JobRecord((task._key,), payload, task.host, nickname, time.time() - took, took, digest))

    def beat(self) -> None:
        """Give a sign of life, where other machines may look at the file."""
        self._file.commit()

    def close(self, progress: Progress) -> None:
        """Let go of the file.

        Args:
            progress: of the context.
        """
        if not self._file.is_open:
            return
        self._file.grow(sum(progress))
        is_over = not (progress.waiting or progress.running or progress.cancelled)
        if not self._file.close("finished" if is_over else "interrupted"):
            logger.error("run file %s lacks what came last: %s", self._path, self._file.problem)
