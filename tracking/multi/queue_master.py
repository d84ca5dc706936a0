"""One queue on the slaves of a pool: a master whose items are commands, and whose results are what came of them.

::

    the program's thread                         the master's thread
      for number, outcome in QueueMaster(...)      getInitParameters: a Welcome for each slave
         outcomes, when they are recorded    <--   job_done: has a command failed? then it ends here, unrecorded
                                                   take_lines: what is printed in live mode
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from tracking.master import TrackingJobMaster
from tracking.multi.slave_side import MSG_LIVE, QueueSlave
from tracking.multi.travel import Outcome, Snapshot, Welcome
from tracking.pool import SlavePool

FIRST_S = 10.0
GROWTH = 1.5
LONGEST_S = 60.0
"""How far a queue is, is said first after so many seconds, then in gaps that grow so, up to so many seconds."""


JOBS_A_SLAVE = 500


def job_size(n_commands: int, n_slaves: int) -> int:
    """How many commands a slave is given together.

    Commands of a program take very different times, and those that are together stay on one slave. So each is a job of
    its own, and an idle slave has the next one, but where there are thousands: those are sent faster in small groups.

    >>> job_size(10, 2), job_size(1999, 2), job_size(10_000, 2), job_size(10_000, 100)
    (1, 1, 10, 1)
    """
    return max(1, n_commands // (JOBS_A_SLAVE * max(1, n_slaves)))


class CommandFailed(Exception):
    """A command has raised, or its results cannot be sent.

    Args:
        outcomes: {number: outcome} of the job that it belongs to.
    """

    def __init__(self, outcomes: dict[Any, Outcome]) -> None:
        super().__init__()
        self.outcomes = outcomes


class QueueMaster(TrackingJobMaster):
    """Runs commands.

    Args:
        commands: in their order; their numbers count from 0.
        pool: the slaves.
        welcome: what a slave is told, by its tid and nickname.
        is_told: called with the tid of a slave that has heard it.
        show: shows what was printed, in live mode.
        run_file: where outcomes are recorded; None: nowhere.
        verbose, options: of the master.
    """

    def __init__(
        self,
        commands: list[Snapshot],
        pool: SlavePool,
        welcome: Callable[[int, str], Welcome],
        is_told: Callable[[int], object],
        show: Callable[[list[list[Any]]], object],
        *,
        run_file: str | os.PathLike[str] | None = None,
        verbose: int = 0,
        **options: Any,
    ) -> None:
        data: dict[int, Snapshot | None] = {n: command._replace(memo_id=None) for n, command in enumerate(commands)}
        self._commands = data  # what is done is forgotten
        super().__init__(data, slave_script=QueueSlave, pool=pool, run_file=run_file, verbose=verbose, **options)
        self._memo_ids = [command.memo_id for command in commands]
        self._welcome = welcome
        self._is_told = is_told
        self._show = show
        self.computed: set[int] = set()  # numbers of those that were not found in the run file; by this thread only

    def forget(self, number: int) -> None:
        """Its outcome was taken: neither that nor the command is kept until the end of the queue; both may be large."""
        self.result[number] = self._commands[number] = None

    def getInitParameters(self, slave_tid: int) -> Welcome:
        return self._welcome(slave_tid, self.slaves[slave_tid]["nickname"])

    def initializationDone(self, slave_tid: int) -> None:
        self._is_told(slave_tid)

    def bindMessages(self, slave_tid: int) -> None:
        self.bind(MSG_LIVE, slave_tid, self._show)

    def get_slave_chunk(self, ids: Sequence[Any]) -> dict[Any, Snapshot]:
        return {number: self.data[number]._replace(memo_id=self._memo_ids[number]) for number in ids}

    def job_done(self, slave_tid: int, result: dict[Any, Outcome]) -> None:
        if any(outcome.error is not None for outcome in result.values()):
            raise CommandFailed(result)
        self.computed.update(result)

    def reportProgress(self) -> None:
        """A program has many queues: who did how much in each is not told."""


class GlobalMaster(QueueMaster):
    """Gives each slave one of as many commands as there are slaves."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, chunk_size=1, redistribute=0, **options)

    def is_valid_slave(self, slave_tid: int) -> bool:
        """Whoever has done one gets no other."""
        return False


class Progress:
    """Decides when to say how far a queue is, without a clock of its own.

    Args:
        number: of the queue.
        total: of its commands.
        began: when, in seconds.

    >>> progress = Progress(3, 40, began=0.0)
    >>> progress.line(10, now=9.0), progress.line(11, now=10.0), progress.line(12, now=11.0)
    ('', 'queue 3: 11 of 40 commands done', '')
    """

    def __init__(self, number: int, total: int, began: float) -> None:
        self._number = number
        self._total = total
        self._gap_s = FIRST_S
        self._next_at = began + FIRST_S

    def line(self, n_done: int, now: float) -> str:
        """What is to be said now; "": nothing."""
        if now < self._next_at:
            return ""
        self._gap_s = min(LONGEST_S, self._gap_s * GROWTH)
        self._next_at = now + self._gap_s
        return f"queue {self._number}: {n_done} of {self._total} commands done"
