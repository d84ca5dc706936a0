"""The master's hosts: checked and started at the beginning, and changed while it is at work.

::

    user's thread                                     master's thread
      addHosts, removeHosts: check them               initialize, check of the hosts
        before the slaves are started: hosts              |
        (under _tr_lock)                              _tr_has_spawned (under _tr_lock), spawnAll
        afterwards: between two jobs  ------------->  hosts, crew.hosts.add / remove
        after the end: hosts

Shared attributes: ``hosts`` is changed under _tr_lock, and from _tr_has_spawned on by the master's thread only.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from tracking.errors import NoSlavesError
from tracking.master import sending
from tracking.master.spawning import SlaveKeeper
from tracking.pool.reach import known_hosts, more_hosts, tell_left_out

if TYPE_CHECKING:
    from tracking.master.options import Options
    from tracking.master.status import Status
    from tracking.pool.naming import Nicknames

logger = logging.getLogger("tracking")

T = TypeVar("T")


class HostKeeper(SlaveKeeper):
    """The part of ``JobMaster`` that knows its hosts."""

    niceness: dict[str, int]
    show_output: int
    status: Status

    _tr_options: Options
    _tr_worker: sending.Worker
    _tr_interruption: str
    _tr_checks_hosts = True  # before slaves are started there
    _tr_nicknames: Nicknames  # under _tr_lock
    _tr_has_spawned = False  # slaves are started, or will be in a moment; by the master's thread, under _tr_lock
    _tr_is_working = True  # False from the end of the loop; under _tr_lock

    # ---- for the user

    def addHosts(self, hosts: Any) -> dict[str, str]:
        """Work on more hosts from now on, or with more slaves on those that there are; from any thread.

        Remote hosts are tried first, in parallel; this waits for that, also in a hook. Before the start it only
        extends ``hosts``. A master with a pool adds them to the pool, for all who use that.

        Args:
            hosts: in any form that a master takes; an empty list means none.

        Returns:
            {host: why no slave can be started there} of those that failed; they are left out, with a warning.

        Raises:
            NoSlavesError: all of them failed.
            InputError, EngineError: nothing can be started on one of them; nothing was added.
        """
        pool = self._tr_options.pool
        if pool is not None:
            named, failed = pool._add_hosts(hosts)
            self._tr_change_hosts(lambda: self._tr_list(named), lambda: self._tr_list(named))
            return failed
        check = self._tr_was_started and self._tr_checks_hosts
        meant, failed = more_hosts(hosts, self._tr_fabrics, self.niceness, check=check)
        names = [name for name in meant if name not in failed]
        self._tr_change_hosts(lambda: self._tr_list(self._tr_named(names)), lambda: self._tr_add(names))
        return failed

    def removeHosts(self, hosts: Any, now: bool = False) -> None:
        """Work on these hosts no more; from any thread.

        Their slaves get no more jobs, and end when those that they have are done. If no slave is left while there
        is work, the calculation ends with a ``NoSlavesError``: add others first. A master with a pool removes them
        from the pool, for all who use that.

        Args:
            hosts: names.
            now: their slaves end at once, and what they work on goes to others.

        Raises:
            InputError: there is no such host; names those that there are.
        """
        pool = self._tr_options.pool
        if pool is not None:
            names = pool._remove_hosts(hosts, now=now)
            self._tr_change_hosts(lambda: self._tr_strike(names), lambda: self._tr_strike(names))
            return
        self._tr_change_hosts(
            lambda: self._tr_strike(known_hosts(hosts, self._tr_host_names())),
            lambda: self._tr_remove(hosts, now=now),
        )

    # ---- changes

    def _tr_change_hosts(self, before: Callable[[], None], afterwards: Callable[[], None]) -> None:
        """Do the one before the slaves are started, the other when they have been: in the master's own thread."""
        with self._tr_lock:
            if not self._tr_has_spawned:
                before()
                return
        self._tr_between_jobs(afterwards)

    def _tr_add(self, names: Iterable[str]) -> None:
        with self._tr_lock:
            named = self._tr_named(names)
            self._tr_list(named)
        if self._tr_calculation is not None:
            nice = self.niceness
            self._tr_calculation.crew.hosts.add([
                self._tr_place(nickname, host, nice.get(host, nice.get("default", 0)), self.show_output)
                for host, nickname in named
            ])

    def _tr_remove(self, hosts: Any, *, now: bool) -> None:
        crew = self._tr_running().crew
        names = known_hosts(hosts, [*self._tr_host_names(), *crew.hosts.names()])
        with self._tr_lock:
            self._tr_strike(names)
        crew.hosts.remove(names, now=now)

    def _tr_host_names(self) -> list[str]:
        return [entry["host"] for entry in self.hosts]

    def _tr_named(self, names: Iterable[str]) -> list[tuple[str, str]]:
        for entry in self.hosts:
            self._tr_nicknames.note(entry["host"], entry["nickname"])
        return self._tr_nicknames.give(names)

    def _tr_list(self, named: Iterable[tuple[str, str]]) -> None:
        self.hosts = [*self.hosts, *({"host": host, "nickname": nickname} for host, nickname in named)]

    def _tr_strike(self, names: Collection[str]) -> None:
        self._tr_named(())  # nobody else gets their nicknames
        self.hosts = [entry for entry in self.hosts if entry["host"] not in names]

    # ---- the beginning

    def _tr_starts_slaves(self) -> bool:
        return self._tr_options.pool is None and not self._tr_interruption and not self.status.done()

    def _tr_prepare_slaves(self) -> None:
        """What they need first boots, while the engine is loaded."""
        if self._tr_starts_slaves():
            self._tr_fabrics.prepare(self._tr_host_names())

    def _tr_spawn_all(self) -> None:
        if not self._tr_starts_slaves():
            return
        if self._tr_checks_hosts:
            self._tr_leave_out_failing()
            if self._tr_interruption:
                return
        self._tr_fabrics.preload(sending.modules_needed(self._tr_worker))  # once for all slaves, before they are forked
        with self._tr_lock:
            self._tr_has_spawned = True
        try:
            self.spawnAll(self.niceness, self.show_output)
        except OSError as error:
            if not self.slaves:
                raise NoSlavesError(f"no slave could be started: {error}") from error
            logger.warning("only %d of %d slaves could be started: %s", len(self.slaves), len(self.hosts), error)

    def _tr_leave_out_failing(self) -> None:
        """Try all hosts; on those that fail nothing is started.

        Raises:
            NoSlavesError: all of them fail; names each with its reason.
        """
        failed = self._tr_fabrics.check(self._tr_host_names())
        if failed and not self._tr_interruption:
            with self._tr_lock:
                self._tr_strike(failed)
            self._tr_running().crew.hosts.leave_out(failed)
            tell_left_out(failed, is_any_left=bool(self.hosts))

    # ---- between two jobs

    def _tr_between_jobs(self, action: Callable[[], T]) -> T:
        """Have something done in the master's thread, if that is at work, and wait for what comes of it."""
        calculation = self._tr_calculation
        if calculation is None or threading.current_thread() is self:
            return action()
        outcome: Future[T] = Future()
        calculation.desk.ask(lambda: self._tr_do(action, outcome))
        with self._tr_lock:
            self._tr_all_over.wait_for(lambda: outcome.done() or not self._tr_is_working)
        if outcome.cancel():  # the master came to its end before it took this up
            return action()
        return outcome.result()

    def _tr_do(self, action: Callable[[], T], outcome: Future[T]) -> None:
        if outcome.set_running_or_notify_cancel():
            try:
                outcome.set_result(action())
            except Exception as error:  # noqa: BLE001  (raised where it was asked for)
                outcome.set_exception(error)
            with self._tr_lock:
                self._tr_all_over.notify_all()
