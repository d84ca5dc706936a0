"""JobMaster: the thread that runs a calculation, with the hooks that users override.

::

    user's thread                               master's thread
      start() -> checks, run file      ...        run(): slaves, loop, finish()
      lockMsg.wait(), wait(), result   <--lock--  _tr_announce_end()
      exit()  -> interrupt             -------->  ends the loop

Shared attributes (unit, writer):
    result, errors, slaves   the master's thread; read by anyone
    _tr_is_over              set once, under ``lock``, by the master's thread
    _tr_subscribers          under ``lock``
    _tr_failure              why there is no result; the master's thread, before ``_tr_is_over``
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from tracking.core.policy import ChunkSize, Policy
from tracking.errors import CalculationError, Interrupted, ItemError, NoSlavesError
from tracking.fabrics.base import Fabric
from tracking.fabrics.registry import make_fabric
from tracking.master import checks, sending
from tracking.master.calculation import Calculation
from tracking.master.ending import EndCondition, end_with_program
from tracking.master.record import Record
from tracking.master.spawning import SlaveKeeper
from tracking.master.status import Status
from tracking.pool import SlavePool, arguments
from tracking.pool.crew import MASTER_NUMBERS, Crew, names_for

if TYPE_CHECKING:  # what a quiet calculation without a record does not need is loaded when it is
    from tracking import report
    from tracking.progress import Progress
    from tracking.store.run_file import RunFile

logger = logging.getLogger("tracking")

Batch = Mapping[Hashable, Any]

_DISPLAY_INTERVAL_S = 0.25


class JobMaster(SlaveKeeper):
    """Cuts a data dict into jobs, gives them to slaves, and collects the results.

    Override its hooks to do more; all of them run in this thread, one at a time, under no lock of ours, and
    one that raises ends the calculation with that error. In the order of their calls: ``initialize``,
    ``getInitParameters``, ``initializationDone``, ``start_job``, ``get_slave_chunk``, ``job_done``,
    ``is_valid_slave``, ``finish``, ``cleanup``, ``done``.

    Args:
        data: {id: value}, any hashable ids, any values that can be pickled.
        chunk_size: items per job, or 'auto' (sized from measured item times).
        hosts: host names, one entry a slave; none: this machine, one slave per usable core.
        niceness: {host: nice value, 'default': n}.
        slave_script: path of a script with a ``JobSlave`` subclass, or such a class.
        show_output: 0: what slaves print is not shown; 1: in a window per slave, or line by line.
        result: {id: result} that is there already; its items are not computed again.
        redistribute: at the end, give jobs that still run to idle slaves as well.
        verbose: 0 silent, 1 progress, 2 debug.
        function: a plain function of one value, instead of a slave script.
        run_file: path where every result is recorded as it comes; an interrupted calculation goes on from it.
        item_timeout: seconds that one item may take.
        retries: how often an item that raised is tried again.
        max_deaths: an item alone on a slave that died so often is given up; None: never.
        host_failures: so many deaths without a job done between them, and a host is left out; None: never.
        silence_timeout: seconds without a sign of life after which a slave counts as frozen.
        on_error: 'raise' or 'collect'.
        trust: accept a run file that another user owns or may write.
        pool: a ``SlavePool`` to work with; it is left running.
        fabric: how slaves are started: a name, or a fabric.

    Raises:
        InputError: wrong use; names the argument and says what is expected.

    Source: Biskit's ``JobMaster`` (2004).
    """

    def __init__(
        self,
        data: Mapping[Any, Any],
        chunk_size: ChunkSize,
        hosts: Any,
        niceness: Any,
        slave_script: Any,
        show_output: int = 0,
        result: dict[Any, Any] | None = None,
        redistribute: int = 1,
        verbose: int = 1,
        *,
        function: Callable[[Any], Any] | None = None,
        run_file: Any = None,
        item_timeout: float | None = None,
        retries: int = 0,
        max_deaths: int | None = 2,
        host_failures: int | None = 10,
        silence_timeout: float = 30,
        on_error: str = "raise",
        trust: bool = False,
        pool: SlavePool | None = None,
        fabric: str | Fabric | None = None,
    ) -> None:
        SlaveKeeper.__init__(self)
        self.data = checks.checked_data(data)
        self.chunk_size = checks.checked_chunk_size(chunk_size)
        checks.check_worker(function, slave_script)
        checks.check_pool(pool, hosts, niceness)
        self.niceness = arguments.checked_niceness(niceness)
        self.hosts = self._tr_named_hosts(hosts, pool)
        self.slave_script = slave_script
        self.show_output = show_output
        self.redistribute = redistribute
        self.verbose = verbose
        self.result: dict[Any, Any] = {} if result is None else dict(result)
        self.status = Status(self.data, redistribute)
        self.status._tr_finish_known(self.result)
        self.errors: dict[Any, ItemError] = {}
        self.slaves: dict[int, dict[str, str]] = {}
        self.disabled_hosts: list[str] = []
        self.slow_hosts: dict[str, float] = {}
        self.lock = threading.RLock()
        self.lockMsg = EndCondition(self.lock, lambda: self._tr_is_over)
        self._tr_function = function
        self._tr_run_file = run_file
        self._tr_item_timeout_s = arguments.checked_number("item_timeout", item_timeout, 0, is_optional=True)
        self._tr_retries = arguments.checked_number("retries", retries, 0, is_whole=True)
        self._tr_max_deaths = arguments.checked_number(
            "max_deaths", max_deaths, 1, is_optional=True, is_whole=True
        )
        self._tr_host_failures = arguments.checked_number(
            "host_failures", host_failures, 1, is_optional=True, is_whole=True
        )
        self._tr_silence_timeout_s = arguments.checked_number("silence_timeout", silence_timeout, 0)
        self._tr_on_error = arguments.checked_choice("on_error", on_error, ("raise", "collect"))
        self._tr_trust = trust
        self._tr_pool = pool
        self._tr_fabric = make_fabric(fabric or "local")
        self._tr_tid = next(MASTER_NUMBERS)
        self._tr_subscribers: list[SimpleQueue[Batch | None]] = []
        self._tr_all_over = threading.Event()

    # Written by the master's thread, unless said otherwise.
    _tr_worker: sending.Worker  # by start()
    _tr_was_started = False  # by start()
    _tr_open_file: RunFile | None = None  # by start()
    _tr_recipe: bytes | None = None  # by who makes the master: how a run file is resumed
    _tr_interruption = ""  # by who ends it: why
    _tr_progress: Progress | None = None
    _tr_began = 0.0  # seconds, time.monotonic
    _tr_n_restored = 0
    _tr_n_told = 0  # so many results, in the order of ``result``, may be known to iterators; under lock
    _tr_is_finishing = False
    _tr_slaves_ended = False
    _tr_cleaned = False
    _tr_is_over = False
    _tr_failure: BaseException | None = None
    _tr_callback: Callable[[Any], object] | None = None  # by setCallback, under lock
    _tr_callback_time_came = False  # under lock

    @staticmethod
    def _tr_named_hosts(hosts: Any, pool: SlavePool | None) -> list[dict[str, str]]:
        if pool is not None:
            return [{"host": slave.host, "nickname": slave.nickname} for slave in pool._crew.slaves()]
        return [{"host": host, "nickname": name} for host, name in names_for(arguments.checked_hosts(hosts))]

    # ---- hooks: override what you need

    def initialize(self) -> None:
        """Called first in the master's thread, before the slaves are started."""

    def bindMessages(self, slave_tid: int) -> None:
        """Bind methods to the messages of this slave here; called when it is up, before its parameters."""

    def getInitParameters(self, slave_tid: int) -> Any:
        """What the slave's ``initialize`` gets: anything that can be pickled, or None."""
        return None

    def initializationDone(self, slave_tid: int) -> None:
        """The slave has run its ``initialize``."""

    def start_job(self, slave_tid: int) -> None:
        """Give the slave its next job; whoever overrides this calls it too."""
        if self._tr_calculation is not None:
            self._tr_calculation.send_job()

    def get_slave_chunk(self, ids: Sequence[Any]) -> Mapping[Any, Any]:
        """The values of a job, {id: value}; override to make them when they are needed."""
        data = self.data
        return {id: data[id] for id in ids}

    def job_done(self, slave_tid: int, result: dict[Any, Any]) -> None:
        """Sees the results of a job first, {id: result}, and may change them; then they are recorded."""

    def is_valid_slave(self, slave_tid: int) -> bool:
        """Whether this slave shall get more jobs; asked after each."""
        return True

    def finish(self) -> None:
        """Called once, when nothing is left to do."""
        self.done()

    def cleanup(self) -> None:
        """Called at the end, when all slaves are gone: also after an interruption or an error."""

    def done(self) -> None:
        """Called when everything is finished."""

    def getResult(self, **arg: Any) -> Any:
        """What ``calculateResult`` returns: {id: result}; override to make something else of it."""
        return self.result

    # ---- life

    def start(self) -> None:
        """Begin; returns at once.

        Raises:
            InputError, EncodeError, StoreError: it cannot begin; nothing was started.
        """
        if self._tr_was_started:
            raise RuntimeError("a master can be started only once; make a new one, or use restart()")
        worker = sending.make_worker(self._tr_function, self.slave_script)
        self._tr_prepare_status()
        self._tr_open_run_file()
        self._tr_was_started = True
        self._tr_worker = worker
        self._tr_n_told = len(self.result)
        end_with_program(self)
        super().start()

    def _tr_prepare_status(self) -> None:
        """The status that counts is the one there is now: data or objects may have been assigned by hand."""
        checks.checked_data(self.data)
        if not self.status._tr_fits(self.data):
            self.status = Status(self.data, self.redistribute)
            self.status._tr_finish_known(self.result)
        self.status._tr_reopen_active()

    def _tr_open_run_file(self) -> None:
        if self._tr_run_file is None:
            return
        from tracking.store.run_file import RunFile

        self._tr_open_file = RunFile.open(
            self._tr_run_file, self.status._tr_ids, recipe=self._tr_make_recipe(), trust=self._tr_trust
        )
        try:
            restored = self._tr_open_file.results()
        except BaseException:
            self._tr_open_file.close("interrupted")
            raise
        self.result.update(restored)
        self.status._tr_finish_known(restored)
        if restored and self.verbose:
            print(
                f"{self._tr_run_file}: {len(restored)} of {len(self.status._tr_ids)} items restored",
                file=sys.stderr,
            )

    def _tr_make_recipe(self) -> bytes | None:
        """What a run file needs to make this master anew."""
        return self._tr_recipe

    def run(self) -> None:
        """The master's thread: all of the calculation."""
        try:
            self._tr_run()
        except BaseException as error:  # noqa: BLE001  (kept, and raised where somebody waits)
            self._tr_failure = error
        finally:
            self._tr_end()

    def _tr_run(self) -> None:
        self._tr_began = time.monotonic()
        self._tr_n_restored = self.status._tr_items.count_finished
        self.initialize()
        self._tr_calculation = self._tr_make_calculation()
        self._tr_start_display()
        try:
            self._tr_spawn_all()
            self._tr_calculation.run()
            self._tr_is_finishing = True
        finally:
            self._tr_show_end()
        self.finish()

    def _tr_spawn_all(self) -> None:
        if self._tr_pool is not None or self.status.done():
            return
        try:
            self.spawnAll(self.niceness, self.show_output)
        except OSError as error:
            if not self.slaves:
                raise NoSlavesError(f"no slave could be started: {error}") from error
            logger.warning("only %d of %d slaves could be started: %s", len(self.slaves), len(self.hosts), error)

    def _tr_make_calculation(self) -> Calculation:
        crew = self._tr_pool._crew if self._tr_pool else Crew(host_failures=self._tr_host_failures)
        calculation = Calculation(
            self,
            self._tr_tid,
            self.status,
            self._tr_policy(),
            self._tr_worker,
            Record(self._tr_open_file),
            crew,
        )
        if self._tr_interruption:
            calculation.interrupt(self._tr_interruption)
        return calculation

    def _tr_policy(self) -> Policy:
        return Policy(
            chunk_size=self.chunk_size,
            redistribute=bool(self.redistribute),
            retries=self._tr_retries,
            max_deaths=self._tr_max_deaths,
            item_timeout_s=self._tr_item_timeout_s,
        )

    def _tr_end(self) -> None:
        """Whatever happened: slaves end, ``cleanup`` runs, the file is closed, everybody who waits is told."""
        for step in (self._tr_stop_slaves, self._tr_clean_once, self._tr_close_file):
            try:
                step()
            except BaseException as error:  # noqa: BLE001  (the first error counts, and the next step must come)
                self._tr_failure = self._tr_failure or error
        self._tr_announce_end()
        self._tr_run_callback()

    def _tr_stop_slaves(self) -> None:
        """All slaves of this master end; bounded, and once."""
        calculation = self._tr_calculation
        if calculation is not None and not self._tr_slaves_ended:
            self._tr_slaves_ended = True
            calculation.leave_crew()
            if self._tr_pool is None:
                calculation.crew.close()

    def _tr_clean_once(self) -> None:
        if self._tr_calculation is not None and not self._tr_cleaned:
            self._tr_cleaned = True
            self.cleanup()

    def _tr_close_file(self) -> None:
        state = "finished"
        if self._tr_failure is not None:
            state = "interrupted" if isinstance(self._tr_failure, Interrupted) else "failed"
        if self._tr_calculation is not None:
            self._tr_calculation.close(state)
        elif self._tr_open_file is not None:
            self._tr_open_file.close(state)

    def _tr_announce_end(self) -> None:
        with self.lock:
            if not self._tr_is_over:
                self._tr_is_over = True
                for subscriber in self._tr_subscribers:
                    subscriber.put(None)
                self.lockMsg.notify_all()

    def _tr_run_callback(self) -> None:
        with self.lock:
            self._tr_callback_time_came = True
            callback = self._tr_callback if self._tr_failure is None else None
        if callback is not None:
            self._tr_call(callback)
        self._tr_all_over.set()

    def _tr_call(self, callback: Callable[[Any], object]) -> None:
        try:
            callback(self)
        except Exception as error:
            self.callback_error = error
            logger.exception("the callback of %s raised", self._tr_thread_name())

    def exit(self) -> None:
        """Tell all slaves to stop, and wait until they have (bounded).

        Called while the calculation runs, this interrupts it: no ``finish()``, those who wait are woken,
        ``calculateResult`` raises ``Interrupted``. What was done can be saved and restarted.
        """
        if threading.current_thread() is self and self._tr_is_finishing:
            self._tr_stop_slaves()
            return
        if self._tr_is_over:
            return
        self._tr_interrupt("exit() was called before all items were done")
        if threading.current_thread() is not self and self._tr_was_started:
            self._tr_all_over.wait()

    def _tr_interrupt(self, why: str) -> None:
        self._tr_interruption = why
        if self._tr_calculation is not None:
            self._tr_calculation.interrupt(why)

    def stop(self) -> None:
        """As ``exit``, without waiting."""
        super().stop()
        self._tr_interrupt("stop() was called before all items were done")

    # ---- waiting for the end

    def isFinished(self) -> bool:
        """Whether the calculation is over."""
        return self._tr_is_over

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until ``finish()`` and the callback are over; False if they are not within the timeout (seconds)."""
        return self._tr_all_over.wait(timeout)

    def setCallback(self, funct: Callable[[Any], object]) -> None:
        """Have ``funct(master)`` called at the end; after the end, it is called now, in this thread."""
        with self.lock:
            self._tr_callback = funct
            is_late = self._tr_callback_time_came and self._tr_failure is None
        if is_late:
            self._tr_call(funct)

    def calculateResult(self, **arg: Any) -> Any:
        """Start, wait for the end, and return ``getResult(**arg)``.

        Raises:
            CalculationError: some items failed (unless ``on_error='collect'``); all others are in its ``.result``.
            Interrupted: ``exit()`` was called meanwhile.
            NoSlavesError: no slave could be started, or none is left.
        """
        if not self._tr_was_started:
            self.start()
        try:
            self._tr_all_over.wait()
        except KeyboardInterrupt:
            self.exit()
            raise
        self._tr_raise_failure()
        return self.getResult(**arg)

    def _tr_raise_failure(self) -> None:
        failure = self._tr_failure
        if isinstance(failure, Interrupted):
            failure.result = self.result
        if failure is not None:
            raise failure
        if self.errors and self._tr_on_error == "raise":
            raise CalculationError(self.result, self.errors)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """(id, result) of every item, as they are recorded; starts the calculation if need be."""
        if not self._tr_was_started:
            self.start()
        batches: SimpleQueue[Batch | None] = SimpleQueue()
        with self.lock:
            known = dict(islice(self.result.copy().items(), self._tr_n_told))
            if self._tr_is_over:
                batches.put(None)
            else:
                self._tr_subscribers.append(batches)
        yield from known.items()
        while (batch := batches.get()) is not None:
            yield from batch.items()
        self._tr_all_over.wait()
        self._tr_raise_failure()

    # ---- what the calculation asks for

    def _tr_values(self, ids: Sequence[Any], *, as_dict: bool) -> Any:
        """The values of a job: {id: value} for ``go``, a list for a function."""
        if type(self).get_slave_chunk is JobMaster.get_slave_chunk and not as_dict:
            return list(map(self.data.__getitem__, ids))
        chunk = sending.checked_chunk(ids, self.get_slave_chunk(ids))
        return chunk if as_dict else [chunk[id] for id in ids]

    def _tr_tell(self, batches: list[Batch]) -> None:
        """These results are recorded: iterators may have them."""
        with self.lock:
            for batch in batches:
                self._tr_n_told += len(batch)
                for subscriber in self._tr_subscribers:
                    subscriber.put(batch)

    # ---- what people see

    def _tr_start_display(self) -> None:
        if self.verbose:
            from tracking.progress import make_progress

            self._tr_progress = make_progress(self.verbose)
            self._tr_progress.start()

    def _tr_display(self, now: float) -> None:
        if self._tr_progress is not None and self._tr_progress.due(now):
            self._tr_progress.update(self._tr_snapshot())

    def _tr_next_display_s(self, now: float) -> float:
        return _DISPLAY_INTERVAL_S if self.verbose else float("inf")

    def _tr_show_end(self) -> None:
        if self._tr_progress is not None:
            self._tr_progress.close(self._tr_snapshot())

    def _tr_snapshot(self) -> report.Snapshot:
        from tracking import report

        items = self.status._tr_items
        return report.Snapshot(
            n_items=len(self.status._tr_ids),
            n_finished=items.count_finished - len(self.errors),
            n_failed=len(self.errors),
            n_active=items.count_active,
            n_restored=self._tr_n_restored,
            elapsed_s=time.monotonic() - self._tr_began,
            lines=self._tr_host_lines(),
        )

    def _tr_host_lines(self) -> tuple[report.HostLine, ...]:
        if self._tr_calculation is None:
            return ()
        from tracking.master.host_lines import host_lines

        return host_lines(self.hosts, self.slaves, self._tr_calculation.scheduler)
