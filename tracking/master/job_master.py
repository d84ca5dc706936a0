"""JobMaster: the thread that runs a calculation, with the hooks that users override.

::

    user's thread                          master's thread
      start(): checks, run file     ...      run(): initialize, slaves, loop, finish() -> hooks
      exit(), stop()             -------->     the loop ends
      wait(), lockMsg, result    <--------   the end is told (see ``waiting``)

Shared attributes (writer): ``result``, ``errors``, ``slaves`` (the master's thread; read by anyone);
``_tr_interruption`` (whoever ends it; read by the master's thread).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tracking import collector
from tracking.errors import Interrupted
from tracking.fabrics.hosts_file import expand
from tracking.fabrics.registry import Fabrics
from tracking.master import checks, sending
from tracking.master.display import Display
from tracking.master.ending import end_with_program
from tracking.master.hosting import HostKeeper
from tracking.master.lazy_mappings import keep_while_wanted, values_of
from tracking.master.options import Options
from tracking.master.record import Record
from tracking.master.status import Status
from tracking.pool import arguments
from tracking.pool.naming import MASTER_NUMBERS, Nicknames
from tracking.pool.shares import Shares

if TYPE_CHECKING:  # what a calculation needs is loaded when it begins: the program can go on to it, and slaves start
    from tracking import report
    from tracking.core.policy import ChunkSize
    from tracking.fabrics.base import Fabric
    from tracking.master.calculation import Calculation
    from tracking.pool import SlavePool
    from tracking.store.run_file import RunFile

logger = logging.getLogger("tracking")


class JobMaster(HostKeeper):
    """Cuts a data dict into jobs, gives them to slaves, and collects the results.

    Override its hooks to do more; all of them run in this thread, one at a time, under no lock of ours, and
    one that raises ends the calculation with that error. In the order of their calls: ``initialize``,
    ``getInitParameters``, ``initializationDone``, ``start_job``, ``get_slave_chunk``, ``job_done``,
    ``is_valid_slave``, ``finish``, ``cleanup``, ``done``.

    Args:
        data: {id: value}, any hashable ids, any values that can be pickled; also a ``LazyMapping`` or an
            ``IteratorMapping``, whose values are made when they are needed, or another mapping.
        chunk_size: items per job, or 'auto' (sized from measured item times).
        hosts: host names, one entry a slave, or 'name*n' for n there; '@hosts.toml': those in a hosts file; or how many
            slaves; none: one per usable core here, or as many as an engine has room for.
        niceness: {host: nice value, 'default': n}.
        slave_script: path of a script with a ``JobSlave`` subclass, or such a class.
        show_output: 0: what slaves print is not shown; 1: in a window per slave, or line by line.
        result: {id: result} that is there already; its items are not computed again.
        redistribute: at the end, give jobs that still run to idle slaves as well, where that is expected to finish
            them sooner; 0: never; 'always': each idle slave gets the items that were given out least often.
        verbose: 0 silent, 1 progress, 2 debug.
        function: a plain function of one value, instead of a slave script.
        run_file: path where every result is recorded as it comes; an interrupted calculation goes on from it.
        item_timeout: seconds that one item may take, in chunks too; a ``go`` with k items has k times as long.
        retries: how often an item that raised, or took too long, is tried again.
        max_deaths: an item alone on a slave that died so often is given up; None: never.
        host_failures: so many deaths without a job done between them, and a host is left out; None: never.
        silence_timeout: seconds without a sign of life after which a slave counts as frozen: its items go to others,
            too, and the first answer counts. One that is seen to be stopped counts as frozen after two heartbeats;
            one that is seen to compute never does, however long its items take.
        heartbeat: seconds after which a slave that said nothing is asked for a sign of life; there is rarely a reason
            to change it.
        memory_limit: bytes that a slave may hold ('2GB' is 2e9, '2GiB' is 2**31); None: as many as there are. An item
            that needs more fails with a MemoryError; a slave in which earlier items have left much is replaced.
        threads: so many the libraries of a slave (OpenMP, BLAS) start, also as {host: n, 'default': n}; 0: what they
            choose themselves; None: 1, unless the environment says otherwise.
        affinity: CPUs that a slave may use, also as {host: ..., 'default': ...}: 'each': its own, as many as it has
            threads; '0-3'; ['0-3', '4-7']: for the slaves of a host in turn; None: all.
        max_jobs: a slave that has done so many jobs is replaced by a new one; None: never.
        on_change: what is done with results in the run file that were made with other code or other values:
            'keep', 'recompute' or 'refuse' (an error, before any slave starts); it is said in any case.
        on_error: 'raise' or 'collect'.
        trust: accept a run file that another user owns or may write.
        keep_results: False: results are only in the run file, not in memory as well; ``result`` is then a mapping
            that reads them from there when they are asked for, also after the end.
        pool: a ``SlavePool`` to work with; it is left running.
        fabric: how slaves are started where the name of a host does not say it: a name, or a fabric; None: on this
            machine as its own processes, on others over ssh. An engine chooses the hosts where none is named.

    Raises:
        InputError: wrong use; names the argument and says what is expected.
        EngineError: what is to start slaves is not there, or refuses.

    Source: Biskit's ``JobMaster`` (2004).
    """

    def __init__(
        self,
        data: Mapping[Any, Any],
        chunk_size: ChunkSize,
        hosts: int | str | Iterable[str | Mapping[str, str]],
        niceness: int | Mapping[str, int],
        slave_script: str | os.PathLike[str] | type,
        show_output: int = 0,
        result: Mapping[Any, Any] | None = None,
        redistribute: int | str = 1,
        verbose: int = 1,
        *,
        function: Callable[[Any], Any] | None = None,
        run_file: str | os.PathLike[str] | None = None,
        item_timeout: float | None = None,
        retries: int = 0,
        max_deaths: int | None = 2,
        host_failures: int | None = 10,
        silence_timeout: float = 30,
        heartbeat: float = 1,
        memory_limit: int | str | None = None,
        threads: int | Mapping[str, int | None] | None = None,
        affinity: Any = None,
        max_jobs: int | None = None,
        on_change: str = "keep",
        on_error: str = "raise",
        trust: bool = False,
        keep_results: bool = True,
        pool: SlavePool | None = None,
        fabric: str | Fabric | None = None,
    ) -> None:
        """Make a master; the calculation begins with ``start()`` or ``calculateResult()``."""
        super().__init__()
        checks.check_worker(function, slave_script)
        checks.check_pool(pool, hosts, niceness)
        self.data = checks.checked_data(data)
        self.chunk_size = checks.checked_chunk_size(chunk_size)
        expanded = expand(hosts)
        self.niceness = arguments.checked_niceness(niceness if pool is None else {}, expanded.niceness)
        self._tr_fabrics = Fabrics(fabric, expanded.settings)
        self.hosts = checks.named_hosts(expanded.hosts, pool, self._tr_fabrics)
        self._tr_nicknames = Nicknames()
        self.slave_script = slave_script
        self.show_output = show_output
        checks.checked_redistribute(redistribute)
        self.redistribute = redistribute
        self.verbose = checks.checked_verbose(verbose)
        self.result = dict(checks.checked_result(result))
        self.status = Status(self.data, redistribute)
        self.status._tr_finish_known(self.result)
        self.slaves: dict[int, dict[str, str]] = {}
        self.disabled_hosts: list[str] = []
        self.slow_hosts: dict[str, float] = {}
        self._tr_options = Options(
            function=function, run_file=run_file, item_timeout=item_timeout, retries=retries, max_deaths=max_deaths,
            host_failures=host_failures, silence_timeout=silence_timeout, heartbeat=heartbeat,
            memory_limit=memory_limit, threads=threads, affinity=affinity, max_jobs=max_jobs, on_change=on_change,
            on_error=on_error, trust=trust, keep_results=keep_results, pool=pool, fabric=fabric,
        )  # fmt: skip
        self._tr_shares = Shares(threads, affinity, self._tr_fabrics.settings)
        self._tr_raises_errors = on_error == "raise"
        self._tr_tid = next(MASTER_NUMBERS)

    # Written by the master's thread, unless said otherwise.
    _tr_worker: sending.Worker  # by start()
    _tr_open_file: RunFile | None = None  # by start()
    _tr_digests: Callable[[Sequence[Any]], bytes | None] = staticmethod(lambda ids: None)  # by start()
    _tr_recipe: bytes | None = None  # by who makes the master: how a run file is resumed
    _tr_interruption = ""  # by who ends it: why
    _tr_began = 0.0  # seconds, time.monotonic
    _tr_n_restored = 0
    _tr_is_finishing = False
    _tr_slaves_ended = False
    _tr_cleaned = False

    # ---- hooks: override what you need

    def initialize(self) -> None:
        """Called first in the master's thread, before the slaves are started."""

    def bindMessages(self, slave_tid: int) -> None:
        """Bind methods to the messages of this slave here; called when it is up, before its parameters."""

    def getInitParameters(self, slave_tid: int) -> Any:
        """What the slave's ``initialize`` gets, or None; above 1 MB one copy a host, large arrays in it read-only."""
        return None

    def initializationDone(self, slave_tid: int) -> None:
        """The slave has run its ``initialize``."""

    def start_job(self, slave_tid: int) -> None:
        """Give the slave its next job; whoever overrides this calls it too."""
        if self._tr_calculation is not None:
            self._tr_calculation.send_job()

    def get_slave_chunk(self, ids: Sequence[Any]) -> Mapping[Any, Any]:
        """The values of a job, {id: value}; override to make them when they are needed."""
        return dict(zip(ids, values_of(self.data, ids), strict=True))

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

    # ---- life

    def start(self) -> None:
        """Begin; returns at once.

        Raises:
            InputError, EncodeError, StoreError: it cannot begin; nothing was started.
        """
        if self._tr_was_started:
            raise RuntimeError("a master can be started only once; make a new one, or use restart()")
        checks.check_was_made(self)
        arguments.check_not_loading()
        self._tr_worker = sending.make_worker(self._tr_options.function, self.slave_script)
        self._tr_prepare_status()
        self._tr_open_run_file()
        self._tr_n_told = len(self.result)
        self._tr_was_started = True
        end_with_program(self)
        try:
            super().start()
        except BaseException:
            if not self.is_alive():
                self._tr_was_started = False
                self._tr_close_file("interrupted")
            raise

    def _tr_prepare_status(self) -> None:
        """The status that counts is the one there is now: data or objects may have been assigned by hand."""
        checks.checked_data(self.data)
        if not self.status._tr_fits(self.data):
            self.status = Status(self.data, self.redistribute)
            self.status._tr_finish_known(self.result)
        self.status._tr_reopen_active()
        keep_while_wanted(self.data, self.status._tr_items)

    def _tr_open_run_file(self) -> None:
        if self._tr_options.run_file is not None:
            from tracking.master.recording import open_run_file

            open_run_file(self, self._tr_options.run_file)

    def _tr_make_recipe(self) -> bytes | None:
        """What a run file needs to make this master anew."""
        return self._tr_recipe

    def run(self) -> None:
        """The master's thread: all of the calculation."""
        try:
            self._tr_work()
            self._tr_is_finishing = True
            self.finish()
        except BaseException as error:  # noqa: BLE001  (kept, and raised where somebody waits)
            self._tr_failure = error
        finally:
            self._tr_end_all()

    def _tr_work(self) -> None:
        self._tr_began = time.monotonic()
        self._tr_n_restored = self.status._tr_items.count_finished
        self.initialize()
        self._tr_prepare_slaves()
        display = Display(self.verbose, self._tr_snapshot)
        calculation = self._tr_calculation = self._tr_make_calculation(display)
        try:
            self._tr_spawn_all()
            calculation.run()
        except BaseException as error:
            self._tr_failure = error  # the display tells of it
            raise
        finally:
            with self._tr_lock:
                self._tr_is_working = False
                self._tr_all_over.notify_all()
            display.close()

    def _tr_make_calculation(self, display: Display) -> Calculation:
        with collector.resting():
            from tracking.master.calculation import Calculation

        options = self._tr_options
        return Calculation(
            self,
            self._tr_tid,
            self.status,
            options.policy(self.chunk_size, redistribute=checks.checked_redistribute(self.redistribute)),
            self._tr_worker,
            Record(self._tr_open_file, self._tr_digests, not options.keep_results, self._tr_has_listeners),
            options.crew(self._tr_nicknames),
            display,
        )

    def _tr_end_all(self) -> None:
        """Whatever happened: slaves end, ``cleanup`` runs, the file is closed, everybody who waits is told."""
        for step in (self._tr_stop_slaves, self._tr_clean_once, self._tr_close_file):
            try:
                step()
            except BaseException as error:  # noqa: BLE001  (the first error counts, and the next step must come)
                if self._tr_failure is None:
                    self._tr_failure = error
        self._tr_announce_end()
        self._tr_conclude()

    def _tr_stop_slaves(self) -> None:
        """All slaves of this master end, those of a pool only what they do for it; bounded, and once."""
        calculation = self._tr_calculation
        if not self._tr_slaves_ended:
            self._tr_slaves_ended = True
            if calculation is not None:
                calculation.leave_crew(keep_slaves=self._tr_options.pool is not None)
            self._tr_fabrics.close()

    def _tr_clean_once(self) -> None:
        if self._tr_calculation is not None and not self._tr_cleaned:
            self._tr_cleaned = True
            self.cleanup()

    def _tr_close_file(self, state: str = "") -> None:
        state = state or self._tr_state()
        if self._tr_calculation is not None:
            if self._tr_state() == "failed":
                from tracking.master.situation import note_failure

                note_failure(self._tr_calculation, self._tr_failure)
            self._tr_calculation.close(state)
        elif self._tr_open_file is not None:
            self._tr_open_file.close(state)

    def _tr_state(self) -> str:
        if self._tr_failure is None:
            return "finished"
        return "interrupted" if isinstance(self._tr_failure, Interrupted) else "failed"

    def exit(self) -> None:
        """Tell all slaves to stop, and wait until they have (bounded).

        Called while the calculation runs, this interrupts it: no ``finish()``, those who wait are woken,
        ``calculateResult`` raises ``Interrupted``. What was done can be saved and restarted. In a hook it
        returns at once, and the calculation ends after the hook. Before the start and after the end: nothing.
        """
        is_own_thread = threading.current_thread() is self
        if is_own_thread and self._tr_is_finishing:
            self._tr_stop_slaves()
        elif self._tr_was_started and not self._tr_is_over:
            self._tr_interrupt("exit() was called before all items were done")
            if not is_own_thread:
                self._tr_await_end()

    def stop(self) -> None:
        """As ``exit``, without waiting."""
        super().stop()
        if self._tr_was_started and not self._tr_is_over:
            self._tr_interrupt("stop() was called before all items were done")

    def _tr_interrupt(self, why: str) -> None:
        self._tr_interruption = why
        self._tr_fabrics.stop_checking()
        self._tr_wake()

    def why(self, id: Hashable | None = None) -> str:
        """What goes on, or why nothing does; with an id, the story of that item. From any thread, at any time.

        Args:
            id: of the item, or what it looks like as text.

        Raises:
            InputError: there is no such item; names some that look like it.
        """
        from tracking.master.situation import tell

        return tell(self, id)

    # ---- what people see

    def _tr_snapshot(self) -> report.Snapshot:
        from tracking.master.snapshots import take_snapshot

        return take_snapshot(self)
