"""Which slaves a calculation has no use for; and when there is nobody left to wait for."""

from __future__ import annotations

import logging
from collections.abc import Collection

from tracking.errors import NoSlavesError
from tracking.pool.client import SlaveGone, SlaveInfo, late_words
from tracking.pool.crew import Crew
from tracking.pool.setup_deaths import SetupDeaths, died_of
from tracking.wire import messages as m

logger = logging.getLogger("tracking")


class Roster:
    """Slaves that are up and get no jobs: their setup failed, or ``is_valid_slave`` has refused them."""

    def __init__(self, crew: Crew, *, is_quiet: bool) -> None:
        self._crew = crew
        self._is_quiet = is_quiet
        self._failures: dict[int, m.Report] = {}
        self._refused: set[int] = set()
        self._has_warned = False
        self._setting_up: set[int] = set()
        self._setup_deaths = SetupDeaths(crew, "they loaded the code for the calculation or ran its initialize()")

    def set_up(self, tid: int) -> None:
        """This slave loads the user's code from now on."""
        self._setting_up.add(tid)

    def slave_is_ready(self, slave: SlaveInfo) -> None:
        """It has done that, and can do jobs.

        Raises:
            NoSlavesError: it took all the time that it has, as others before.
        """
        self._setting_up.discard(slave.tid)
        if slave.is_over(self._crew.now()):
            self._count(slave, late_words(slave))
        else:
            self._setup_deaths.one_is_ready()

    def slave_gone(self, gone: SlaveGone, calculation: int) -> None:
        """A slave has ended; if the user's code ends every slave that loads it, there is nothing to wait for.

        Raises:
            NoSlavesError: says how the last one ended.
        """
        if gone.slave.tid not in self._setting_up:
            return
        self._setting_up.discard(gone.slave.tid)
        if gone.on_purpose or not died_of(calculation, gone.jobs):
            return
        if gone.slave.is_over(self._crew.now()):
            self._count(gone.slave, late_words(gone.slave), gone.last_lines)
        else:
            self._count(gone.slave, gone.how, gone.last_lines, is_innocent=gone.is_innocent)

    def _count(self, slave: SlaveInfo, how: str, last_lines: str = "", *, is_innocent: bool = False) -> None:
        why = self._setup_deaths.too_many(slave, how, last_lines, is_innocent=is_innocent)
        if why:
            raise NoSlavesError(why)

    def setup_failed(self, tid: int, report: m.Report) -> None:
        """This slave cannot work for the calculation."""
        slave = self._crew.info(tid)
        if slave is not None and not self._failures and not self._is_quiet:
            logger.warning("slave %s could not be initialized and gets no jobs: %s", slave.nickname, report[1])
        self._failures[tid] = report
        self._setting_up.discard(tid)

    def refuse(self, tid: int) -> None:
        """This slave shall not work for the calculation any more."""
        self._refused.add(tid)

    def demand_hope(self, disabled_hosts: Collection[str]) -> None:
        """See to it that some slave is in use, or may still come. One on a disabled host may be enabled again.

        Raises:
            NoSlavesError: says why there is none.
        """
        useless = self._refused | self._failures.keys()
        left = [slave for slave in self._crew.slaves() if slave.tid not in useless]
        is_waiting = bool(left) and all(slave.host in disabled_hosts for slave in left)
        if is_waiting and not self._has_warned:
            logger.warning("all hosts are disabled: nothing goes on until one is taken out of disabled_hosts")
        self._has_warned = is_waiting
        if left or not useless or self._crew.is_replacing:
            return
        if self._failures:
            _, text, traceback, _ = self._failures[next(reversed(self._failures))]
            raise NoSlavesError(f"no slave could be initialized: {text}\n{traceback}".rstrip())
        raise NoSlavesError("no slave is left to do the work: is_valid_slave has refused them all")
