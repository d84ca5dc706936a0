"""Fabric_processor: slaves of any fabric; each queue is a master on the processor's own pool.

::

    the program's thread                              the thread of results (or the program's, as it likes)
      add_to_queue: a Snapshot each                     Batched_result_command.run: the text, then
      run_queue: QueueMaster --outcomes--> put  ----->     result_command.run(processor, memo), one after the other
           raises what failed, there or on a slave <---  failure
      end of run(): the pool is shut down

Slaves are started when ``run()`` begins, or by the first queue of a program that does without.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Iterable
from typing import Any

from tracking.errors import CalculationError, Interrupted, ItemError
from tracking.fabrics.base import Fabric
from tracking.multi import record
from tracking.multi.multi_processor_base import Multi_processor, Too_few_slaves_exception
from tracking.multi.processor import verbosity
from tracking.multi.processor_io import replay
from tracking.multi.queue_master import CommandFailed, GlobalMaster, Progress, QueueMaster, job_size
from tracking.multi.result_commands import Batched_result_command
from tracking.multi.result_queue import Immediate_result_queue
from tracking.multi.seats import Seats, in_order_of_start
from tracking.multi.shelf import Shelf
from tracking.multi.slave_commands import data_name
from tracking.multi.slave_side import Here
from tracking.multi.travel import Outcome, Snapshot, Welcome, command_snapshot
from tracking.pool import SlavePool
from tracking.wire import codec, mainmodule


class Fabric_processor(Multi_processor):  # noqa: N801  (as the others)
    """A master whose slaves any fabric starts.

    Args:
        processor_size: so many slaves; -1: as many as make sense there, or one for each of the hosts.
        callback: see ``Processor``.
        fabric: a name, or a fabric.
        hosts: as of a ``SlavePool``; none: the fabric chooses.
        run_file: a folder in which each queue is recorded; a program that is started again goes on from there. None:
            what TRACKING_MULTI_RUN_FILE says.
        live: show what slaves print as they print it; None: what TRACKING_MULTI_LIVE says.
        on_change: what is done with recorded commands that are not those of today: 'recompute', 'keep' or 'refuse'.
        max_deaths: a command that was alone on a slave that died so often is given up.
        pool: keyword arguments of the ``SlavePool``.

    Attributes:
        live: see above; may be changed between queues.
        small_queue: a queue of no more commands is run by the master itself, one after the other, and not recorded; 0:
            none is.

    Raises:
        Too_few_slaves_exception: no slave is asked for.
        InputError: ``run_file`` is a file.
    """

    fabric: str | Fabric | None = None

    def __init__(
        self,
        processor_size: int = -1,
        callback: Any = None,
        *,
        fabric: str | Fabric | None = None,
        hosts: Iterable[Any] | str = (),
        run_file: str | os.PathLike[str] | None = None,
        live: bool | None = None,
        on_change: str = "recompute",
        max_deaths: int | None = 2,
        pool: dict[str, Any] | None = None,
    ) -> None:
        if processor_size != -1 and processor_size < 1:
            raise Too_few_slaves_exception(f"the master needs at least one slave, not {processor_size}")
        super().__init__(processor_size=processor_size, callback=callback)
        self.fabric = self.fabric if fabric is None else fabric
        self.live = record.is_wanted(os.environ.get(record.LIVE_VARIABLE, "")) if live is None else live
        self.small_queue = 0
        self._hosts = list(hosts) if not isinstance(hosts, str) else hosts
        self._pool_options = {"max_deaths": max_deaths} | (pool or {})
        self._options = {"on_change": on_change, "max_deaths": max_deaths}
        self._files = record.QueueFiles(record.folder_from(os.environ) if run_file is None else run_file)
        self._key = uuid.uuid4().hex
        self._shelf = Shelf()
        self._seats = Seats()
        self._pool: SlavePool | None = None
        self._makes_own_display = not sys.stderr.isatty()

    def rank(self) -> int:
        return 0

    def processor_size(self) -> int:
        """How many slaves there are; to know that where it was left open, they are started."""
        if self._processor_size == -1:
            self._slaves()
        return self._processor_size

    # ---- slaves

    def pre_run(self) -> None:
        super().pre_run()
        self._slaves()

    def _slaves(self) -> SlavePool:
        if self._pool is None:
            is_open = bool(self._hosts) or self._processor_size == -1
            hosts = self._hosts if is_open else self._processor_size
            self._pool = SlavePool(hosts, fabric=self._the_fabric(), **self._pool_options)
            slaves = self._pool.slaves
            self._seats.take(in_order_of_start(slaves))
            self._processor_size = max(1, len(slaves)) if is_open else self._processor_size
        return self._pool

    def add_slaves(self, hosts: Any) -> dict[str, str]:
        """Have more slaves, with the next ranks; also while a queue runs, from another thread.

        Args:
            hosts: as of a ``SlavePool``: names, or how many.

        Returns:
            {host: why no slave can be started there} of those that failed.
        """
        failed = self._slaves().add_hosts(hosts)
        self._seats.take(in_order_of_start(self._slaves().slaves))
        self._processor_size = len(self._slaves().slaves)
        return failed

    def _the_fabric(self) -> str | Fabric | None:
        return self.fabric

    def _end_slaves(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
        self._shelf.forget_slaves()
        self._files.close()

    # ---- queues

    def add_to_queue(self, command: Any, memo: Any = None) -> None:
        """Queue a command as it is now; what is changed later does not matter to it.

        Raises:
            EncodeError: it cannot be sent; names the part.
        """
        super().add_to_queue(command, memo)

    def _queued(self, command: Any) -> Snapshot:
        return command_snapshot(command)._replace(code=self._files.code_of(command))

    def run_command_queue(self, queue: list[Snapshot]) -> None:
        """Run these commands; returns when they and their results are done.

        Raises:
            Capturing_exception: a command has raised on its slave; those that still ran were ended.
            ItemError: a command has killed its slaves; all others are done.
            whatever a result command has raised.
        """
        if len(queue) <= self.small_queue:
            self._run_here(queue)
            return
        pool, run_file = self._slaves(), self._files.next(len(queue))
        master = QueueMaster(
            queue, pool, self._welcomer(queue), self._shelf.is_told, replay, run_file=run_file,
            verbose=0 if self._makes_own_display else min(1, verbosity.level()),
            chunk_size=job_size(len(queue), self._processor_size), redistribute=0, **self._options,
        )  # fmt: skip
        self._take_outcomes(master, queue)

    def _run_here(self, queue: list[Snapshot]) -> None:
        here = Here(self.processor_size())
        for command in queue:
            outcome = here.run(command, self._shelf.everything())
            self._take_all(Immediate_result_queue(self), [outcome])

    def _run_everywhere(self, queue: list[Snapshot]) -> None:
        master = GlobalMaster(
            queue, self._slaves(), self._welcomer(queue), self._shelf.is_told, replay,
            max_deaths=self._options["max_deaths"],
        )  # fmt: skip
        self._take_outcomes(master, queue)

    def _welcomer(self, queue: list[Snapshot]) -> Any:
        """Makes what slaves are told at the beginning of a queue."""
        needed = frozenset[str]().union(*(each.names() for each in [*queue, *self._shelf.values()]))
        definitions: codec.Payload | None = mainmodule.bundle(needed) if needed else None

        def welcome(tid: int, nickname: str) -> Welcome:
            return Welcome(
                self._key, self._seats.rank(nickname), self._processor_size, verbosity.level(), self.live,
                definitions, self._shelf.lacking(tid),
            )  # fmt: skip

        return welcome

    # ---- what comes of them

    def _take_outcomes(self, master: QueueMaster, queue: list[Snapshot]) -> None:
        with self._make_result_queue(on_failure=master.stop) as results:
            try:
                self._take_each(results, master, queue)
            except CommandFailed as failed:
                self._take_all(results, failed.outcomes.values())
            except CalculationError as error:
                results.run_all()
                raise _named(error, queue) from error
            except Interrupted:
                if results.failure is None:  # else that has ended it
                    raise
            finally:
                master.exit()
            results.run_all()

    def _take_each(self, results: Any, master: QueueMaster, queue: list[Snapshot]) -> None:
        progress = Progress(self._files.count, len(queue), time.monotonic())
        for n_done, (number, outcome) in enumerate(master, 1):
            was_shown = outcome.was_shown and number in master.computed
            self._take(results, outcome, queue[number].memo_id, was_shown=was_shown)
            master.forget(number)
            self._say(progress.line(n_done, time.monotonic()))

    def _take(self, results: Any, outcome: Outcome, memo_id: Any, *, was_shown: bool) -> None:
        io_data = [] if was_shown else outcome.io_data
        results.put(Batched_result_command(self, outcome.restored_results(memo_id), io_data))

    def _take_all(self, results: Any, outcomes: Iterable[Outcome]) -> None:
        """What came along with a failure counts; then that is raised, if there is one.

        Raises:
            what a result command has raised, else what has failed on the slave.
        """
        errors = [outcome.error for outcome in outcomes if outcome.error is not None]
        for outcome in outcomes:
            self._take(results, outcome, outcome.memo_id, was_shown=outcome.was_shown)
        results.run_all()
        if errors:
            raise errors[0].restore() from None

    def _say(self, line: str) -> None:
        if line and verbosity.level() >= 1 and self._makes_own_display:
            print(line, file=sys.stderr, flush=True)

    # ---- data

    def send_data_to_slaves(self, name: str | None = None, value: Any = None) -> None:
        """Have this in the data stores of all slaves, those that come later, too, as it is now.

        It goes with the next queue to each slave that lacks it, once; the queue waits on.

        Raises:
            EncodeError: it cannot be sent.
        """
        self.assert_on_master()
        self._shelf.put(data_name(name), value)

    def remove_data_from_slaves(self, name: str) -> None:
        self.assert_on_master()
        self._shelf.remove(name)


def _named(error: CalculationError, queue: list[Snapshot]) -> ItemError:
    """The first of the errors, with the command by name."""
    number, first = min(error.errors.items(), key=lambda each: int(str(each[0])))
    first.id = f"{number} ({queue[int(str(number))].kind})"
    return first
