"""What a manager, its contexts and its threads share; and the thread that hands tasks out.

::

    user's thread, in next()          the hub's thread                         the pool
      start slaves, see ``starting``    inbox.get() <--- news of slaves, outcomes ---+
      take what has ended  <--------    note it in Work, wake who waits              |
      wait, but not for ever            hand_out: a task for each free slave --> Session.submit
                                        what is recorded is told after that: see ``keeping``

A task is made bytes when a slave is free for it, in the hub's thread. So whatever the user's thread does between two
results, slaves are not idle. The hub knows neither managers nor contexts: they may be forgotten.
Everything is read and written under ``changed``; the user's code (pickling) runs without it.
Stop order: END in the inbox -> run files -> the pool is shut down -> what was started beside it -> who waits is told.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

from tracking.errors import EncodeError, ItemError, ItemKilledSlave, ItemRaised, NoSlavesError
from tracking.parallel import at_exit, slavestate
from tracking.parallel.errors import Error, NetworkError, NoMoreSlavesError, RemoteError
from tracking.parallel.events import End, Event, Forget, Nudge, Outcome, SlavesAreStarted
from tracking.parallel.far_side import run
from tracking.parallel.keeping import Keeping
from tracking.parallel.tasks import Task, Work
from tracking.pool import SlavePool
from tracking.pool.client import SlaveInfo
from tracking.pool.news import NoneIsLeft, SlaveCame, SlaveFellSilent, SlaveIsHeard, SlaveLeft

logger = logging.getLogger("tracking")

_LONGEST_HEARTBEAT_S = 1.0
_LONGEST_SILENCE_S = 30.0
_SHORTEST_SILENCE_S = 0.5


class Hub:
    """See above.

    Attributes:
        changed: notified when something has.
        slaves: {nickname: slave} of those that were started.
        says: told what happens, in words.
        hosts: {host: [tasks, seconds]} of tasks that have ended.
        is_closed: the end has come.
    """

    def __init__(self, says: Callable[[str], object]) -> None:
        self.changed = threading.Condition()
        self.inbox: SimpleQueue[Event] = SimpleQueue()
        self.slaves: dict[str, Any] = {}
        self.says = says
        self.hosts: dict[str, list[float]] = {}
        self.is_closed = False
        self.keeping = Keeping(self.changed)
        self.pool: SlavePool | None = None
        self.at_end: list[Callable[[], object]] = []  # after the pool's, in this order
        self.hint: Callable[[], str] = str  # where to look if no slave could be started
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self._works: deque[Work] = deque()  # of contexts that are iterated
        self._up: dict[int, str] = {}  # tid -> nickname
        self._silent: set[int] = set()
        self._why_none = ""  # no slave is left, and none will come
        self._n_running = self._n_starts = self._n_starts_seen = 0  # so often slaves were started, and that was heard
        self._why_not: Counter[str] = Counter()  # why slaves have not come up
        self._was_ever_up = False
        self._fault: Exception | None = None  # of ours: why the thread has ended by itself
        self.last_sign = time.monotonic()  # when something was heard, or waiting began

    # ---- any thread

    @property
    def is_own(self) -> bool:
        """Whether this process has made it, and not one that it was forked from."""
        return os.getpid() == self._pid

    def _check_is_own(self) -> None:
        if not self.is_own:
            raise Error("the manager was made in another process, and this one was forked from it: make one here")

    def begin(self, heartbeat_timeout: float) -> SlavePool:
        """Have the pool and the thread."""
        self._check_is_own()
        if self.is_closed:
            raise Error("the manager was closed")
        if self.pool is None:
            silence_s = min(_LONGEST_SILENCE_S, max(_SHORTEST_SILENCE_S, heartbeat_timeout / 2))
            self.pool = SlavePool(
                None,
                host_failures=None,
                silence_timeout=silence_s,
                heartbeat=min(_LONGEST_HEARTBEAT_S, silence_s / 2),
            )
            self.pool.watch(self.inbox.put)
            self._thread = threading.Thread(target=self._run, name="tracking-parallel", daemon=True)
            at_exit.end(self)
            self._thread.start()
        return self.pool

    def end(self, *, wait: bool) -> None:
        """End all slaves, and the thread. May be called twice, and from any thread."""
        if not self.is_own:
            return
        thread = self._thread
        if thread is None:
            self.is_closed = True
            self.keeping.close()
            return
        self.inbox.put(End())
        if wait and thread is not threading.current_thread():
            thread.join()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def slaves_are_started(self, slaves: dict[str, Any]) -> None:
        """These, {nickname: slave}, are about to be."""
        with self.changed:
            self.slaves.update(slaves)
            self._n_starts += 1
            self.last_sign = time.monotonic()
        self.inbox.put(SlavesAreStarted())

    def nudge(self) -> None:
        """Something was changed that the thread should look at, if there is one."""
        if self._thread is not None:
            self.inbox.put(Nudge())

    def enter(self, work: Work) -> None:
        """A context is iterated: its tasks are sent.

        Raises:
            Error: in a child that was forked.
        """
        self._check_is_own()
        with self.changed:
            work.n_iterating += 1
            if work.n_iterating == 1:
                self._works.append(work)
            self.last_sign = max(self.last_sign, time.monotonic())
        self.nudge()

    def leave(self, work: Work) -> None:
        """It is no more."""
        with self.changed:
            work.n_iterating -= 1
            if not work.n_iterating and work in self._works:
                self._works.remove(work)

    def forget(self, work: Work) -> None:
        """Let go of the run file of a context, if it has one."""
        if self._thread is None or not self._thread.is_alive():
            self.keeping.forget(work)
        else:
            self.inbox.put(Forget(work))

    # ---- who waits, under ``changed``

    def waiting_s(self, heartbeat_timeout: float) -> float | None:
        """For how long something may be waited for; None: as long as it takes.

        Raises:
            NoMoreSlavesError, NetworkError: not at all.
        """
        if self.is_closed:
            raise Error(f"the manager was closed{'' if self._fault is None else f': {self._fault!r}'}") from self._fault
        if not self.slaves:
            raise NoMoreSlavesError("Ran out of slaves to run tasks: none was added: add_slave(...) or add_local()")
        if self._why_none and self._n_starts == self._n_starts_seen:
            if self._was_ever_up:
                raise NoMoreSlavesError(f"Ran out of slaves to run tasks: {self._why_none}")
            raise NetworkError(f"No slave could be started: {self._why_none}{self.hint()}")
        if self._n_healthy:
            return None
        now = time.monotonic()
        left_s = self.last_sign + heartbeat_timeout - now
        if left_s <= 0.0:
            self.last_sign = now
            reasons = "".join(f"; {why}" for why in self._why_not)
            raise NetworkError(f"Did not hear from any running slave in {heartbeat_timeout:g} seconds{reasons}")
        return min(left_s, threading.TIMEOUT_MAX)

    @property
    def _n_healthy(self) -> int:
        return len(self._up) - len(self._silent)

    # ---- the hub's thread

    def _run(self) -> None:
        try:
            while self._take(self._next()):
                while not self.inbox.empty():
                    if not self._take(self.inbox.get()):
                        return
                self.keeping.look_up()
                self._hand_out()
                self.keeping.keep()
        except Exception as error:  # better an error for all who wait than a wait for ever
            self._fault = error
            logger.exception("the thread of a manager has failed")
        finally:
            self._close()

    def _next(self) -> Event:
        while True:
            try:
                return self.inbox.get(timeout=self.keeping.pause_s)
            except Empty:
                self.keeping.beat()

    def _take(self, event: Event) -> bool:
        """False: this is the end."""
        if isinstance(event, End):
            return False
        if isinstance(event, Forget):
            self.keeping.forget(event.work)
            return True
        with self.changed:
            if isinstance(event, Outcome):
                self._has_outcome(event)
            elif isinstance(event, SlavesAreStarted):
                self._why_none = ""
                self._n_starts_seen += 1
            elif isinstance(event, NoneIsLeft):
                self._why_none = event.why
            elif not isinstance(event, Nudge):
                self._hear_of_slave(event)
            self.changed.notify_all()
        return True

    def _hear_of_slave(self, event: SlaveCame | SlaveLeft | SlaveFellSilent | SlaveIsHeard) -> None:
        tid, slave = event.slave.tid, self.slaves.get(event.slave.nickname)
        if isinstance(event, SlaveFellSilent):
            self._silent |= {tid} & set(self._up)
            self.says(f"Did not hear from slave {slave}")
            return
        self._silent.discard(tid)
        if isinstance(event, SlaveLeft):
            if self._up.pop(tid, None) is None and not event.is_wanted:
                self._why_not[f"{slave} {event.how}"] += 1
            self._has_left(slave, event)
            return
        self.last_sign = time.monotonic()
        if slave is not None:
            slave.update_contact_time()
        if isinstance(event, SlaveCame):
            self._up[tid], self._was_ever_up, self._why_none = event.slave.nickname, True, ""
            self.says(f"Identified slave {slave} ")
            if slave is not None:
                slave._state = slavestate.connected

    def _has_left(self, slave: Any, event: SlaveLeft) -> None:
        if slave is not None and event.slave.nickname not in self._up.values():
            slave._state = slavestate.dead
        if not event.is_wanted:
            lines = f"; its last lines: {event.last_lines.strip()}" if event.last_lines.strip() else ""
            logger.info("slave %s has ended: %s%s", slave, event.how, lines)

    # ---- outcomes

    def _has_outcome(self, outcome: Outcome) -> None:
        work, task, future = outcome.work, outcome.task, outcome.future
        self._n_running -= 1
        self._note_slave(task, future)
        if future.cancelled():
            work.is_sent_back(task, is_first=True)
            return
        error = future.exception()
        if error is None:
            self._is_heard_of(task)
            work.is_done(task, future.result())
        elif isinstance(error, ItemKilledSlave):
            self.says(f"Slave {task.slave} failed ({error.args[0]}): rescheduling task {task.name}")
            work.has_ended_slave(task, len(self.slaves))
        elif isinstance(error, NoSlavesError) and error.__cause__ is None:
            work.is_sent_back(task, is_first=True)
        else:
            self._is_heard_of(task)
            work.has_failed(task, self._as_told(task, error))

    def _note_slave(self, task: Task, future: Future[Any]) -> None:
        info: SlaveInfo | None = getattr(future, "slave", None)
        if info is None:
            return
        task.slave, task.host = self.slaves.get(info.nickname), info.host
        task.seconds = getattr(future, "seconds", None)
        if task.slave is not None and task.slave._state == slavestate.running_task:
            task.slave._state = slavestate.connected

    def _is_heard_of(self, task: Task) -> None:
        self.last_sign = time.monotonic()
        if task.slave is not None:
            task.slave.update_contact_time()
            task.slave._pending += 1
        if task.host and task.seconds is not None:
            account = self.hosts.setdefault(task.host, [0, 0.0])
            account[0] += 1
            account[1] += task.seconds

    @staticmethod
    def _as_told(task: Task, error: BaseException) -> BaseException:
        remote = error if isinstance(error, ItemError) else error.__cause__
        if not isinstance(remote, ItemError):
            return error  # it was never there, as what cannot be sent
        lines = remote.remote_traceback.splitlines(keepends=True)
        if remote is error and isinstance(error, ItemRaised):
            error = RuntimeError(error.args[0])  # in words: the exception itself could not come
        return RemoteError(error, lines, task.slave)

    # ---- handing out

    def _hand_out(self) -> None:
        while (picked := self._pick()) is not None:
            if not self._send(*picked):
                return

    def _pick(self) -> tuple[Work, Task] | None:
        """The next task of the next context that has one, if a slave is free for it."""
        with self.changed:
            if self._n_running >= self._n_healthy:
                return None
            for _ in range(len(self._works)):
                work = self._works[0]
                self._works.rotate(-1)
                if (task := work.next_to_send()) is not None:
                    self._n_running += 1
                    return work, task
            return None

    def _send(self, work: Work, task: Task) -> bool:
        """False: it could not be sent now."""
        assert self.pool is not None
        try:
            if work.session is None:
                work.session = self.pool.session(work.setup, max_deaths=1)
            if work.record is not None:
                work.record.is_sent(task)
            future = work.session.submit(run, task._function)
        except Exception as error:  # noqa: BLE001  (the setup cannot be sent, or no slave is left)
            with self.changed:
                self._n_running -= 1
                work.is_sent_back(task, is_first=True)
                if not isinstance(error, NoSlavesError):
                    work.fault = error
                self.changed.notify_all()
            return isinstance(error, EncodeError)
        self._note_running(task, future)
        inbox = self.inbox
        future.add_done_callback(lambda done: inbox.put(Outcome(work, task, done)))
        return True

    def _note_running(self, task: Task, future: Future[Any]) -> None:
        with self.changed:
            info: SlaveInfo | None = getattr(future, "slave", None)
            if info is not None and not future.done():
                task.slave, task.host = self.slaves.get(info.nickname), info.host
                if task.slave is not None:
                    task.slave._state = slavestate.running_task
                    self.changed.notify_all()

    # ---- the end

    def _close(self) -> None:
        assert self.pool is not None
        ends: list[Callable[[], object]] = [self.keeping.close, functools.partial(self.pool.shutdown, now=True)]
        for action in [*ends, *self.at_end]:
            try:
                action()
            except Exception:
                logger.exception("at the end of a manager")
        with self.changed:
            self.is_closed = True
            self._up.clear()
            self._silent.clear()
            for slave in self.slaves.values():
                slave._state = slavestate.dead
            self.changed.notify_all()
        self._drain()

    def _drain(self) -> None:
        """Nobody reads it any more, and what is in it may hold much."""
        try:
            while True:
                self.inbox.get_nowait()
        except Empty:
            return
