"""Calls submitted to a pool: a calculation without an end, one item a call, each with a future.

::

    caller's thread                           whoever turns the crew's loop
      submit: encode, then under the lock       deliver, slave_is_lost, ...  under the lock: decide, send
              decide and send                   later, without it: decode, set the future, run its callbacks
      result(): turns the loop meanwhile

All attributes of ``Calls`` are used under the crew's lock. What runs the user's code (pickling, futures and their
callbacks) runs without it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from tracking.core import commands as c
from tracking.core import events as e
from tracking.core.items import Items
from tracking.core.policy import Policy
from tracking.core.scheduler import Scheduler
from tracking.errors import (
    EncodeError,
    Interrupted,
    ItemKilledSlave,
    ItemRaised,
    ItemResultError,
    ItemTimeout,
    NoSlavesError,
)
from tracking.pool.client import SlaveGone, SlaveInfo, late_words, outlasted_words
from tracking.pool.crew import Crew
from tracking.pool.futures import Call, set_exception, set_remote_exception, set_result
from tracking.pool.lending import Parcels
from tracking.pool.naming import MASTER_NUMBERS
from tracking.pool.setup_deaths import SetupDeaths, died_of
from tracking.slave.calling import call
from tracking.slave.surroundings import Context
from tracking.wire import codec, mainmodule
from tracking.wire import messages as m
from tracking.wire.channel import Message

_MOST_CALLS = 1_000_000  # a scheduler keeps a byte of each for ever: after so many another one begins
_MOST_SETUP_DEATHS = 3  # in a row: then all slaves would die of it

_UNKNOWN = SlaveInfo(0, "", "")
_KINDS = {m.REPORT_DIED: ItemKilledSlave, m.REPORT_RESULT: ItemResultError}


class Calls:
    """A crew's client that runs submitted calls.

    Args:
        crew: the slaves.
        context: what of our surroundings holds on them.
        max_deaths: a call that was alone on a slave that died so often is given up; None: never.
        code: what slaves make of a call, (function, arguments, keyword arguments).

    Raises:
        EncodeError: the code cannot be sent.
    """

    can_drive = False

    def __init__(
        self, crew: Crew, context: Context, max_deaths: int | None, code: Callable[..., Any] = call
    ) -> None:
        self._crew = crew
        self._context = context
        # A call may do something beside giving a result: it is made again only where a slave has died.
        self._policy = Policy(chunk_size=1, redistribute=False, max_deaths=max_deaths)
        self._code = mainmodule.encode_function(code, "call")
        self._parcels = Parcels(crew)
        self._parcels.wrap(self._code)
        self._ends_when_idle = False
        self._setup_deaths = SetupDeaths(crew, "they were made ready for calls")
        self._begin()

    def _begin(self) -> None:
        """What there is of a calculation of its own."""
        self.calculation = next(MASTER_NUMBERS)
        self._items = Items(0)
        self._scheduler = Scheduler(self._items, self._policy, open_ended=True)
        self._calls: dict[int, Call] = {}  # by position: those without an outcome
        self._payloads: dict[int, codec.Payload] = {}
        self._positions: dict[int, int] = {}  # job -> position
        self._trouble: dict[int, tuple[SlaveInfo, m.Report, str]] = {}
        self._setting_up: set[int] = set()  # slaves that are not ready yet
        self._setup_failures: set[int] = set()  # slaves that cannot make calls
        self._events: deque[e.Event] = deque()
        self._is_deciding = False
        self._next_look = float("inf")  # on the crew's clock: when the earliest timer is due
        self._lost = ""

    @property
    def is_busy(self) -> bool:
        """Whether a call has no outcome yet."""
        return bool(self._calls)

    # ---- what the pool tells

    def submit(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        """Send the call to a slave as soon as one is free. One that cannot be sent fails: its EncodeError says why.

        Raises:
            NoSlavesError: no slave is left.
        """
        future = Call(self._crew)
        try:
            payload = mainmodule.encode_function([(function, args, kwargs)], "the call")
        except EncodeError as error:
            future.set_exception(error)
            return future
        with self._crew.lock:
            if self._ends_when_idle:
                raise RuntimeError("cannot submit a call after a shutdown")
            if self._lost:
                raise NoSlavesError(self._lost)
            position = len(self._items)
            if position >= _MOST_CALLS and not self._calls:
                self._begin_anew()
                position = 0
            self._calls[position] = future
            self._payloads[position] = payload
            self._decide(e.ItemsAdded(1), flush=self._crew.flush)
            if len(self._calls) == 1:
                self._crew.look_who_is_busy()
        self._crew.driving.hurry_later()
        return future

    def _begin_anew(self) -> None:
        """Nobody waits for anything: a good moment to forget all that is over.

        Slaves hear of the new calculation first: code that knows itself again may hand over what it keeps.
        """
        before = self.calculation
        self._begin()
        self._crew.attach(self)
        self._crew.end_calculation(before)

    def end_when_idle(self) -> None:
        """Take no more calls; slaves forget this calculation as soon as all have an outcome."""
        with self._crew.lock:
            self._ends_when_idle = True
            self._end_if_idle()

    def end_now(self, why: str) -> None:
        """Take no more calls, and no results of those that are out: slaves that work on them are replaced."""
        with self._crew.lock:
            self._ends_when_idle = True
            self._fail_all(Interrupted(why))
        self._crew.driving.hurry_later()

    def _end_if_idle(self) -> None:
        if self._ends_when_idle and not self._calls:
            self._crew.detach(self)
            self._parcels.close()

    def pending(self) -> list[Call]:
        """The calls without an outcome."""
        with self._crew.lock:
            return list(self._calls.values())

    def cancel_waiting(self) -> None:
        """Cancel the calls that no slave was given yet."""
        cancelled = [future for future in self.pending() if future.cancel()]
        with self._crew.lock:
            for future in cancelled:
                future.begins()  # those who wait for it are told now

    # ---- what the crew tells, under its lock

    def deliver(self, tid: int, message: Message) -> None:
        kind = message[0]
        if kind == m.DONE:
            self._take_result(tid, message)
        elif kind == m.FAILED:
            _, _, job, seconds, report = message
            position = self._positions.pop(job, None)
            self._note_time(position, tid, seconds)
            self._note(position, tid, report)
            self._decide(e.JobFailed(job, tid, seconds))
        elif kind == m.RETURNED:
            self._positions.pop(message[2], None)
            self._decide(e.JobReturned(message[2], tid))
        elif kind == m.READY:
            self._slave_is_ready(tid)
        elif kind == m.SETUP_FAILED:
            self._setup_failed(tid, message[2])

    def slave_is_up(self, slave: SlaveInfo) -> None:
        self._lost = ""
        self._setting_up.add(slave.tid)
        code = self._parcels.of(slave.tid, self._code)
        self._crew.send(slave.tid, (m.SETUP, self.calculation, m.FUNCTION, code, None, self._context))

    def slave_is_silent(self, slave: SlaveInfo) -> None:
        if self._scheduler.has_slave(slave.tid):
            self._decide(e.SlaveSilent(slave.tid))

    def slave_is_heard(self, slave: SlaveInfo) -> None:
        if self._scheduler.has_slave(slave.tid):
            self._decide(e.SlaveHeard(slave.tid))

    def slave_is_leaving(self, slave: SlaveInfo) -> None:
        if self._scheduler.has_slave(slave.tid):
            self._decide(e.SlaveRetired(slave.tid))

    def hosts_were_added(self) -> None:
        self._lost = ""

    def host_is_given_up(self, host: str, why: str) -> None:
        """Calls can be made elsewhere."""

    def slave_is_lost(self, gone: SlaveGone) -> None:
        slave, how, jobs = gone.slave, gone.how, gone.jobs
        own = [job for calculation, job in jobs if calculation == self.calculation]
        is_ours = bool(jobs) and jobs[0][0] == self.calculation
        self._setup_failures.discard(slave.tid)
        for job in own:
            position = self._positions.pop(job, None)
            if position is not None:
                self._trouble[position] = slave, (m.REPORT_DIED, f"its slave was {how}", "", None), gone.last_lines
        if self._scheduler.has_slave(slave.tid):
            running = own[0] if is_ours else None
            # That it died of another calculation's job, or idle, is no fault of our calls.
            self._decide(e.SlaveLost(slave.tid, how, running, gone.on_purpose or not is_ours, gone.is_innocent))
        elif slave.tid in self._setting_up and not gone.on_purpose and died_of(self.calculation, jobs):
            is_late = slave.is_over(self._crew.now())
            words = late_words(slave) if is_late else how
            self._died_of_setup(slave, words, gone.last_lines, is_innocent=gone.is_innocent and not is_late)
        self._setting_up.discard(slave.tid)

    def crew_is_lost(self, why: str) -> None:
        self._lost = f"no slave is left to make a call: {why}"
        self._fail_all(NoSlavesError(self._lost))

    def _fail_all(self, error: Exception) -> None:
        calls, self._calls = self._calls, {}
        self._payloads.clear()
        for future in calls.values():
            if future.cancelled():
                future.begins()
            else:
                self._crew.driving.later(partial(set_exception, future, error))
        self._crew.look_who_is_busy()
        self._end_if_idle()

    # ---- slaves

    def _slave_is_ready(self, tid: int) -> None:
        self._setting_up.discard(tid)
        slave = self._crew.info(tid)
        if slave is None:
            return
        if slave.is_over(self._crew.now()):
            self._died_of_setup(slave, late_words(slave), "")
        else:
            self._setup_deaths.one_is_ready()
        if not self._scheduler.has_slave(tid):
            self._decide(e.SlaveReady(
                tid, slave.host, slave.nickname, self._crew.jobs_left(tid), slave.ends_at, slave.came_at,
                self._crew.hosts.has_worked(tid), slave.shares_memory,
            ))

    def _setup_failed(self, tid: int, report: m.Report) -> None:
        """It lacks something, as our working directory; if all do, nobody can make calls."""
        self._setting_up.discard(tid)
        self._setup_failures.add(tid)
        if all(slave.tid in self._setup_failures for slave in self._crew.slaves()):
            _, text, traceback, _ = report
            self.crew_is_lost(f"none could be initialized: {text}\n{traceback}".rstrip())

    def _died_of_setup(
        self, slave: SlaveInfo, how: str, last_lines: str, *, is_innocent: bool = False
    ) -> None:
        why = self._setup_deaths.too_many(slave, how, last_lines, is_innocent=is_innocent)
        if why:
            self.crew_is_lost(why)

    # ---- results

    def _take_result(self, tid: int, message: Message) -> None:
        _, _, job, seconds, _, payload, reports = message
        position = self._positions.pop(job, None)
        if position is None:
            return
        if self._scheduler.wanted(job):
            self._note_time(position, tid, seconds)
            if reports:
                self._note(position, tid, reports[0])
            else:
                self._settle(position, lambda future: set_result(future, payload))
        self._decide(e.JobDone(job, tid, seconds, (position,) if reports else (), codec.size_of(payload)))

    def _note_time(self, position: int | None, tid: int, seconds: float) -> None:
        future = None if position is None else self._calls.get(position)
        if future is not None:
            future.seconds = seconds
            if future.slave is None or future.slave.tid != tid:
                future.slave = self._crew.info(tid) or future.slave

    def _note(self, position: int | None, tid: int, report: m.Report) -> None:
        if position is not None:
            self._trouble[position] = self._crew.info(tid) or _UNKNOWN, report, ""

    def _settle(self, position: int, set_outcome: Callable[[Call], None]) -> None:
        future = self._calls.pop(position, None)
        self._payloads.pop(position, None)
        self._trouble.pop(position, None)
        if future is not None:
            self._crew.driving.later(lambda: set_outcome(future))
            if not self._calls:
                self._crew.look_who_is_busy()
                self._end_if_idle()

    # ---- decisions

    def _decide(self, event: e.Event, flush: Callable[[], None] | None = None) -> None:
        """Perform what the scheduler makes of this; what comes of that is decided after it, not within.

        ``flush``: sends what was put at once, so that the slave works while we look at the clock.
        """
        self._events.append(event)
        if self._is_deciding:
            return
        self._is_deciding = True
        try:
            while self._events:
                for command in self._scheduler.handle(self._events.popleft(), self._crew.now()):
                    self._perform(command)
        finally:
            self._is_deciding = False
        if flush is not None:
            flush()
        self._set_timer()

    def _set_timer(self) -> None:
        wakeup = self._scheduler.next_wakeup()
        if wakeup is not None and wakeup < self._next_look:
            self._next_look = wakeup
            self._crew.after(wakeup - self._crew.now(), self._look)

    def _look(self) -> None:
        self._next_look = float("inf")
        self._decide(e.Ticked())

    def _perform(self, command: c.Command) -> None:
        if isinstance(command, c.SendJob):
            self._send(command)
        elif isinstance(command, c.GiveUp):
            self._give_up(command)
        elif isinstance(command, c.RecallJob):
            self._crew.tell(command.slave, (m.RECALL, self.calculation, command.job))
        elif isinstance(command, c.CancelJob):
            self._crew.cancel(command.slave, (self.calculation, command.job))
        elif isinstance(command, c.ExcuseHost):
            self._crew.hosts.excuse(command.slave, (self.calculation, command.job))
        elif isinstance(command, c.StopSlave):
            self._crew.end_slave(command.slave)
        elif isinstance(command, c.RetireSlave):
            self._crew.retire_slave(command.slave)

    def _send(self, command: c.SendJob) -> None:
        position = command.positions[0]
        future = self._calls.get(position)
        if future is None or not future.begins():
            self._drop(position)
            self._events.append(e.JobFailed(command.job, command.slave, 0.0, True))
            return
        payload = codec.light(self._payloads[position])
        if self._crew.send(command.slave, (m.JOB, self.calculation, command.job, payload)):
            future.slave = self._crew.info(command.slave)
            self._positions[command.job] = position  # else its slave is gone, as will soon be told

    def _drop(self, position: int) -> None:
        """Nobody wants this call any more."""
        self._settle(position, lambda future: None)

    def _give_up(self, command: c.GiveUp) -> None:
        if command.position not in self._calls:
            return  # it was dropped
        slave, report, last_lines = self._trouble[command.position]
        what, text, traceback, payload = report
        is_out_of_time = command.cause is c.Cause.OUT_OF_TIME
        text = outlasted_words(slave) if is_out_of_time else text
        error = (ItemTimeout if is_out_of_time else _KINDS.get(what, ItemRaised))(
            text,
            id=command.position,
            host=slave.host,
            nickname=slave.nickname,
            tries=command.tries,
            remote_traceback=traceback,
            output=last_lines,
        )
        self._settle(command.position, lambda future: set_remote_exception(future, error, payload))
