"""TrackingJobMaster: a JobMaster that tracks its hosts, tells the world of its end, and can be restarted."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from tracking.core import events as e
from tracking.core.policy import ChunkSize
from tracking.errors import EncodeError, InputError
from tracking.master.job_master import JobMaster
from tracking.master.status import Status

_LARGEST_RECIPE_BYTES = 64 * 1024 * 1024
_NOT_SAVED = frozenset({"status", "lock", "lockMsg", "slaves"})


class TrackingJobMaster(JobMaster):
    """Runs a calculation on many hosts, tracks who did how much in what time, and can go on after any end.

    Example:
        >>> from tracking import TrackingJobMaster
        >>> master = TrackingJobMaster({"a": 2, "b": 3}, function=lambda x: x * x, hosts=["localhost"], verbose=0)
        >>> master.calculateResult()
        {'a': 4, 'b': 9}

    The arguments are those of ``JobMaster``, and:

    Args:
        add_hosts: before starting, check every remote host; one that fails is left out and named.

    Source: Biskit's ``PVM.TrackingJobMaster`` (2004-2012).
    """

    def __init__(
        self,
        data: Mapping[Any, Any] | None = None,
        chunk_size: ChunkSize = 5,
        hosts: Any = (),
        niceness: Any = None,
        slave_script: Any = "",
        verbose: int = 1,
        show_output: int = 0,
        add_hosts: int = 1,
        redistribute: int = 1,
        **options: Any,
    ) -> None:
        if niceness is None:
            niceness = {} if options.get("pool") is not None else {"default": 20}
        super().__init__(
            {} if data is None else data,
            chunk_size,
            hosts,
            niceness,
            slave_script,
            show_output=show_output,
            redistribute=redistribute,
            verbose=verbose,
            **options,
        )
        self.add_hosts = add_hosts
        self._tr_options = options

    # ---- the end

    def finish(self) -> None:
        """All items are done: slaves stop, ``cleanup``, the report, ``done``, and whoever waits is told."""
        self.exit()
        self._tr_clean_once()
        self._tr_close_file()
        if self.verbose:
            self.reportProgress()
        self.done()
        self._tr_announce_end()

    # ---- tracking

    @property
    def progress(self) -> dict[str, dict[str, float]]:
        """{nickname: {'given', 'done', 'time', 'timeStart'}}: jobs, jobs, seconds in all, when the last was given."""
        progress = {
            host["nickname"]: {"given": 0.0, "done": 0.0, "time": 0.0, "timeStart": 0.0}
            for host in self.hosts
        }
        if self._tr_calculation is not None:
            for line in self._tr_calculation.scheduler.ledger.snapshot():
                progress[line.nickname] = {
                    "given": line.given,
                    "done": line.done,
                    "time": line.seconds,
                    "timeStart": line.started_at or 0.0,
                }
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
        for host in [host_list] if isinstance(host_list, str) else host_list:
            self.slow_hosts[host] = slow_factor
            if self._tr_calculation is not None:
                self._tr_calculation.ask(e.HostSlowed(host, slow_factor))

    # ---- restart

    def getRst(self) -> dict[str, Any]:
        """All that is needed to go on later: every public field that can be pickled, and the state of the items."""
        rst: dict[str, Any] = {}
        with self.lock:
            fields = {k: v for k, v in self.__dict__.items() if not k.startswith("_") and k not in _NOT_SAVED}
            for name, value in fields.items():
                value = value.copy() if type(value) is dict else value
                if _can_be_saved(name, value):
                    rst[name] = value
        rst["status_objects"] = dict(self.status.objects)
        rst["master_class"] = type(self)
        rst["tracking_options"] = self._tr_saved_options()
        return rst

    def _tr_saved_options(self) -> dict[str, Any]:
        """Our own keyword arguments, but those that belong to a running program."""
        return {
            name: value
            for name, value in self._tr_options.items()
            if name not in ("pool", "run_file", "result") and _can_be_saved(name, value)
        }

    def saveRst(self, fname: str | os.PathLike[str]) -> None:
        """Write what ``getRst`` gives to a file; the old file stays until the new one is whole.

        Raises:
            StoreError: it cannot be written; says why.
        """
        from tracking.store import restart_file

        restart_file.save(fname, self.getRst())

    def setRst(self, rst: Mapping[str, Any]) -> dict[str, Any]:
        """Take the state of the items and the results from a saved dict, and return the rest of its fields."""
        rest = dict(rst)
        rest.pop("master_class", None)
        rest.pop("tracking_options", None)
        self.data = rest.pop("data", self.data)
        self.result = dict(rest.pop("result", self.result))
        self.status = Status(self.data, self.redistribute)
        self.status.objects = rest.pop("status_objects", {})
        return rest

    def _tr_make_recipe(self) -> bytes | None:
        """What a run file needs to make this master anew: as a restart file, without results."""
        if self._tr_recipe is not None:
            return self._tr_recipe
        from tracking.store.pickling import to_bytes

        rst = self.getRst()
        rst["result"] = {}
        rst["status_objects"] = {}
        try:
            recipe = to_bytes(rst, "the master")
        except EncodeError:
            return None
        return recipe if len(recipe) <= _LARGEST_RECIPE_BYTES else None


def _can_be_saved(name: str, value: Any) -> bool:
    """Whether a field can be pickled: no threads, locks, open files."""
    if value is None or isinstance(value, str | int | float | bytes):
        return True
    if name in ("data", "result"):
        return True  # looked at when it is written; a second look would cost as much again
    from tracking.store.pickling import to_bytes

    try:
        to_bytes(value, name)
    except EncodeError:
        return False
    return True
