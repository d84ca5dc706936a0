"""The slave's side of its two lines: takes jobs, does them, sends results; hears while it works.

::

    main thread                                control thread (daemon)
      job line    --> _inbox --> work            control line --> recall, ping, users' messages
      results --+                                  answers --+
                +--------> _send_lock: job line <------------+
                              ^
                              flush thread (daemon, while results wait for company)

Who touches what:
    _inbox          jobs not begun, in order; both threads, under _inbox_lock
    job line, read  whoever holds _reading: the main thread when it has nothing to do,
                    the control thread when it looks for a recalled job
    job line, write whoever holds _send_lock
    _calculations   written by the main thread, read by both
Stop order: STOP on the job line ends the main thread, which ends the process; the end of either line does
so at once, also in the middle of an item: nobody is left who would want its result.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from time import perf_counter
from types import ModuleType
from typing import Any, Protocol

from tracking.slave import loading, reports
from tracking.slave.work import Failures, Work
from tracking.wire import codec, mainmodule
from tracking.wire import messages as m
from tracking.wire.channel import Channel, Message

_SEND_DELAY_S = 0.001  # results of jobs that take microseconds wait this long for company
_SEND_BYTES = 64 * 1024
_LATE_S = 0.004


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this slave is. ``niceness``: the nice value that it shall have when it works."""

    tid: int
    nickname: str
    host: str
    niceness: int = 0


@dataclass(slots=True)
class Calculation:
    """What the slave keeps of a calculation: its work, and the ``__main__`` that its code believes in."""

    number: int
    work: Work
    main: ModuleType
    listener: Listener | None = None


class Listener(Protocol):
    """Who hears the messages of a calculation, in the control thread: its JobSlave."""

    def _tr_hear(self, sender: int, tag: Hashable, values: tuple[Any, ...] | None) -> None: ...

    def _tr_pong_arrived(self, token: int) -> None: ...

    def _tr_hear_tasks(self, tasks: dict[str, int]) -> None: ...


class SlaveProcess:
    """One slave, whatever calculations it works for.

    Args:
        identity: who it is.
        line: the job line, blocking.
        control: the control line, blocking.
    """

    def __init__(self, identity: Identity, line: Channel, control: Channel) -> None:
        self.identity = identity
        self._line = line
        self._control = control
        self._inbox: deque[Message] = deque()
        self._inbox_lock = threading.Lock()
        self._reading = threading.Lock()
        self._send_lock = threading.Lock()
        self._waiting_bytes = 0
        self._waiting_since = 0.0
        self._is_waiting = threading.Event()
        self._flush_thread: threading.Thread | None = None
        self._calculations: dict[int, Calculation] = {}
        self._is_stopping = False
        self._control_thread: threading.Thread | None = None

    # ---- main thread

    def serve(self) -> None:
        """Work until told to stop; returns then. A lost line ends the process."""
        try:
            self._line.send((m.HELLO, 0, m.PROTOCOL_VERSION, os.getpid()))
            self._control_thread = threading.Thread(target=self._listen, name="tracking-control", daemon=True)
            self._control_thread.start()
            while self._handle(self._next_message()):
                pass
            self.say((m.ENDING, 0))
        except (EOFError, OSError):
            _end_at_once()

    def _next_message(self) -> Message:
        with self._inbox_lock:
            if self._inbox:
                return self._inbox.popleft()
        self._flush()
        with self._reading:
            messages = self._line.receive()
            with self._inbox_lock:
                self._inbox += messages
                return self._inbox.popleft()

    def _handle(self, message: Message) -> bool:
        kind = message[0]
        if kind == m.JOB:
            self._do_job(*message[1:])
        elif kind == m.SETUP:
            self._set_up(*message[1:])
        elif kind == m.CODE:
            self._in_calculation(message[1])
            mainmodule.install(message[2])
        elif kind == m.FORGET:
            self._calculations.pop(message[1], None)
        elif kind == m.STOP:
            self._is_stopping = True
            return False
        return True

    def _set_up(
        self,
        number: int,
        kind: str,
        code: loading.Code | str,
        params: loading.Params | None,
        context: loading.Context,
    ) -> None:
        try:
            loading.load(self, number, kind, code, params, context)
        except BaseException as error:  # noqa: BLE001  (whatever a user's script does, the master is told)
            reports.print_last_words(error)
            self.say((m.SETUP_FAILED, number, reports.raised(error)))
            return
        self.say((m.READY, number))

    def register(self, number: int, work: Work) -> Calculation:
        """Make a calculation known, already before it is ready: its messages are heard during ``initialize``."""
        calculation = Calculation(number, work, sys.modules["__main__"])
        self._calculations[number] = calculation
        return calculation

    def _in_calculation(self, number: int) -> Calculation:
        calculation = self._calculations[number]
        if sys.modules.get("__main__") is not calculation.main:
            sys.modules["__main__"] = calculation.main
        return calculation

    def _do_job(self, number: int, job: int, payload: codec.Payload) -> None:
        since = perf_counter()
        try:
            calculation = self._in_calculation(number)
            items = codec.decode(payload)
        except BaseException as error:  # noqa: BLE001  (a value's own class may raise anything)
            self._job_failed(number, job, since, error)
            return

        def send(
            first: int, results: codec.Payload, failures: Failures, seconds: float, is_last: bool
        ) -> None:
            self._send_results(
                (m.DONE if is_last else m.PART, number, job, seconds, first, results, failures)
            )

        try:
            calculation.work.do(items, send)
        except (EOFError, ConnectionError, BrokenPipeError) as error:
            if self._line_is_gone():
                raise
            self._job_failed(number, job, since, error)
        except BaseException as error:  # noqa: BLE001  (SystemExit in go must not end the slave)
            self._job_failed(number, job, since, error)

    def _line_is_gone(self) -> bool:
        return bool(_poll(self._line.fileno()) & (select.POLLHUP | select.POLLERR | select.POLLNVAL))

    def _job_failed(self, number: int, job: int, since: float, error: BaseException) -> None:
        self._send_results((m.FAILED, number, job, perf_counter() - since, reports.raised(error)))

    def _send_results(self, message: Message) -> None:
        """Send now, or with the results that come within a millisecond if more jobs are waiting."""
        now = perf_counter()
        with self._send_lock:
            if not self._waiting_bytes:
                self._waiting_since = now
            self._line.put(message)
            self._waiting_bytes += 64 + (message[5].size if message[0] != m.FAILED else 0)
            if (
                not self._inbox
                or message[0] == m.PART
                or self._waiting_bytes > _SEND_BYTES
                or now - self._waiting_since > _SEND_DELAY_S
            ):
                self._line.flush()
                self._waiting_bytes = 0
            elif not self._is_waiting.is_set():
                self._is_waiting.set()
                self._ensure_flush_thread()

    def _ensure_flush_thread(self) -> None:
        if self._flush_thread is None:
            self._flush_thread = threading.Thread(target=self._flush_late, name="tracking-flush", daemon=True)
            self._flush_thread.start()

    def _flush(self) -> None:
        with self._send_lock:
            self._line.flush()
            self._waiting_bytes = 0

    # ---- flush thread

    def _flush_late(self) -> None:
        """Send what waits when the job behind it turns out to be a long one."""
        try:
            while self._is_waiting.wait():
                time.sleep(_LATE_S)
                with self._send_lock:
                    if not self._waiting_bytes:
                        self._is_waiting.clear()
                    elif perf_counter() - self._waiting_since > _LATE_S:
                        self._line.flush()
                        self._waiting_bytes = 0
        except OSError:
            return  # the control thread sees the end of the line too, and acts

    # ---- both threads

    def say(self, message: Message) -> None:
        """Send a message up at once, behind everything sent before."""
        with self._send_lock:
            self._line.send(message)
            self._waiting_bytes = 0

    # ---- control thread

    def _listen(self) -> None:
        try:
            while True:
                self.hear_once()
        except (EOFError, OSError):
            if not self._is_stopping:
                _end_at_once()

    def hear_once(self) -> None:
        """Wait for what comes on the control line, and act on it."""
        for message in self._control.receive():
            kind, number = message[0], message[1]
            if kind == m.RECALL:
                self._recall(number, message[2])
            elif kind == m.PING:
                self.say((m.PONG, number, message[3]))
            else:
                self._hear(message)

    def hear_until(self, event: threading.Event, timeout_s: float) -> bool:
        """Hear on, from within a method that a message called, until the event is set or the time is over."""
        end = time.monotonic() + timeout_s
        while not event.is_set():
            left_s = end - time.monotonic()
            if left_s <= 0 or not _poll(self._control.fileno(), left_s):
                break
            self.hear_once()
        return event.is_set()

    @property
    def is_control_thread(self) -> bool:
        """Whether the caller runs in the thread that hears."""
        return threading.current_thread() is self._control_thread

    def _hear(self, message: Message) -> None:
        calculation = self._calculations.get(message[1])
        if calculation is None or calculation.listener is None:
            return
        listener = calculation.listener
        try:
            if message[0] == m.TELL:
                _, _, sender, tag, payload, definitions = message
                if definitions is not None:
                    mainmodule.install(definitions)
                listener._tr_hear(sender, tag, None if payload is None else _values(payload))
            elif message[0] == m.PONG:
                listener._tr_pong_arrived(message[2])
            elif message[0] == m.TASKS:
                listener._tr_hear_tasks(message[2])
        except Exception as error:  # noqa: BLE001  (a user's method raised: it is told, and the slave lives on)
            reports.print_last_words(error)

    def _recall(self, number: int, job: int) -> None:
        if not self._take_back(number, job):
            if not self._reading.acquire(blocking=False):
                return  # the main thread waits for work: what is recalled has begun or is done
            try:
                while _poll(self._line.fileno()) & select.POLLIN:
                    messages = self._line.receive()
                    with self._inbox_lock:
                        self._inbox += messages
            finally:
                self._reading.release()
            if not self._take_back(number, job):
                return
        self.say((m.RETURNED, number, job))

    def _take_back(self, number: int, job: int) -> bool:
        with self._inbox_lock:
            for message in self._inbox:
                if message[0] == m.JOB and message[1] == number and message[2] == job:
                    self._inbox.remove(message)
                    return True
        return False


def _values(payload: codec.Payload) -> tuple[Any, ...]:
    values: tuple[Any, ...] = codec.decode(payload)  # type: ignore[assignment]
    return values


def _poll(fd: int, timeout_s: float = 0.0) -> int:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return next((events for _, events in poller.poll(timeout_s * 1000)), 0)


def _end_at_once() -> None:
    """The master is gone: end, with all processes that the work may have started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
