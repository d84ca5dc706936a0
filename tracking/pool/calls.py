"""Calls submitted to a pool: a calculation without an end, one item a call, each with a future.

``submit`` decides and sends in the caller's thread; answers are taken in by whoever drives the crew, under its
lock. What runs the user's code (pickling, futures and their callbacks) runs outside the lock: before it in
``submit``, after it through ``Crew.later``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from tracking.core import commands as c
from tracking.core import events as e
from tracking.core.items import Items
from tracking.core.policy import Policy
from tracking.core.scheduler import Scheduler
from tracking.errors import ItemKilledSlave, ItemRaised, ItemResultError, NoSlavesError
from tracking.pool.crew import MASTER_NUMBERS, Crew, JobKey, SlaveInfo
from tracking.slave.calling import call
from tracking.slave.loading import Context
from tracking.wire import codec, mainmodule
from tracking.wire import messages as m
from tracking.wire.channel import Message


class Call(Future[Any]):
    """The future of a call. Who waits for it turns the crew's loop meanwhile."""

    def __init__(self, crew: Crew) -> None:
        super().__init__()
        self._crew = crew

    def result(self, timeout: float | None = None) -> Any:
        self._crew.help_until(self.done, timeout)
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._crew.help_until(self.done, timeout)
        return super().exception(timeout)


class Calls:
    """A crew's client that runs submitted calls.

    All attributes are used under the crew's lock.

    Args:
        crew: the slaves.
        context: what of our surroundings holds on them.
        max_deaths: a call that was alone on a slave that died so often is given up; None: never.
    """

    can_drive = False

    def __init__(self, crew: Crew, context: Context, max_deaths: int | None) -> None:
        self.calculation = next(MASTER_NUMBERS)
        self._crew = crew
        self._context = context
        self._items = Items(0)
        policy = Policy(chunk_size=1, redistribute=False, max_deaths=max_deaths)
        self._scheduler = Scheduler(self._items, policy, open_ended=True)
        self._code = mainmodule.encode_function(call, "call")
        self._futures: dict[int, Future[Any]] = {}
        self._payloads: dict[int, codec.Payload] = {}
        self._positions: dict[int, int] = {}  # job -> position
        self._trouble: dict[int, tuple[SlaveInfo, m.Report, str]] = {}
        self._wakeup_armed = False
        self._lost = ""

    @property
    def is_busy(self) -> bool:
        """Whether a call has no answer yet."""
        return bool(self._futures)

    def submit(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        """Send the call to a slave as soon as one is free."""
        payload = mainmodule.encode_function([(function, args, kwargs)], "the call")
        future = Call(self._crew)
        with self._crew.lock:
            if self._lost:
                raise NoSlavesError(f"no slave is left to make a call: {self._lost}")
            position = len(self._items)
            self._futures[position] = future
            self._payloads[position] = payload
            if len(self._futures) == 1:
                self._crew.choose_driver()
            self._decide(e.ItemsAdded(1))
            self._crew.flush()
        self._crew.run_later()
        return future

    def pending(self) -> list[Future[Any]]:
        """The futures of calls without an answer."""
        return list(self._futures.values())

    def cancel_all(self) -> None:
        """Nobody wants the answers any more."""
        with self._crew.lock:
            futures, self._futures = list(self._futures.values()), {}
        for future in futures:
            if not future.cancel():
                future.set_exception(NoSlavesError("the pool was shut down before the call was done"))

    # ---- what the crew tells, under its lock

    def deliver(self, tid: int, message: Message) -> None:
        kind = message[0]
        if kind == m.DONE:
            self._take_result(tid, message)
        elif kind == m.FAILED:
            _, _, job, seconds, report = message
            self._note(self._positions.pop(job, None), tid, report)
            self._decide(e.JobFailed(job, tid, seconds))
        elif kind == m.RETURNED:
            self._positions.pop(message[2], None)
            self._decide(e.JobReturned(message[2], tid))
        elif kind == m.READY:
            slave = self._crew.info(tid)
            if slave is not None:
                self._decide(e.SlaveReady(tid, slave.host, slave.nickname))

    def slave_is_up(self, slave: SlaveInfo) -> None:
        self._crew.send(slave.tid, (m.SETUP, self.calculation, m.FUNCTION, self._code, None, self._context))

    def slave_is_lost(
        self, slave: SlaveInfo, how: str, jobs: tuple[JobKey, ...], on_purpose: bool, last_lines: str
    ) -> None:
        own = [job for calculation, job in jobs if calculation == self.calculation]
        is_ours = bool(jobs) and jobs[0][0] == self.calculation
        for job in own:
            position = self._positions.pop(job, None)
            if position is not None:
                self._trouble[position] = slave, (m.REPORT_DIED, f"its slave was {how}", "", None), last_lines
        if self._scheduler.has_slave(slave.tid):
            running = own[0] if is_ours else None
            self._decide(e.SlaveLost(slave.tid, how, running, on_purpose or (bool(jobs) and not is_ours)))

    def crew_is_lost(self, why: str) -> None:
        self._lost = why
        error = NoSlavesError(f"no slave is left to make a call: {why}")
        futures, self._futures = self._futures, {}
        for future in futures.values():
            self._crew.later(partial(_set_exception, future, error))

    def must_drive(self) -> None:
        """Never asked for: ``can_drive`` says no."""

    # ---- results

    def _take_result(self, tid: int, message: Message) -> None:
        _, _, job, seconds, _, payload, reports = message
        position = self._positions.pop(job, None)
        if position is None:
            return
        if self._scheduler.wanted(job):
            if reports:
                self._note(position, tid, reports[0])
            else:
                self._settle(position, lambda future: _set_result(future, payload))
        self._decide(e.JobDone(job, tid, seconds, (position,) if reports else (), payload.size))

    def _note(self, position: int | None, tid: int, report: m.Report) -> None:
        slave = self._crew.info(tid)
        if position is not None and slave is not None:
            self._trouble[position] = slave, report, ""

    def _settle(self, position: int, set_outcome: Callable[[Future[Any]], None]) -> None:
        future = self._futures.pop(position, None)
        self._payloads.pop(position, None)
        self._trouble.pop(position, None)
        if future is not None:
            self._crew.later(lambda: set_outcome(future))
            if not self._futures:
                self._crew.choose_driver()

    # ---- decisions

    def _decide(self, event: e.Event) -> None:
        for command in self._scheduler.handle(event, time.monotonic()):
            self._perform(command)
        self._arm_wakeup()

    def _arm_wakeup(self) -> None:
        wakeup = self._scheduler.next_wakeup()
        if wakeup is not None and not self._wakeup_armed:
            self._wakeup_armed = True
            self._crew.after(max(0.0, wakeup - time.monotonic()), self._tick)

    def _tick(self) -> None:
        self._wakeup_armed = False
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
        elif isinstance(command, c.StopSlave):
            self._crew.end_slave(command.slave)

    def _send(self, command: c.SendJob) -> None:
        position = command.positions[0]
        future = self._futures.get(position)
        if future is None or not (future.running() or future.set_running_or_notify_cancel()):
            self._settle(position, lambda future: None)
            self._decide(e.JobDone(command.job, command.slave, 0.0))
            return
        self._positions[command.job] = position
        self._crew.send(command.slave, (m.JOB, self.calculation, command.job, self._payloads[position]))

    def _give_up(self, command: c.GiveUp) -> None:
        slave, report, last_lines = self._trouble[command.position]
        what, text, traceback, payload = report
        kind = {m.REPORT_DIED: ItemKilledSlave, m.REPORT_RESULT: ItemResultError}.get(what, ItemRaised)
        error = kind(
            text,
            id=command.position,
            host=slave.host,
            nickname=slave.nickname,
            tries=command.tries,
            remote_traceback=traceback,
            output=last_lines,
        )
        self._settle(command.position, lambda future: _set_remote_exception(future, error, payload))


def _set_result(future: Future[Any], payload: codec.Payload) -> None:
    try:
        results: Any = codec.decode(payload)
    except Exception as error:  # noqa: BLE001  (a result's own class may raise anything)
        _set_exception(
            future, ItemResultError(f"its result cannot be read here: {type(error).__name__}: {error}")
        )
        return
    future.set_result(results[0])


def _set_remote_exception(future: Future[Any], error: BaseException, payload: codec.Payload | None) -> None:
    """The exception itself where it can be made here, caused by the one that tells of its remote traceback."""
    if payload is not None:
        try:
            original = codec.decode(payload)
        except Exception:  # noqa: BLE001  (its class may raise anything; the other error says it all)
            original = None
        if isinstance(original, BaseException):
            original.__cause__ = error
            error = original
    _set_exception(future, error)


def _set_exception(future: Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
