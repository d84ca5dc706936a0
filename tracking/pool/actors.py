"""Actors: an object on every slave of a pool, and calls on one of them, in order.

::

    caller's thread                              whoever turns the crew's loop
      Actor.call: encode, then under the lock      slave_is_up --SETUP--> READY: made, watchers are told
        ActorState decides, JOBs go out            DONE, FAILED --> answered, the next JOB goes out
      result(): turns the loop meanwhile           slave_is_lost, silent, crew_is_lost --> all its calls fail
                                                   later, without the lock: futures, and what watchers do

Nothing is dealt, and nothing is done twice: a call belongs to one object, and ends with it. What may happen to one is
decided by ``core.actor``. All attributes of ``Actors`` are used under the crew's lock; what runs the user's code
(pickling, futures and their callbacks, watchers) runs without it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from tracking.core import actor as a
from tracking.errors import NoSlavesError, SlaveLost, TrackingError
from tracking.pool.client import SETUP, SlaveGone, SlaveInfo
from tracking.pool.crew import Crew
from tracking.pool.filling import LEFT_OUT
from tracking.pool.futures import Call, set_remote_exception
from tracking.pool.lending import Parcels
from tracking.pool.open_calls import OpenCalls, PreparedCall, error_of
from tracking.pool.setup_deaths import SetupDeaths, died_of
from tracking.pool.watcher import Watcher
from tracking.slave.surroundings import Context
from tracking.wire import codec
from tracking.wire import messages as m
from tracking.wire.channel import Message

_ON_PURPOSE = "on purpose: its max_jobs jobs were done, it held too much, was removed, or other work was called off"


class Actor:
    """An object on one slave.

    Attributes:
        error: why it is lost, or could not be made; None: it is not lost.
    """

    def __init__(self, actors: Actors, slave: SlaveInfo) -> None:
        self._actors = actors
        self._slave = slave
        self._state = a.ActorState()
        self.error: BaseException | None = None

    def __repr__(self) -> str:
        return f"<Actor {self.nickname}{' lost' if self.is_lost else ''}>"

    @property
    def tid(self) -> int:
        """The number of its slave."""
        return self._slave.tid

    @property
    def host(self) -> str:
        """Where it is."""
        return self._slave.host

    @property
    def nickname(self) -> str:
        """What people call its slave; one that takes its place has the same."""
        return self._slave.nickname

    @property
    def is_lost(self) -> bool:
        """Whether the object is no more, or could not be made."""
        return self.error is not None

    def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Call:
        """Call ``fn(obj, *args, **kwargs)`` where the object is; the future of that, at once.

        Calls are made in the order of asking. What one raises comes as it is, its ``__cause__`` an ``ItemRaised`` with
        the traceback there, and harms nothing else. All that has no answer when the slave ends fails with a
        ``SlaveLost``, and so does all that is asked later; nothing is tried again. The future fails with an
        ``EncodeError`` if the call cannot be sent, with an ``ItemResultError`` if its result cannot.

        Raises:
            InputError: this is a forked child of the process whose slaves these are.
        """
        prepared = self._actors._prepare(fn, args, kwargs, lambda: self.error or self._actors._error)
        self.take(prepared)
        return prepared.future

    def take(self, prepared: PreparedCall) -> None:
        """Make this call, which was prepared for any of these actors; once."""
        self._actors._ask(self, prepared)

    def close(self, why: str = "it was closed") -> None:
        """Have the object forgotten; what it was asked fails, and a call that is being made ends with its slave."""
        self._actors._close_one(self, why)


class Actors:
    """The objects on the slaves of a pool; made by ``SlavePool.actors``. They end with the pool, if not before.

    Args:
        crew: the slaves.
        context: what of our surroundings holds on them.
        code: makes an object.
    """

    can_drive = False

    def __init__(self, crew: Crew, context: Context, code: codec.Payload) -> None:
        self.calculation = context.master
        self._crew = crew
        self._context = context
        self._code = code
        self._parcels = Parcels(crew)
        self._parcels.wrap(code)
        self._actors: dict[int, Actor] = {}  # by tid: those that are not lost
        self._failed: set[int] = set()  # slaves that live, but on which no object could be made
        self._calls = OpenCalls(crew, crew.look_who_is_busy)
        self._watchers: list[Watcher] = []
        self._is_incomplete = True  # perhaps not all slaves are up: somebody may wait for them
        self._setup_deaths = SetupDeaths(crew, "their object was made")
        self._error: TrackingError | None = None  # why there are none, and none will come
        self._is_given_up = False  # making it kills slaves: it is not tried on another one
        self._is_closed = False
        self._settling = threading.Condition(crew.lock)  # told when an actor is up or lost
        crew.attach(self)
        crew.flush()

    def __enter__(self) -> Actors:
        return self

    def __exit__(self, *_: object) -> None:
        """Close them."""
        self.close()

    # ---- what users want

    def up(self, timeout: float | None = None) -> list[Actor]:
        """Those whose object is there, in the order in which their slaves were started.

        Args:
            timeout: wait no longer than so many seconds for slaves that are just being started; None: as long as that
                takes. One that could not be started, and is tried again in a while, is not waited for.
        """
        timeout = self._crew.driving.help_until(self._is_settled, timeout)  # this may be who turns the loop
        with self._settling:
            self._settling.wait_for(self._is_settled, timeout)
            return [self._actors[tid] for tid in sorted(self._actors) if self._is_there(self._actors[tid])]

    def watch(self, watcher: Watcher) -> None:
        """Tell somebody of those that are up, and of all changes from now on."""
        self._crew.check_own_process()
        with self._crew.lock:
            self._watchers.append(watcher)
            for host in self._crew.trouble():
                if host.state == LEFT_OUT:
                    self._crew.driving.later(partial(watcher.host_is_given_up, host.host, host.reason))
            for tid in sorted(self._actors):
                if self._actors[tid]._state.phase is not a.ActorPhase.COMING:
                    self._crew.driving.later(partial(watcher.actor_is_up, self._actors[tid]))
            if self._error is not None:
                self._crew.driving.later(partial(watcher.all_are_lost, self._error))
        self._crew.driving.hurry_later()

    def prepare(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> PreparedCall:
        """A call for one of these actors: encoded now, made when one ``take``s it."""
        return self._prepare(fn, args, kwargs, lambda: self._error)

    def _prepare(
        self, fn: Callable[..., Any], args: Any, kwargs: Any, why_not: Callable[[], BaseException | None]
    ) -> PreparedCall:
        self._crew.check_own_process()
        return self._calls.prepare(fn, args, kwargs, why_not)

    def give_up(self, prepared: PreparedCall, error: BaseException) -> None:
        """Nobody will take this call: it fails with this error."""
        with self._crew.lock:
            self._calls.fail(prepared.number, error)
        self._crew.driving.hurry_later()

    def close(self, why: str = "they were closed") -> None:
        """Have all objects forgotten; what has no answer yet fails. Slaves that are at it are replaced."""
        if not self._crew.is_own:
            return
        with self._crew.lock:
            if not self._is_closed:
                self._is_closed = True
                for tid in self._coming():
                    self._crew.cancel(tid, (self.calculation, SETUP))
                self._all_are_lost(NoSlavesError(f"the objects on the slaves are gone: {why}"))
                self._crew.detach(self)
                self._parcels.close()
        self._crew.driving.hurry_later()

    # ---- what an actor wants

    def _ask(self, actor: Actor, call: PreparedCall) -> None:
        with self._crew.lock:
            if call.payload is not None:
                self._happens(actor, a.Asked(call.number))
                self._crew.flush()
        self._crew.driving.hurry_later()

    def _close_one(self, actor: Actor, why: str) -> None:
        with self._crew.lock:
            out = actor._state.out
            if self._actors.get(actor.tid) is actor:
                self._lose(actor, SlaveLost(why, host=actor.host, nickname=actor.nickname))
                self._failed.add(actor.tid)
                self._crew.send(actor.tid, (m.FORGET, self.calculation))
                for number in out:
                    self._crew.cancel(actor.tid, (self.calculation, number))
                self._crew.flush()
        self._crew.driving.hurry_later()

    # ---- what the crew asks and tells, under its lock

    @property
    def is_busy(self) -> bool:
        """Whether a call has no outcome yet, or slaves are awaited."""
        return bool(self._calls) or self._awaits_slaves()

    def _awaits_slaves(self) -> bool:
        if self._is_incomplete:
            self._is_incomplete = bool(self._coming()) or self._crew.is_replacing
        return self._is_incomplete and self._error is None and not self._crew.is_lost

    def _is_settled(self) -> bool:
        """Whether each slave that was started has its object, or none."""
        with self._crew.lock:
            return self._error is not None or not self._coming()

    def _coming(self) -> set[int]:
        """Slaves that were started, and on which there is neither an object nor an error."""
        made = {tid for tid, one in self._actors.items() if one._state.phase is not a.ActorPhase.COMING}
        return {slave.tid for slave in self._crew.slaves()} - made - self._failed

    def deliver(self, tid: int, message: Message) -> None:
        kind, actor = message[0], self._actors.get(tid)
        if actor is None:
            return  # it was lost for us before it ended
        if kind == m.DONE:
            self._take_result(actor, message)
        elif kind == m.FAILED:
            self._take_failure(actor, message[2], message[4])
        elif kind == m.READY:
            self._is_made(actor)
        elif kind == m.SETUP_FAILED:
            self._setup_failed(actor, message[2])

    def slave_is_up(self, slave: SlaveInfo) -> None:
        if self._is_given_up:
            self._failed.add(slave.tid)
            return
        self._error = None
        self._is_incomplete = True
        self._actors[slave.tid] = Actor(self, slave)
        code = self._parcels.of(slave.tid, self._code)
        self._crew.send(slave.tid, (m.SETUP, self.calculation, m.OBJECT, code, None, self._context))

    def slave_is_silent(self, slave: SlaveInfo) -> None:
        """Nobody can say what became of the object: it is given up, and its slave with it."""
        if slave.tid in self._actors:
            how = "it was stopped, or hangs: it has not answered for long, and is ended by us"
            self._slave_is_gone(slave, how, self._crew.last_lines(slave.tid))
            self._crew.end_slave(slave.tid)

    def slave_is_heard(self, slave: SlaveInfo) -> None:
        """It is about to be ended."""

    def slave_is_leaving(self, slave: SlaveInfo) -> None:
        """It takes nothing more, as is seen when it is asked; what it has will be done."""

    def hosts_were_added(self) -> None:
        if not self._is_given_up:
            self._error, self._is_incomplete = None, True

    def host_is_given_up(self, host: str, why: str) -> None:
        self._tell(lambda watcher: watcher.host_is_given_up(host, why))

    def slave_is_lost(self, gone: SlaveGone) -> None:
        slave = gone.slave
        self._is_incomplete = True
        self._failed.discard(slave.tid)
        actor = self._actors.get(slave.tid)
        how = f"{gone.how}, {_ON_PURPOSE}" if gone.on_purpose else gone.how
        if actor is not None and not gone.on_purpose and died_of(self.calculation, gone.jobs):
            self._died_of_setup(actor, how, gone.last_lines, is_innocent=gone.is_innocent)
        self._slave_is_gone(slave, how, gone.last_lines)
        self._settling.notify_all()
        self._crew.look_who_is_busy()

    def crew_is_lost(self, why: str) -> None:
        self._all_are_lost(NoSlavesError(f"no slave is left for an object: {why}"))

    # ---- what becomes of actors

    def _is_made(self, actor: Actor) -> None:
        if actor._state.phase is a.ActorPhase.COMING:
            self._setup_deaths.one_is_ready()
            self._happens(actor, a.Made())
            self._tell(lambda watcher: watcher.actor_is_up(actor))
            self._look_whether_complete()

    def _look_whether_complete(self) -> None:
        if not self._calls and not self._awaits_slaves():
            self._crew.look_who_is_busy()

    def _setup_failed(self, actor: Actor, report: m.Report) -> None:
        _, text, traceback, payload = report
        future = Call(self._crew)
        set_remote_exception(future, error_of(report, actor._slave, "the making of its object"), payload)
        self._failed.add(actor.tid)
        error = future.exception()
        assert error is not None
        self._lose(actor, error, has_failed=True)
        if all(slave.tid in self._failed for slave in self._crew.slaves()):
            self._all_are_lost(NoSlavesError(f"no object could be made on any slave: {text}\n{traceback}".rstrip()))
        self._look_whether_complete()

    def _died_of_setup(self, actor: Actor, how: str, last_lines: str, *, is_innocent: bool) -> None:
        if actor._state.phase is not a.ActorPhase.COMING or any(map(self._is_there, self._actors.values())):
            return
        why = self._setup_deaths.too_many(actor._slave, how, last_lines, is_innocent=is_innocent)
        if why:
            self._is_given_up = True
            self._all_are_lost(NoSlavesError(f"no object can be made on the slaves: {why}"))

    @staticmethod
    def _is_there(actor: Actor) -> bool:
        return actor._state.phase is a.ActorPhase.THERE

    def _slave_is_gone(self, slave: SlaveInfo, how: str, last_lines: str) -> None:
        actor = self._actors.get(slave.tid)
        if actor is not None:
            self._lose(actor, SlaveLost(how, host=slave.host, nickname=slave.nickname, output=last_lines))

    def _lose(self, actor: Actor, error: BaseException, *, has_failed: bool = False) -> None:
        del self._actors[actor.tid]
        actor.error = error
        if has_failed:  # watchers first: who hears of a call that has failed may look for the new one
            self._tell(lambda watcher: watcher.actor_has_failed(actor))
        else:
            self._tell(lambda watcher: watcher.actor_is_lost(actor))
        self._happens(actor, a.Lost())

    def _all_are_lost(self, error: TrackingError) -> None:
        self._error = error
        for actor in list(self._actors.values()):
            self._lose(actor, error)
        for number in self._calls.numbers():  # that no actor was told to take
            self._calls.fail(number, error)
        self._tell(lambda watcher: watcher.all_are_lost(error))
        self._crew.look_who_is_busy()

    def _tell(self, what: Callable[[Watcher], None]) -> None:
        self._settling.notify_all()
        for watcher in self._watchers:
            self._crew.driving.later(partial(what, watcher))

    # ---- what becomes of calls

    def _happens(self, actor: Actor, event: a.ActorEvent) -> None:
        events = deque([event])
        while events:
            for command in actor._state.handle(events.popleft()):
                if isinstance(command, a.Fail):
                    assert actor.error is not None
                    self._calls.fail(command.call, actor.error)
                elif (what_came := self._send(actor, command.call)) is not None:
                    events.append(what_came)

    def _send(self, actor: Actor, number: int) -> a.ActorEvent | None:
        call = self._calls.get(number)
        if call is None or not call.future.begins():
            self._calls.drop(number)
            return a.Answered(number)  # nobody wants it
        if not self._crew.send(actor.tid, (m.JOB, self.calculation, number, call.payload)):
            return a.Refused(number)
        call.payload = None
        return None

    def _take_result(self, actor: Actor, message: Message) -> None:
        _, _, number, _, _, payload, reports = message
        if not actor._state.is_out(number):
            return  # it was not asked
        if reports:
            self._calls.fail_there(number, reports[0], actor._slave)
        else:
            self._calls.succeed(number, payload)
        self._happens(actor, a.Answered(number))

    def _take_failure(self, actor: Actor, number: int, report: m.Report) -> None:
        if actor._state.is_out(number):
            self._calls.fail_there(number, report, actor._slave)
            self._happens(actor, a.Answered(number))
