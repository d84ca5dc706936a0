"""About the limit: a bare select loop over multiprocessing pipes, no tracking, no faults, no record."""

from __future__ import annotations

import multiprocessing
import pickle
import selectors
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from benchmarks import work as tasks_of_workers
from benchmarks.contenders import Contender, Function

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.work import Array, LookUp


class Raw(Contender):
    """Forked workers, each with one job at a time; a job is a list of values."""

    def start(self, slaves: int) -> None:
        self.slaves = slaves
        self._lines: list[Connection] = []
        self._processes = [self._fork() for _ in range(slaves)]

    def _fork(self) -> multiprocessing.process.BaseProcess:
        context = multiprocessing.get_context("fork")
        mine, theirs = context.Pipe()
        self._lines.append(mine)
        process = context.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        return process

    def stop(self) -> None:
        for line in self._lines:
            line.send(None)
        for process in self._processes:
            process.join()

    def singly(self, function: Function, work: Any) -> Iterator[Any]:
        return self._stream(function, ([value] for value in work))

    def batched(self, function: Function, work: Any) -> Iterator[Any]:
        size = self.chunk_size(work)
        return self._stream(function, (work[i : i + size] for i in range(0, len(work), size)))

    def _stream(self, function: Function, jobs: Iterator[list[Any]]) -> Iterator[Any]:
        with selectors.DefaultSelector() as selector:
            for line, job in zip(self._lines, jobs):  # noqa: B905 - there may be fewer jobs than lines
                line.send(function)
                line.send(job)
                selector.register(line, selectors.EVENT_READ, line)
            while selector.get_map():
                for key, _ in selector.select():
                    line = key.data
                    yield from line.recv()
                    if job := next(jobs, []):
                        line.send(job)
                    else:
                        selector.unregister(line)

    def call(self, function: Function, value: Any) -> Any:
        self._lines[0].send(function)
        self._lines[0].send([value])
        return self._lines[0].recv()[0]

    def shared(self, thing: Array, slaves: int, tasks: list[LookUp]) -> Iterator[float]:
        tasks_of_workers.keep(thing)  # inherited by the fork
        self.start(slaves)
        return self.singly(tasks_of_workers.look_up_kept, tasks)

    def recorded(self, function: Function, work: Any, items_per_job: int, record: Path | None) -> None:
        """Plain append, flushed once a job: the least that a record can cost."""
        if record is None:
            for value in work:
                function(value)
            return
        with open(record, "wb") as out:
            for begin in range(0, len(work), items_per_job):
                for value in work[begin : begin + items_per_job]:
                    out.write(pickle.dumps((value, function(value))))
                out.flush()


def _serve(line: Connection) -> None:
    """Until None comes: a function is kept, a list is answered by the kept function's results."""
    function: Function = tasks_of_workers.same
    while (message := line.recv()) is not None:
        if isinstance(message, list):
            line.send([function(value) for value in message])
        else:
            function = message
