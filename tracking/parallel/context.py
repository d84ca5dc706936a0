"""A context: tasks that share a setup, and the ways in which their results are given."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tracking.parallel.checks import check_arguments_have_a_setup, check_callable
from tracking.parallel.far_side import Chunk, SetUp
from tracking.parallel.never_run import NeverRun
from tracking.parallel.tasks import Progress, Task, Work
from tracking.pool import arguments
from tracking.pool.chunks import chunked

if TYPE_CHECKING:
    from tracking.parallel.manager import Manager
    from tracking.parallel.record import Record


class Context:
    """Tasks that share a setup; made by ``Manager.get_context``.

    Tasks are sent as long as their results are asked for: from the first ``next()`` of an iteration to its end,
    whatever the program does in between.

    Args:
        manager: of the slaves.
        startup, args, run_file, kwargs: see ``Manager.get_context``.

    Source: IMP.parallel.Context.
    """

    def __init__(
        self,
        manager: Manager,
        startup: Callable[..., Any] | None = None,
        *args: Any,
        run_file: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if startup is None:
            check_arguments_have_a_setup(args, kwargs)
        else:
            check_callable("the setup", startup)
            startup = functools.partial(startup, *args, **kwargs) if args or kwargs else startup
        self._manager = manager
        self._hub = manager._hub
        self._work = Work(SetUp(startup), None if run_file is None else _record(run_file, startup))
        if run_file is not None:
            self._hub.keeping.add(self._work)
            weakref.finalize(self, self._hub.forget, self._work).atexit = False
        self._never_run = NeverRun()
        with self._hub.changed:
            manager._never_run.add(self._never_run)
        weakref.finalize(self, self._never_run.tell_forgotten)

    def add_task(
        self, task: Callable[..., Any], name: str | None = None, callback: Callable[[Task], object] | None = None
    ) -> Task:
        """One more task; it is made bytes when it is sent, so it may be changed until then.

        Args:
            task: called on a slave with what the setup gave; anything that can be called.
            name: by which errors call it, and by which its result is found in a run file.
            callback: called with the ``Task`` when it has ended, in the thread that asks for results.

        Returns:
            What is known of it.

        Raises:
            TypeError: it cannot be called.
        """
        check_callable("a task", task)
        with self._hub.changed:
            added = self._work.add(task, name, callback)
            self._never_run.count += 1
            self._hub.changed.notify_all()
        self._hub.nudge()
        return added

    # ---- results

    def get_results_unordered(self) -> Iterator[Any]:
        """The results as they come. An iteration that was left, or ended by an error, is resumed by another one.

        Raises:
            RemoteError: a task has raised; the others go on, and it is not run again.
            EncodeError: a task cannot be sent.
            StoreError: what has come cannot be recorded, as when the disk is full; it is kept, iterate again.
            NetworkError: no slave could be started, or was heard of for ``heartbeat_timeout`` seconds.
            NoMoreSlavesError: no slave is left; or all others are done, and these tasks have ended so many slaves as
                there are.
        """
        return self._results(is_ordered=False)

    def get_results(self) -> Iterator[Any]:
        """The results in the order in which their tasks were added; else as ``get_results_unordered``."""
        return self._results(is_ordered=True)

    def _results(self, *, is_ordered: bool) -> Iterator[Any]:
        for task in self._taken(lambda: self._work.take(is_ordered=is_ordered)):
            if task.error is not None:
                raise task.error
            yield task.result

    def get_tasks_unordered(self) -> Iterator[Task]:
        """The tasks as they end, with their results or errors; a task that has failed is no end of the iteration."""
        return self._taken(lambda: self._work.take(is_ordered=False))

    def map(self, function: Callable[..., Any], values: Iterable[Any], chunksize: int = 1) -> Iterator[Any]:
        """``function(*what the setup gave, value)`` for each value, in their order.

        Args:
            chunksize: so many values travel together, and fail together.
        """
        check_callable("what is mapped", function)
        arguments.checked_number("chunksize", chunksize, 1, is_whole=True)
        rows = chunked(((value,) for value in values), chunksize)
        tasks = [self.add_task(Chunk(function, [value for (value,) in row])) for row in rows]
        return self._of_chunks(tasks)

    def _of_chunks(self, tasks: list[Task]) -> Iterator[Any]:
        for task in tasks:
            for _ in self._taken(lambda task=task: task if self._work.take_one(task) else None):  # type: ignore[misc]
                break
            if task.error is not None:
                raise task.error
            yield from task.result or ()

    # ---- waiting for them

    def _taken(self, take: Callable[[], Task | None]) -> Iterator[Task]:
        with self._iterating():
            while (task := self._next(take)) is not None:
                if task.slave is not None:
                    task.slave._pending = max(0, task.slave._pending - 1)
                if task._callback is not None:
                    task._callback(task)
                yield task

    @contextmanager
    def _iterating(self) -> Iterator[None]:
        self._never_run.is_over = True
        self._manager._start_slaves(must_begin=self._work.record is not None)
        self._hub.enter(self._work)
        try:
            yield
        finally:
            self._hub.leave(self._work)

    def _next(self, take: Callable[[], Task | None]) -> Task | None:
        """One that has ended; None: all have."""
        hub, work = self._hub, self._work
        while True:
            self._manager._start_slaves()
            with hub.changed:
                task = take()
                if task is not None:
                    return task
                if work.fault is not None:
                    fault, work.fault = work.fault, None
                    raise fault
                if work.is_all_taken:
                    if (error := work.take_lost()) is not None:
                        raise error
                    return None
                if not self._manager._added:
                    is_looking = work.unseen and not hub.is_closed
                    hub.changed.wait(None if is_looking else hub.waiting_s(self._manager.heartbeat_timeout))

    # ---- more

    @property
    def progress(self) -> Progress:
        """How many tasks are waiting, running, done, failed and cancelled."""
        with self._hub.changed:
            return self._work.progress

    def cancel(self, task: Task | None = None) -> None:
        """Nobody wants this task any more; None: nor any that has not ended. One that runs is let go on, unheard."""
        with self._hub.changed:
            if task is None:
                self._work.cancel_all()
                self._never_run.count = 0
            elif self._work.cancel(task):
                self._never_run.count -= 1
            self._hub.changed.notify_all()

    def close(self) -> None:
        """Cancel what has not ended, and have the slaves forget what the setup gave. Other contexts go on.

        The run file is let go of; what was being worked on is not recorded. In a child that was forked: nothing.
        """
        if not self._hub.is_own:
            return
        self._never_run.tell()
        self._hub.forget(self._work)
        self._hub.keeping.wait_until_forgotten(self._work)
        self.cancel()
        with self._hub.changed:
            session, self._work.session = self._work.session, None
        if session is not None:
            session.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Context:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self._never_run.is_over |= exc_type is not None
        self.close()


def _record(path: str | os.PathLike[str], startup: Callable[..., Any] | None) -> Record:
    from tracking.parallel.record import Record  # the store, with sqlite3, only where it is used

    return Record(path, startup)
