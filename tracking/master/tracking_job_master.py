"""TrackingJobMaster: a JobMaster that tracks its hosts, tells the world of its end, and can be restarted."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tracking.errors import InputError, StoreError
from tracking.master.job_master import JobMaster
from tracking.master.options import DEFAULT_NICENESS
from tracking.master.saving import bytes_within, saveable
from tracking.master.status import Status

if TYPE_CHECKING:
    from tracking.core.policy import ChunkSize
    from tracking.fabrics.base import Fabric
    from tracking.pool import SlavePool

_NO_DATA: Mapping[Any, Any] = MappingProxyType({})
_LARGEST_RECIPE_BYTES = 64 * 1024 * 1024
_NOT_SAVED = frozenset({"status", "lock", "lockMsg", "slaves"})
_FOR_RESTART = ("master_class", "tracking_options", "host_settings")


class TrackingJobMaster(JobMaster):
    """Runs a calculation on many hosts, tracks who did how much in what time, and can go on after any end.

    Example:
        >>> from tracking import TrackingJobMaster
        >>> master = TrackingJobMaster({"a": 2, "b": 3}, function=lambda x: x * x, hosts=["localhost"], verbose=0)
        >>> master.calculateResult()
        {'a': 4, 'b': 9}

    Args:
        data: {id: value}, any hashable ids, any values that can be pickled; also a ``LazyMapping`` or an
            ``IteratorMapping``, whose values are made when they are needed, or another mapping.
        chunk_size: items per job, or 'auto' (sized from measured item times).
        hosts: host names, one entry a slave, or 'name*n' for n there; '@hosts.toml': those in a hosts file; or how many
            slaves; none: one per usable core here, or as many as an engine has room for.
        niceness: {host: nice value, 'default': n}, or a number for all; a slave is never less nice than it was started.
        slave_script: path of a script with a ``JobSlave`` subclass, or such a class.
        verbose: 0 silent, 1 progress, 2 debug.
        show_output: 0: what slaves print is not shown; 1: in a window per slave, or line by line.
        add_hosts: before starting, check every remote host; one that fails is left out and named.
        redistribute: at the end, give jobs that still run to idle slaves as well, where that is expected to finish
            them sooner; 0: never; 'always': each idle slave gets the items that were given out least often.
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
            'keep', 'recompute' or 'refuse' (an error, before any slave starts); it is said in any case. With 'keep' and
            very many values, those that could not be compared within three seconds are compared while it works.
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

    Source: Biskit's ``PVM.TrackingJobMaster`` (2004-2012).
    """

    def __init__(
        self,
        data: Mapping[Any, Any] = _NO_DATA,
        chunk_size: ChunkSize = 5,
        hosts: int | str | Iterable[str | Mapping[str, str]] = (),
        niceness: int | Mapping[str, int] = DEFAULT_NICENESS,
        slave_script: str | os.PathLike[str] | type = "",
        verbose: int = 1,
        show_output: int = 0,
        add_hosts: int = 1,
        redistribute: int | str = 1,
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
        super().__init__(
            {} if data is _NO_DATA else data,
            chunk_size,
            hosts,
            niceness,
            slave_script,
            show_output=show_output,
            redistribute=redistribute,
            verbose=verbose,
            function=function,
            run_file=run_file,
            item_timeout=item_timeout,
            retries=retries,
            max_deaths=max_deaths,
            host_failures=host_failures,
            silence_timeout=silence_timeout,
            heartbeat=heartbeat,
            memory_limit=memory_limit,
            threads=threads,
            affinity=affinity,
            max_jobs=max_jobs,
            on_change=on_change,
            on_error=on_error,
            trust=trust,
            keep_results=keep_results,
            pool=pool,
            fabric=fabric,
        )
        self.add_hosts = add_hosts
        self._tr_checks_hosts = bool(add_hosts)

    _tr_is_recipe = False  # while the run file's recipe is made, by start()

    # ---- the end

    def finish(self) -> None:
        """All items are done: slaves stop, ``cleanup``, the report, ``done``, and whoever waits is told."""
        self.exit()
        self._tr_clean_once()
        self._tr_close_file()
        if self.verbose and self._tr_n_restored < len(self.status._tr_ids):
            self.reportProgress()
        self.done()
        self.notifyAll()

    def notifyAll(self) -> None:
        """Wake all who wait on ``lockMsg``: it is over."""
        self._tr_announce_end()

    # ---- tracking

    @property
    def progress(self) -> dict[str, dict[str, float]]:
        """{nickname: {'given', 'done', 'time', 'timeStart'}}: jobs, jobs, seconds in all, when the last was given.

        'timeStart' is in seconds since the epoch, 0 for a slave that was given nothing.
        """
        progress = {host["nickname"]: _progress_line() for host in self.hosts}
        if self._tr_calculation is not None:
            with self.status.lock:
                lines = self._tr_calculation.scheduler.ledger.snapshot()
            epoch = time.time() - time.monotonic()
            for line in lines:
                started_at = 0.0 if line.started_at is None else epoch + line.started_at
                progress[line.nickname] = _progress_line(line.given, line.done, line.seconds, started_at)
        return progress

    def reportProgress(self) -> None:
        """Print how many jobs each slave was given and did, and in what time, total and mean."""
        from tracking import report  # what people see, and the store, only where they are used

        report.print_report(self._tr_snapshot(), sys.stderr)

    def mark_slow_slaves(self, host_list: list[str], slow_factor: float) -> None:
        """Say that items take ``slow_factor`` times as long on these hosts (2.0: twice).

        They get smaller chunks, and none of the last jobs.
        """
        if not slow_factor > 0:
            raise InputError(f"slow_factor must be greater than 0, not {slow_factor!r}")
        from tracking.core import events as e

        for host in [host_list] if isinstance(host_list, str) else host_list:
            self.slow_hosts[host] = slow_factor
            if self._tr_calculation is not None:
                self._tr_calculation.ask(e.HostSlowed(host, slow_factor))

    def _tr_say_what_is_kept(self) -> None:
        """After Ctrl-C: what the run file holds, and how to go on."""
        path = self._tr_options.run_file
        if path is None or not self.verbose:
            return
        from tracking.store.run_reader import RunFileReader

        try:
            n_recorded = RunFileReader(path, trust=self._tr_options.trust).summary().n_finished
        except StoreError:
            return
        counts = f"{n_recorded} of {len(self.data)} items are recorded in {os.fspath(path)}"
        print(f"{counts}; start the program again to go on", file=sys.stderr)

    # ---- states beside the results

    def checkpoint(self, name: str, state: Any) -> int:
        """Keep a state of the user's in the run file, under this name: the newest one of each name is kept.

        It is pickled at once, from any thread. In ``job_done`` it is written together with the results of that job: a
        state that sums up results can never be ahead of those that are recorded, nor behind them. Where
        ``on_change='recompute'`` has results of an earlier run computed anew, its states are forgotten.

        Returns:
            Its number: the first of this name is 1, in whichever run that was.

        Raises:
            InputError: there is no run file, or the calculation is not at work; or the name is no text.
            EncodeError: the state cannot be pickled; says why.
            StoreError: it is too large.
        """
        from tracking.store.pickling import to_bytes

        file = self._tr_open_file
        if not isinstance(name, str):
            raise InputError(f"the name of a state must be a str, not {name!r}")
        if file is None or not file.is_open:
            why = "the calculation is not at work" if self._tr_options.run_file else "there is none: give run_file="
            raise InputError(f"the state {name!r} cannot be kept in the run file: {why}")
        payload = to_bytes(state, f"the state {name!r}")
        return self._tr_between_jobs(lambda: file.checkpoint(name, payload))

    def restored(self, name: str, default: Any = None) -> Any:
        """The newest state of this name, of this run or an earlier one; before, while and after it works.

        Raises:
            StoreError: it cannot be read back.
        """
        path, file = self._tr_options.run_file, self._tr_open_file
        if path is None or (file is None and not os.path.exists(path)):
            return default
        from tracking.store.pickling import from_bytes
        from tracking.store.run_reader import RunFileReader

        if file is not None and file.is_open:
            kept = self._tr_between_jobs(lambda: file.kept(name))
        else:
            kept = RunFileReader(path, trust=self._tr_options.trust).checkpoint(name)
        return default if kept is None else from_bytes(kept, f"the state {name!r} in {os.fspath(path)}")

    # ---- restart

    def getRst(self) -> dict[str, Any]:
        """All that is needed to go on later: every public field that can be pickled, and the state of the items.

        While the calculation runs, it is taken between two jobs, so that all of it belongs together. With
        ``keep_results=False`` the run file holds results and states; ``restart`` needs it, too.
        """
        return self._tr_between_jobs(self._tr_rst)

    def _tr_rst(self) -> dict[str, Any]:
        leaves_states = self._tr_is_recipe or not self._tr_options.keep_results  # these are in the run file
        rst: dict[str, Any] = {
            "status_objects": {} if leaves_states else self.status._tr_states(),
            "master_class": type(self),
            "tracking_options": saveable(self._tr_options.lasting()),
            "host_settings": {host: its.as_dict() for host, its in self._tr_fabrics.settings.items()},
        }
        fields = {k: v for k, v in self.__dict__.copy().items() if not k.startswith("_") and k not in _NOT_SAVED}
        if leaves_states:
            fields["result"] = {} if self._tr_is_recipe else getattr(self.result, "kept", self.result)
        return saveable(fields, copies=not self._tr_is_recipe) | rst

    def saveRst(self, fname: str | os.PathLike[str]) -> None:
        """Write what ``getRst`` gives to a file; the old file stays until the new one is whole.

        Raises:
            StoreError: it cannot be written; says why.
        """
        from tracking.store import restart_file

        self._tr_between_jobs(lambda: restart_file.save(fname, self.getRst()))

    def setRst(self, rst: Mapping[str, Any]) -> dict[str, Any]:
        """Take data, results and the state of the items from a saved dict, and return the rest of its fields.

        Items that had failed are to be computed again, as those that were active.
        """
        rest = {name: value for name, value in rst.items() if name not in _FOR_RESTART}
        self.data = rest.pop("data", self.data)
        self.result = dict(rest.pop("result", self.result))
        states = dict(rest.pop("status_objects", {}))
        states |= dict.fromkeys(states.keys() & rest.pop("errors", {}).keys())
        self.status = Status(self.data, self.redistribute)
        if states:
            self.status.objects = states
        else:
            self.status._tr_finish_known(self.result)
        return rest

    def _tr_make_recipe(self) -> bytes | None:
        """What a run file needs to make this master anew: as a restart file, without results."""
        if self._tr_recipe is not None:
            return self._tr_recipe
        self._tr_is_recipe = True
        try:
            rst = self.getRst()
        finally:
            self._tr_is_recipe = False
        data = {"data": rst["data"]} if "data" in rst else {}
        # First what may be too large, then what may need another pickler.
        rst = {**data, **rst, "result": {}, "status_objects": {}}
        return bytes_within(_LARGEST_RECIPE_BYTES, rst, "the master")


def _progress_line(given: int = 0, done: int = 0, time_s: float = 0.0, started_at: float = 0.0) -> dict[str, float]:
    return {"given": given, "done": done, "time": time_s, "timeStart": started_at}
